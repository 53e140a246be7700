"""Promised orders: who gets a promise, and how the worker keeps it."""

from collections import Counter
from decimal import Decimal

import pytest
from django.db import OperationalError
from django.db.backends.base.base import BaseDatabaseWrapper
from django.db.models.functions import Now

from franchises.models import Store
from jwtpizza.accounts.models import User
from jwtpizza.fields import from_now
from menu.models import MenuItem
from orders.factory import gateway
from orders.factory.errors import (
    BadJwt,
    BadResponse,
    Chaos,
    Rejected,
    ServerError,
    TooSlow,
    Unacceptable,
    Unauthorized,
    Unreachable,
    Unverified,
)
from orders.models import Order, Reason, Status
from orders.services import later, sales
from tests.conftest import fresh_process
from tests.orders.stage import LATER, LINK, age, age_lease, apart, half_open_circuit, open_circuit
from tests.orders.wire import answering
from tests.resilience.kit import together

KEY = {"Idempotency-Key": "a-key"}
PASSING = [ServerError, Unreachable, TooSlow, BadResponse, BadJwt, Unverified, Rejected, Unauthorized, Chaos]


@pytest.fixture
def promise(demo, clock):
    """Promises an order, as while the circuit is open; it is due at once, and the circuit closed."""

    def promise(*menu_ids, key=None, email="d@jwt.com"):
        open_circuit()
        diner = User.objects.get(email=email)
        sale = sales.place_order(
            diner=diner, franchise_id=1, store_id=1, menu_ids=menu_ids or [1], idempotency_key=key, later=True
        )
        fresh_process()
        age_lease(sale.order.pk)
        return sale.order

    return promise


@pytest.fixture
def one_by_one(demo, settings):
    """A worker that makes one order at a time, the oldest first."""
    settings.FACTORY_PLACES = 1
    fresh_process()


def the_order():
    return Order.objects.get()


def pause():
    """In how many seconds the order is due, by the database's clock."""
    order = Order.objects.annotate(now=Now()).get()
    return (order.lease_until - order.now).total_seconds()


def rows():
    return list(Order.objects.order_by("pk").values())


# --- promised -------------------------------------------------------------------------------------


def assert_promised(answer):
    order = the_order()
    assert (answer.status_code, answer["Location"]) == (202, f"/api/order/{order.pk}")
    veggie = {"menuId": 1, "description": "Veggie", "price": 0.0038}
    placed = {"id": order.pk, "franchiseId": 1, "storeId": 1, "items": [veggie], "status": "pending"}
    told = answer.json()
    assert told.pop("message").startswith(
        "Your order is in our books, and will be made when the pizza factory is back."
    )
    assert told == {"order": placed}
    assert (order.status, order.promised, order.jwt) == (Status.PENDING, True, None)


def test_while_the_circuit_is_open_who_can_wait_gets_a_promise(diner, kitchen):
    open_circuit()
    assert_promised(diner.order(1, **LATER))
    assert kitchen.asked == []
    assert pause() == pytest.approx(5, abs=2)


def test_where_the_promise_is_to_be_found_it_stands_as_pending(diner, kitchen):
    open_circuit()
    found = diner.get(diner.order(1, **LATER)["Location"])
    assert (found.status_code, found.json()["status"]) == (200, "pending")
    assert "jwt" not in found.json()


def test_a_promised_order_is_in_the_history_as_pending(diner, kitchen):
    open_circuit()
    diner.order(1, **LATER)
    for query in ("", "?status=pending", "?status=all"):
        [order] = diner.get(f"/api/order{query}").json()["orders"]
        assert order["status"] == "pending"
    assert diner.get("/api/order?status=fulfilled").json()["orders"] == []


def test_who_finds_the_bulkhead_full_gets_a_promise_too(diner, franchisee, kitchen, settings):
    settings.FACTORY_PLACES, settings.FACTORY_QUEUE = 1, 0
    fresh_process()
    second = []
    kitchen.does(lambda _: second.append(franchisee.order(1, **LATER)))
    assert diner.order(1, **LATER).status_code == 200
    assert [answer.status_code for answer in second] == [202]


@pytest.mark.parametrize("failure", PASSING)
def test_an_order_that_the_factory_fails_is_promised(diner, kitchen, failure):
    kitchen.does(failure("no", support_link=LINK))
    assert_promised(diner.order(1, **LATER))


