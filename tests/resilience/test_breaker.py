import random
from contextlib import suppress
from itertools import count
from threading import Barrier, Event, Lock

import pybreaker
import pytest

from jwtpizza.resilience.breaker import Breaker, Health, Limits, Permit, Window
from jwtpizza.resilience.refused import Refused

from .kit import BOUND, Clock, aside, others_first, together

OK, FAILED, IGNORED = Health.OK, Health.FAILED, Health.IGNORED
LIMITS = Limits()
# Rates alone are judged where failures in a row are not the point.
RATES = Limits(failures_in_a_row=1000)
SLOW = 2.001


class Down(Exception):
    """The other side is ill."""


class OurMistake(Exception):
    """The other side is well; it did not like what it was asked."""


@pytest.fixture
def clock():
    return Clock()


def a_breaker(clock, limits=LIMITS, **how):
    """One that stays open for exactly as long as the table says, unless the test draws otherwise."""
    how = {"ignores": lambda error: isinstance(error, OurMistake), "jitter": lambda low, high: 1.0} | how
    return Breaker(limits, clock=clock, **how)


@pytest.fixture
def breaker(clock):
    return a_breaker(clock)


def report(breaker, health, times=1, *, seconds=0.0):
    for _ in range(times):
        breaker.settle(breaker.acquire(), health, seconds)


def refusal(breaker):
    with pytest.raises(Refused) as refused:
        breaker.acquire()
    return refused.value


def trip(breaker):
    report(breaker, FAILED, LIMITS.failures_in_a_row)
    assert breaker.current_state == "open"


def until_half_open(breaker, clock):
    clock.now += breaker.seconds_open


def half_opened(clock, **how):
    """A breaker that waits for its probes."""
    breaker = a_breaker(clock, **how)
    trip(breaker)
    until_half_open(breaker, clock)
    return breaker


# --- what is counted ------------------------------------------------------------------------------


def totals(window):
    return window.calls, window.failed, window.slow


def test_a_window_counts_calls_failures_and_slow_ones():
    window = Window(30)
    window.add(1000.0, failed=True, slow=False)
    window.add(1000.5, failed=False, slow=True)
    window.add(1001.0, failed=True, slow=True)
    window.add(1002.0, failed=False, slow=False)
    assert totals(window) == (4, 2, 2)


@pytest.mark.parametrize(
    ("later", "calls"), [(29.0, 2), (29.99, 2), (30.0, 1), (30.5, 1), (31.0, 1), (60.0, 1), (86_400.0, 1)]
)
def test_a_window_forgets_what_is_older_than_itself(later, calls):
    window = Window(30)
    window.add(1000.0, failed=True, slow=True)
    window.add(1000.0 + later, failed=False, slow=False)
    assert totals(window) == (calls, calls - 1, calls - 1)


def test_a_window_forgets_second_by_second():
    window = Window(30)
    for second in range(40):
        window.add(1000.0 + second, failed=second % 2 == 0, slow=second < 20)
    assert totals(window) == (30, 15, 10)


def test_a_windows_totals_are_right_after_a_long_pause():
    window = Window(30)
    for second in range(60):
        window.add(1000.0 + second, failed=True, slow=True)
    for tenth in range(5):
        window.add(9000.0 + tenth / 10, failed=tenth == 0, slow=False)
    assert totals(window) == (5, 1, 0)


def test_a_window_keeps_one_bucket_for_each_second_however_many_calls_there_are():
    window = Window(30)
    for call in range(100_000):
        window.add(1000.0 + call / 1000, failed=False, slow=False)
    assert len(window._buckets) == 30
    assert window.calls == 30_000


# --- when it opens --------------------------------------------------------------------------------


def test_it_begins_closed_and_lets_everyone_through(breaker):
    assert breaker.current_state == "closed"
    assert breaker.seconds_open == 0
    assert [breaker.acquire() for _ in range(100)] == [Permit(0, "closed")] * 100


def test_five_failures_in_a_row_open_it(breaker):
    report(breaker, OK, 100)
    report(breaker, FAILED, 4)
    assert breaker.current_state == "closed"
    report(breaker, FAILED)
    assert breaker.current_state == "open"


def test_failures_in_a_row_count_however_far_apart_they_are(breaker, clock):
    for _ in range(5):
        assert breaker.current_state == "closed"
        report(breaker, FAILED)
        clock.now += 3600
    assert breaker.current_state == "open"


