"""What operators have in an outage: the chaos switch, word of each worker's circuit, the canary."""

import logging
import subprocess
import sys
from datetime import timedelta
from random import Random
from types import SimpleNamespace

import pytest
from django.db import InterfaceError, OperationalError, transaction
from django.db.models.functions import Now
from django.utils import timezone

from jwtpizza.fields import from_now
from orders import selectors
from orders.factory import gateway
from orders.factory.errors import BadJwt, Rejected, ServerError, TooSlow, Unreachable
from orders.models import Canary, ChaosSwitch, Order, Reason, SupportLink, WorkerCircuit
from orders.services import outages
from tests.conftest import fresh_process
from tests.orders.stage import LINK, half_open_circuit, open_circuit

# --- chaos ----------------------------------------------------------------------------------------


@pytest.fixture
def dice(monkeypatch):
    """What chance says of each attempt: a number that a test sets, below 1."""
    dice = SimpleNamespace(says=0.0)
    monkeypatch.setattr(gateway, "random", SimpleNamespace(random=lambda: dice.says))
    return dice


def switch(admin, state):
    return admin.put(f"/api/order/chaos/{state}")


def chaos_ends_in():
    switch = ChaosSwitch.objects.annotate(now=Now()).get()
    return (switch.until - switch.now).total_seconds()


def test_an_admin_switches_chaos_on_and_off(admin, clock):
    assert switch(admin, "true").json() == {"chaos": True}
    assert selectors.chaos_is_on()
    assert switch(admin, "false").json() == {"chaos": False}
    assert not selectors.chaos_is_on()


def test_off_is_off_in_the_same_instant(db):
    for _ in range(20):
        outages.switch_chaos(on=True)
        outages.switch_chaos(on=False)
        assert not selectors.chaos_is_on()


def test_nobody_else_does(diner, franchisee, anonymous, clock):
    assert [switch(who, "true").status_code for who in (diner, franchisee, anonymous)] == [403, 403, 401]
    assert switch(diner, "true").json()["message"] == "unable to toggle chaos"
    assert not ChaosSwitch.objects.exists()


@pytest.mark.parametrize("state", ["TRUE", "on", "1", "maybe", "true%20", "null"])
def test_it_is_on_or_off_and_nothing_else(admin, state):
    answer = switch(admin, state)
    assert (answer.status_code, list(answer.json()["fields"])) == (400, ["state"])
    assert not ChaosSwitch.objects.exists()


def test_it_goes_off_by_itself_after_15_minutes(admin, clock):
    switch(admin, "true")
    assert chaos_ends_in() == pytest.approx(15 * 60, abs=5)
    ChaosSwitch.objects.update(until=timezone.now() - timedelta(seconds=1))
    clock.now += 1
    assert not selectors.chaos_is_on()


def test_switched_on_again_it_lasts_15_minutes_from_then(admin, clock):
    switch(admin, "true")
    ChaosSwitch.objects.update(until=timezone.now() + timedelta(minutes=1))
    switch(admin, "true")
    assert chaos_ends_in() == pytest.approx(15 * 60, abs=5)
    assert ChaosSwitch.objects.count() == 1


def test_another_worker_knows_of_it_within_a_second(clock, demo):
    assert not selectors.chaos_is_on()
    ChaosSwitch.objects.create(until=timezone.now() + timedelta(minutes=15))
    clock.now += 0.9
    assert not selectors.chaos_is_on()
    clock.now += 0.1
    assert selectors.chaos_is_on()


def test_another_process_knows_of_it_at_once_when_the_switch_is_told(clock, demo):
    assert not selectors.chaos_is_on()
    ChaosSwitch.objects.create(until=timezone.now() + timedelta(minutes=15))
    selectors.CHAOS_SWITCHED.renew()
    assert selectors.chaos_is_on()


def test_the_switch_is_told_after_the_commit_and_not_before(clock, demo):
    before = selectors.CHAOS_SWITCHED()
    with transaction.atomic():
        outages.switch_chaos(on=True)
        assert selectors.CHAOS_SWITCHED() == before
    assert selectors.CHAOS_SWITCHED() != before


def test_an_order_that_chaos_strikes_fails_and_the_factory_is_not_asked(admin, diner, kitchen, dice, counted):
    switch(admin, "true")
    answer = diner.order(1)
    assert (answer.status_code, answer.json()["error"]) == (500, "Factory request failed")
    assert (Order.objects.get().reason, kitchen.asked) == (Reason.CHAOS, [])
    assert counted.grown()["factory_attempts_total chaos"] == 2


