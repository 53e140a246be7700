"""Every figure of an incident, from orders and events that are dated."""

from datetime import timedelta
from decimal import Decimal
from itertools import pairwise

import pytest
from django.db import connection
from django.test.utils import CaptureQueriesContext

from jwtpizza.incidents.models import Kind
from jwtpizza.incidents.selectors.facts import Success, Traffic, Transition, counts, facts
from jwtpizza.incidents.selectors.facts.spans import MOST, course
from jwtpizza.incidents.services.reports import report
from jwtpizza.observability import traffic
from tests.incidents.stage import PRICE, at, one_order, the_outage

MINUTE = 60
HOUR = 60 * MINUTE


def seconds(duration):
    return duration.total_seconds()


# --- what was lost --------------------------------------------------------------------------------


def test_the_outage_is_told_as_it_was(stage):
    known = facts(the_outage(stage))
    assert (known.first_failure, known.last_failure, known.until) == (at(0), at(175), at(623))
    assert seconds(known.duration) == 175
    assert (known.failed, known.refused, known.broken, known.promised, known.made) == (4, 0, 0, 0, 0)
    assert (known.asked, known.diners, known.not_taken) == (4, 4, 4 * PRICE)
    assert known.failures == {"server_error": 4}
    assert known.canaries == {"server_error": 3}
    assert known.canary_failed_at == at(20)
    assert known.success is not None
    assert known.success.at == at(323)
    assert seconds(known.longest_without) == 175


def test_what_was_before_and_after_is_no_part_of_it(stage):
    stage.failed(-1)
    stage.refused(-1)
    stage.failed(0)
    incident = stage.incident(closed=300)
    stage.failed(301)
    stage.canary(301, "timeout")
    known = facts(incident)
    assert (known.failed, known.refused, known.canaries) == (1, 0, {})


def test_a_failure_whose_journal_came_after_the_close_is_taken_in(stage):
    stage.failed(0)
    incident = stage.incident(closed=310)
    stage.refused(200)
    known = facts(incident)
    assert (known.refused, known.last_failure) == (1, at(200))


def test_an_order_called_off_with_its_diners_account_is_no_failure(stage):
    stage.failed(0)
    stage.failed(1, "diner_deleted")
    known = facts(stage.incident(closed=300))
    assert (known.failed, known.last_failure) == (1, at(0))
    assert sum(span.failed for span in known.spans) == 1


def test_reasons_are_counted_apart(stage):
    stage.failed(0, "timeout")
    stage.failed(5, "timeout")
    stage.failed(3, "bad_jwt")
    stage.refused(6, "open", count=3, total=3 * PRICE)
    stage.refused(7, "bulkhead")
    stage.broken(8, "KeyError")
    stage.broken(9)
    known = facts(stage.incident(last=9, closed=309))
    assert known.failures == {"timeout": 2, "bad_jwt": 1}
    assert known.began == {"timeout": at(0), "bad_jwt": at(3)}
    assert known.refusals == {"open": 3, "bulkhead": 1}
    assert known.breakages == {"KeyError": 1, "OperationalError": 1}
    assert (known.failed, known.refused, known.broken, known.asked) == (3, 4, 2, 9)
    assert known.not_taken == 7 * PRICE
    assert (known.first_refused_at, known.first_broken_at, known.last_failed_at) == (at(6), at(8), at(9))


def test_a_diner_who_failed_and_was_refused_is_one(stage):
    ann, bob = stage.person("Ann"), stage.person("Bob")
    for diner in (ann, bob):
        stage.failed(0, diner=diner)
        stage.refused(1, diner=diner)
    stage.refused(2, diner=None)
    assert facts(stage.incident(last=2, closed=302)).diners == 2


def test_an_undecided_order_stands_in_the_books_and_is_no_broken_one(stage):
    stage.failed(0)
    stage.broken(0, "Undecided", diner=stage.diner, total=PRICE)
    stage.broken(1)
    known = facts(stage.incident(last=1, closed=301))
    assert (known.undecided, known.broken, known.breakages, known.asked) == (1, 1, {"OperationalError": 1}, 2)
    assert known.not_taken == PRICE


