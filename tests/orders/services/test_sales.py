"""An order's way through the books, with a factory that does what each test says."""

import threading
from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta
from decimal import Decimal
from types import SimpleNamespace

import pytest
from django.conf import settings
from django.core.management import call_command
from django.db import OperationalError, connection
from django.db.models import F
from django.utils import timezone

from franchises.models import Store
from jwtpizza.accounts.models import User
from menu.models import MenuItem
from orders.factory.errors import (
    BadJwt,
    BadResponse,
    Rejected,
    ServerError,
    TooSlow,
    Unauthorized,
    Unreachable,
    Unverified,
)
from orders.models import Order, Reason, Status
from orders.services import later, sales
from tests.actors import registered
from tests.orders.stage import LINK, Clock, Crash, age_lease

FAILURES = [ServerError, Unreachable, TooSlow, BadResponse, BadJwt, Unverified, Rejected, Unauthorized]


def revenue():
    return Store.objects.get(pk=1).revenue


def the_order():
    return Order.objects.get()


def outcome_of(answer):
    """What was told, apart from the id of the request that it was told to."""
    return answer.status_code, {**answer.json(), "requestId": ""}


# --- made -----------------------------------------------------------------------------------------


def test_a_sale_pays_the_store_and_keeps_the_pizza(diner, gateway):
    sale = diner.order(1, 5, 1).json()
    order = the_order()
    assert sale["jwt"] == order.jwt == f"pizza {order.pk}"
    assert (order.status, order.reason, order.lease_until) == (Status.FULFILLED, "", None)
    assert order.settled_at >= order.created_at
    assert order.total == revenue() == Decimal("0.0175")
    assert order.support_link == LINK


def test_the_factory_is_told_who_orders_what_where(diner, gateway):
    order_id = diner.order(2, 4).json()["order"]["id"]
    assert gateway.asked == [
        {
            "diner": {"id": diner.user["id"], "name": "pizza diner", "email": "d@jwt.com"},
            "order": {
                "id": order_id,
                "franchiseId": 1,
                "storeId": 1,
                "items": [
                    {"menuId": 2, "description": "Pepperoni", "price": 0.0042},
                    {"menuId": 4, "description": "Crusty", "price": 0.0028},
                ],
            },
        }
    ]


def test_prices_and_names_are_the_menus_whatever_the_client_says(diner, gateway):
    item = {"menuId": 1, "price": 0, "description": "Free pizza"}
    sale = diner.post("/api/order", {"franchiseId": 1, "storeId": 1, "items": [item], "diner": {"id": 1}}).json()
    veggie = {"menuId": 1, "description": "Veggie", "price": 0.0038}
    assert sale["order"]["items"] == gateway.asked[0]["order"]["items"] == [veggie]
    assert gateway.asked[0]["diner"]["id"] == diner.user["id"]
    assert revenue() == Decimal("0.0038")


def test_what_was_sold_keeps_its_price_and_name(diner, gateway):
    diner.order(1)
    MenuItem.objects.filter(pk=1).update(title="Vegan", price=Decimal(1))
    [item] = diner.get("/api/order").json()["orders"][0]["items"]
    assert (item["description"], item["price"]) == ("Veggie", 0.0038)


def test_an_order_stands_in_the_books_before_the_factory_is_asked(diner, gateway):
    seen = []
    gateway.outcome = lambda payload: seen.append(Order.objects.get(pk=payload["order"]["id"]))
    diner.order(1, 2)
    assert (seen[0].status, seen[0].total, seen[0].jwt) == (Status.PENDING, Decimal("0.0080"), None)
    assert seen[0].lease_until > timezone.now()
    assert seen[0].items.count() == 2


def test_a_store_that_closes_meanwhile_still_earns_what_it_sold(diner, gateway):
    gateway.outcome = lambda _: Store.objects.filter(pk=1).update(closed_at=timezone.now())
    assert diner.order(1).status_code == 200
    assert revenue() == Decimal("0.0038")