@pytest.mark.parametrize("seconds", [0.0, SLOW])
def test_a_success_fast_or_slow_breaks_a_run_of_failures(breaker, clock, seconds):
    for _ in range(20):
        report(breaker, FAILED, 4)
        report(breaker, OK, seconds=seconds)
        clock.now += 31
    assert breaker.current_state == "closed"


def test_an_ignored_outcome_does_not_break_a_run_of_failures(breaker):
    report(breaker, FAILED, 4)
    report(breaker, IGNORED, 3, seconds=SLOW)
    report(breaker, FAILED)
    assert breaker.current_state == "open"


def test_ignored_outcomes_count_for_nothing(clock):
    breaker = a_breaker(clock, RATES)
    report(breaker, IGNORED, 1000, seconds=SLOW)
    report(breaker, FAILED, 9)
    assert breaker.current_state == "closed"


def test_ignored_outcomes_do_not_thin_out_failures(clock):
    breaker = a_breaker(clock, RATES)
    report(breaker, FAILED, 5)
    report(breaker, IGNORED, 100)
    report(breaker, OK, 5)
    assert breaker.current_state == "open"


def test_half_of_ten_calls_failing_opens_it(clock):
    breaker = a_breaker(clock, RATES)
    report(breaker, OK, 5)
    report(breaker, FAILED, 4)
    assert breaker.current_state == "closed"
    report(breaker, FAILED)
    assert breaker.current_state == "open"


def test_less_than_half_failing_does_not_open_it(clock):
    breaker = a_breaker(clock, RATES)
    report(breaker, OK, 51)
    report(breaker, FAILED, 49)
    assert breaker.current_state == "closed"


def test_a_success_may_be_the_tenth_call_that_opens_it(clock):
    breaker = a_breaker(clock, RATES)
    report(breaker, FAILED, 9)
    assert breaker.current_state == "closed"
    report(breaker, OK)
    assert breaker.current_state == "open"


def test_a_rate_of_few_calls_says_nothing(clock):
    breaker = a_breaker(clock, RATES)
    for _ in range(100):
        report(breaker, FAILED, 3, seconds=SLOW)
        clock.now += 10
    assert breaker.current_state == "closed"


def test_failures_that_are_older_than_the_window_do_not_count(clock):
    breaker = a_breaker(clock, RATES)
    report(breaker, FAILED, 9)
    clock.now += 30
    report(breaker, OK, 10)
    report(breaker, FAILED, 9)
    assert breaker.current_state == "closed"


def test_failures_of_the_whole_window_count(clock):
    breaker = a_breaker(clock, RATES)
    for second in range(30):
        report(breaker, OK if second < 16 else FAILED)
        clock.now += 0.98
    report(breaker, FAILED)
    assert breaker.current_state == "closed"
    report(breaker, FAILED)
    assert breaker.current_state == "open"


def test_failing_four_fifths_at_a_steady_pace_opens_it_at_the_tenth_call(breaker, clock):
    for call in range(10):
        assert breaker.current_state == "closed"
        report(breaker, OK if call % 5 == 4 else FAILED)
        clock.now += 1
    assert breaker.current_state == "open"


@pytest.mark.parametrize("health", [OK, FAILED])
def test_four_fifths_of_ten_calls_being_slow_opens_it(clock, health):
    breaker = a_breaker(clock, Limits(failures_in_a_row=1000, failure_rate=1.0))
    report(breaker, OK, 2)
    report(breaker, health, 7, seconds=SLOW)
    assert breaker.current_state == "closed"
    report(breaker, health, seconds=SLOW)
    assert breaker.current_state == "open"


def test_slow_is_more_than_two_seconds_not_two(breaker):
    report(breaker, OK, 100, seconds=2.0)
    assert breaker.current_state == "closed"


def test_less_than_four_fifths_slow_does_not_open_it(breaker):
    report(breaker, OK, 21)
    report(breaker, OK, 79, seconds=SLOW)
    assert breaker.current_state == "closed"


def test_slow_calls_that_are_older_than_the_window_do_not_count(breaker, clock):
    report(breaker, OK, 9, seconds=SLOW)
    clock.now += 30
    report(breaker, OK, 3)
    report(breaker, OK, 9, seconds=SLOW)
    assert breaker.current_state == "closed"


# --- while it is open -----------------------------------------------------------------------------


