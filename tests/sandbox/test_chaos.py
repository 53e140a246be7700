import threading

import pytest

from jwtpizza.sandbox.factory import ChaosType, Factory

from .conftest import API_KEY, DINER, VEGGIE


def outcomes(vendor, count):
    return [vendor.order().status for _ in range(count)]


def test_fail_fails_every_order_at_once_and_names_the_link_that_ends_it(vendor, waits):
    vendor.chaos("fail")

    answer = vendor.order()

    assert answer.status == 500
    assert answer.json["message"] == "chaos monkey"
    assert answer.json["reportUrl"].startswith("http://factory:4000/api/support/key0001/report/")
    assert waits == [0.0]


def test_throttle_makes_a_good_pizza_after_32_seconds(vendor, stranger, waits):
    vendor.chaos("throttle")

    answer = vendor.order()

    assert waits == [32.0]
    assert stranger.verify(answer.json["jwt"]).status == 200
    assert "reportUrl" in answer.json


def test_badjwt_makes_a_pizza_whose_signature_is_wrong(vendor, stranger):
    good = vendor.order().json["jwt"]
    vendor.chaos("badjwt")

    answer = vendor.order()

    assert answer.status == 200
    assert answer.json["jwt"].rpartition(".")[0] == good.rpartition(".")[0]
    assert stranger.verify(answer.json["jwt"]).status == 403
    assert "reportUrl" in answer.json


@pytest.mark.parametrize("kind", ["fail", "throttle", "badjwt"])
def test_the_reported_link_ends_the_chaos(vendor, stranger, kind):
    vendor.chaos(kind)
    link = vendor.order().json["reportUrl"]

    resolved, again = stranger.follow(link), stranger.follow(link)

    assert (resolved.status, resolved.json["message"]) == (
        200,
        "Problem resolved. Pizza is back on the menu!",
    )
    assert (again.status, again.json["message"]) == (200, "No chaos currently executing")
    assert stranger.verify(vendor.order().json["jwt"]).status == 200


def test_a_wrong_fix_code_leaves_the_chaos_running(vendor, stranger):
    vendor.chaos("fail")

    answer = stranger("GET", "/api/support/key0001/report/wrong")

    assert (answer.status, answer.json) == (400, {"message": "Problem unresolved"})
    assert vendor.order().status == 500


def test_the_fix_code_works_for_its_vendor_only(vendor, stranger):
    vendor.chaos("fail")
    link = vendor.order().json["reportUrl"]

    answer = stranger.follow(link.replace("key0001", "nope"))

    assert (answer.status, answer.json) == (200, {"message": "No chaos currently executing"})
    assert vendor.order().status == 500


def test_each_spell_of_chaos_has_a_fix_code_of_its_own(vendor, stranger):
    before = vendor.order().json["reportUrl"]
    vendor.chaos("fail")
    first = vendor.order().json["reportUrl"]
    vendor.chaos("fail")

    assert stranger.follow(before).status == stranger.follow(first).status == 400
    assert vendor.order().json["reportUrl"] != first


def test_an_order_under_way_keeps_waiting_when_the_chaos_ends(key):
    waiting, over = threading.Event(), threading.Event()
    waits, made = [], []

    def sleep(seconds):
        waits.append(seconds)
        waiting.set()
        assert over.wait(5)

    factory = Factory(key=key, api_key=API_KEY, sleep=sleep)
    factory.start_chaos(ChaosType.THROTTLE)
    order = {"diner": DINER, "order": {"id": 1, "items": [VEGGIE]}, "support_url": ""}
    caller = threading.Thread(target=lambda: made.append(factory.make(**order)))
    caller.start()
    assert waiting.wait(5)

    factory.start_chaos(ChaosType.NONE)

    assert made == []
    assert factory.books()["attempts"] == 1
    over.set()
    caller.join(5)
    assert waits == [32.0]
    assert factory.verify(made[0]["jwt"])["order"]["id"] == 1


def test_the_vendor_sees_its_chaos_but_never_the_fix_code(vendor):
    assert "chaos" not in vendor("GET", "/api/vendor").json
    vendor.chaos("fail")
    code = vendor.order().json["reportUrl"].rpartition("/")[2]

    seen = vendor("GET", "/api/vendor")

    noon = "2025-12-03T12:00:00.000Z"
    assert seen.json["chaos"] == {"type": "fail", "initiatedDate": noon, "startDate": noon}
    assert code.encode() not in seen.body