@pytest.mark.parametrize("status", ["400 Bad Request", "413 Content Too Large", "422 Unprocessable Content"])
def test_an_order_that_no_later_try_can_mend_fails_at_once(diner, clock, wired, status):
    wired(answering(status))
    answer = diner.order(1, **LATER)
    assert (answer.status_code, answer.json()["error"]) == (500, "Factory request failed")
    assert (the_order().status, the_order().reason) == (Status.FAILED, Reason.REJECTED)


def test_a_healthy_factory_makes_it_at_once(diner, kitchen):
    answer = diner.order(1, **LATER)
    assert (answer.status_code, answer.json()["jwt"]) == (200, f"pizza {the_order().pk}")
    assert the_order().promised is False


@pytest.mark.parametrize(
    "prefer",
    [
        "respond-async",
        "Respond-Async",
        "respond-async, wait=10",
        "wait=10, respond-async",
        "return=minimal;foo=bar , respond-async;why=hungry",
    ],
)
def test_a_preference_may_stand_among_others_in_any_case(diner, kitchen, prefer):
    open_circuit()
    assert diner.order(1, Prefer=prefer).status_code == 202


@pytest.mark.parametrize("prefer", ["", "wait=10", "respond-asynchronously", "no-respond-async", "return=minimal"])
def test_other_preferences_are_ignored(diner, kitchen, prefer):
    open_circuit()
    assert diner.order(1, Prefer=prefer).status_code == 503
    assert Order.objects.count() == 0


@pytest.mark.parametrize("wrong", [{"store": 99}, {"franchise": 99}])
def test_nothing_is_promised_of_a_store_that_is_not_there(diner, kitchen, wrong):
    open_circuit()
    assert diner.order(1, **wrong, **LATER).status_code == 404
    assert Order.objects.count() == 0


def gone(*_, **__):
    raise OperationalError("gone")


@pytest.mark.parametrize("at", [(sales, "_adding"), (sales._ADD_ITEMS, "add_all"), (sales.menu, "items")])
@pytest.mark.parametrize("headers", [LATER, KEY])
def test_nobody_is_kept_waiting_for_an_order_that_can_not_be_in_the_books(diner, kitchen, monkeypatch, headers, at):
    if headers is LATER:
        open_circuit()
    monkeypatch.setattr(*at, gone)
    answer = diner.order(1, **headers)
    assert (answer.status_code, answer.json()["error"]) == (503, "Service unavailable")
    monkeypatch.undo()
    assert Order.objects.count() == 0


@pytest.mark.parametrize(
    ("headers", "error"), [(LATER, "Order undecided"), (KEY, "Order undecided"), ({}, "Service unavailable")]
)
def test_who_may_get_a_pizza_from_books_that_did_not_answer_is_told_so(diner, kitchen, monkeypatch, headers, error):
    if headers is LATER:
        open_circuit()
    monkeypatch.setattr(BaseDatabaseWrapper, "commit", gone)
    answer = diner.order(1, **headers)
    monkeypatch.undo()
    assert (answer.status_code, answer.json()["error"]) == (503, error)
    assert answer["Retry-After"]
    assert kitchen.asked == []


def test_nothing_is_promised_that_is_not_on_the_menu(diner, kitchen):
    open_circuit()
    assert diner.order(1, 99, **LATER).status_code == 404
    assert Order.objects.count() == 0


def test_who_may_wait_for_an_order_that_a_crash_left_behind_gets_a_promise(crashed, diner, kitchen):
    crashed(1, key="a-key")
    open_circuit()
    assert_promised(diner.order(1, **LATER, **KEY))
    assert pause() == pytest.approx(5, abs=2)


def test_who_may_not_is_told_when_the_circuit_may_have_closed(crashed, diner, kitchen):
    crashed(1, key="a-key")
    open_circuit()
    answer = diner.order(1, **KEY)
    assert (answer.status_code, answer["Retry-After"]) == (409, "10")
    assert the_order().promised is False


# --- the same key again ---------------------------------------------------------------------------