def test_whose_order_was_broken_is_hit_and_what_it_would_have_cost_is_not_taken(stage):
    stage.broken(0, diner=stage.diner, total=PRICE)
    stage.broken(1, diner=stage.person("Ann"), total=2 * PRICE)
    stage.broken(2)
    known = facts(stage.incident(last=2, closed=302))
    assert (known.diners, known.not_taken, known.nameless) == (2, 3 * PRICE, 1)


def test_what_could_not_be_noted_is_counted(stage):
    stage.failed(0)
    stage.event(1, "dropped", count=7)
    stage.event(2, "dropped", count=5)
    known = facts(stage.incident(last=2, closed=302))
    assert (known.dropped, known.asked) == (12, 1)


def test_made_are_those_between_the_first_failure_and_the_last(stage):
    for when in (-1, 0, 5, 10, 11):
        stage.made(when)
    stage.failed(0)
    stage.failed(10)
    known = facts(stage.incident(last=10, closed=311))
    assert (known.made, known.asked) == (3, 5)


@pytest.mark.parametrize(("last", "lately"), [(10, 4), (290, 4), (291, 3), (400, 3)])
def test_of_a_short_incident_those_of_five_minutes_are_known_too(stage, last, lately):
    for when in (-291, -10, 0, 5, 10):
        stage.made(when)
    stage.refused(0)
    stage.refused(last)
    assert facts(stage.incident(last=last, closed=last + 300)).made_lately == lately


@pytest.mark.parametrize(
    ("first", "opener"),
    [
        (lambda stage: stage.failed(0), "order"),
        (lambda stage: stage.refused(0), "refused"),
        (lambda stage: stage.broken(0), "broken"),
        (lambda stage: stage.promised(0), "promised"),
        (lambda stage: stage.canary(0, "timeout"), "canary"),
    ],
    ids=["order", "refused", "broken", "promised", "canary"],
)
def test_it_says_what_it_was_opened_by(stage, first, opener):
    first(stage)
    stage.failed(1)
    stage.canary(1, "timeout")
    assert facts(stage.incident(last=1, closed=301)).opened_by == opener


def test_the_first_hundred_lost_orders_are_told_each(stage):
    stage.many_failed(range(0, 120, 2))
    stage.refused(1, count=30)
    stage.broken(3)
    known = facts(stage.incident(last=118, closed=418))
    assert known.lost_at == sorted([*map(at, range(0, 120, 2)), *[at(1)] * 30, at(3)])
    stage.refused(4, count=500)
    assert len(facts(known.incident).lost_at) == 100


def test_an_order_that_was_left_undecided_was_lost_when_its_diner_was_told_and_not_once_more(stage):
    orders = [stage.failed(seconds, "abandoned").pk for seconds in (30, 35, 40)]
    stage.broken(0, "Undecided", detail={"orders": orders[:1]})
    stage.broken(5, "Undecided", detail={"orders": orders[1:2]})
    known = facts(stage.incident(last=40, closed=340))
    assert known.lost_at == [at(0), at(5), at(40)]


# --- promises -------------------------------------------------------------------------------------


def test_promised_orders_are_counted_with_what_became_of_them(stage):
    stage.promised(0, made=400)
    stage.promised(1, made=500)
    stage.promised(2)
    known = facts(stage.incident(last=2, closed=700))
    assert (known.promised, known.made_later, known.still_pending, known.all_made_at) == (3, 2, 1, None)
    assert (known.failed, known.made, known.asked) == (0, 0, 3)


def test_the_last_of_them_is_told_once_all_are_made(stage):
    stage.promised(0, made=400)
    stage.promised(1, made=900)
    assert facts(stage.incident(last=1, closed=700)).all_made_at == at(900)