def test_open_it_refuses_with_the_seconds_left(breaker, clock):
    trip(breaker)
    clock.now += 3
    refused = refusal(breaker)
    assert (refused.why, refused.seconds) == ("open", 7)
    assert breaker.seconds_open == 7


def test_open_it_refuses_to_the_last_moment_and_no_longer(breaker, clock):
    trip(breaker)
    clock.now += 9.999
    assert refusal(breaker).why == "open"
    clock.now += 0.001
    assert breaker.acquire().state == "half-open"


def test_the_seconds_left_are_never_less_than_none(breaker, clock):
    trip(breaker)
    clock.now += 3600
    assert breaker.seconds_open == 0
    assert breaker.current_state == "open"


def test_a_look_says_what_a_call_would_be_told_and_takes_nothing(breaker, clock):
    breaker.check()
    trip(breaker)
    with pytest.raises(Refused, match=r"open, for 10\.0 s"):
        breaker.check()
    until_half_open(breaker, clock)
    for _ in range(10):
        breaker.check()
    assert breaker.current_state == "open"
    breaker.acquire()
    for _ in range(10):
        breaker.check()
    breaker.acquire()
    with pytest.raises(Refused, match="probing"):
        breaker.check()


def test_each_vain_half_open_period_doubles_the_open_time_up_to_a_minute(breaker, clock):
    trip(breaker)
    stays_open = []
    for _ in range(6):
        stays_open.append(breaker.seconds_open)
        until_half_open(breaker, clock)
        report(breaker, FAILED)
    assert stays_open == [10, 20, 40, 60, 60, 60]


def test_after_a_close_the_open_time_begins_again_at_ten_seconds(breaker, clock):
    trip(breaker)
    for _ in range(3):
        until_half_open(breaker, clock)
        report(breaker, FAILED)
    until_half_open(breaker, clock)
    report(breaker, OK, 2)
    assert breaker.current_state == "closed"

    trip(breaker)
    assert breaker.seconds_open == 10
    until_half_open(breaker, clock)
    report(breaker, FAILED)
    assert breaker.seconds_open == 20


@pytest.mark.parametrize(("luck", "shortest", "longest"), [(min, 8, 48), (max, 12, 72)])
def test_the_open_time_is_drawn_within_a_fifth(clock, luck, shortest, longest):
    breaker = a_breaker(clock, jitter=lambda *bounds: luck(bounds))
    trip(breaker)
    assert breaker.seconds_open == pytest.approx(shortest)
    for _ in range(4):
        until_half_open(breaker, clock)
        report(breaker, FAILED)
    assert breaker.seconds_open == pytest.approx(longest)


def test_breakers_of_one_fleet_do_not_come_back_at_one_moment(clock):
    fleet = [Breaker(LIMITS, clock=clock) for _ in range(100)]
    for breaker in fleet:
        trip(breaker)
    times = [breaker.seconds_open for breaker in fleet]
    assert len(set(times)) > 50
    assert 8 <= min(times) < 10 < max(times) <= 12


# --- half-open ------------------------------------------------------------------------------------


def test_two_probes_go_through_and_all_others_are_refused(clock):
    breaker = half_opened(clock)
    probes = [breaker.acquire(), breaker.acquire()]
    assert {probe.state for probe in probes} == {breaker.current_state} == {"half-open"}
    for _ in range(50):
        refused = refusal(breaker)
        assert (refused.why, refused.seconds) == ("probing", LIMITS.slow)
    assert breaker.seconds_open == 0


def test_both_probes_must_pass(clock):
    breaker = half_opened(clock)
    first, second = breaker.acquire(), breaker.acquire()
    breaker.settle(first, OK)
    assert breaker.current_state == "half-open"
    assert refusal(breaker).why == "probing"
    breaker.settle(second, OK)
    assert breaker.current_state == "closed"


def test_probes_may_go_one_after_the_other(clock):
    breaker = half_opened(clock)
    report(breaker, OK)
    assert breaker.current_state == "half-open"
    report(breaker, OK)
    assert breaker.current_state == "closed"


@pytest.mark.parametrize(("health", "seconds"), [(FAILED, 0.0), (FAILED, SLOW), (OK, SLOW)])
def test_a_probe_that_failed_or_was_slow_opens_it_at_once(clock, health, seconds):
    breaker = half_opened(clock)
    first, second = breaker.acquire(), breaker.acquire()
    breaker.settle(first, health, seconds)
    assert breaker.current_state == "open"
    assert breaker.seconds_open == 20
    breaker.settle(second, OK)
    assert breaker.current_state == "open"