def test_the_same_key_is_answered_the_same_promise(diner, kitchen):
    open_circuit()
    first = diner.order(1, **LATER, **KEY)
    again = [diner.order(1, **LATER, **KEY), diner.order(1, **KEY)]
    assert {(answer.status_code, answer.content) for answer in again} == {(202, first.content)}
    assert (Order.objects.count(), kitchen.asked) == (1, [])


@pytest.mark.parametrize("headers", [LATER, {}], ids=["can wait", "says nothing"])
def test_it_is_when_the_order_is_due_and_the_circuit_still_open(diner, kitchen, headers):
    open_circuit()
    first = diner.order(1, **LATER, **KEY)
    age_lease()
    again = diner.order(1, **headers, **KEY)
    assert (again.status_code, again.content) == (202, first.content)
    assert kitchen.asked == []


def test_once_the_order_was_made_the_same_key_is_answered_its_pizza(diner, kitchen):
    kitchen.does(TooSlow("late"), None)
    diner.order(1, **LATER, **KEY)
    age_lease()
    assert later.decide_due() == Counter(fulfilled=1)
    answer = diner.order(1, **LATER, **KEY)
    assert (answer.status_code, answer.json()["jwt"]) == (200, f"pizza {the_order().pk}")
    assert len(kitchen.asked) == 2


def test_once_the_order_was_given_up_the_same_key_is_answered_its_failure(diner, kitchen):
    kitchen.does(TooSlow("late"), Unacceptable("never"))
    diner.order(1, **LATER, **KEY)
    age_lease()
    assert later.decide_due() == Counter(failed=1)
    assert [diner.order(1, **LATER, **KEY).status_code for _ in range(2)] == [500, 500]
    assert len(kitchen.asked) == 2


def test_who_asks_for_it_with_its_key_after_a_day_is_told_that_it_was_given_up(diner, kitchen, promise):
    promise(1, key="a-key")
    age(hours=24, seconds=1)
    assert diner.order(1, **LATER, **KEY).status_code == 500
    assert (the_order().reason, kitchen.asked) == (Reason.ABANDONED, [])


def test_the_same_key_with_another_order_is_refused(diner, kitchen):
    open_circuit()
    diner.order(1, **LATER, **KEY)
    assert diner.order(2, **LATER, **KEY).status_code == 422


# --- kept -----------------------------------------------------------------------------------------


def test_a_promised_order_is_made_under_its_own_id_and_paid_for_once(diner, kitchen, promise):
    order = promise(1, 5, 1)
    assert later.decide_due() == Counter(fulfilled=1)
    assert later.decide_due() == Counter()
    assert kitchen.ids == [order.pk]
    assert [item["menuId"] for item in kitchen.asked[0]["order"]["items"]] == [1, 5, 1]
    found = diner.get(f"/api/order/{order.pk}").json()
    assert (found["status"], found["jwt"]) == ("fulfilled", f"pizza {order.pk}")
    assert Store.objects.get(pk=1).revenue == the_order().total == Decimal("0.0175")


def test_it_costs_what_it_cost_when_it_was_promised(kitchen, promise):
    promise(1)
    MenuItem.objects.filter(pk=1).update(price=Decimal(1))
    later.decide_due()
    assert Store.objects.get(pk=1).revenue == Decimal("0.0038")


def test_it_is_left_alone_until_it_is_due(diner, kitchen):
    open_circuit()
    diner.order(1, **LATER)
    fresh_process()
    assert later.decide_due() == Counter()
    assert kitchen.asked == []


@pytest.mark.parametrize("failure", PASSING)
def test_a_promised_order_that_fails_again_waits_for_its_next_try(kitchen, promise, failure):
    promise()
    kitchen.does(failure("no"))
    assert later.decide_due() == Counter(pending=1)
    assert later.decide_due() == Counter()
    kitchen.does()
    age_lease()
    fresh_process()
    assert later.decide_due() == Counter(fulfilled=1)


def test_a_promised_order_that_no_later_try_can_mend_is_failed(kitchen, promise):
    promise()
    kitchen.does(Unacceptable("never"))
    assert later.decide_due() == Counter(failed=1)
    assert (the_order().status, the_order().reason) == (Status.FAILED, Reason.REJECTED)