def test_a_promise_that_failed_in_the_end_is_one_order(stage):
    stage.event(0, Kind.PROMISED)
    stage.failed(100, "rejected", promised=True, created_at=at(0))
    known = facts(stage.incident(last=100, closed=400))
    assert (known.promised, known.failed, known.given_up, known.asked) == (1, 1, 1, 1)


def test_a_promise_of_an_earlier_incident_that_failed_in_this_one_was_not_asked_for_in_it(stage):
    stage.failed(0, "rejected", promised=True, created_at=at(-HOUR))
    known = facts(stage.incident(closed=300))
    assert (known.promised, known.failed, known.given_up, known.asked) == (0, 1, 1, 0)


def test_a_promise_that_ran_out_is_no_end_of_a_process(stage):
    stage.failed(0, "abandoned", promised=True, created_at=at(-24 * HOUR))
    stage.failed(1, "abandoned")
    known = facts(stage.incident(last=1, closed=301))
    assert known.failures == {"given_up": 1, "abandoned": 1}
    assert (known.began, known.at_once) == ({"given_up": at(0), "abandoned": at(1)}, {"given_up": 0, "abandoned": 1})


def test_when_the_first_order_was_promised_is_known(stage):
    stage.failed(0)
    for when in (9, 5):
        stage.promised(when)
    assert facts(stage.incident(last=9)).first_promised_at == at(5)


def test_an_order_that_waited_for_its_promise_was_placed_before_the_first_failure(stage):
    stage.event(0, Kind.PROMISED)
    stage.made(100, promised=True, created_at=at(-5))
    assert facts(stage.incident(closed=400)).promised == 1


def test_a_promise_of_the_incident_before_is_that_ones(stage):
    stage.promised(-50, made=-20)
    stage.incident(-50, -45, closed=-10)
    stage.failed(0)
    assert facts(stage.incident(closed=300)).promised == 0


def test_of_two_incidents_one_has_the_order_that_was_placed_between_them(stage):
    stage.failed(-50)
    earlier = stage.incident(-50, -45, closed=-10)
    stage.event(0, Kind.PROMISED)
    stage.made(100, promised=True, created_at=at(-15))
    later = stage.incident(closed=400)
    assert [facts(earlier).promised, facts(later).promised] == [0, 1]


def test_an_order_that_was_placed_with_its_incidents_last_promise_is_that_ones(stage):
    """A promise is noted with microseconds, and SQLite's clock rounds to whole milliseconds."""
    stage.event(-45.0004, Kind.PROMISED)
    stage.made(-20, promised=True, created_at=at(-45))
    earlier = stage.incident(-50, -45.0004, closed=-10)
    stage.failed(0)
    later = stage.incident(closed=300)
    assert [facts(earlier).promised, facts(later).promised] == [1, 0]


# --- the first success, and for how long there was none -----------------------------------------------


def test_the_first_success_is_an_order_or_a_canary(stage):
    stage.failed(0)
    incident = stage.incident()
    assert facts(incident).success is None
    stage.canary(60)
    assert facts(incident).success == Success(at(60), None)
    order = stage.made(50)
    assert facts(incident).success == Success(at(50), order.pk)


def test_silence_after_the_last_failure_is_no_time_in_which_nothing_could_be_made(stage):
    stage.failed(0)
    stage.failed(60)
    stage.made(HOUR)
    assert seconds(facts(stage.incident(last=60)).longest_without) == 60


@pytest.mark.parametrize(
    ("made", "flown", "longest"),
    [
        ([], [30], 70),
        ([10, 100], [], 90),
        ([10, 100], [20, 80], 60),
        ([20, 30], [100], 70),
        ([100], [40, 70], 40),
        ([], [], 100),
    ],
    ids=["canary", "between orders", "canaries between", "before the success", "before the first order", "none"],
)
def test_the_longest_time_in_which_nothing_was_made(stage, made, flown, longest):
    for when in made:
        stage.made(when)
    for when in flown:
        stage.canary(when)
    start, end = counts.longest_without(at(0), at(100), canaries=True)
    assert seconds(end - start) == longest