def test_orders_at_once_lose_nothing_of_the_revenue(diner, gateway):
    diners = [registered(f"diner {number}") for number in range(4)]
    together = threading.Barrier(8)
    gateway.outcome = lambda _: together.wait(20)

    def order(number):
        try:
            return diners[number % 4].order(1, 2, 5).status_code
        finally:
            connection.close()

    with ThreadPoolExecutor(16) as pool:
        assert set(pool.map(order, range(16))) == {200}
    assert revenue() == 16 * Decimal("0.0179")


# --- not made -------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("menu_ids", "where"),
    [
        ([99], {}),
        ([1, 99], {}),
        ([1], {"store": 99}),
        ([1], {"franchise": 99}),
        ([1], {"store": 10**17}),
    ],
)
def test_what_is_not_there_is_not_found_and_never_reaches_the_factory(diner, gateway, menu_ids, where):
    assert diner.order(*menu_ids, **where).status_code == 404
    assert (gateway.asked, Order.objects.count()) == ([], 0)


def test_a_retired_item_is_not_found(diner, gateway):
    MenuItem.objects.filter(pk=1).update(retired_at=timezone.now(), title_key=None)
    assert diner.order(2, 1).status_code == 404
    assert (gateway.asked, Order.objects.count()) == ([], 0)


@pytest.mark.parametrize("path", ["/api/franchise/1/store/1", "/api/franchise/1"])
def test_a_closed_store_is_not_found(admin, diner, gateway, path):
    admin.delete(path)
    assert diner.order(1).status_code == 404
    assert (gateway.asked, Order.objects.count()) == ([], 0)


def test_a_store_of_another_franchise_is_not_found(admin, diner, gateway):
    other = admin.post("/api/franchise", {"name": "other", "admins": []}).json()["id"]
    assert diner.order(1, franchise=other, store=1).status_code == 404
    assert gateway.asked == []


@pytest.mark.parametrize("failure", FAILURES)
def test_a_failure_leaves_a_failed_order_with_its_reason_and_no_revenue(diner, gateway, failure):
    gateway.outcome = failure("the factory's own words", support_link=LINK)
    answer = diner.order(1)
    order = the_order()
    assert (order.status, order.reason, order.jwt) == (Status.FAILED, failure.reason, None)
    assert order.support_link == LINK
    assert order.settled_at is not None
    assert revenue() == 0
    late = failure is TooSlow
    assert answer.status_code == (504 if late else 500)
    told = answer.json()
    begins = "The pizza factory is taking too long" if late else "Failed to fulfill order at factory"
    assert told["message"].startswith(begins)
    assert "nothing was charged" in told["message"]
    assert (told["error"], told["statusCode"]) == ("Factory request failed", answer.status_code)
    assert b"own words" not in answer.content


def test_the_way_out_of_the_chaos_is_for_the_eyes_of_an_admin(admin, gateway):
    gateway.outcome = ServerError("chaos monkey", support_link=LINK)
    assert admin.order(1).json()["followLinkToEndChaos"] == LINK


def test_an_admin_is_told_of_no_way_out_when_there_is_none(admin, gateway):
    gateway.outcome = Unreachable("gone")
    assert "followLinkToEndChaos" not in admin.order(1).json()


@pytest.mark.parametrize("who", ["diner", "franchisee"])
def test_nobody_else_sees_anything_of_it(diner, franchisee, who, gateway):
    somebody = {"diner": diner, "franchisee": franchisee}[who]
    headers = {"Idempotency-Key": "key"}
    answers = [somebody.order(1, **headers)]
    gateway.outcome = ServerError("chaos monkey", support_link=LINK)
    answers += [somebody.order(1), somebody.order(2, **{"Idempotency-Key": "other"})]
    answers += [somebody.order(1, **headers), somebody.order(2, **{"Idempotency-Key": "other"})]
    answers += [somebody.get("/api/order?status=all"), somebody.get("/api/order/1"), somebody.get("/api/order/2")]
    assert [answer.status_code for answer in answers] == [200, 500, 500, 200, 500, 200, 200, 200]
    for answer in answers:
        assert b"support" not in answer.content
        assert b"followLink" not in answer.content