def test_one_bad_probe_is_enough_after_a_good_one(clock):
    breaker = half_opened(clock)
    report(breaker, OK)
    report(breaker, FAILED)
    assert breaker.current_state == "open"


def test_a_probe_of_just_two_seconds_passes(clock):
    breaker = half_opened(clock)
    report(breaker, OK, 2, seconds=2.0)
    assert breaker.current_state == "closed"


@pytest.mark.parametrize("seconds", [0.0, SLOW])
def test_an_ignored_probe_gives_its_permit_back_and_proves_nothing(clock, seconds):
    breaker = half_opened(clock)
    for _ in range(50):
        report(breaker, IGNORED, seconds=seconds)
    first, _ = breaker.acquire(), breaker.acquire()
    assert refusal(breaker).why == "probing"
    breaker.settle(first, IGNORED, seconds)
    breaker.settle(breaker.acquire(), OK)
    assert breaker.current_state == "half-open"
    assert refusal(breaker).why == "probing"


def test_a_good_probe_of_the_last_half_open_period_does_not_count_in_the_next(clock):
    breaker = half_opened(clock)
    report(breaker, OK)
    report(breaker, FAILED)
    until_half_open(breaker, clock)
    report(breaker, OK)
    assert breaker.current_state == "half-open"


def test_it_takes_as_many_probes_as_it_is_told(clock):
    breaker = a_breaker(clock, Limits(probes=3))
    trip(breaker)
    until_half_open(breaker, clock)
    probes = [breaker.acquire() for _ in range(3)]
    assert refusal(breaker).why == "probing"
    for probe in probes:
        assert breaker.current_state == "half-open"
        breaker.settle(probe, OK)
    assert breaker.current_state == "closed"


# --- results that come late -----------------------------------------------------------------------


def test_results_of_the_closed_state_say_nothing_while_it_is_open(breaker, clock):
    late = [breaker.acquire() for _ in range(20)]
    trip(breaker)
    clock.now += 5
    for permit in late:
        breaker.settle(permit, FAILED, SLOW)
    assert breaker.seconds_open == 5
    until_half_open(breaker, clock)
    report(breaker, OK, 2)
    assert breaker.current_state == "closed"


def test_results_of_the_closed_state_say_nothing_while_it_is_half_open(breaker, clock):
    late = [breaker.acquire() for _ in range(20)]
    trip(breaker)
    until_half_open(breaker, clock)
    breaker.acquire()
    for permit, health in zip(late, [OK, OK, IGNORED, IGNORED] + [FAILED] * 16, strict=True):
        breaker.settle(permit, health)
    assert breaker.current_state == "half-open"
    breaker.acquire()
    assert refusal(breaker).why == "probing"


def test_results_of_a_probe_say_nothing_while_it_is_open_again(clock):
    breaker = half_opened(clock)
    first, second = breaker.acquire(), breaker.acquire()
    breaker.settle(first, FAILED)
    clock.now += 5
    breaker.settle(second, FAILED)
    assert breaker.seconds_open == 15
    breaker.settle(first, OK)
    breaker.settle(second, OK)
    assert breaker.current_state == "open"


def test_results_of_an_earlier_closed_state_say_nothing_in_the_next(breaker, clock):
    late = [breaker.acquire() for _ in range(20)]
    trip(breaker)
    until_half_open(breaker, clock)
    report(breaker, OK, 2)
    for permit in late:
        breaker.settle(permit, FAILED, SLOW)
    assert breaker.current_state == "closed"
    report(breaker, FAILED, 4)
    assert breaker.current_state == "closed"


def test_a_late_probe_neither_opens_the_closed_circuit_nor_counts_in_the_next_half_open_period(clock):
    breaker = half_opened(clock)
    late, bad = breaker.acquire(), breaker.acquire()
    breaker.settle(bad, FAILED)
    until_half_open(breaker, clock)
    good = [breaker.acquire(), breaker.acquire()]
    breaker.settle(late, FAILED)
    assert breaker.current_state == "half-open"
    assert refusal(breaker).why == "probing"
    for probe in good:
        breaker.settle(probe, OK)
    breaker.settle(late, FAILED)
    assert breaker.current_state == "closed"