def test_a_quarter_of_an_hour_is_found_among_many_orders(stage, monkeypatch):
    monkeypatch.setattr(counts, "MOST_GAPS", 2)
    for when in [*range(0, HOUR, 10), *range(HOUR + 16 * MINUTE, 2 * HOUR, 10)]:
        stage.made(when)
    gap = counts.longest_without(at(0), at(2 * HOUR), canaries=True)
    assert gap == (at(HOUR - 10), at(HOUR + 16 * MINUTE))


def test_a_canary_in_it_makes_it_two(stage):
    for when in (0, 20 * MINUTE):
        stage.made(when)
    stage.canary(8 * MINUTE)
    gap = counts.longest_without(at(0), at(20 * MINUTE), canaries=True)
    assert gap == (at(8 * MINUTE), at(20 * MINUTE))


@pytest.mark.parametrize("error", ["OperationalError", "Undecided"])
def test_a_canary_says_nothing_of_our_own_database(stage, error):
    stage.failed(0)
    stage.canary(10)
    stage.failed(20)
    incident = stage.incident(last=20, closed=320)
    assert seconds(facts(incident).longest_without) == 10
    stage.broken(5, error)
    assert seconds(facts(incident).longest_without) == 20


def test_the_failures_of_the_longest_time_are_counted(stage):
    for when in (0, 1, 10):
        stage.failed(when)
    stage.refused(7, count=10)
    stage.canary(8, "timeout")
    stage.circuit(9, "closed", "open")
    stage.made(4)
    known = facts(stage.incident(last=10, closed=310))
    assert (seconds(known.longest_without), known.failures_without) == (6, 3)


# --- what happened meanwhile ----------------------------------------------------------------------


def test_transitions_are_told_in_their_order(stage):
    stage.failed(0)
    stage.circuit(2, "closed", "open")
    stage.circuit(12, "open", "half-open")
    known = facts(stage.incident(closed=300))
    assert known.transitions == [Transition(at(2), "closed", "open"), Transition(at(12), "open", "half-open")]


def test_a_circuit_that_opened_before_the_first_order_was_booked_as_refused_is_one_of_them(stage):
    stage.circuit(-0.9, "closed", "open")
    stage.circuit(-30, "half-open", "closed")
    stage.refused(0)
    known = facts(stage.incident(closed=300))
    assert (known.transitions, known.circuits) == ([Transition(at(-0.9), "closed", "open")], {"open": 1})


def test_a_circuit_that_opened_in_the_incident_before_is_not(stage):
    stage.circuit(-0.9, "closed", "open")
    stage.incident(-50, -45, closed=-0.5)
    stage.refused(0)
    assert facts(stage.incident(closed=300)).transitions == []


def test_of_thousands_the_first_are_told_and_all_are_counted(stage):
    stage.failed(0)
    for when in range(250):
        stage.circuit(when, "closed", "open")
    known = facts(stage.incident(closed=300))
    assert (len(known.transitions), known.circuits) == (200, {"open": 250})


def test_retries_that_no_budget_was_left_for_are_counted(stage):
    stage.failed(0)
    stage.retry_denied(1)
    stage.retry_denied(2)
    assert facts(stage.incident(closed=300)).retries_denied == 2


def test_calls_are_summed_from_the_span_of_the_first_failure_to_that_of_the_last(stage):
    stage.failed(0)
    stage.failed(30)
    for when in (-10, -9, 1, 30, 31):
        stage.calls(when, "menu", 10, failed=1)
    stage.calls(5, "login", 3)
    known = facts(stage.incident(last=30, closed=330))
    assert known.traffic == [Traffic("menu", 30, 3), Traffic("login", 3, 0), Traffic("franchises", 0, 0)]


def test_each_kind_of_call_that_is_watched_is_told(stage):
    known = facts(one_order(stage))
    assert {row.name for row in known.traffic} == set(traffic._watched.values())