@pytest.mark.parametrize(("chance", "status"), [(0.0, 500), (0.49, 500), (0.5, 200), (0.99, 200)])
def test_it_strikes_every_second_call(admin, diner, kitchen, dice, chance, status):
    switch(admin, "true")
    dice.says = chance
    assert diner.order(1).status_code == status


def test_of_a_thousand_calls_it_strikes_about_half(demo, kitchen, monkeypatch, settings):
    settings.FACTORY_BREAKER_ENABLED, settings.FACTORY_ATTEMPTS = False, 1
    fresh_process()
    monkeypatch.setattr(gateway, "random", Random(329))
    for number in range(1000):
        with gateway.admit() as admission:
            try:
                gateway.make_pizza({"diner": {"id": 1}, "order": {"id": number}}, admission=admission, chaos=True)
            except gateway.Chaos:
                continue
    assert 450 <= len(kitchen.asked) <= 550


def test_it_goes_through_the_guard_as_real_failures_do(admin, diner, kitchen, dice):
    switch(admin, "true")
    assert [diner.order(1).status_code for _ in range(4)] == [500, 500, 500, 503]
    assert (gateway.circuit().state, kitchen.asked) == ("open", [])


def test_switched_off_it_strikes_nobody(admin, diner, kitchen, dice):
    switch(admin, "true")
    switch(admin, "false")
    assert diner.order(1).status_code == 200


def test_each_turn_of_the_switch_is_a_warning_in_the_log(admin, clock, caplog):
    switch(admin, "true")
    switch(admin, "false")
    said = [record.message for record in caplog.records if record.levelno == logging.WARNING]
    assert said == ["chaos is switched on", "chaos is switched off"]


# --- the circuit of each worker -------------------------------------------------------------------


@pytest.fixture
def row(demo, clock):
    """Reports, and returns what is in the books of this worker."""

    def row():
        outages.report_circuit()
        return WorkerCircuit.objects.annotate(now=Now()).get(worker=outages.WORKER)

    return row


def an_hour_ago():
    WorkerCircuit.objects.update(since=timezone.now() - timedelta(hours=1))


def is_recent(moment, row):
    return abs((row.now - moment).total_seconds()) < 5


def test_a_worker_whose_circuit_is_closed_says_so(row):
    told = row()
    assert (told.state, told.open_until) == ("closed", None)
    assert is_recent(told.told_at, told)
    assert is_recent(told.since, told)


def test_one_whose_circuit_is_open_says_until_when(row, clock):
    open_circuit()
    clock.now += 3
    told = row()
    assert told.state == "open"
    assert (told.open_until - told.now).total_seconds() == pytest.approx(7, abs=2)


def test_one_whose_circuit_is_half_open_refuses_nobody_for_certain(row, clock):
    half_open_circuit(clock)
    with gateway.admit():
        told = row()
    assert (told.state, told.open_until) == ("half-open", None)


def test_one_whose_factory_wants_none_for_a_while_refuses_orders_with_its_circuit_closed(row):
    gateway.GUARD.bulkhead.close(20)
    told = row()
    assert told.state == "closed"
    assert (told.open_until - told.now).total_seconds() == pytest.approx(20, abs=2)


def test_since_when_it_is_closed_or_not_stays_while_it_does(row, clock):
    row()
    an_hour_ago()
    closed = row()
    assert not is_recent(closed.since, closed)
    assert is_recent(closed.told_at, closed)

    open_circuit()
    opened = row()
    assert is_recent(opened.since, opened)

    an_hour_ago()
    clock.now += 10
    with gateway.admit():
        half_open = row()
    assert (half_open.state, is_recent(half_open.since, half_open)) == ("half-open", False)

    open_circuit()  # again
    opened_again = row()
    assert (opened_again.state, is_recent(opened_again.since, opened_again)) == ("open", False)


def test_it_changes_when_the_circuit_closes(row, clock):
    half_open_circuit(clock)
    row()
    an_hour_ago()
    for _ in range(2):
        with gateway.admit() as admission:
            admission.call(lambda _: "pizza")
    told = row()
    assert (told.state, is_recent(told.since, told)) == ("closed", True)


def told(state, *, worker="another", ago=0.0, left=None, since=0.0):
    """What some worker told of its circuit; all in seconds."""
    WorkerCircuit.objects.create(
        worker=worker,
        state=state,
        since=from_now(-since),
        told_at=from_now(-ago),
        open_until=None if left is None else from_now(left),
    )


def test_who_told_nothing_for_half_a_minute_is_forgotten(row):
    told("open", worker="gone", ago=31, left=100)
    told("open", worker="late", ago=20, left=100)
    assert [circuit.state for circuit in selectors.CIRCUITS()] == ["open"]
    row()
    assert set(WorkerCircuit.objects.values_list("worker", flat=True)) == {"late", outages.WORKER}