@pytest.mark.parametrize(
    ("waited", "seconds"), [(0, 5), (4, 5), (30, 30), (100, 100), (299, 299), (500, 300), (86_000, 300)]
)
def test_a_next_try_is_as_long_away_as_the_order_has_waited_from_5_s_to_5_min(
    kitchen, promise, monkeypatch, waited, seconds
):
    monkeypatch.setattr(sales, "uniform", lambda least, most: 1.0)
    promise()
    age(seconds=waited)
    kitchen.does(TooSlow("late"))
    later.decide_due()
    assert pause() == pytest.approx(seconds, abs=2)


@pytest.mark.parametrize(("chance", "seconds"), [(0, 90), (1, 110)])
def test_it_is_a_tenth_more_or_less_so_that_orders_do_not_come_in_one_wave(
    kitchen, promise, monkeypatch, chance, seconds
):
    monkeypatch.setattr(sales, "uniform", lambda least, most: (least, most)[chance])
    promise()
    age(seconds=100)
    kitchen.does(TooSlow("late"))
    later.decide_due()
    assert pause() == pytest.approx(seconds, abs=2)


def test_the_first_pause_is_5_s_and_a_tenth_more_or_less_too(diner, kitchen, monkeypatch):
    monkeypatch.setattr(sales, "uniform", lambda least, most: most)
    kitchen.does(TooSlow("late"))
    diner.order(1, **LATER)
    assert pause() == pytest.approx(5.5, abs=0.4)


@pytest.mark.parametrize("chance", [0, 1])
def test_a_factory_that_wants_none_for_a_while_is_left_alone_so_long(kitchen, promise, monkeypatch, chance):
    monkeypatch.setattr(sales, "uniform", lambda least, most: (least, most)[chance])
    promise()
    kitchen.does(Rejected("less", retry_after=60.0))
    assert later.decide_due() == Counter(pending=1)
    assert 58 <= pause() <= 68


def test_but_for_no_longer_than_any_next_try(kitchen, promise, monkeypatch):
    monkeypatch.setattr(sales, "uniform", lambda least, most: 1.0)
    promise()
    kitchen.does(Rejected("less", retry_after=86_400.0))
    assert later.decide_due() == Counter(pending=1)
    assert pause() == pytest.approx(300, abs=2)


def test_a_promised_order_is_tried_until_it_is_a_day_old(kitchen, promise):
    promise()
    age(hours=23, minutes=59)
    kitchen.does(TooSlow("late"))
    assert later.decide_due() == Counter(pending=1)


def test_after_a_day_it_is_given_up_and_the_factory_is_not_asked(diner, kitchen, promise):
    order = promise()
    age(hours=24, seconds=1)
    assert later.decide_due() == Counter(failed=1)
    assert (the_order().status, the_order().reason, kitchen.asked) == (Status.FAILED, Reason.ABANDONED, [])
    assert diner.get(f"/api/order/{order.pk}").json()["status"] == "failed"


def test_it_is_given_up_while_the_circuit_is_open_too(kitchen, promise):
    promise()
    age(hours=24, seconds=1)
    open_circuit()
    assert later.decide_due() == Counter(failed=1)


# --- never made -----------------------------------------------------------------------------------


@pytest.mark.parametrize("headers", [{}, KEY])
@pytest.mark.parametrize("failure", PASSING)
def test_an_order_told_as_failed_is_never_made_later(diner, kitchen, failure, headers):
    kitchen.does(*[failure("no")] * 2, None)
    assert diner.order(1, **headers).status_code in (500, 504)
    tries, failed = len(kitchen.asked), rows()
    assert failed[0]["status"] == Status.FAILED
    kitchen.does()
    assert later.decide_due() == Counter()
    assert (len(kitchen.asked), rows()) == (tries, failed)


def test_an_order_told_as_failed_gets_no_promise_afterwards(diner, kitchen):
    kitchen.does(TooSlow("late"))
    assert [diner.order(1, **KEY).status_code, diner.order(1, **KEY, **LATER).status_code] == [504, 504]
    assert the_order().promised is False


def test_the_promised_order_of_a_diner_who_is_deleted_is_off(admin, kitchen, promise):
    order = promise()
    assert admin.delete(f"/api/user/{order.diner_id}").status_code == 200
    assert later.decide_due() == Counter()
    assert (the_order().reason, kitchen.asked) == (Reason.DINER_DELETED, [])


