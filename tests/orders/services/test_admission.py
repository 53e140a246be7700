"""Who may have an order made now, what the guard makes of the factory's answers, and what a diner is told."""

from contextlib import ExitStack
from threading import Event

import pytest
from django.db import OperationalError, connection
from django.test.utils import CaptureQueriesContext

from jwtpizza.accounts.models import User
from jwtpizza.databases import connections
from orders.factory import client, gateway, keys
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
from orders.models import Order, Reason
from orders.services import sales
from tests.conftest import fresh_process
from tests.orders.stage import LINK, Crash, apart, half_open_circuit, open_circuit
from tests.orders.wire import answering
from tests.resilience.kit import BOUND, aside

KEY = {"Idempotency-Key": "a-key"}
NOTHING_CHARGED = "Your order was not placed and nothing was charged."
# Neither the factory's fault nor ours to ask twice for: none of them moves the circuit.
IGNORED = [Rejected("no"), Unacceptable("never"), Unauthorized("who?"), Unverified("no keys")]


@pytest.fixture
def spread(monkeypatch):
    """How many seconds callers are spread over, of those that are to be drawn from; 3 unless told otherwise."""
    drawn = []

    def draw(least, most):
        drawn.append((least, most))
        return 3

    monkeypatch.setattr("orders.errors.randint", draw)
    return drawn


@pytest.fixture
def one_place(demo, settings):
    """Room for one call at a time, and for nobody to wait."""
    settings.FACTORY_PLACES, settings.FACTORY_QUEUE = 1, 0
    fresh_process()


@pytest.fixture
def one_place_and_one_waits(demo, settings):
    settings.FACTORY_PLACES = settings.FACTORY_QUEUE = 1
    fresh_process()


def statuses(answers):
    return [answer.status_code for answer in answers]


def assert_refused(answer, *, wait):
    when = f"Please try again in {wait} seconds."
    told = answer.json()
    assert (answer.status_code, told["statusCode"], told["error"]) == (503, 503, "Factory unavailable")
    assert told["message"] == f"The pizza factory is not taking orders right now. {NOTHING_CHARGED} {when}"
    assert answer["Retry-After"] == str(wait)
    assert "followLinkToEndChaos" not in told


# --- the circuit is open --------------------------------------------------------------------------


def test_an_open_circuit_refuses_an_order_and_nothing_is_written(diner, kitchen, spread):
    open_circuit()
    assert_refused(diner.order(1), wait=10 + 3)
    assert (kitchen.asked, Order.objects.count()) == ([], 0)


@pytest.mark.parametrize(("passed", "left"), [(0, 10), (0.5, 10), (2.5, 8), (9, 1), (9.999, 1)])
def test_who_is_refused_may_come_back_when_it_ends_rounded_up_and_spread_over_5_s(diner, clock, spread, passed, left):
    open_circuit()
    clock.now += passed
    assert_refused(diner.order(1), wait=left + 3)
    assert spread == [(0, 5)]


def test_callers_are_told_different_times(diner, kitchen):
    open_circuit()
    told = {int(diner.order(1)["Retry-After"]) for _ in range(60)}
    assert min(told) == 10
    assert max(told) == 15


def test_one_second_is_told_in_the_singular(diner, clock, monkeypatch):
    monkeypatch.setattr("orders.errors.randint", lambda *_: 0)
    open_circuit()
    clock.now += 9.5
    answer = diner.order(1)
    assert answer["Retry-After"] == "1"
    assert answer.json()["message"].endswith("Please try again in a second.")


def test_an_open_circuit_costs_no_query_but_the_tokens(diner, kitchen):
    open_circuit()
    with CaptureQueriesContext(connection) as context:
        assert diner.order(1).status_code == 503
    [query] = [query["sql"] for query in context.captured_queries]
    assert "session" in query


def test_an_order_that_is_refused_does_not_use_its_key_up(diner, kitchen, clock):
    open_circuit()
    assert diner.order(1, **KEY).status_code == 503
    clock.now += 10
    assert diner.order(2, **KEY).status_code == 200


def test_what_was_sold_under_a_key_is_answered_while_the_circuit_is_open(diner, kitchen):
    sold = diner.order(1, **KEY)
    open_circuit()
    assert diner.order(1, **KEY).content == sold.content


def test_while_others_probe_an_order_is_refused(diner, kitchen, clock, spread):
    half_open_circuit(clock)
    with gateway.admit(), gateway.admit():
        assert_refused(diner.order(1), wait=2 + 3)
    assert (kitchen.asked, Order.objects.count()) == ([], 0)