def test_what_nobody_foresaw_is_no_sale_and_is_decided_later(diner, gateway):
    gateway.outcome = ZeroDivisionError()
    answer = diner.order(1)
    assert (answer.status_code, answer.json()["error"]) == (503, "Order undecided")
    assert "nothing was charged" not in answer.json()["message"]
    assert the_order().status == Status.PENDING
    age_lease(the_order().pk)
    gateway.outcome = None
    assert later.decide_due() == Counter(failed=1)
    assert (the_order().reason, revenue(), len(gateway.asked)) == (Reason.ABANDONED, 0, 1)


# --- decided by somebody else ---------------------------------------------------------------------


def test_a_pizza_that_comes_after_its_order_was_given_up_is_not_sold(diner, gateway):
    def give_up(payload):
        age_lease(payload["order"]["id"])
        assert later.decide_due() == Counter(failed=1)

    gateway.outcome = give_up
    answer = diner.order(1)
    assert answer.status_code == 500
    assert "jwt" not in answer.json()
    assert (the_order().status, the_order().reason, the_order().jwt) == (Status.FAILED, Reason.ABANDONED, None)
    assert revenue() == 0


def test_a_pizza_that_was_made_twice_is_sold_once(diner, gateway):
    """The first waits so long that another takes over and sells it; then it comes back with a pizza, too."""

    def take_over(payload):
        gateway.outcome = None
        age_lease(payload["order"]["id"])
        assert later.decide_due() == Counter(fulfilled=1)
        Order.objects.update(jwt="the first pizza")

    gateway.outcome = take_over
    answer = diner.order(1, **{"Idempotency-Key": "key"})
    assert (answer.status_code, answer.json()["jwt"]) == (200, "the first pizza")
    assert (len(gateway.asked), revenue()) == (2, Decimal("0.0038"))


def test_who_fails_after_another_sold_the_pizza_is_told_of_the_sale(diner, gateway):
    def take_over(payload):
        gateway.outcome = None
        age_lease(payload["order"]["id"])
        later.decide_due()
        raise TooSlow("too late")

    gateway.outcome = take_over
    answer = diner.order(1, **{"Idempotency-Key": "key"})
    assert answer.status_code == 200
    assert (the_order().status, the_order().reason, revenue()) == (Status.FULFILLED, "", Decimal("0.0038"))


# --- Idempotency-Key ------------------------------------------------------------------------------

KEY = {"Idempotency-Key": "a-key"}


def test_the_same_key_and_order_answer_the_same_sale(diner, gateway):
    answers = [diner.order(1, 2, **KEY) for _ in range(3)]
    assert {answer.content for answer in answers} == {answers[0].content}
    assert [answer.status_code for answer in answers] == [200] * 3
    assert (len(gateway.asked), Order.objects.count(), revenue()) == (1, 1, Decimal("0.0080"))


@pytest.mark.parametrize("failure", FAILURES)
def test_the_same_key_and_order_answer_the_same_failure(admin, gateway, failure):
    gateway.outcome = failure("no", support_link=LINK)
    first = outcome_of(admin.order(1, **KEY))
    gateway.outcome = None
    assert outcome_of(admin.order(1, **KEY)) == outcome_of(admin.order(1, **KEY)) == first
    assert first[0] == (504 if failure is TooSlow else 500)
    assert (len(gateway.asked), revenue()) == (1, 0)


def test_what_is_ignored_of_an_order_makes_no_other_order_of_it(diner, gateway):
    body = {"franchiseId": 1, "storeId": 1, "items": [{"menuId": 1}]}
    first = diner.post("/api/order", body, **KEY)
    same = {"items": [{"price": 7, "menuId": "1"}], "storeId": "1", "franchiseId": 1, "note": "hot"}
    assert diner.post("/api/order", same, **KEY).content == first.content
    assert len(gateway.asked) == 1


