import json

import jwt
import pytest

from .conftest import DINER, NOON, VEGGIE, an_order

LATER = {"id": 7, "franchiseId": 1, "storeId": 1, "items": [VEGGIE]}


def test_an_order_is_answered_with_a_pizza_that_the_published_key_verifies(vendor, stranger):
    pizza = vendor("POST", "/api/order", {"diner": DINER, "order": LATER}).json["jwt"]

    (published,) = stranger("GET", "/.well-known/jwks.json").json["keys"]
    checked = jwt.PyJWS(algorithms=["RS256"]).decode_complete(pizza, jwt.PyJWK(published).key, algorithms=["RS256"])

    assert json.loads(checked["payload"]) == {
        "vendor": {"id": "vendor1", "name": "Test Vendor"},
        "diner": DINER,
        "order": LATER,
    }
    assert checked["header"] == {
        "alg": "RS256",
        "typ": "JWT",
        "kid": published["kid"],
        "iss": "cs329.click",
        "iat": NOON,
        "exp": NOON + 24 * 60 * 60,
    }


def test_what_was_ordered_comes_back_from_verification_as_it_was(vendor, stranger):
    order = {"id": 10**18, "note": "ñ 🍕 \ud800 \u2028", "items": [VEGGIE], "price": 0.1, "nothing": None}

    pizza = vendor("POST", "/api/order", {"diner": DINER, "order": order}).json["jwt"]

    assert stranger.verify(pizza).json["payload"]["order"] == order


def test_healthy_answers_carry_a_report_link_too(vendor, stranger):
    link = vendor.order().json["reportUrl"]

    assert link.startswith("http://factory:4000/api/support/key0001/report/")
    assert stranger.follow(link).json == {"message": "No chaos currently executing"}


@pytest.mark.parametrize("authorization", [None, "key0001", "Basic key0001", "Bearer", "Bearer nope", "Bearer ключ"])
def test_an_order_without_the_vendors_key_is_refused(stranger, authorization):
    headers = {"HTTP_AUTHORIZATION": authorization} if authorization else {}

    answer = stranger("POST", "/api/order", an_order(), **headers)

    assert (answer.status, answer.json) == (401, {"message": "invalid authentication"})


def test_the_scheme_before_the_key_may_be_in_any_case(stranger):
    assert stranger("POST", "/api/order", an_order(), HTTP_AUTHORIZATION="bearer key0001").status == 200


@pytest.mark.parametrize(
    "body",
    [
        None,
        [],
        {},
        {"diner": DINER},
        {"order": LATER},
        {"diner": None, "order": LATER},
        {"diner": "", "order": 0},
    ],
)
def test_an_order_needs_a_diner_and_an_order(vendor, body):
    answer = vendor("POST", "/api/order", body)

    assert (answer.status, answer.json) == (400, {"message": "Missing required parameters"})


@pytest.mark.parametrize("order", [{}, {"items": None}, {"items": {}}, "pizza", [1]])
def test_an_order_without_a_list_of_items_fails(vendor, waits, order):
    answer = vendor("POST", "/api/order", {"diner": {}, "order": order})

    assert answer.status == 500
    assert answer.json["message"] == "Cannot read properties of undefined (reading 'length')"
    assert 32 not in waits


@pytest.mark.parametrize("items", [0, 21])
def test_an_order_of_no_pizza_or_of_too_many_waits_and_fails(vendor, waits, items):
    answer = vendor.order(items=items)

    assert (answer.status, answer.json) == (500, {"message": "an order takes 1 to 20 pizzas"})
    assert 32 in waits


@pytest.mark.parametrize("items", [1, 20])
def test_an_order_of_one_to_twenty_pizzas_is_made_without_a_wait(vendor, waits, items):
    assert vendor.order(items=items).status == 200
    assert set(waits) == {0.0}


@pytest.mark.parametrize(
    "body", [b"{", b"\xff", b"[" * 100_000, b'{"a":' * 100_000], ids=["cut", "binary", "deep", "deeper"]
)
def test_a_body_that_is_not_json_fails(vendor, body):
    answer = vendor("POST", "/api/order", body)

    assert answer.status == 500
    assert "not JSON" in answer.json["message"]


def test_a_number_that_json_cannot_write_fails_without_breaking_the_factory(vendor, caplog):
    answer = vendor("POST", "/api/order", b'{"diner": {"id": 1e999}, "order": {"items": [1]}}')

    assert answer.status == 500
    assert "Traceback" in caplog.text
    assert vendor.order().status == 200


@pytest.mark.parametrize("jwt_", [None, 5, "", "garbage", "a.b.c", "....", {"a": 1}, "ñ.ñ.ñ"])
def test_what_is_no_pizza_is_invalid(stranger, jwt_):
    answer = stranger.verify(jwt_)

    assert (answer.status, answer.json) == (403, {"message": "invalid"})


def test_a_pizza_with_a_changed_topping_is_invalid(vendor, stranger):
    head, payload, signature = vendor.order().json["jwt"].split(".")
    changed = jwt.utils.base64url_encode(jwt.utils.base64url_decode(payload).replace(b"Veggie", b"Banana")).decode()

    assert stranger.verify(f"{head}.{payload}.{signature}").status == 200
    assert stranger.verify(f"{head}.{changed}.{signature}").status == 403


@pytest.mark.parametrize("secret", ["", "s" * 32])
def test_a_pizza_that_names_another_algorithm_is_invalid(stranger, secret):
    forged = jwt.encode({"order": {}}, secret or None, algorithm="HS256" if secret else "none")

    assert stranger.verify(forged).status == 403


def test_the_books_say_what_was_asked_for_and_made(vendor):
    vendor.order(order_id=1)
    vendor.order(order_id=1)
    vendor.order(order_id="x")
    vendor.chaos("badjwt")
    vendor.order(order_id=2)
    vendor.chaos("fail")
    vendor.order(order_id=3)

    books = vendor("GET", "/api/sandbox/orders")

    assert books.json == {"made": 3, "attempts": 5, "ids": {"1": 2, "x": 1, "2": 1, "3": 1}}


def test_the_books_can_be_begun_anew(vendor):
    vendor.order()

    assert vendor("DELETE", "/api/sandbox/orders").status == 200
    assert vendor("GET", "/api/sandbox/orders").json == {"made": 0, "attempts": 0, "ids": {}}


@pytest.mark.parametrize("method", ["GET", "DELETE"])
def test_the_books_are_the_vendors(vendor, stranger, method):
    vendor.order()

    assert stranger(method, "/api/sandbox/orders").status == 401
    assert vendor("GET", "/api/sandbox/orders").json["made"] == 1


def test_orders_that_are_refused_are_not_in_the_books(vendor, stranger):
    stranger.order()
    vendor("POST", "/api/order", {})

    assert vendor("GET", "/api/sandbox/orders").json["attempts"] == 0