def test_what_failed_before_it_closed_is_forgotten(clock):
    breaker = a_breaker(clock, Limits(open_first=1.0, open_most=1.0))
    report(breaker, FAILED, 4)
    trip_by_one_more = breaker.acquire()
    breaker.settle(trip_by_one_more, FAILED)
    until_half_open(breaker, clock)
    report(breaker, OK, 2)
    report(breaker, OK, 5)
    report(breaker, FAILED, 4)
    assert breaker.current_state == "closed"


# --- who is told ----------------------------------------------------------------------------------


def test_each_change_is_told_once_after_it_happened(clock):
    told = []
    breaker = a_breaker(clock, on_change=lambda *change: told.append((*change, breaker.current_state)))
    trip(breaker)
    until_half_open(breaker, clock)
    report(breaker, FAILED)
    until_half_open(breaker, clock)
    report(breaker, OK, 2)
    report(breaker, OK, 2)
    assert told == [
        ("closed", "open", "open"),
        ("open", "half-open", "half-open"),
        ("half-open", "open", "open"),
        ("open", "half-open", "half-open"),
        ("half-open", "closed", "closed"),
    ]


@pytest.mark.parametrize("error", [RuntimeError, IndexError])
def test_a_listener_that_raises_does_no_harm_is_logged_and_told_of_the_next_change(clock, caplog, error):
    told = []

    def listener(old, new):
        told.append((old, new))
        raise error("nobody listens to me")

    breaker = half_opened(clock, on_change=listener)
    breaker.acquire()
    breaker.acquire()
    assert refusal(breaker).why == "probing"
    assert told == [("closed", "open"), ("open", "half-open")]
    assert [(line.name, line.message) for line in caplog.records] == [
        ("jwtpizza.resilience", "a change of the circuit could not be told")
    ] * 2
    assert all(line.exc_info[0] is error for line in caplog.records)


def test_while_a_listener_takes_its_time_others_use_the_breaker(clock):
    listening, go_on = Event(), Event()

    def listener(old, new):
        listening.set()
        assert go_on.wait(BOUND)

    breaker = a_breaker(clock, on_change=listener)
    teller = aside(report, breaker, FAILED, 5)
    assert listening.wait(BOUND)
    assert aside(refusal, breaker).result(BOUND).why == "open"
    assert aside(lambda: breaker.seconds_open).result(BOUND) == 10
    assert not teller.done()
    go_on.set()
    teller.result(BOUND)


def test_a_listener_may_use_the_breaker_itself(clock):
    seen = []
    breaker = a_breaker(clock, on_change=lambda old, new: seen.append((new, breaker.seconds_open)))
    assert aside(trip, breaker).result(BOUND) is None
    assert seen == [("open", 10)]


class Listener(pybreaker.CircuitBreakerListener):
    """One of pybreaker's kind."""

    def __init__(self, error=None):
        self.told, self._error = [], error

    def state_change(self, cb, old_state, new_state):
        self.told.append((cb, old_state.name, new_state.name, cb.current_state))
        if self._error:
            raise self._error


def test_a_listener_of_pybreakers_kind_is_told_as_well(breaker):
    listeners = Listener(), Listener()
    breaker.add_listeners(*listeners)
    trip(breaker)
    assert [listener.told for listener in listeners] == [[(breaker, "closed", "open", "open")]] * 2


def test_a_listener_of_pybreakers_kind_that_raises_does_no_harm_and_the_others_are_told(clock, caplog):
    told = []
    breaker = a_breaker(clock, on_change=lambda *change: told.append(change))
    grumpy, patient = Listener(RuntimeError("leave me alone")), Listener()
    breaker.add_listeners(grumpy, patient)
    trip(breaker)
    assert refusal(breaker).why == "open"
    assert told == [("closed", "open")]
    assert grumpy.told == patient.told == [(breaker, "closed", "open", "open")]
    assert [line.message for line in caplog.records] == ["a change of the circuit could not be told"]


def test_a_listener_of_pybreakers_kind_may_take_its_time(clock):
    listening, go_on = Event(), Event()

    class Slow(Listener):
        def state_change(self, cb, old_state, new_state):
            listening.set()
            assert go_on.wait(BOUND)

    breaker = a_breaker(clock)
    breaker.add_listener(Slow())
    teller = aside(report, breaker, FAILED, 5)
    assert listening.wait(BOUND)
    assert aside(refusal, breaker).result(BOUND).why == "open"
    go_on.set()
    teller.result(BOUND)