@pytest.mark.parametrize(
    ("menu_ids", "where"), [([2, 1], {}), ([1], {}), ([1, 2, 2], {}), ([1, 2], {"store": 99}), ([99], {})]
)
def test_the_same_key_with_another_order_is_refused(diner, gateway, menu_ids, where):
    diner.order(1, 2, **KEY)
    answer = diner.order(*menu_ids, **where, **KEY)
    assert (answer.status_code, answer.json()["error"]) == (422, "Idempotency-Key reused")
    assert list(answer.json()["fields"]) == ["Idempotency-Key"]
    assert (len(gateway.asked), Order.objects.count()) == (1, 1)


def test_the_same_key_with_another_order_is_refused_after_a_failure_too(diner, gateway):
    gateway.outcome = ServerError("no")
    diner.order(1, **KEY)
    assert diner.order(2, **KEY).status_code == 422


def test_while_the_first_order_is_under_way_the_second_is_told_to_wait(diner, gateway):
    second = []
    gateway.outcome = lambda _: second.append(diner.order(1, **KEY))
    assert diner.order(1, **KEY).status_code == 200
    [answer] = second
    assert (answer.status_code, answer.json()["error"]) == (409, "Conflict")
    assert int(answer.headers["Retry-After"]) >= 1
    assert (len(gateway.asked), Order.objects.count()) == (1, 1)


def test_another_order_under_the_key_of_one_under_way_is_refused(diner, gateway):
    second = []
    gateway.outcome = lambda _: second.append(diner.order(2, **KEY))
    diner.order(1, **KEY)
    assert second[0].status_code == 422


def test_many_at_once_with_one_key_make_one_pizza(diner, gateway):
    together, made = threading.Barrier(8), threading.Event()
    gateway.outcome = lambda _: made.wait(20)

    def order(_):
        try:
            together.wait(20)
            answer = diner.order(1, **KEY)
            made.set()
            return answer.status_code
        finally:
            connection.close()

    with ThreadPoolExecutor(8) as pool:
        statuses = sorted(pool.map(order, range(8)))
    assert statuses[0] == 200
    assert set(statuses[1:]) <= {200, 409}
    assert (len(gateway.asked), Order.objects.count(), revenue()) == (1, 1, Decimal("0.0038"))


@pytest.mark.parametrize("failure", [None, ServerError("no")])
def test_a_key_is_free_again_after_a_day(diner, gateway, failure):
    gateway.outcome = failure
    first = outcome_of(diner.order(1, **KEY))
    gateway.outcome = None
    Order.objects.update(created_at=F("created_at") - timedelta(hours=23, minutes=59))
    assert outcome_of(diner.order(1, **KEY)) == first
    Order.objects.update(created_at=F("created_at") - timedelta(minutes=1, seconds=1))
    second = diner.order(2, **KEY)
    assert second.status_code == 200
    assert outcome_of(diner.order(2, **KEY)) == outcome_of(second)
    assert (len(gateway.asked), Order.objects.count()) == (2, 2)


def test_an_order_left_behind_for_more_than_a_day_is_failed_not_made(crashed, diner, gateway):
    crashed(1, key="a-key")
    Order.objects.update(created_at=F("created_at") - timedelta(days=2))
    assert diner.order(1, **KEY).status_code == 500
    assert (the_order().reason, gateway.asked) == (Reason.ABANDONED, [])


def test_nor_is_it_made_by_who_settles_what_was_left_behind(crashed, gateway):
    crashed(1, key="a-key")
    Order.objects.update(created_at=F("created_at") - timedelta(days=2))
    assert later.decide_due() == Counter(failed=1)
    assert gateway.asked == []


