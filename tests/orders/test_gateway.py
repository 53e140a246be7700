"""The guarded call: how long it waits, what chaos does to it, and where a support link leads."""

from contextlib import ExitStack
from types import SimpleNamespace

import pytest
import requests

from jwtpizza.resilience.refused import Refused
from orders.factory import client, gateway
from orders.factory.errors import Chaos, Rejected, ServerError, TooSlow
from tests.conftest import fresh_process
from tests.orders.stage import LINK, half_open_circuit, open_circuit

PIZZA = {"diner": {"id": 2}, "order": {"id": 7, "items": []}}


def ordered(**how):
    with gateway.admit() as admission:
        return gateway.make_pizza(PIZZA, admission=admission, **how)


# --- how long it waits ----------------------------------------------------------------------------


@pytest.fixture
def timeouts(clock, monkeypatch):
    """The timeouts, to connect and to read, of each request; none is answered."""
    timeouts = []

    def request(*args, timeout, **kwargs):
        timeouts.append(timeout)
        raise requests.ReadTimeout

    monkeypatch.setattr(client, "_session", lambda: SimpleNamespace(request=request))
    return timeouts


def test_an_order_waits_three_seconds_for_an_answer(timeouts):
    with pytest.raises(TooSlow):
        ordered()
    assert timeouts == [(1.2, 3.0)]
    assert client._thread.patience == 3.0


def test_a_canary_waits_as_long_as_an_order(timeouts):
    with pytest.raises(TooSlow):
        gateway.canary(PIZZA)
    assert timeouts == [(1.2, 3.0)]
    assert client._thread.deadline.left() == pytest.approx(5, abs=1)


def test_whoever_wants_the_late_link_waits_forty(timeouts):
    assert gateway.late_link(PIZZA) == ""
    assert timeouts == [(1.2, 40.0)]
    assert client._thread.patience == 40.0
    assert client._thread.deadline.left() == pytest.approx(41.2, abs=1)


def test_an_order_after_that_waits_three_again(timeouts):
    gateway.late_link(PIZZA)
    with pytest.raises(TooSlow):
        ordered()
    assert timeouts[1] == (1.2, 3.0)
    assert client._thread.patience == 3.0


@pytest.fixture
def after_waiting(clock, settings):
    """An admission, after so many seconds in which its only place was taken."""
    settings.FACTORY_PLACES, settings.FACTORY_QUEUE_SECONDS = 1, 5.0
    fresh_process()

    def after_waiting(seconds):
        def wait(turn, _):
            clock.now += seconds
            another.close()
            return turn.acquire(blocking=False)

        another = ExitStack()
        another.enter_context(gateway.admit())
        gateway.GUARD.bulkhead._wait = wait
        return gateway.admit()

    return after_waiting


@pytest.mark.parametrize(("waited", "timeout"), [(1.0, (1.2, 3.0)), (3.0, (1.2, 2.0)), (4.5, (0.5, 0.5))])
def test_the_time_that_it_waited_for_a_place_is_part_of_its_deadline(timeouts, after_waiting, waited, timeout):
    with after_waiting(waited) as admission, pytest.raises(TooSlow):
        gateway.make_pizza(PIZZA, admission=admission)
    assert timeouts == [timeout]


def test_once_its_time_is_over_it_is_refused(timeouts, after_waiting, counted):
    with pytest.raises(Refused) as refusal:
        after_waiting(5.0)
    assert refusal.value.why == "deadline"
    assert (timeouts, counted.grown()) == ([], {"factory_refusals_total deadline": 1})


def test_what_is_done_between_admission_and_call_takes_no_time_from_it(timeouts, clock):
    with gateway.admit() as admission:
        clock.now += 20
        with pytest.raises(TooSlow):
            gateway.make_pizza(PIZZA, admission=admission)
    assert timeouts == [(1.2, 3.0)]


# --- chaos ----------------------------------------------------------------------------------------


