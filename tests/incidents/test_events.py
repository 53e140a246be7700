"""What processes note is in the database once, priced and dated by its clock."""

import os
import time
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from types import SimpleNamespace

import pytest
from django.db import OperationalError
from django.utils import timezone

from jwtpizza.fields import database_now
from jwtpizza.incidents.models import Event, Incident
from jwtpizza.incidents.services import events
from jwtpizza.observability import journal, traffic
from jwtpizza.observability.journal import JOURNAL, Journal
from menu.models import MenuItem
from orders.errors import Undecided
from orders.models import Order
from orders.services import outages, sales
from tests.orders.stage import open_circuit

pytestmark = pytest.mark.usefixtures("demo")
VEGGIE, PEPPERONI = Decimal("0.0038"), Decimal("0.0042")


def forget():
    """What was noted so far."""
    JOURNAL.own()
    JOURNAL.kept()


def kept(*columns):
    events.drain()
    return list(Event.objects.order_by("pk").values_list(*columns))


def test_a_refused_order_is_kept_with_its_diner_and_what_it_would_have_cost(diner):
    open_circuit()
    forget()
    assert diner.order(1, 2, 2).status_code == 503

    assert kept("kind", "outcome", "trouble", "diner", "count", "total") == [
        ("refused", "open", True, diner.user["id"], 1, VEGGIE + 2 * PEPPERONI)
    ]


def test_to_refuse_an_order_writes_nothing_to_the_database(diner, django_assert_num_queries):
    open_circuit()
    with django_assert_num_queries(1):  # who it is
        diner.order(1)


def test_what_is_no_longer_on_the_menu_is_priced_as_it_was(diner):
    MenuItem.objects.filter(pk=1).update(retired_at=timezone.now())
    journal.note("refused", outcome="open", diner=diner.user["id"], items=[1, 999])

    assert kept("total") == [(VEGGIE,)]


def test_a_client_that_asks_without_end_is_one_row_each_tenth_of_a_second(diner, monkeypatch):
    moments = iter([10.01, 10.02, 10.09, 10.11, 10.12])
    monkeypatch.setattr(time, "time", lambda: next(moments, 20.0))
    for _ in range(5):
        journal.note("refused", outcome="open", diner=diner.user["id"], items=[1])

    assert kept("count", "total") == [(3, 3 * VEGGIE), (2, 2 * VEGGIE)]


def test_two_diners_are_two_rows(diner, admin):
    for who in (diner, admin):
        journal.note("refused", outcome="open", diner=who.user["id"], items=[1])

    assert kept("diner") == [(diner.user["id"],), (admin.user["id"],)]


def test_an_event_is_dated_by_the_databases_clock(monkeypatch):
    noted, real = 5000.0, time.time
    monkeypatch.setattr(time, "time", lambda: noted)
    journal.note("promised")
    monkeypatch.setattr(time, "time", lambda: noted + 60)
    [(at,)] = kept("at")
    monkeypatch.setattr(time, "time", real)

    assert abs(database_now() - at - timedelta(seconds=60)) < timedelta(seconds=5)


def test_how_far_the_database_is_ahead_is_as_of_the_middle_of_asking_it(monkeypatch):
    """It looks at its clock somewhere on the way there and back."""
    clock = iter([1000.0, 1004.0])
    monkeypatch.setattr(events, "time", SimpleNamespace(time=lambda: next(clock)))
    monkeypatch.setattr(events, "database_now", lambda: datetime.fromtimestamp(1062, UTC))

    assert events._clocks() == (datetime.fromtimestamp(1062, UTC), timedelta(seconds=60))


TROUBLE = {
    "a promise": ("promised", {}, True),
    "an error of ours": ("broken", {"outcome": "OperationalError"}, True),
    "a canary that failed": ("canary", {"outcome": "server_error", "seconds": 0.1}, True),
    "a canary that flew well": ("canary", {"outcome": "ok", "seconds": 0.1}, False),
    "a circuit": ("circuit", {"outcome": "open", "was": "closed"}, False),
    "a retry that was not made": ("retry", {"outcome": "no_budget"}, False),
    "the chaos switch": ("chaos", {"outcome": "on"}, False),
}