def test_one_that_was_killed_on_this_machine_is_forgotten_at_once(db):
    process = subprocess.Popen([sys.executable, "-c", ""])
    process.wait()
    elsewhere = f"another-machine.{process.pid}.123456"
    for worker in (f"{outages.MACHINE}.{process.pid}.123456", elsewhere):
        WorkerCircuit.objects.create(worker=worker, state="open")
    outages.report_circuit()
    assert set(WorkerCircuit.objects.values_list("worker", flat=True)) == {elsewhere, outages.WORKER}


def test_a_worker_that_comes_back_after_that_long_begins_anew(row):
    row()
    WorkerCircuit.objects.update(told_at=from_now(-60))
    assert selectors.CIRCUITS() == []
    row()
    selectors.CIRCUITS._known = None
    assert [circuit.state for circuit in selectors.CIRCUITS()] == ["closed"]


class Changed:
    """In place of `gateway.CHANGED`: wakes the reporter as often as it is told, and then has it end."""

    class End(Exception):
        """The thread is no longer needed."""

    def __init__(self, times):
        self.times, self.waited, self.cleared = times, [], 0

    def clear(self):
        self.cleared += 1

    def wait(self, seconds):
        self.waited.append(seconds)
        if len(self.waited) == self.times:
            raise self.End


def test_a_worker_reports_at_each_change_and_every_10_seconds(demo, clock, monkeypatch):
    changed, reports = Changed(times=3), []
    monkeypatch.setattr(gateway, "CHANGED", changed)
    monkeypatch.setattr(outages, "report_circuit", lambda: reports.append(changed.cleared))
    with pytest.raises(Changed.End):
        outages.keep_reporting()
    assert changed.waited == [10.0] * 3
    assert reports == [1, 2, 3], "what changes while it reports is told, too"


def test_a_change_of_the_circuit_wakes_who_reports_it(demo, clock):
    gateway.CHANGED.clear()
    open_circuit()
    assert gateway.CHANGED.is_set()


@pytest.mark.parametrize("gone", [OperationalError("gone"), InterfaceError("gone"), ZeroDivisionError()], ids=repr)
def test_it_goes_on_when_the_database_is_gone_for_a_while(demo, monkeypatch, gone):
    def report():
        reports.append("tried")
        if len(reports) == 1:
            raise gone

    reports = []
    monkeypatch.setattr(gateway, "CHANGED", Changed(times=2))
    monkeypatch.setattr(outages, "report_circuit", report)
    with pytest.raises(Changed.End):
        outages.keep_reporting()
    assert len(reports) == 2


def test_what_it_reported_on_is_given_back_each_time_for_it_may_have_broken_in_hand(demo, monkeypatch):
    def report():
        raise OperationalError("gone")

    given_back = []
    monkeypatch.setattr(gateway, "CHANGED", Changed(times=2))
    monkeypatch.setattr(outages, "report_circuit", report)
    monkeypatch.setattr(outages.connection, "close", lambda: given_back.append(True))
    with pytest.raises(Changed.End):
        outages.keep_reporting()
    assert len(given_back) == 2


# --- the canary -----------------------------------------------------------------------------------


def flown():
    """What came of a canary, by the books."""
    outages.fly_canary()
    canary = Canary.objects.annotate(now=Now()).get()
    assert is_recent(canary.flown_at, canary)
    return canary.outcome, canary.well, canary.seconds


def test_a_canary_that_comes_back_in_time_is_well(demo, kitchen):
    kitchen.does(seconds=2.9)
    assert flown() == ("ok", True, 2.9)
    assert not SupportLink.objects.exists()


def test_one_for_which_a_diner_would_have_waited_in_vain_is_not(demo, kitchen, diner):
    """Each pizza takes 4 s: within the deadline, but a diner's attempt is given up after 3 without a byte."""
    kitchen.does(seconds=4)
    assert diner.order(1).status_code == 504
    assert flown() == ("timeout", False, 3.0)


def test_one_failure_that_passes_costs_no_diner_an_order_and_no_canary(demo, kitchen, diner):
    for _ in range(2):
        kitchen.does(ServerError("no"), None)
        assert diner.order(1).status_code == 200
        kitchen.does(ServerError("no"), None)
        assert flown()[:2] == ("ok", True)
    assert len(set(kitchen.ids)) == 4