# --- switched off ---------------------------------------------------------------------------------


def test_switched_off_it_never_refuses_and_never_changes(clock):
    told = []
    breaker = a_breaker(clock, enabled=False, on_change=lambda *change: told.append(change))
    report(breaker, FAILED, 100, seconds=SLOW)
    report(breaker, OK, 100, seconds=SLOW)
    breaker.check()
    assert breaker.current_state == "closed"
    assert breaker.seconds_open == 0
    assert told == []


def test_switched_off_it_does_not_even_refuse_when_it_is_opened_by_hand(clock):
    breaker = a_breaker(clock, enabled=False)
    breaker.open()
    breaker.check()
    for _ in range(10):
        breaker.acquire()


# --- a call ---------------------------------------------------------------------------------------


def raises(error):
    raise error


def test_a_call_returns_what_the_function_returns(breaker):
    assert breaker.call(lambda *args, **kwargs: (args, kwargs), 1, 2, three=3) == ((1, 2), {"three": 3})


def test_a_call_lets_errors_through_and_counts_them(breaker):
    for _ in range(5):
        with pytest.raises(Down, match="out of flour"):
            breaker.call(raises, Down("out of flour"))
    assert breaker.current_state == "open"


def test_an_open_circuit_does_not_call(breaker):
    trip(breaker)
    called = []
    with pytest.raises(Refused):
        breaker.call(called.append, 1)
    with pytest.raises(Refused), breaker.calling():
        called.append(2)
    assert called == []


def test_errors_that_say_nothing_of_the_other_side_are_ignored(breaker):
    for _ in range(4):
        with pytest.raises(Down):
            breaker.call(raises, Down())
    for _ in range(100):
        with pytest.raises(OurMistake):
            breaker.call(raises, OurMistake())
    assert breaker.current_state == "closed"
    with pytest.raises(Down):
        breaker.call(raises, Down())
    assert breaker.current_state == "open"


def test_a_call_is_as_slow_as_its_clock_says(breaker, clock):
    def slow():
        clock.now += SLOW

    for _ in range(9):
        breaker.call(slow)
    assert breaker.current_state == "closed"
    breaker.call(slow)
    assert breaker.current_state == "open"


def test_the_time_between_leave_and_call_is_not_the_calls(clock):
    breaker = half_opened(clock)
    for _ in range(2):
        permit = breaker.acquire()
        clock.now += 5
        with breaker.settling(permit):
            clock.now += 1.9
    assert breaker.current_state == "closed"


@pytest.mark.parametrize("error", [KeyboardInterrupt, SystemExit, GeneratorExit])
def test_a_call_that_is_interrupted_gives_its_permit_back(clock, error):
    breaker = half_opened(clock)
    for _ in range(3):
        with pytest.raises(error):
            breaker.call(raises, error())
        with pytest.raises(error), breaker.calling():
            raise error
        with pytest.raises(error), breaker.settling(breaker.acquire()):
            raise error
    assert breaker.current_state == "half-open"
    report(breaker, OK, 2)
    assert breaker.current_state == "closed"


def test_an_interrupted_call_does_not_count(breaker):
    for _ in range(20):
        with pytest.raises(KeyboardInterrupt):
            breaker.call(raises, KeyboardInterrupt())
    report(breaker, FAILED, 4)
    assert breaker.current_state == "closed"


def test_a_mistake_in_judging_the_error_gives_the_permit_back(clock):
    breaker = half_opened(clock, ignores=lambda error: raises(ZeroDivisionError()))
    for _ in range(5):
        with pytest.raises(ZeroDivisionError):
            breaker.call(raises, Down())
    assert breaker.current_state == "half-open"


def test_calls_run_side_by_side(breaker):
    inside = Barrier(32)

    def call(number):
        return breaker.call(lambda: inside.wait(BOUND) and number)

    assert len(together(32, call)) == 32


def test_both_probes_run_side_by_side(clock):
    breaker = half_opened(clock)
    inside = Barrier(2)
    together(2, lambda _: breaker.call(inside.wait, BOUND))
    assert breaker.current_state == "closed"