def test_chaos_strikes_before_a_call_leaves(kitchen, monkeypatch):
    monkeypatch.setattr(gateway, "random", SimpleNamespace(random=lambda: 0.1))
    with pytest.raises(Chaos):
        ordered(chaos=True)
    assert kitchen.asked == []


def test_without_it_no_call_is_struck(kitchen, monkeypatch):
    monkeypatch.setattr(gateway, "random", SimpleNamespace(random=lambda: 0.1))
    assert ordered().jwt == "pizza 7"


# --- who is refused -------------------------------------------------------------------------------


def test_why_nobody_was_asked_is_counted(kitchen, clock, settings, counted):
    settings.FACTORY_PLACES, settings.FACTORY_QUEUE, settings.FACTORY_BREAKER_PROBES = 2, 0, 1
    fresh_process()
    with gateway.admit(), gateway.admit():
        assert refused() == "bulkhead"
    half_open_circuit(clock)
    with gateway.admit():
        assert refused() == "probing"
    open_circuit()
    assert refused() == "open"
    grown = {name: by for name, by in counted.grown().items() if "refusals" in name}
    assert grown == {f"factory_refusals_total {why}": 1 for why in ("bulkhead", "probing", "open")}


def refused():
    with pytest.raises(Refused) as refusal:
        gateway.admit()
    return refusal.value.why


def test_who_is_to_wait_is_told_so_first(kitchen, settings):
    settings.FACTORY_PLACES = settings.FACTORY_QUEUE = 1
    fresh_process()
    steps = []
    gateway.GUARD.bulkhead._wait = lambda *_: steps.append("waits")
    with gateway.admit(before_waiting=lambda: steps.append("too early")):
        pass
    with gateway.admit(), pytest.raises(Refused):
        gateway.admit(before_waiting=lambda: steps.append("gives back"))
    assert steps == ["gives back", "waits"]


@pytest.mark.parametrize(("wish", "granted"), [(0.0, 0.0), (20.0, 20.0), (60.0, 60.0), (61.0, 60.0), (86_400.0, 60.0)])
def test_a_factory_that_wants_none_is_left_alone_for_a_minute_at_most(kitchen, clock, wish, granted):
    kitchen.does(Rejected("less", retry_after=wish))
    with pytest.raises(Rejected):
        ordered()
    assert gateway.circuit() == ("closed", granted)
    if granted:
        clock.now += granted - 0.1
        assert refused() == "bulkhead"
        clock.now += 0.1
    with gateway.admit():
        pass


def test_that_is_told_to_who_reports_it(kitchen):
    gateway.CHANGED.clear()
    kitchen.does(Rejected("no"), Rejected("less", retry_after=20.0))
    with pytest.raises(Rejected):
        ordered()
    assert not gateway.CHANGED.is_set()
    with pytest.raises(Rejected):
        ordered()
    assert gateway.CHANGED.is_set()


def test_who_was_admitted_before_it_said_so_is_not_held_up(kitchen):
    with gateway.admit() as admission:
        kitchen.does(Rejected("less", retry_after=20.0), None)
        with pytest.raises(Rejected):
            ordered()
        assert gateway.make_pizza(PIZZA, admission=admission).jwt == "pizza 7"


# --- what it is told, and tells -------------------------------------------------------------------


def test_the_guard_is_built_from_the_settings(clock, settings):
    settings.FACTORY_BREAKER_FAILURES, settings.FACTORY_BREAKER_OPEN_SECONDS = 3, 20.0
    fresh_process()
    for number in range(3):
        assert (gateway.circuit().state, number) == ("closed", number)
        with gateway.admit() as admission, pytest.raises(ServerError):
            admission.call(fails)
    assert gateway.circuit() == ("open", 20.0)


def fails(deadline):
    error = ServerError("no")
    error.passing = False
    raise error


def test_a_change_of_the_circuit_is_a_line_in_the_log(clock, caplog):
    half_open_circuit(clock)
    with gateway.admit():
        pass
    told = [(record.data["was"], record.data["breaker"]) for record in caplog.records]
    assert told == [("closed", "open"), ("open", "half-open")]


