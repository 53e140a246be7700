"""The breaker against the design's table, told the long way round: whatever is done to it, both say the same."""

from itertools import takewhile
from typing import NamedTuple

import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule

from jwtpizza.resilience.breaker import Breaker, Health, Limits, Permit
from jwtpizza.resilience.refused import Refused

from .kit import Clock

# These and all times are whole eighths: no rounding stands between the two.
SMALL = Limits(
    window=4.0,
    least_calls=4,
    failure_rate=0.5,
    slow_rate=0.75,
    failures_in_a_row=3,
    open_first=2.0,
    open_most=8.0,
    jitter=0.25,
)
LIMITS = [
    SMALL,
    Limits(slow_rate=0.75, jitter=0.25),
    Limits(slow_rate=0.75, failures_in_a_row=100, least_calls=6, window=10.0, probes=3, jitter=0.25),
    Limits(slow_rate=0.75, failures_in_a_row=2, least_calls=1000, probes=1, open_first=4.0, jitter=0.25),
]
DURATIONS = st.sampled_from([0.0, 0.5, 2.0, 2.25, 30.0])
HEALTHS = st.sampled_from(Health)


class Result(NamedTuple):
    at: float
    failed: bool
    slow: bool


class Model:
    """Keeps everything that came in since the last change, and counts it whenever it is asked."""

    def __init__(self, limits):
        self.limits, self.changes, self.factor = limits, [], 1.0
        self.state, self.vain, self.until = "closed", 0, 0.0
        self._begin()

    def _begin(self):
        self.results, self.passed = [], 0
        # Calls that are out; what belongs to an earlier state is in none of these.
        self.out = set()

    def change(self, state):
        self.changes.append((self.state, state))
        self.state = state
        self._begin()

    def refuses(self, now):
        if self.state == "open" and now < self.until:
            return "open"
        if self.state == "half-open" and len(self.out) + self.passed == self.limits.probes:
            return "probing"
        return None

    def start(self, call):
        if self.state == "open":
            self.change("half-open")
        self.out.add(call)

    def end(self, call, health, seconds, now):
        if call not in self.out:
            return
        self.out.remove(call)
        if health is Health.IGNORED:
            return
        result = Result(now, health is Health.FAILED, seconds > self.limits.slow)
        {"closed": self._judge, "half-open": self._judge_probe}[self.state](result)

    def _judge(self, result):
        self.results.append(result)
        if self._ill(result.at):
            self.vain = 0
            self._open(result.at)

    def _judge_probe(self, result):
        if result.failed or result.slow:
            self.vain += 1
            self._open(result.at)
            return
        self.passed += 1
        if self.passed == self.limits.probes:
            self.change("closed")

    def _open(self, now):
        seconds = min(self.limits.open_first * 2**self.vain, self.limits.open_most)
        self.until = now + seconds * self.factor
        self.change("open")

    def _ill(self, now):
        in_a_row = len(list(takewhile(lambda result: result.failed, reversed(self.results))))
        # A second that began before the window did is out of it.
        seen = [result for result in self.results if result.at // 1 > (now - self.limits.window) // 1]
        failed, slow = sum(result.failed for result in seen), sum(result.slow for result in seen)
        rates = failed / len(seen) >= self.limits.failure_rate or slow / len(seen) >= self.limits.slow_rate
        return in_a_row >= self.limits.failures_in_a_row or (len(seen) >= self.limits.least_calls and rates)


class Side(RuleBasedStateMachine):
    """Does the same to both, and compares them after each step."""

    @initialize(limits=st.sampled_from(LIMITS))
    def begin(self, limits):
        self.clock, self.changes, self.calls = Clock(), [], {}
        self.model = Model(limits)
        self.breaker = Breaker(
            limits,
            clock=self.clock,
            on_change=lambda *change: self.changes.append(change),
            jitter=self.drawn,
        )
        self.number = 0

    def drawn(self, low, high):
        assert (low, high) == (1 - self.model.limits.jitter, 1 + self.model.limits.jitter)
        return self.model.factor

    @rule(times=st.integers(1, 4))
    def calls_begin(self, times):
        for _ in range(times):
            self.call_begins()

    def call_begins(self):
        refused = self.model.refuses(self.clock.now)
        if refused:
            with pytest.raises(Refused) as told:
                self.breaker.acquire()
            assert told.value.why == refused
            return None
        self.number += 1
        self.model.start(self.number)
        self.calls[self.number] = self.breaker.acquire()
        return self.number

    @precondition(lambda self: self.calls)
    @rule(which=st.integers(min_value=0), health=HEALTHS, seconds=DURATIONS)
    def a_call_ends(self, which, health, seconds):
        self.ends(list(self.calls)[which % len(self.calls)], health, seconds)

    @precondition(lambda self: len(self.calls) > 1)
    @rule(health=HEALTHS, seconds=DURATIONS)
    def all_calls_end_the_last_one_first(self, health, seconds):
        for call in reversed(list(self.calls)):
            self.ends(call, health, seconds)

    @rule(health=HEALTHS, seconds=DURATIONS, times=st.integers(1, 6), apart=st.sampled_from([0.0, 0.25, 1.0, 3.0]))
    def calls_one_after_another(self, health, seconds, times, apart):
        for _ in range(times):
            if call := self.call_begins():
                self.ends(call, health, seconds)
            self.clock.now += apart

    def ends(self, call, health, seconds):
        self.model.end(call, health, seconds, self.clock.now)
        self.breaker.settle(self.calls.pop(call), health, seconds)

    @rule(seconds=st.sampled_from([0.25, 0.75, 1.0, 2.5, 4.0, 10.0, 3600.0]))
    def time_passes(self, seconds):
        self.clock.now += seconds

    @precondition(lambda self: self.model.state == "open")
    @rule(early=st.sampled_from([0.125, 0.0, -0.125]))
    def the_open_time_runs_out(self, early):
        self.clock.now = max(self.clock.now, self.model.until - early)

    @rule(factor=st.sampled_from([0.75, 1.0, 1.25]))
    def luck_turns(self, factor):
        self.model.factor = factor

    @invariant()
    def both_say_the_same(self):
        now, model = self.clock.now, self.model
        assert self.changes == model.changes
        assert self.breaker.current_state == self.breaker.state.name == model.state
        assert self.breaker.seconds_open == (max(0.0, model.until - now) if model.state == "open" else 0)
        assert self.looked() == model.refuses(now)

    def looked(self):
        try:
            self.breaker.check()
        except Refused as refused:
            return refused.why
        return None

    @invariant()
    def never_more_probes_are_out_than_permitted(self):
        if self.model.state == "half-open":
            permits = [self.calls[call] for call in self.model.out]
            assert len(permits) <= self.model.limits.probes
            assert set(permits) <= {Permit(len(self.changes), "half-open")}


TestTheBreakerIsItsModel = Side.TestCase
TestTheBreakerIsItsModel.settings = settings(max_examples=300, stateful_step_count=50, deadline=None)


@pytest.mark.parametrize("limits", LIMITS)
def test_the_model_itself_goes_round_once(limits):
    model, now = Model(limits), 0.0
    for number in range(20):
        if model.state == "closed":
            model.start(number)
            model.end(number, Health.FAILED, 0.0, now)
    assert model.refuses(now) == "open"
    for number in range(100, 100 + limits.probes):
        assert model.refuses(model.until) is None
        model.start(number)
        assert model.state == "half-open"
        model.end(number, Health.OK, 0.0, now)
    assert model.changes == [("closed", "open"), ("open", "half-open"), ("half-open", "closed")]