def test_others_are_refused_at_once_while_a_probe_hangs(clock):
    breaker = half_opened(clock)
    entered, answer = Barrier(3), Event()

    def hang():
        entered.wait(BOUND)
        return answer.wait(BOUND)

    probes = [aside(breaker.call, hang) for _ in range(2)]
    entered.wait(BOUND)
    refused = together(48, lambda _: refusal(breaker).why)
    assert set(refused) == {"probing"}
    answer.set()
    assert all(probe.result(BOUND) for probe in probes)
    assert breaker.current_state == "closed"


# --- what is pybreaker's --------------------------------------------------------------------------


def test_it_is_one_of_pybreakers(clock):
    breaker = a_breaker(clock, Limits(failures_in_a_row=7, open_first=3, probes=4))
    assert isinstance(breaker, pybreaker.CircuitBreaker)
    assert breaker.state.name == breaker.current_state == pybreaker.STATE_CLOSED
    assert (breaker.fail_max, breaker.reset_timeout, breaker.success_threshold) == (7, 3, 4)


def test_it_can_be_opened_by_hand(breaker, clock):
    breaker.open()
    assert breaker.state.name == breaker.current_state == pybreaker.STATE_OPEN
    assert refusal(breaker).seconds == 10
    until_half_open(breaker, clock)
    assert breaker.acquire().state == "half-open"


def test_it_can_be_closed_by_hand(breaker):
    trip(breaker)
    breaker.close()
    assert breaker.state.name == breaker.current_state == pybreaker.STATE_CLOSED
    assert breaker.seconds_open == 0
    assert breaker.acquire().state == "closed"
    report(breaker, FAILED, 4)
    assert breaker.current_state == "closed"


def test_it_can_be_half_opened_by_hand(breaker):
    trip(breaker)
    breaker.half_open()
    assert breaker.state.name == breaker.current_state == pybreaker.STATE_HALF_OPEN
    assert breaker.seconds_open == 0
    breaker.acquire()
    breaker.acquire()
    assert refusal(breaker).why == "probing"


def test_half_opened_by_hand_before_it_was_ever_open_a_vain_probe_opens_it_for_ten_seconds(breaker):
    breaker.half_open()
    report(breaker, FAILED)
    assert breaker.seconds_open == 10


def test_half_opened_by_hand_long_after_an_outage_a_vain_probe_opens_it_for_ten_seconds(breaker):
    breaker.open()
    breaker.close()
    breaker.half_open()
    report(breaker, FAILED)
    assert breaker.seconds_open == 10


def test_opened_by_hand_while_it_is_open_is_no_change(clock):
    told = []
    breaker = a_breaker(clock, on_change=lambda *change: told.append(change))
    breaker.open()
    breaker.open()
    with pytest.raises(Refused):
        breaker.check()
    assert told == [("closed", "open")]


def test_changes_by_hand_are_all_told_with_the_next_call_at_the_latest(clock):
    told = []
    breaker = a_breaker(clock, on_change=lambda *change: told.append(change))
    breaker.open()
    breaker.half_open()
    breaker.close()
    breaker.acquire()
    assert told == [("closed", "open"), ("open", "half-open"), ("half-open", "closed")]


def test_a_change_by_hand_is_told(clock):
    told = []
    breaker = a_breaker(clock, on_change=lambda *change: told.append(change))
    breaker.open()
    with pytest.raises(Refused):
        breaker.check()
    assert told == [("closed", "open")]


def test_it_can_be_a_decorator(breaker):
    @breaker
    def bake(what):
        raise Down(what)

    for _ in range(5):
        with pytest.raises(Down, match="Veggie"):
            bake("Veggie")
    with pytest.raises(Refused):
        bake("Veggie")


def test_pybreakers_exclusions_are_kept_as_well(breaker):
    breaker.add_excluded_exception(Down)
    for _ in range(100):
        with pytest.raises(Down):
            breaker.call(raises, Down())
    assert breaker.current_state == "closed"


class Paused(pybreaker.CircuitMemoryStorage):
    """Stands still just before a change is stored, and tells who looks meanwhile."""

    def __init__(self):
        super().__init__("closed")
        self.looked, self.between = 0, lambda: None

    @property
    def state(self):
        self.looked += 1
        return self._state

    @state.setter
    def state(self, state):
        self.between()
        self._state = state