def test_a_diner_who_is_deleted_while_it_is_tried_gets_no_pizza(admin, kitchen, promise):
    order = promise()
    kitchen.does(lambda _: admin.delete(f"/api/user/{order.diner_id}"))
    assert later.decide_due() == Counter(failed=1)
    assert (the_order().reason, the_order().jwt) == (Reason.DINER_DELETED, None)


def test_nor_a_next_try(admin, kitchen, promise):
    order = promise()

    def fail_meanwhile(_):
        admin.delete(f"/api/user/{order.diner_id}")
        raise TooSlow("late")

    kitchen.does(fail_meanwhile)
    assert later.decide_due() == Counter(failed=1)
    age_lease()
    assert later.decide_due() == Counter()
    assert (the_order().reason, len(kitchen.asked)) == (Reason.DINER_DELETED, 1)


# --- the worker -----------------------------------------------------------------------------------


def test_an_order_without_promise_or_key_is_failed_and_one_with_a_key_tried_once(crashed, kitchen, gateway):
    gateway.outcome = ServerError("no")
    plain, keyed = crashed(1), crashed(1, key="a-key")
    assert later.decide_due() == Counter(failed=2)
    assert later.decide_due() == Counter()
    assert gateway.ids == [keyed.pk]
    assert Order.objects.get(pk=plain.pk).reason == Reason.ABANDONED
    assert Order.objects.get(pk=keyed.pk).reason == Reason.SERVER_ERROR


def test_while_the_circuit_is_open_nothing_is_tried_and_nothing_changes(kitchen, promise, counted):
    for number in range(3):
        promise(key=f"key {number}")
    open_circuit()
    counted.grown()
    before = rows()
    assert later.decide_due() == Counter()
    assert (rows(), kitchen.asked) == (before, [])
    assert counted.grown() == {}, "who does not ask is not refused"


def test_once_one_was_refused_the_others_are_not_tried(one_by_one, kitchen, promise, counted, clock, settings):
    settings.FACTORY_BREAKER_PROBES = 1
    for _ in range(4):
        promise()
    half_open_circuit(clock)
    with gateway.admit():
        counted.grown()
        assert later.decide_due() == Counter()
    assert counted.grown() == {"factory_refusals_total probing": 1}


def test_while_the_factory_wants_none_for_a_while_nothing_is_tried(kitchen, promise, clock):
    promise()
    gateway.GUARD.bulkhead.close(20)
    before = rows()
    assert later.decide_due() == Counter()
    assert rows() == before
    clock.now += 20
    assert later.decide_due() == Counter(fulfilled=1)


def test_what_needs_no_factory_is_decided_while_the_circuit_is_open(one_by_one, kitchen, promise):
    promise()
    abandoned = promise()
    Order.objects.filter(pk=abandoned.pk).update(promised=False)
    open_circuit()
    assert later.decide_due() == Counter(failed=1)
    assert Order.objects.get(pk=abandoned.pk).reason == Reason.ABANDONED


def test_a_circuit_that_opens_meanwhile_ends_the_batch(one_by_one, kitchen, promise):
    for _ in range(8):
        promise()
    kitchen.does(TooSlow("late"))
    assert later.decide_due() == Counter(pending=5)
    assert len(kitchen.asked) == 5
    assert list(Order.objects.filter(lease_until__lt=Now()).values_list("pk", flat=True)) == [6, 7, 8]


def test_in_half_open_the_worker_probes_as_anybody(kitchen, promise, clock, one_by_one):
    for _ in range(4):
        promise()
    open_circuit()
    clock.now += 10
    assert later.decide_due() == Counter(fulfilled=4)
    assert gateway.circuit().state == "closed"


def test_one_that_is_told_to_stop_ends_with_the_order_in_hand(one_by_one, kitchen, promise):
    for _ in range(4):
        promise()
    kitchen.does(lambda _: stop.append(True))
    stop = []
    assert later.decide_due(stopped=lambda: bool(stop)) == Counter(fulfilled=1)
    assert kitchen.ids == [1]
    assert [order["status"] for order in rows()] == ["fulfilled", "pending", "pending", "pending"]
    assert later.decide_due() == Counter(fulfilled=3)