def booking_fails(monkeypatch, times, seconds=0.0):
    """The database is gone as often when an order is to be settled, which takes so long to tell."""
    real, failures, clock = sales._book, [OperationalError("gone")] * times, Clock()
    monkeypatch.setattr(sales, "time", SimpleNamespace(monotonic=clock))

    def book(*args):
        if failures:
            clock.now += seconds
            raise failures.pop()
        return real(*args)

    monkeypatch.setattr(sales, "_book", book)


def test_a_pizza_that_was_made_is_booked_at_the_second_try(diner, gateway, monkeypatch):
    booking_fails(monkeypatch, times=2)
    assert diner.order(1).status_code == 200
    assert (the_order().status, revenue(), len(gateway.asked)) == (Status.FULFILLED, Decimal("0.0038"), 1)


def test_who_can_not_be_told_what_became_of_an_order_is_told_that(diner, gateway, monkeypatch):
    booking_fails(monkeypatch, times=3)
    answer = diner.order(1, **KEY)
    assert (answer.status_code, answer.json()["error"]) == (503, "Order undecided")
    assert answer["Retry-After"] == "30"
    age_lease(the_order().pk)
    assert diner.order(1, **KEY).status_code == 200
    assert (Order.objects.count(), revenue()) == (1, Decimal("0.0038"))


def test_who_waited_for_a_lock_in_vain_does_not_wait_for_it_again(diner, gateway, monkeypatch):
    booking_fails(monkeypatch, times=1, seconds=settings.LOCK_SECONDS / 2)
    answer = diner.order(1)
    assert (answer.status_code, answer.json()["error"]) == (503, "Order undecided")


def test_a_key_belongs_to_its_user(diner, franchisee, gateway):
    first, second = diner.order(1, **KEY).json(), franchisee.order(2, **KEY).json()
    assert first["order"]["id"] != second["order"]["id"]
    assert diner.order(1, **KEY).json() == first
    assert franchisee.order(2, **KEY).json() == second


def test_keys_that_differ_in_case_or_accent_differ(diner, gateway):
    keys = ["key", "KEY", "Key", "ke~y", "k", "x" * 255, "!", "x" * 254]
    assert len({diner.order(1, **{"Idempotency-Key": key}).json()["order"]["id"] for key in keys}) == len(keys)


def test_without_a_key_the_same_order_is_another_one(diner, gateway):
    assert diner.order(1).json()["order"]["id"] != diner.order(1).json()["order"]["id"]
    assert revenue() == 2 * Decimal("0.0038")


@pytest.mark.parametrize("key", ["", " ", "a b", "é", "🍕", "a\tb", "\x7f", "x" * 256])
def test_a_key_that_is_none_is_named(diner, gateway, key):
    answer = diner.order(1, **{"Idempotency-Key": key})
    assert (answer.status_code, list(answer.json()["fields"])) == (400, ["Idempotency-Key"])
    assert (gateway.asked, Order.objects.count()) == ([], 0)


def test_a_refused_order_does_not_use_its_key_up(diner, gateway):
    assert diner.order(99, **KEY).status_code == 404
    assert diner.order(**KEY).status_code == 400
    assert diner.order(1, **KEY).status_code == 200


# --- after a crash --------------------------------------------------------------------------------


def test_an_order_whose_lease_runs_is_left_alone(crashed, gateway):
    order = crashed(1, key="a-key")
    Order.objects.update(lease_until=timezone.now() + timedelta(seconds=5))
    assert later.decide_due() == Counter()
    order.refresh_from_db()
    assert (order.status, gateway.asked) == (Status.PENDING, [])


def test_an_order_without_a_key_is_given_up_and_never_made(crashed, diner, gateway):
    order = crashed(1, 2)
    assert later.decide_due() == Counter(failed=1)
    assert later.decide_due() == Counter()
    order.refresh_from_db()
    assert (order.status, order.reason, order.jwt) == (Status.FAILED, Reason.ABANDONED, None)
    assert (gateway.asked, revenue()) == ([], 0)
    assert diner.get("/api/order").json()["orders"] == []