def test_two_orders_that_are_made_close_the_circuit(diner, kitchen, clock):
    half_open_circuit(clock)
    assert statuses(diner.order(1) for _ in range(12)) == [200] * 12
    assert gateway.circuit().state == "closed"


def test_one_probe_that_fails_opens_it_again_for_twice_as_long(diner, kitchen, clock, spread):
    half_open_circuit(clock)
    kitchen.does(TooSlow("late"))
    assert diner.order(1).status_code == 504
    assert_refused(diner.order(1), wait=20 + 3)


def test_with_the_breaker_off_no_circuit_ever_opens(diner, kitchen, settings):
    settings.FACTORY_BREAKER_ENABLED = False
    fresh_process()
    kitchen.does(BadJwt("forged"))
    assert statuses(diner.order(1) for _ in range(20)) == [500] * 20


# --- the bulkhead is full -------------------------------------------------------------------------


def test_who_finds_all_places_and_the_queue_taken_is_refused_at_once(one_place, diner, kitchen, clock, spread):
    second = []
    kitchen.does(lambda _: second.append(diner.order(2)))
    assert diner.order(1).status_code == 200
    assert_refused(second[0], wait=1 + 3)
    assert (len(kitchen.asked), Order.objects.count()) == (1, 1)
    assert diner.order(2).status_code == 200


def test_who_waits_in_vain_is_refused_and_nothing_was_written(one_place_and_one_waits, diner, kitchen, spread):
    second, waited = [], []

    def in_vain(turn, seconds):
        waited.append(seconds)
        return False

    gateway.GUARD.bulkhead._wait = in_vain
    kitchen.does(lambda _: second.append(diner.order(2)), None)
    assert diner.order(1).status_code == 200
    assert waited == [1.0]
    assert_refused(second[0], wait=1 + 3)
    assert (len(kitchen.asked), Order.objects.count()) == (1, 1)


def test_who_waits_for_a_place_gets_it(one_place_and_one_waits, diner, kitchen):
    waiting = Event()

    def patiently(turn, seconds):
        waiting.set()
        return turn.acquire(timeout=BOUND)

    def in_the_meantime(_):
        others.append(aside(apart(diner.order), 2))
        assert waiting.wait(BOUND)

    others = []
    gateway.GUARD.bulkhead._wait = patiently
    kitchen.does(in_the_meantime, None)
    assert diner.order(1).status_code == 200
    assert others[0].result(BOUND).status_code == 200


def test_who_got_a_place_when_no_time_was_left_for_the_call_is_refused(one_place_and_one_waits, diner, kitchen, spread):
    def too_long(turn, seconds):
        kitchen.clock.now += 5
        another.close()
        return turn.acquire(blocking=False)

    another = ExitStack()
    another.enter_context(gateway.admit())
    gateway.GUARD.bulkhead._wait = too_long
    assert_refused(diner.order(1), wait=1 + 3)
    assert (kitchen.asked, Order.objects.count()) == ([], 0)
    assert diner.order(1).status_code == 200


class Pooled:
    """A connection of PostgreSQL's, as sales see it, whatever the database of the tests is."""

    vendor = "postgresql"

    def __getattr__(self, name):
        return getattr(connection, name)


def test_who_waits_for_a_place_holds_no_connection(one_place_and_one_waits, diner, kitchen, monkeypatch):
    held, second = [], []

    def in_vain(turn, seconds):
        held.append(connection.connection is not None)
        return False

    monkeypatch.setattr(connections, "connection", Pooled())
    gateway.GUARD.bulkhead._wait = in_vain
    kitchen.does(lambda _: second.append(diner.order(2)), None)
    assert diner.order(1).status_code == 200
    assert (held, statuses(second)) == ([False], [503])


def test_while_an_order_waits_for_the_factory_it_holds_no_connection(diner, kitchen, monkeypatch):
    held = []
    monkeypatch.setattr(connections, "connection", Pooled())
    kitchen.does(lambda _: held.append(connection.connection is not None))
    assert diner.order(1).status_code == 200
    assert held == [False]


def test_an_orders_place_is_free_again_before_it_is_settled(one_place, diner, franchisee, kitchen, monkeypatch):
    settle, meanwhile = sales._settle, []

    def settle_while_another_orders(*args):
        monkeypatch.setattr(sales, "_settle", settle)
        meanwhile.append(franchisee.order(2))
        settle(*args)

    monkeypatch.setattr(sales, "_settle", settle_while_another_orders)
    assert diner.order(1).status_code == 200
    assert statuses(meanwhile) == [200]