def test_a_link_is_masked_and_its_follower_has_no_name(stage):
    stage.failed(0)
    stage.link(1, code="a", followed=60, answer="the factory answered 200 for /api/support/our-key/report/a")
    stage.link(2, code="b", followed=70, followed_by=stage.admin)
    stage.link(3, code="c")
    worker, admin, nobody = facts(stage.incident(closed=300)).links
    assert worker.masked == "https://factory.example/api/support/***/report/a"
    assert (worker.by, worker.answer) == ("the worker", "the factory answered 200 for /api/support/***/report/a")
    assert admin.by == f"user {stage.admin.pk}, an admin"
    assert (nobody.by, nobody.followed_at) == ("", None)


def test_who_could_not_follow_a_link_is_told(stage):
    stage.failed(0)
    stage.link(1, answer="the factory answered 500")
    [link] = facts(stage.incident(closed=300)).links
    assert (link.by, link.followed_at, link.answer) == ("the worker", None, "the factory answered 500")


def test_of_a_thousand_links_all_are_counted_and_those_that_were_followed_are_told(stage):
    stage.failed(0)
    for number in range(50):
        stage.link(1 + number, code=str(number))
    followed = stage.link(60, code="followed", followed=61)
    known = facts(stage.incident(closed=300))
    assert (known.links_seen, known.links_followed, len(known.links)) == (51, 1, 20)
    assert known.links[-1].pk == followed.pk
    assert [link.seen_at for link in known.links[:19]] == [at(1 + number) for number in range(19)]
    assert (known.first_link_at, known.first_followed_at) == (at(1), at(61))


def test_a_link_of_the_incident_before_is_that_ones(stage):
    stage.link(-30)
    stage.incident(-40, -35, closed=-20)
    stage.failed(0)
    assert facts(stage.incident(closed=300)).links == []


def test_chaos_may_have_been_switched_on_before(stage):
    stage.chaos(-16 * MINUTE, "on")
    stage.chaos(-30, "on")
    stage.failed(0, "chaos")
    stage.chaos(50, "off")
    known = facts(stage.incident(closed=350))
    assert [(switch.at, switch.state) for switch in known.switches] == [(at(-30), "on"), (at(50), "off")]


# --- starts ---------------------------------------------------------------------------------------


def test_a_start_tells_what_is_different_from_the_one_before_of_its_role(stage):
    stage.started(-5 * HOUR, "web", release="r1", FACTORY_PLACES=8, LOG_LEVEL="INFO")
    stage.started(-5 * HOUR, "worker", release="r0", FACTORY_PLACES=4)
    stage.started(-10 * MINUTE, "web", release="r2", FACTORY_PLACES=2, LOG_LEVEL="INFO")
    stage.started(-10 * MINUTE, "web", release="r2", FACTORY_PLACES=2, LOG_LEVEL="INFO")
    stage.started(-9 * MINUTE, "worker", release="r0", FACTORY_PLACES=4)
    stage.failed(0)
    first, second, worker = facts(stage.incident(closed=300)).starts
    assert (first.at, first.role, first.release) == (at(-10 * MINUTE), "web", "r2")
    assert first.changes == {"RELEASE": ["r1", "r2"], "FACTORY_PLACES": [8, 2]}
    assert (second.changes, worker.changes) == ({}, {})


def test_what_is_a_copys_own_is_no_change(stage):
    for number in (1, 2):
        own = {"RUN_DIR": f"/run/{number}", "PROMETHEUS_MULTIPROC_DIR": f"/metrics/{number}"}
        own |= {"WORKER_METRICS_HOST": f"10.0.0.{number}", "WORKER_METRICS_PORT": 9100 + number}
        stage.started(-MINUTE + number, "worker", release="r1", FACTORY_PLACES=8, **own)
    stage.failed(0)
    first, second = facts(stage.incident(closed=300)).starts
    assert (first.changes, second.changes) == ({"RELEASE": [None, "r1"]}, {})