def test_an_order_with_a_key_is_made_under_its_own_id(crashed, diner, gateway):
    gateway.outcome = None
    order = crashed(1, 2, key="a-key")
    assert later.decide_due() == Counter(fulfilled=1)
    assert later.decide_due() == Counter()
    [payload] = gateway.asked
    assert payload["order"]["id"] == order.pk
    assert [item["menuId"] for item in payload["order"]["items"]] == [1, 2]
    assert payload["diner"] == {"id": diner.user["id"], "name": "pizza diner", "email": "d@jwt.com"}
    assert revenue() == Decimal("0.0080")
    sale = diner.order(1, 2, **KEY)
    assert (sale.status_code, sale.json()["jwt"]) == (200, f"pizza {order.pk}")
    assert len(gateway.asked) == 1


def test_an_order_with_a_key_that_the_factory_fails_is_a_failure(crashed, diner, gateway):
    crashed(1, key="a-key")
    gateway.outcome = TooSlow("late")
    assert later.decide_due() == Counter(failed=1)
    assert (the_order().reason, revenue()) == (Reason.TIMEOUT, 0)
    assert diner.order(1, **KEY).status_code == 504


def test_while_its_lease_runs_its_diner_is_told_that_it_is_under_way(crashed, diner, gateway):
    crashed(1, key="a-key")
    Order.objects.update(lease_until=timezone.now() + timedelta(seconds=30))
    assert diner.order(1, **KEY).status_code == 409
    assert [order["status"] for order in diner.get("/api/order").json()["orders"]] == ["pending"]


def test_after_that_whoever_asks_with_its_key_has_it_made(crashed, diner, gateway):
    crashed(1, key="a-key")
    assert diner.order(1, **KEY).status_code == 200
    assert (len(gateway.asked), the_order().status) == (1, Status.FULFILLED)


def test_who_takes_an_order_over_has_the_lease(crashed, gateway):
    crashed(1, key="a-key")
    inner = []
    gateway.outcome = lambda _: inner.append(later.decide_due())
    assert later.decide_due() == Counter(fulfilled=1)
    assert inner == [Counter()]
    assert len(gateway.asked) == 1


def test_who_crashes_while_taking_over_leaves_the_order_to_the_next(crashed, gateway):
    order = crashed(1, key="a-key")
    gateway.outcome = Crash()
    with pytest.raises(Crash):
        later.decide_due()
    assert later.decide_due() == Counter()
    age_lease(order.pk)
    gateway.outcome = None
    assert later.decide_due() == Counter(fulfilled=1)
    assert (gateway.ids, revenue()) == ([order.pk] * 2, Decimal("0.0038"))


def test_two_who_settle_at_once_decide_each_order_once(crashed, gateway):
    keyed = [crashed(1, key=f"key-{number}").pk for number in range(8)]
    crashed(1)
    crashed(1)
    together = threading.Barrier(3)

    def settle(_):
        try:
            together.wait(20)
            return later.decide_due()
        finally:
            connection.close()

    with ThreadPoolExecutor(3) as pool:
        outcomes = list(pool.map(settle, range(3)))
    assert sum(outcome["fulfilled"] for outcome in outcomes) == 8
    assert sum(outcome["failed"] for outcome in outcomes) == 2
    assert sorted(gateway.ids) == keyed
    assert revenue() == 8 * Decimal("0.0038")


def test_an_order_that_can_not_be_decided_does_not_hold_up_the_others(crashed, gateway):
    stuck, good = crashed(1, key="stuck"), crashed(2, key="good")

    def break_down(payload):
        if payload["order"]["id"] == stuck.pk:
            raise ZeroDivisionError

    gateway.outcome = break_down
    assert later.decide_due() == Counter(fulfilled=1)
    good.refresh_from_db()
    stuck.refresh_from_db()
    assert (good.status, stuck.status) == (Status.FULFILLED, Status.PENDING)