# --- what never reaches the factory ---------------------------------------------------------------


def no_pizza(diner, admin):
    return diner.order()


def too_many_pizzas(diner, admin):
    return diner.order(*[1] * 21)


def an_unknown_item(diner, admin):
    return diner.order(1, 99)


def an_unknown_store(diner, admin):
    return diner.order(1, store=99)


def a_closed_store(diner, admin):
    admin.delete("/api/franchise/1/store/1")
    return diner.order(1)


POISON = [(no_pizza, 400), (too_many_pizzas, 400), (an_unknown_item, 404), (an_unknown_store, 404)]


@pytest.mark.parametrize(("poison", "status"), [*POISON, (a_closed_store, 404)])
def test_a_poison_order_never_reaches_the_factory_nor_the_circuit(diner, admin, kitchen, poison, status):
    assert statuses(poison(diner, admin) for _ in range(12)) == [status] * 12
    assert (kitchen.asked, Order.objects.count()) == ([], 0)
    assert gateway.circuit().state == "closed"
    assert gateway.GUARD.breaker._window.calls == 0


@pytest.mark.parametrize(("poison", "status"), POISON)
def test_a_poison_order_does_not_end_a_run_of_failures(diner, admin, kitchen, poison, status):
    kitchen.does(TooSlow("late"))
    assert statuses(diner.order(1) for _ in range(4)) == [504] * 4
    assert poison(diner, admin).status_code == status
    assert statuses(diner.order(1) for _ in range(2)) == [504, 503]


@pytest.mark.parametrize(("poison", "status"), [*POISON, (a_closed_store, 404)])
def test_a_poison_order_gives_its_probe_back(diner, admin, kitchen, clock, poison, status):
    half_open_circuit(clock)
    assert statuses(poison(diner, admin) for _ in range(12)) == [status] * 12
    assert gateway.circuit().state != "closed"
    with gateway.admit() as first, gateway.admit() as second:
        first.call(lambda _: "pizza")
        second.call(lambda _: "pizza")
    assert gateway.circuit().state == "closed"


# --- what was taken comes back --------------------------------------------------------------------


@pytest.fixture
def one_probe(demo, settings, clock):
    """A circuit that is half-open with one probe, behind a bulkhead with one place."""
    settings.FACTORY_PLACES, settings.FACTORY_QUEUE, settings.FACTORY_BREAKER_PROBES = 1, 0, 1
    fresh_process()
    half_open_circuit(clock)


def test_place_and_probe_come_back_from_an_order_that_is_not_found(one_probe, diner, kitchen):
    assert diner.order(99).status_code == 404
    assert diner.order(1).status_code == 200


def test_place_and_probe_come_back_when_two_came_at_once_with_one_key(one_probe, diner, kitchen, monkeypatch):
    """The second was not in the books yet when the first looked, and is when the first is to be written."""
    admit, quicker = gateway.admit, []

    def admit_after_another(**how):
        monkeypatch.setattr(gateway, "admit", admit)
        quicker.append(diner.order(1, **KEY))
        half_open_circuit(kitchen.clock)
        return admit(**how)

    monkeypatch.setattr(gateway, "admit", admit_after_another)
    slower = diner.order(1, **KEY)
    assert (slower.status_code, slower.content) == (200, quicker[0].content)
    assert (len(kitchen.asked), Order.objects.count()) == (1, 1)
    assert gateway.circuit().state == "half-open"
    assert diner.order(2).status_code == 200


@pytest.mark.parametrize("step", ["_record", "_fulfil"])
def test_place_and_probe_come_back_from_an_order_that_crashes(one_probe, diner, kitchen, monkeypatch, step):
    def crash(*args, **kwargs):
        raise Crash

    who = User.objects.get(email="d@jwt.com")
    with monkeypatch.context() as patch:
        patch.setattr(sales, step, crash)
        with pytest.raises(Crash):
            sales.place_order(diner=who, franchise_id=1, store_id=1, menu_ids=[1])
    assert gateway.circuit().state == "half-open"
    assert diner.order(1).status_code == 200


# --- tries and retries ----------------------------------------------------------------------------


def test_after_five_failures_the_sixth_order_is_refused(diner, kitchen):
    kitchen.does(TooSlow("late"))
    assert statuses(diner.order(1) for _ in range(6)) == [504] * 5 + [503]
    assert len(kitchen.asked) == 5