def test_of_a_text_it_is_only_told_that_it_changed(stage):
    texts = {"FACTORY_URL": "digest 0123456789ab", "LOKI_URL": "digest 0123456789ab", "LOKI_USER": ""}
    stage.started(-HOUR, **texts)
    stage.started(-MINUTE, FACTORY_URL="digest ba9876543210", LOKI_URL="", LOKI_USER="digest 0123456789ab")
    stage.failed(0)
    [start] = facts(stage.incident(closed=300)).starts
    assert start.changes == {
        "FACTORY_URL": ["***", "*** (changed)"],
        "LOKI_URL": ["***", ""],
        "LOKI_USER": ["", "***"],
    }


def test_of_another_secret_key_other_digests_follow_and_are_not_told(stage):
    old = {
        "SECRET_KEY": "digest 0123456789ab",
        "FACTORY_URL": "digest 0123456789ab",
        "FACTORY_PLACES": 8,
        "LOKI_URL": "",
    }
    new = {name: value.replace("0123", "ba98") if isinstance(value, str) else value for name, value in old.items()}
    stage.started(-HOUR, **old)
    stage.started(-MINUTE, **new | {"FACTORY_PLACES": 2, "LOKI_URL": "digest 0123456789ab"})
    stage.failed(0)
    [start] = facts(stage.incident(closed=300)).starts
    assert start.changes == {
        "SECRET_KEY": ["***", "*** (changed)"],
        "FACTORY_PLACES": [8, 2],
        "LOKI_URL": ["", "***"],
    }


def test_the_first_start_that_is_known_follows_none(stage):
    stage.started(-MINUTE, release="r1", FACTORY_PLACES=8)
    stage.failed(0)
    [start] = facts(stage.incident(closed=300)).starts
    assert start.changes == {"RELEASE": [None, "r1"]}


def test_of_a_crash_loop_the_first_hundred_starts_are_told_and_those_with_another_release(stage):
    stage.started(-HOUR, release="r1")
    for when in range(250):
        stage.started(when, release="r1")
    stage.started(300, release="r2")
    stage.failed(0)
    told = facts(stage.incident(closed=600)).starts
    assert [start.at for start in told] == [*map(at, range(100)), at(300)]
    assert told[-1].changes == {"RELEASE": ["r1", "r2"]}


def test_of_endless_changes_the_first_hundred_are_told(stage):
    for when in range(120):
        stage.started(when, release=f"r{when}")
    stage.failed(0)
    assert [start.at for start in facts(stage.incident(closed=600)).starts] == [*map(at, range(100))]


def test_a_start_more_than_half_an_hour_before_is_not_told(stage):
    stage.started(-31 * MINUTE)
    stage.failed(0)
    assert facts(stage.incident(closed=300)).starts == []


# --- the course -----------------------------------------------------------------------------------


def test_spans_tell_what_was_decided_in_each_and_how_long_it_took(stage):
    stage.made(-20, took=0.2)
    stage.made(-20, took=0.4)
    stage.failed(0, took=1)
    stage.refused(1, count=3)
    stage.broken(1, count=2)
    stage.broken(1, "Undecided")
    stage.failed(2, took=3)
    stage.made(1, took=5)
    stage.failed(1, "abandoned", took=60)
    stage.failed(1, "rejected", promised=True, created_at=at(-9000))
    stage.made(20, took=2)
    stage.promised(1, made=21)
    known = facts(stage.incident(last=2, closed=302))
    told = {span.start: span[1:] for span in known.spans if any(span[1:4])}
    assert known.span == timedelta(seconds=5)
    assert told == {
        at(-22): (2, 0, 0, 0, pytest.approx(0.3), pytest.approx(0.4)),
        at(-2): (1, 4, 3, 2, pytest.approx(3), pytest.approx(5)),
        at(18): (2, 0, 0, 0, 2.0, 2.0),
    }