@pytest.mark.parametrize(
    ("failure", "seconds", "attempts"),
    [(ServerError, 0, 2), (Unreachable, 2.0, 2), (ServerError, 2.1, 1), (BadJwt, 0, 1), (Rejected, 0, 1)],
)
def test_it_is_tried_again_where_a_diners_call_is(demo, kitchen, failure, seconds, attempts):
    kitchen.does(failure("no"), seconds=seconds)
    assert not flown()[1]
    assert len(kitchen.asked) == attempts


def test_it_is_a_pizza_for_nobody_and_on_no_book(demo, kitchen, counted):
    outages.fly_canary()
    [payload] = kitchen.asked
    assert payload["diner"]["id"] == payload["order"]["id"]
    assert payload["diner"]["id"].startswith("canary-")
    assert payload["order"]["items"] == [{"menuId": 0, "description": "Canary", "price": 0}]
    assert (Order.objects.count(), counted.grown()) == (0, {})


def test_each_has_an_id_of_its_own(demo, kitchen):
    outages.fly_canary()
    outages.fly_canary()
    assert len(set(kitchen.ids)) == 2


@pytest.mark.parametrize("failure", [ServerError, BadJwt, TooSlow])
def test_one_that_fails_leaves_the_link_and_a_warning(demo, kitchen, caplog, failure):
    kitchen.does(failure("no", support_link=LINK), seconds=2.5)
    assert flown() == (failure.reason, False, 2.5)
    assert SupportLink.objects.get().link == LINK
    warning, *_ = caplog.records
    assert (warning.levelno, warning.data["outcome"]) == (logging.WARNING, failure.reason)


def test_its_line_in_the_log_has_what_an_orders_has(demo, kitchen, diner, caplog):
    caplog.set_level(logging.INFO)
    diner.order(1)
    outages.fly_canary()
    kitchen.does(BadJwt("no", support_link=LINK))
    outages.fly_canary()
    sale, good, bad = (record.data for record in caplog.records if "attempt" in getattr(record, "data", {}))
    assert set(sale) == set(good) == set(bad)
    assert good["orderId"].startswith("canary-")
    assert bad["reportUrl"] == LINK


def test_one_that_is_late_is_told_of_before_its_link_is_there(demo, kitchen):
    """A throttled factory gives its link with the pizza, after 32 s."""
    told = []
    kitchen.does(lambda _: told.extend(Canary.objects.values_list("outcome", "well")), seconds=32)
    assert flown() == ("timeout", False, 3.0)
    assert told == [("timeout", False)]
    assert (kitchen.patience, SupportLink.objects.get().link) == ([0.0, 40.0], LINK)


@pytest.mark.parametrize(("outcome", "seconds"), [(None, 41), (ServerError("no"), 32)])
def test_one_that_never_comes_leaves_none(demo, kitchen, outcome, seconds):
    kitchen.does(outcome, seconds=seconds)
    assert flown() == ("timeout", False, 3.0)
    assert not SupportLink.objects.exists()


def test_one_that_fails_without_a_link_leaves_none(demo, kitchen):
    kitchen.does(Unreachable("gone"))
    assert flown() == ("unreachable", False, 0.0)
    assert not SupportLink.objects.exists()


def test_it_flies_while_the_circuit_is_open_and_all_places_are_taken(demo, kitchen, settings):
    settings.FACTORY_PLACES, settings.FACTORY_QUEUE = 1, 0
    fresh_process()
    with gateway.admit():
        open_circuit()
        assert flown() == ("ok", True, 0.0)


def test_it_does_not_move_the_circuit(demo, kitchen):
    kitchen.does(TooSlow("late"))
    for _ in range(12):
        outages.fly_canary()
    assert gateway.circuit().state == "closed"
    assert gateway.GUARD.breaker._window.calls == 0


def test_it_closes_no_circuit_either(demo, kitchen, clock):
    half_open_circuit(clock)
    for _ in range(5):
        outages.fly_canary()
    assert gateway.circuit().state != "closed"


def test_chaos_does_not_strike_it(admin, kitchen, dice):
    switch(admin, "true")
    assert flown() == ("ok", True, 0.0)


@pytest.mark.parametrize(("ago", "known"), [(3 * 60 + 35, True), (3 * 60 + 45, False)])
def test_what_came_of_one_is_known_for_three_of_its_periods_and_the_time_it_may_take(demo, kitchen, ago, known):
    flown()
    Canary.objects.update(flown_at=from_now(-ago))
    assert (selectors.CANARY() is not None) == known


def test_of_two_canaries_the_last_counts(demo, kitchen):
    kitchen.does(TooSlow("late"), None)
    assert [flown()[0], flown()[0]] == ["timeout", "ok"]
    assert Canary.objects.count() == 1