def test_tries_count_not_orders(diner, kitchen):
    """Two tries each of the first two orders, and the first try of the third, whose second is refused."""
    kitchen.does(ServerError("no"))
    assert statuses(diner.order(1) for _ in range(4)) == [500] * 3 + [503]
    assert len(kitchen.asked) == 5


@pytest.mark.parametrize(
    "failure", [ServerError("no"), Unreachable("gone"), Chaos("on")], ids=lambda error: error.reason
)
def test_a_second_try_may_help(diner, kitchen, failure):
    kitchen.does(failure, None)
    assert diner.order(1).status_code == 200
    assert kitchen.ids == [Order.objects.get().pk] * 2


@pytest.mark.parametrize("failure", [TooSlow("late"), BadJwt("forged"), BadResponse("what?"), *IGNORED], ids=repr)
def test_what_another_try_would_not_mend_is_tried_once(diner, kitchen, failure):
    kitchen.does(failure, None)
    assert diner.order(1).status_code in (500, 504)
    assert len(kitchen.asked) == 1


@pytest.mark.parametrize(("seconds", "tries"), [(2.0, 2), (2.1, 1)])
def test_a_failure_that_came_slowly_is_not_tried_again(diner, kitchen, seconds, tries):
    kitchen.does(ServerError("no"), seconds=seconds)
    diner.order(1)
    assert len(kitchen.asked) == tries


@pytest.mark.parametrize(("deadline", "tries"), [(3.5, 2), (3.4, 1)])
def test_with_less_than_one_and_a_half_seconds_left_there_is_no_second_try(diner, kitchen, settings, deadline, tries):
    settings.FACTORY_DEADLINE = deadline
    fresh_process()
    kitchen.does(ServerError("no"), seconds=2.0)
    diner.order(1)
    assert len(kitchen.asked) == tries


def test_a_slow_database_of_ours_takes_no_time_from_the_factory(diner, kitchen, monkeypatch):
    record = sales._record

    def record_slowly(*args):
        kitchen.clock.now += 20
        return record(*args)

    monkeypatch.setattr(sales, "_record", record_slowly)
    kitchen.does(ServerError("no"), None)
    assert diner.order(1).status_code == 200
    assert (len(kitchen.asked), gateway.GUARD.breaker._window.slow) == (2, 0)


def test_second_tries_are_a_tenth_of_the_orders_and_ten_more(diner, kitchen, settings):
    settings.FACTORY_BREAKER_ENABLED = False
    fresh_process()
    kitchen.does(ServerError("no"))
    assert statuses(diner.order(1) for _ in range(50)) == [500] * 50
    assert 50 + 10 < len(kitchen.asked) <= 50 * 1.1 + 10


@pytest.mark.parametrize("failure", [ZeroDivisionError(), OperationalError("gone")], ids=repr)
def test_an_error_of_our_own_says_nothing_of_the_factory(diner, kitchen, failure):
    kitchen.does(failure)
    assert statuses(diner.order(1) for _ in range(12)) == [503] * 12
    assert len(kitchen.asked) == 12
    assert gateway.circuit().state == "closed"


@pytest.mark.parametrize("failure", IGNORED, ids=repr)
def test_what_says_nothing_of_the_factorys_health_does_not_open_the_circuit(diner, kitchen, failure):
    kitchen.does(failure)
    assert statuses(diner.order(1) for _ in range(12)) == [500] * 12
    assert gateway.circuit().state == "closed"
    assert gateway.GUARD.breaker._window.calls == 0


# --- what a diner is told -------------------------------------------------------------------------

FAILED = (500, "Failed to fulfill order at factory.")
LATE = (504, "The pizza factory is taking too long.")


@pytest.mark.parametrize(
    ("failure", "told"),
    [
        (ServerError("in the factory's words", support_link=LINK), FAILED),
        (Unreachable("in the factory's words"), FAILED),
        (BadResponse("in the factory's words", support_link=LINK), FAILED),
        (BadJwt("in the factory's words", support_link=LINK), FAILED),
        (Unverified("in the factory's words", support_link=LINK), FAILED),
        (Rejected("in the factory's words", support_link=LINK), FAILED),
        (Unacceptable("in the factory's words", support_link=LINK), FAILED),
        (Unauthorized("in the factory's words", support_link=LINK), FAILED),
        (Chaos("in the factory's words"), FAILED),
        (TooSlow("in the factory's words"), LATE),
    ],
    ids=lambda failure: type(failure).__name__,
)
def test_a_diner_is_told_what_happened_that_nothing_was_charged_and_when_to_try_again(diner, kitchen, failure, told):
    kitchen.does(failure)
    answer, (status, begins) = diner.order(1), told
    assert answer.status_code == status
    body = answer.json()
    assert body.pop("requestId")
    message = f"{begins} {NOTHING_CHARGED} Please try again in a minute."
    assert body == {"message": message, "error": "Factory request failed", "statusCode": status}
    assert Order.objects.get().reason == failure.reason