def test_an_order_that_a_crash_left_and_somebody_resumed_made_nobody_wait_so_long(stage, settings):
    settings.ORDER_LEASE = 30
    stage.failed(0, took=2)
    stage.made(0, took=29)
    stage.made(0, took=31)
    [span] = [span for span in facts(stage.incident()).spans if span.made]
    assert (span.made, span.mean, span.slowest) == (2, pytest.approx(15.5), pytest.approx(29))


def test_spans_follow_one_another_and_miss_none(stage):
    stage.many_failed(range(0, 175, 5))
    stage.many_refused(range(0, 175, 7))
    known = facts(stage.incident(last=170, closed=475))
    starts = [span.start for span in known.spans]
    assert {later - start for start, later in pairwise(starts)} == {known.span}
    assert sum(span.failed for span in known.spans) == known.failed
    assert sum(span.refused for span in known.spans) == known.refused


@pytest.mark.parametrize("lasted", [0, 1, 9, 59, 175, 600, HOUR, 10 * HOUR, 30 * 24 * HOUR])
def test_there_are_thirty_spans_at_most_that_begin_before_it(lasted):
    told = course(at(0), at(lasted), at(2 * lasted + HOUR))
    assert 5 <= len(told.starts) <= MOST
    assert told.starts[0] < at(-20)
    assert told.starts[-1] < told.end <= told.starts[-1] + told.length
    assert told.end == at(lasted + max(60, lasted / 5))
    assert seconds(told.starts[0] - at(0)) % 1 == 0


def test_what_is_still_to_come_is_not_drawn():
    assert course(at(0), at(100), at(101)).end == at(101)


# --- answers --------------------------------------------------------------------------------------


def test_there_is_an_answer_of_each_kind(stage):
    stage.failed(2, "timeout")
    order = stage.failed(1, "bad_jwt")
    stage.failed(0)
    stage.refused(3, count=2)
    stage.broken(4)
    stage.broken(4, "Undecided")
    stage.failed(4, "abandoned")
    told = facts(stage.incident(last=4, closed=304)).examples
    assert [example.status for example in told] == [504, 500, 503, 503, 503]
    assert told[1].order_id == order.pk
    assert told[2].body["message"].endswith("Please try again in *** seconds.")
    assert [example.body["error"] for example in told[3:]] == ["Service unavailable", "Order undecided"]
    assert {example.body["requestId"] for example in told} == {"***"}


@pytest.mark.parametrize(
    "lost",
    [
        lambda stage: stage.failed(1, "abandoned"),
        lambda stage: stage.failed(1, "rejected", promised=True, created_at=at(0)),
    ],
    ids=["abandoned", "promised"],
)
def test_who_was_not_answered_so_is_no_example(stage, lost):
    lost(stage)
    assert facts(stage.incident(1, 1)).examples == []


def test_an_example_is_of_an_order_that_was_not_promised(stage):
    stage.failed(1, "rejected", promised=True, created_at=at(0))
    order = stage.failed(2, "rejected")
    assert [example.order_id for example in facts(stage.incident(1, 2)).examples] == [order.pk]


def test_an_example_is_what_the_api_answers(demo, diner, factory, stage):
    factory.chaos("fail")
    answer = diner.order(1)
    [failed, *_] = facts(stage.incident(-HOUR * 24 * 3650)).examples
    assert answer.status_code == failed.status
    assert answer.json() | {"requestId": "***"} == failed.body


# --- what it costs --------------------------------------------------------------------------------


def costs(read):
    with CaptureQueriesContext(connection) as context:
        read()
    return len(context.captured_queries)


def test_ten_thousand_lost_orders_cost_as_many_queries_as_three(stage):
    stage.many_failed([0, 1])
    stage.many_refused([2])
    incident = stage.incident(last=2, closed=2000)
    few = costs(lambda: report(incident))
    stage.many_failed(n / 10 for n in range(10_000))
    stage.many_refused(n / 10 for n in range(10_000))
    assert costs(lambda: report(incident)) == few
    assert facts(incident).not_taken == Decimal(20_003) * PRICE