def test_nor_does_it_give_up_any_more_orders(kitchen, promise):
    for _ in range(3):
        promise()
    age(hours=25)
    stopped = iter([False, True, True])
    assert later.decide_due(stopped=lambda: next(stopped, True)) == Counter(failed=1)
    assert sorted(order["status"] for order in rows()) == ["failed", "pending", "pending"]


def test_one_that_was_told_before_it_began_does_nothing(kitchen, promise):
    promise()
    before = rows()
    assert later.decide_due(stopped=lambda: True) == Counter()
    assert rows() == before


def test_an_order_that_can_not_be_decided_holds_up_no_other(kitchen, promise, monkeypatch, caplog):
    stuck, *_ = [promise() for _ in range(3)]
    decide = sales.decide

    def decide_unless_stuck(order):
        if order.pk == stuck.pk:
            raise OperationalError("gone")
        return decide(order)

    monkeypatch.setattr(sales, "decide", decide_unless_stuck)
    assert later.decide_due() == Counter(fulfilled=2)
    assert f"order {stuck.pk} could not be decided" in caplog.text
    monkeypatch.setattr(sales, "decide", decide)
    assert later.decide_due() == Counter(fulfilled=1)


def test_those_that_have_been_due_for_longest_come_first(one_by_one, kitchen, promise):
    orders = [promise() for _ in range(3)]
    for order, seconds in zip(orders, (10, 30, 20), strict=True):
        Order.objects.filter(pk=order.pk).update(lease_until=from_now(-seconds))
    later.decide_due()
    assert kitchen.ids == [2, 3, 1]


def test_at_most_a_hundred_are_made_at_a_time(kitchen, promise):
    order = promise()
    due = {"diner_id": order.diner_id, "store_id": 1, "total": 0, "promised": True, "lease_until": Now()}
    Order.objects.bulk_create(Order(**due) for _ in range(101))
    age_lease()
    assert later.decide_due() == Counter(fulfilled=100)
    assert later.decide_due() == Counter(fulfilled=2)


def test_of_two_who_know_of_the_same_order_one_makes_it(kitchen, promise):
    order = promise()
    first, second = (Order.objects.select_related("store", "diner").get(pk=order.pk) for _ in range(2))
    assert (sales.decide(first), sales.decide(second)) == (True, False)
    assert (kitchen.ids, second.status) == ([order.pk], Status.PENDING)
    assert Store.objects.get(pk=1).revenue == Decimal("0.0038")


def test_several_side_by_side_make_each_order_once(kitchen, promise, settings):
    settings.FACTORY_QUEUE = 64
    orders = [promise(1).pk for _ in range(20)]
    outcomes = together(4, apart(lambda _: later.decide_due()))
    assert sum(outcomes, Counter()) == Counter(fulfilled=20)
    assert sorted(kitchen.ids) == orders
    assert Store.objects.get(pk=1).revenue == 20 * Decimal("0.0038")


def test_so_do_diners_who_ask_with_their_key_at_the_same_moment(kitchen, promise, diner):
    promise(1, key="a-key")
    *answers, _ = together(5, apart(lambda n: later.decide_due() if n == 4 else diner.order(1, **KEY).status_code))
    assert set(answers) <= {200, 202}
    assert (len(kitchen.asked), the_order().status) == (1, Status.FULFILLED)


def test_who_wakes_after_the_lease_was_over_tells_what_the_books_say(diner, kitchen):
    """The request is paused past its lease; a worker makes its order meanwhile, and the factory fails the sleeper."""

    def oversleep(_):
        kitchen.does()
        age_lease()
        assert later.decide_due() == Counter(fulfilled=1)
        raise TooSlow("late")

    kitchen.does(oversleep)
    answer = diner.order(1, **LATER, **KEY)
    assert (answer.status_code, answer.json()["jwt"]) == (200, f"pizza {the_order().pk}")
    assert Store.objects.get(pk=1).revenue == Decimal("0.0038")


def test_one_whose_order_was_given_up_meanwhile_gets_no_promise(diner, kitchen):
    def oversleep(_):
        age(hours=25)
        age_lease()
        assert later.decide_due() == Counter(failed=1)
        raise TooSlow("late")

    kitchen.does(oversleep)
    assert diner.order(1, **LATER).status_code == 500
    assert (the_order().status, the_order().promised) == (Status.FAILED, False)