@pytest.mark.parametrize("what", TROUBLE)
def test_what_is_trouble(what):
    kind, how, trouble = TROUBLE[what]
    journal.note(kind, **how)

    assert kept("kind", "trouble") == [(kind, trouble)]


def test_a_change_of_a_circuit_is_kept():
    open_circuit()

    assert kept("kind", "outcome", "detail") == [("circuit", "open", {"was": "closed"})]


def test_the_chaos_switch_is_kept():
    outages.switch_chaos(on=True)

    assert kept("kind", "outcome") == [("chaos", "on")]


def test_an_order_that_we_break_ourselves_is_kept(diner, monkeypatch):
    def gone(**_):
        raise OperationalError("the database is gone")

    monkeypatch.setattr(sales, "place_order", gone)
    assert diner.order(1).status_code == 503

    assert kept("kind", "outcome", "diner", "total") == [
        ("broken", "OperationalError", diner.user["id"], VEGGIE),
    ]


def test_even_if_nobody_can_tell_whose_it_is(diner, monkeypatch):
    def gone(*_):
        raise OperationalError("the database is gone")

    monkeypatch.setattr("jwtpizza.accounts.authentication.SessionTokenAuthentication.authenticate", gone)
    assert diner.order(1).status_code == 503

    assert kept("kind", "diner") == [("broken", None)]


@pytest.mark.parametrize("order", [(99,), (), (1,) * 21])
def test_an_order_that_its_diner_got_wrong_is_no_event(diner, order):
    assert diner.order(*order).status_code in (400, 404)

    assert kept("kind") == []


def test_a_refused_order_that_is_promised_is_a_promise(diner):
    open_circuit()
    forget()
    assert diner.order(1, Prefer="respond-async").status_code == 202

    assert kept("kind") == [("promised",)]


def test_a_batch_that_is_kept_twice_is_there_once(monkeypatch):
    journal.note("promised")
    journal.note("promised")
    with monkeypatch.context() as killed:
        killed.setattr(JOURNAL, "kept", lambda: None)
        assert events.drain() == 2
    assert events.drain() == 2

    assert Event.objects.count() == 2


def test_while_the_database_is_gone_nothing_is_lost(monkeypatch):
    def gone(*_, **__):
        raise OperationalError("the database is gone")

    journal.note("promised")
    with monkeypatch.context() as outage:
        outage.setattr(Event.objects, "bulk_create", gone)
        with pytest.raises(OperationalError):
            events.drain()
    journal.note("promised")

    assert events.drain() + events.drain() == 2
    assert Event.objects.count() == 2


def test_what_a_dead_process_has_left_is_kept(tmp_path, settings):
    settings.RUN_DIR = tmp_path
    other = Journal()
    other.note("promised")
    os.close(other._open[1])

    assert (events.adopt(), events.adopt()) == (1, 0)
    assert Event.objects.count() == 1


def test_of_a_diner_whom_the_database_does_not_know_it_keeps_all_but_the_diner(diner):
    """A journal may be of another database than this one."""
    for who in (diner.user["id"], 987_654):
        journal.note("refused", outcome="open", diner=who, items=[1])

    assert kept("diner", "count") == [(diner.user["id"], 1), (None, 1)]


def test_of_an_order_that_is_in_the_books_the_price_is_there(diner, monkeypatch):
    def undecided(**_):
        raise Undecided

    monkeypatch.setattr(sales, "place_order", undecided)
    assert diner.order(1).status_code == 503

    assert kept("outcome", "total") == [("Undecided", 0)]


def test_which_orders_were_left_undecided_is_kept_however_many_of_a_diners_are_one_row(diner, monkeypatch, factory):
    def gone(*_):
        raise OperationalError("gone")

    monkeypatch.setattr(sales, "_book", gone)
    monkeypatch.setattr(events, "TOGETHER_SECONDS", 3600.0)
    assert [diner.order(1).json()["error"] for _ in range(2)] == ["Order undecided"] * 2

    assert kept("count", "detail") == [(2, {"orders": sorted(Order.objects.values_list("pk", flat=True))})]


def test_what_could_not_be_noted_is_counted(monkeypatch):
    with monkeypatch.context() as full:
        full.setattr(journal, "MOST_BYTES", 0)
        journal.note("promised")
        journal.note("promised")
    journal.note("promised")

    assert kept("kind", "count", "trouble") == [("dropped", 2, False), ("promised", 1, True)]