@pytest.mark.parametrize(
    ("status", "reason"),
    [
        ("400 Bad Request", Reason.REJECTED),
        ("401 Unauthorized", Reason.UNAUTHORIZED),
        ("403 Forbidden", Reason.UNAUTHORIZED),
        ("404 Not Found", Reason.REJECTED),
        ("413 Content Too Large", Reason.REJECTED),
        ("422 Unprocessable Content", Reason.REJECTED),
        ("429 Too Many Requests", Reason.REJECTED),
        ("500 Internal Server Error", Reason.SERVER_ERROR),
        ("503 Service Unavailable", Reason.SERVER_ERROR),
    ],
)
def test_each_refusal_of_the_factorys_is_a_500(diner, clock, wired, status, reason):
    wire = wired(answering(status, {"message": "in the factory's words"}))
    answer = diner.order(1)
    assert (answer.status_code, answer.json()["error"]) == (500, "Factory request failed")
    assert b"words" not in answer.content
    assert Order.objects.get().reason == reason
    assert len(wire.requests) == (2 if reason == Reason.SERVER_ERROR else 1)


def test_a_factory_that_wants_less_of_us_and_does_not_say_for_how_long_is_asked_again(diner, clock, wired):
    wire = wired(answering("429 Too Many Requests"))
    assert statuses(diner.order(1) for _ in range(3)) == [500] * 3
    assert len(wire.requests) == 3


def test_a_factory_that_says_for_how_long_it_wants_none_is_not_asked_until_then(diner, clock, wired, spread):
    wire = wired(answering("429 Too Many Requests", b"", "Retry-After: 20"))
    assert diner.order(1).status_code == 500
    clock.now += 5
    assert_refused(diner.order(1), wait=15 + 3)
    clock.now += 14.9
    assert_refused(diner.order(1), wait=1 + 3)
    clock.now += 0.1
    assert diner.order(1).status_code == 500
    assert (len(wire.requests), Order.objects.count()) == (2, 2)
    assert gateway.circuit().state == "closed"


def test_an_unreasonable_wish_is_granted_for_a_minute(diner, clock, wired, spread):
    wired(answering("429 Too Many Requests", b"", "Retry-After: 86400"))
    assert diner.order(1).status_code == 500
    assert_refused(diner.order(1), wait=60 + 3)
    clock.now += 60
    assert diner.order(1).status_code == 500


def test_only_a_429_says_that_it_wants_less_of_us(diner, clock, wired):
    wire = wired(answering("404 Not Found", b"", "Retry-After: 20"))
    assert statuses(diner.order(1) for _ in range(2)) == [500] * 2
    assert len(wire.requests) == 2


def test_a_wish_that_nobody_understands_is_none(diner, clock, wired):
    wired(answering("429 Too Many Requests", b"", "Retry-After: in a while"))
    assert statuses(diner.order(1) for _ in range(2)) == [500] * 2


# --- the factory's keys can't be had --------------------------------------------------------------

SIGNED = "eyJhbGciOiJSUzI1NiIsImtpZCI6ImsifQ.e30.c2lnbmVk"  # RS256, by a key named k


@pytest.fixture
def keyless(demo, clock, monkeypatch):
    """A factory that signs pizzas, and whose JWKS nobody can reach."""

    def gone(*, deadline):
        raise Unreachable("gone")

    monkeypatch.setattr(keys, "RING", keys.KeyRing())
    monkeypatch.setattr(client, "fetch_jwks", gone)
    monkeypatch.setattr(client, "post_order", lambda *_, **__: client.Reply(SIGNED, LINK))


def test_a_pizza_that_can_not_be_verified_is_not_sold(keyless, admin):
    answer = admin.order(1)
    order = Order.objects.get()
    assert (answer.status_code, order.reason, order.jwt) == (500, Reason.UNVERIFIED, None)
    assert answer.json()["message"].startswith("Failed to fulfill order at factory.")
    assert answer.json()["followLinkToEndChaos"] == LINK


def test_nor_does_it_move_the_circuit(keyless, diner):
    assert statuses(diner.order(1) for _ in range(12)) == [500] * 12
    assert gateway.circuit().state == "closed"
    assert gateway.GUARD.breaker._window.calls == 0