def test_the_vendor_sees_when_its_chaos_was_fixed(vendor, stranger):
    vendor.chaos("fail")
    stranger.follow(vendor.order().json["reportUrl"])

    chaos = vendor("GET", "/api/vendor").json["chaos"]

    assert (chaos["type"], chaos["fixDate"]) == ("none", "2025-12-03T12:00:00.000Z")


def test_starting_chaos_answers_with_the_vendor(vendor):
    assert vendor.chaos("badjwt").json == vendor("GET", "/api/vendor").json


def test_chaos_none_ends_the_chaos(vendor):
    vendor.chaos("fail")

    assert vendor.chaos("none").json["chaos"]["type"] == "none"
    assert vendor.order().status == 200


def test_only_the_vendor_starts_chaos(vendor, stranger):
    assert stranger("PUT", "/api/vendor/chaos/fail").status == 401
    assert vendor.order().status == 200


@pytest.mark.parametrize("kind", ["flood", "FAIL", "0"])
def test_an_unknown_chaos_is_refused_with_the_four_that_exist(vendor, kind):
    answer = vendor("PUT", f"/api/vendor/chaos/{kind}")

    assert (answer.status, answer.json) == (
        400,
        {"message": "chaos is one of none, fail, throttle or badjwt"},
    )


def test_chaos_touches_nothing_but_orders(vendor, stranger, waits):
    pizza = vendor.order().json["jwt"]
    waits.clear()
    for kind in ("fail", "throttle", "badjwt"):
        vendor.chaos(kind)
        assert stranger.verify(pizza).status == 200
        assert stranger("GET", "/.well-known/jwks.json").status == 200
        assert vendor("GET", "/api/vendor").status == 200
        assert vendor("GET", "/api/sandbox/orders").status == 200
    assert waits == []


@pytest.mark.parametrize(("kind", "status"), [("fail", 500), ("badjwt", 200), ("throttle", 200)])
def test_an_order_that_chaos_hits_has_its_items_not_counted(vendor, kind, status):
    vendor.chaos(f"{kind}?delay=0")

    assert [vendor.order(items=items).status for items in (0, 21)] == [status, status]


@pytest.mark.parametrize("kind", ["fail", "throttle", "badjwt"])
def test_delay_sets_how_long_an_order_in_chaos_waits(vendor, waits, kind):
    vendor.chaos(f"{kind}?delay=250")
    vendor.order()
    vendor.chaos(kind)
    vendor.order()

    assert waits == [0.25, 32.0 if kind == "throttle" else 0.0]


def test_a_healthy_factory_can_have_a_latency(vendor, waits):
    vendor.chaos("none?delay=100")
    vendor.order()
    vendor.chaos("fail")
    vendor.order()
    vendor.chaos("fail?rate=0")
    vendor.order()
    vendor.chaos("none")
    vendor.order()

    assert waits == [0.1, 0.0, 0.1, 0.0]


def test_the_latency_is_there_again_after_the_chaos(vendor, stranger, waits):
    vendor.chaos("none?delay=100")
    vendor.chaos("fail")
    stranger.follow(vendor.order().json["reportUrl"])
    waits.clear()
    vendor.order()

    assert waits == [0.1]


def test_rate_hits_that_share_of_the_orders_and_a_seed_repeats_which(vendor):
    vendor.chaos("fail?rate=0.1&seed=7")
    first = outcomes(vendor, 200)
    vendor.chaos("fail?rate=0.1&seed=7")
    second = outcomes(vendor, 200)
    vendor.chaos("fail?rate=0.1&seed=8")
    third = outcomes(vendor, 200)

    assert first == second != third
    assert 10 <= first.count(500) <= 30


@pytest.mark.parametrize(("rate", "status"), [("0", 200), ("1", 500)])
def test_rate_0_hits_no_order_and_rate_1_hits_all(vendor, rate, status):
    vendor.chaos(f"fail?rate={rate}")

    assert set(outcomes(vendor, 50)) == {status}


@pytest.mark.parametrize(
    ("query", "message"),
    [
        *[(f"rate={bad}", "rate is a number from 0 to 1") for bad in ("-0.1", "1.1", "nan", "inf", "x", "")],
        *[(f"delay={bad}", "delay is a number from 0 to 600000") for bad in ("-1", "600001", "nan", "1s", "")],
        *[(f"seed={bad}", "seed is a whole number of at most 18 digits") for bad in ("1.5", "x", "", "9" * 19)],
    ],
)
def test_a_bad_option_is_refused_and_starts_nothing(vendor, query, message):
    answer = vendor("PUT", f"/api/vendor/chaos/fail?{query}")

    assert (answer.status, answer.json) == (400, {"message": message})
    assert vendor.order().status == 200