def test_of_a_long_journal_a_thousand_lines_are_kept_at_once(monkeypatch):
    monkeypatch.setattr(events, "AT_ONCE", 3)
    for number in range(8):
        journal.note("promised", number=number)
    at_once = []
    insert = events._insert
    monkeypatch.setattr(events, "_insert", lambda rows: (at_once.append(len(rows)), insert(rows)))

    assert events.drain() == 8
    assert at_once == [3, 3, 2]
    assert Event.objects.count() == 8


@pytest.mark.parametrize("what", [{"outcome": None}, {"diner": [1]}, {"items": 5}, {"count": "x"}, {"seconds": {}}])
def test_a_line_that_nobody_can_have_meant_is_in_no_others_way(what):
    journal.note("refused", **what)
    journal.note("promised")

    assert ("promised",) in kept("kind")


def test_a_line_that_the_database_refuses_is_not_in_the_way_of_others(caplog):
    journal.note("promised")
    journal.note("x" * 2000, outcome="?")
    journal.note("promised")

    rows = kept("kind")
    assert ("promised",) in rows
    assert rows.count(("promised",)) == 2
    assert events.drain() == 0


def test_the_start_of_a_process_tells_its_release_and_settings(settings):
    settings.RELEASE = "2026.11"
    settings.KNOWN = {"FACTORY_PLACES": 8, "FACTORY_API_KEY": "very-secret-key", "LOG_LEVEL": "INFO", "LOKI_URL": ""}
    events.note_start("web")

    [(role, detail)] = kept("outcome", "detail")
    assert (role, detail["release"]) == ("web", "2026.11")
    told = detail["settings"]
    assert told["FACTORY_API_KEY"].startswith("digest ")
    assert told | {"FACTORY_API_KEY": ""} == {
        "FACTORY_PLACES": 8,
        "FACTORY_API_KEY": "",
        "LOG_LEVEL": "INFO",
        "LOKI_URL": "",
    }


def test_a_secret_that_changed_has_another_digest(settings):
    for key in ("very-secret-key", "very-secret-key", "another"):
        settings.KNOWN = {"FACTORY_API_KEY": key}
        events.note_start("web")
    same, too, other = [detail["settings"]["FACTORY_API_KEY"] for (detail,) in kept("detail")]

    assert same == too != other


@pytest.fixture
def calls(monkeypatch):
    """Three calls for the menu, one of which failed, in a span that ended just now."""
    traffic._counts.clear()
    now = time.time()
    with monkeypatch.context() as before:
        before.setattr(time, "time", lambda: now - 10)
        for failed in (False, False, True):
            traffic.count("menu", failed=failed)


def incident(*, minutes_ago, closed_minutes_ago=None):
    first = timezone.now() - timedelta(minutes=minutes_ago)
    closed = closed_minutes_ago and timezone.now() - timedelta(minutes=closed_minutes_ago)
    return Incident.objects.create(first_at=first, last_at=first, closed_at=closed, is_open=None if closed else True)


def test_without_an_incident_nobody_keeps_how_calls_fared(calls):
    events.keep_traffic()

    assert not Event.objects.exists()


def test_in_an_incident_they_are_kept_once(calls):
    incident(minutes_ago=5)
    events.keep_traffic()
    events.keep_traffic()

    rows = Event.objects.values_list("kind", "outcome", "count", "failed", "trouble")
    assert list(rows) == [("traffic", "menu", 3, 1, False)]


def test_those_of_before_it_began_are_not(calls):
    incident(minutes_ago=-1)
    events.keep_traffic()

    assert not Event.objects.exists()


def test_without_one_they_are_kept_in_mind_for_five_minutes(calls, monkeypatch):
    events.keep_traffic()
    assert len(traffic.finished()) == 1
    now = time.time()
    monkeypatch.setattr(events, "database_now", lambda: timezone.now() + timedelta(minutes=6))
    monkeypatch.setattr(time, "time", lambda: now + 360)
    events.keep_traffic()

    assert traffic.finished() == []


def test_those_of_after_it_was_closed_are_not(calls):
    incident(minutes_ago=60, closed_minutes_ago=30)
    events.keep_traffic()

    assert not Event.objects.exists()