def test_each_attempt_is_a_line_in_the_log(kitchen, caplog, settings):
    caplog.set_level("INFO")
    settings.LOG_BODIES = False
    kitchen.does(ServerError("the factory answered 503", support_link=LINK), None)
    ordered()
    failed, made = [record.data for record in caplog.records]
    assert failed.pop("ms") >= 0
    assert failed == {
        "type": "factory",
        "attempt": 1,
        "outcome": "server_error",
        "breaker": "closed",
        "orderId": 7,
        "factoryStatus": 0,
        "reportUrl": LINK,
    }
    assert (made["attempt"], made["outcome"], made["factoryStatus"]) == (2, "ok", 200)
    assert [record.levelname for record in caplog.records] == ["WARNING", "INFO"]


# --- support links --------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("link", "path"),
    [
        ("https://factory/api/support/key0001/report/a1B2-c3_d4", "/api/support/key0001/report/a1B2-c3_d4"),
        # Whoever the link names, the configured factory is asked, and for the path alone.
        ("https://evil.example/api/support/key/report/code", "/api/support/key/report/code"),
        ("http://factory@evil.example:81/api/support/key/report/code", "/api/support/key/report/code"),
        ("https://factory/api/support/key/report/code?next=http://evil", "/api/support/key/report/code"),
        ("https://factory/api/support/key/report/code#x", "/api/support/key/report/code"),
        ("//evil.example/api/support/key/report/code", "/api/support/key/report/code"),
        ("/api/support/key/report/code", "/api/support/key/report/code"),
        ("https://factory/api/support/k%20y/report/code", "/api/support/k%20y/report/code"),
    ],
)
def test_of_a_support_link_the_path_is_taken(link, path):
    assert gateway.support_path(link) == path


NONE = [
    "",
    "https://factory/",
    "https://factory/api/vendor/chaos/fail",
    "https://factory/api/order",
    "https://factory/api/support/key",
    "https://factory/api/support/key/report/",
    "https://factory/api/support//report/code",
    "https://factory/api/support/key/report/code/",
    "https://factory/api/support/key/report/code/more",
    "https://factory/api/support/../report/code",
    "https://factory/api/support/key/report/..",
    "https://factory/api/support/key/report/.",
    "https://factory/api/support/%2e%2e/report/code",
    "https://factory/api/support/%2E%2E/report/code",
    "https://factory/api/support/%2e./report/code",
    "https://factory/api/support/key/report/%2e%2e",
    "https://factory/api/support/key/report/%2e",
    "https://factory/api/support/key/report/..%2f..%2fvendor",
    "https://factory/api/support/key/report/%2e%2e%2fvendor",
    "https://factory/api/support/%2e%2e%2f%2e%2e%2forder/report/code",
    "https://factory/api/support/key/report/code\r\nHost: evil",
    "https://factory/api/support/key/report/code%0d%0aHost:evil",
    "https://factory/api/support/key/report/co de",
    "https://factory/api/support/key/report/cödé",
    "https://factory/api/support/key/report/code;x=1",
    "https://factory/api\\support\\key\\report\\code",
    "https://factory/API/support/key/report/code",
    "https://factory//evil/api/support/key/report/code",
    "javascript:/api/support/key/report/code2/x",
    "http://[/api/support/key/report/code",
]


@pytest.mark.parametrize("link", NONE)
def test_anything_else_is_none_of_the_factorys(link):
    with pytest.raises(ValueError, match=r"."):
        gateway.support_path(link)


def test_what_is_no_support_link_is_not_followed(timeouts):
    with pytest.raises(ValueError, match="no support link"):
        gateway.follow("https://factory/api/order")
    assert timeouts == []


def test_a_support_link_is_followed_within_the_deadline_of_an_order(timeouts):
    with pytest.raises(TooSlow):
        gateway.follow(LINK)
    assert timeouts == [(1.2, 3.0)]