def test_who_looks_at_the_state_in_the_middle_of_a_change_changes_nothing(clock):
    told = []
    breaker = a_breaker(clock, on_change=lambda *change: told.append(change))
    storage = breaker._state_storage = Paused()
    onlookers = []

    def between():
        storage.between = lambda: None
        onlookers.append(aside(lambda: breaker.state.name))
        with suppress(TimeoutError):
            onlookers[0].result(0.2)

    storage.between = between
    breaker.open()
    onlookers[0].result(BOUND)
    refusal(breaker)
    assert told == [("closed", "open")]


# --- clocks ---------------------------------------------------------------------------------------


def test_the_wall_clock_does_not_matter(time_machine):
    time_machine.move_to("2026-06-05", tick=False)
    breaker = Breaker(Limits(open_first=1000, open_most=1000))
    trip(breaker)
    for year in (2036, 2016):
        time_machine.move_to(f"{year}-06-05", tick=False)
        assert refusal(breaker).why == "open"
        assert 700 < breaker.seconds_open <= 1200


# --- a crowd --------------------------------------------------------------------------------------


class Probes:
    """Counts who is out probing; never more than really are, for it is told late of a start and early of an end."""

    def __init__(self):
        self._lock, self._out, self.most = Lock(), {}, 0

    def add(self, permit, step):
        if permit.state == "half-open":
            with self._lock:
                self._out[permit.period] = self._out.get(permit.period, 0) + step
                self.most = max(self.most, self._out[permit.period])


def hurrying_clock():
    """Moves by 10 ms with each look at it, which takes a moment."""
    looks = count()

    def clock():
        others_first()
        return 1000 + next(looks) / 100

    return clock


class Crowded(pybreaker.CircuitMemoryStorage):
    """Where others are always quicker: whoever looks or counts here is overtaken by all who are let."""

    def __init__(self):
        super().__init__("closed")

    @property
    def state(self):
        others_first()
        return self._state

    @state.setter
    def state(self, state):
        others_first()
        self._state = state

    @property
    def success_counter(self):
        others_first()
        return self._success_counter


def crowded(breaker):
    breaker._state_storage = Crowded()
    return breaker


def hammer(breaker, probes, number, *, until):
    """Calls that overlap, each with an outcome of its own, given back in no order."""
    dice, held = random.Random(number), []
    for _ in range(5000):
        with suppress(Refused):
            held.append(breaker.acquire())
            probes.add(held[-1], 1)
        if len(held) > dice.randrange(4):
            give_back(breaker, probes, held.pop(dice.randrange(len(held))), dice)
        if until():
            break
    for permit in held:
        give_back(breaker, probes, permit, dice)


def give_back(breaker, probes, permit, dice):
    probes.add(permit, -1)
    health = dice.choices([OK, FAILED, IGNORED], [6, 2, 2])[0]
    breaker.settle(permit, health, dice.choice([0.1] * 9 + [3.0]))


CHANGES = {("closed", "open"), ("open", "half-open"), ("half-open", "open"), ("half-open", "closed")}


def test_under_32_threads_no_permit_is_lost_and_none_too_many_is_given():
    told, probes = [], Probes()
    limits = Limits(failures_in_a_row=4, open_first=0.5, open_most=1.0)
    breaker = crowded(Breaker(limits, clock=hurrying_clock(), on_change=lambda *change: told.append(change)))

    def seen_enough():
        return len(told) > 20 and set(told) == CHANGES and probes.most > 1

    together(32, lambda number: hammer(breaker, probes, number, until=seen_enough))
    assert set(told) == CHANGES
    assert probes.most == limits.probes
    assert recovered(breaker)
    report(breaker, FAILED, limits.failures_in_a_row)
    assert probes_given(breaker) == limits.probes


def recovered(breaker):
    for _ in range(1000):
        with suppress(Refused):
            report(breaker, OK)
    return breaker.current_state == "closed"


def probes_given(breaker):
    """How many it gives at most, of a hundred that are asked for."""
    while breaker.seconds_open:
        pass
    permits = []
    for _ in range(100):
        with suppress(Refused):
            permits.append(breaker.acquire())
    return [permit.state for permit in permits].count("half-open")


def test_probes_that_32_threads_take_and_give_back_are_all_there_at_the_end(clock):
    breaker = crowded(a_breaker(clock))
    trip(breaker)
    until_half_open(breaker, clock)

    def probe(number):
        for _ in range(50):
            with suppress(Refused):
                report(breaker, IGNORED)

    together(32, probe)
    breaker.acquire()
    breaker.acquire()
    assert refusal(breaker).why == "probing"