def test_the_command_says_what_became_of_them(crashed, capsys):
    crashed(1)
    crashed(1, key="a-key")
    call_command("fulfil_orders", "--once")
    assert capsys.readouterr().out == "1 fulfilled, 1 failed, 0 pending\n"


# --- a diner who is deleted -----------------------------------------------------------------------


def test_the_pizza_of_a_diner_who_is_deleted_meanwhile_is_not_kept(admin, diner, gateway):
    gateway.outcome = lambda _: admin.delete(f"/api/user/{diner.user['id']}")
    answer = diner.order(1)
    assert answer.status_code == 500
    assert b"pizza diner" not in answer.content
    assert "jwt" not in answer.json()
    order = the_order()
    assert (order.status, order.reason, order.jwt) == (Status.FAILED, Reason.DINER_DELETED, None)
    assert revenue() == 0


def test_the_pizzas_of_a_deleted_diner_are_forgotten_and_their_price_is_not(admin, diner, gateway):
    diner.order(1)
    admin.delete(f"/api/user/{diner.user['id']}")
    order = the_order()
    assert (order.status, order.jwt) == (Status.FULFILLED, "")
    assert revenue() == order.total == Decimal("0.0038")
    assert admin.get(f"/api/order/{order.pk}").json()["jwt"] == ""


def test_the_waiting_orders_of_a_deleted_diner_are_never_made(crashed, admin, gateway):
    order = crashed(1, key="a-key")
    admin.delete(f"/api/user/{order.diner_id}")
    assert later.decide_due() == Counter()
    order.refresh_from_db()
    assert (order.status, order.reason, gateway.asked) == (Status.FAILED, Reason.DINER_DELETED, [])


def test_the_order_of_a_diner_deleted_just_before_it_was_recorded_is_not_sold(crashed, gateway):
    order = crashed(1, key="a-key")
    User.objects.filter(pk=order.diner_id).update(
        name="", email="", email_key=None, is_active=False, deleted_at=timezone.now()
    )
    assert later.decide_due() == Counter(failed=1)
    order.refresh_from_db()
    assert (order.status, order.reason, order.jwt) == (Status.FAILED, Reason.DINER_DELETED, None)
    assert revenue() == 0


# --- history --------------------------------------------------------------------------------------


def test_orders_come_newest_first_ten_a_page(diner, gateway):
    placed = [diner.order(1).json()["order"]["id"] for _ in range(21)]
    pages = [diner.get(f"/api/order?page={page}").json() for page in (1, 2, 3, 4)]
    assert [order["id"] for page in pages for order in page["orders"]] == placed[::-1]
    assert [(len(page["orders"]), page["more"], page["page"]) for page in pages] == [
        (10, True, 1),
        (10, True, 2),
        (1, False, 3),
        (0, False, 4),
    ]


def test_a_page_that_is_just_full_has_no_more_behind_it(diner, gateway):
    for _ in range(10):
        diner.order(1)
    assert diner.get("/api/order").json()["more"] is False


def test_failed_orders_are_in_the_history_of_those_who_ask_for_them(crashed, diner, gateway):
    fulfilled = diner.order(1).json()["order"]["id"]
    gateway.outcome = ServerError("no")
    diner.order(2)
    failed = Order.objects.get(status=Status.FAILED).pk
    pending = crashed(3).pk

    def listed(query):
        return [order["id"] for order in diner.get(f"/api/order{query}").json()["orders"]]

    assert listed("") == [pending, fulfilled]
    assert listed("?status=all") == [pending, failed, fulfilled]
    assert (listed("?status=failed"), listed("?status=pending")) == ([failed], [pending])
    assert listed("?status=fulfilled") == [fulfilled]


def test_nobody_sees_the_orders_of_another(diner, franchisee, gateway):
    order_id = diner.order(1).json()["order"]["id"]
    assert franchisee.get("/api/order?status=all").json()["orders"] == []
    assert franchisee.get(f"/api/order/{order_id}").status_code == 404
