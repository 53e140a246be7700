from contextlib import suppress
from threading import Barrier, Event

import pytest

from jwtpizza.resilience.breaker import Breaker, Health, Limits
from jwtpizza.resilience.bulkhead import Bulkhead
from jwtpizza.resilience.guard import Guard
from jwtpizza.resilience.refused import Refused
from jwtpizza.resilience.retry import Budget, Retry

from .kit import BOUND, Clock, together

LIMITS = Limits()


class Down(Exception):
    """May pass by itself."""


class OurMistake(Exception):
    """Says nothing of the other side, and will be the same the next time."""


class House:
    """A guard of real parts, with two places and a queue of one, on the test's clock."""

    def __init__(self, *, wait=None, sleep=None, **limits):
        self.clock, self.told = Clock(), []
        self.breaker = Breaker(
            Limits(**limits),
            ignores=lambda error: isinstance(error, OurMistake),
            clock=self.clock,
            jitter=lambda low, high: 1.0,
        )
        self.bulkhead = Bulkhead(places=2, queue=1, seconds=1.0, wait=wait or self.in_vain, clock=self.clock)
        self.guard = Guard(
            seconds=5,
            bulkhead=self.bulkhead,
            breaker=self.breaker,
            retry=self._retry(sleep or self.sleep),
            clock=self.clock,
        )

    def _retry(self, sleep):
        return Retry(
            attempts=2,
            jitter=0.25,
            least=1.5,
            budget=Budget(ratio=0.1, saved=10),
            worth=lambda error: isinstance(error, Down),
            told=self.told.append,
            sleep=sleep,
            draw=max,
        )

    def sleep(self, seconds):
        self.clock.now += seconds

    def in_vain(self, turn, seconds):
        self.clock.now += seconds
        return False

    def call(self, attempt, *, before=lambda: None):
        """All that a caller does, with something `before` the call."""
        with self.guard.admit() as admission:
            before()
            return admission.call(attempt)

    def half_open(self):
        self.fail(LIMITS.failures_in_a_row)
        self.clock.now += self.breaker.seconds_open

    def probed_by_others(self):
        self.half_open()
        for _ in range(LIMITS.probes):
            self.breaker.acquire()

    def fail(self, times):
        for _ in range(times):
            self.breaker.settle(self.breaker.acquire(), Health.FAILED)

    def free_places(self):
        """Tries them all, and gives them back."""
        taken = self.tried(lambda: self.bulkhead.enter(before_waiting=lambda: refuse("bulkhead")))
        for _ in taken:
            self.bulkhead.leave()
        return len(taken)

    def free_probes(self):
        permits = self.tried(self.breaker.acquire)
        for permit in permits:
            self.breaker.settle(permit, Health.IGNORED)
        return len(permits)

    def tried(self, what):
        had = []
        for _ in range(20):
            with suppress(Refused):
                had.append(what())
        return had


def refuse(why):
    raise Refused(why, 1)


def refusal(guard, **how):
    with pytest.raises(Refused) as refused:
        guard.admit(**how)
    return refused.value


class Attempt:
    """Notes the time that is left, takes some, and does what it is told."""

    def __init__(self, house, *outcomes, seconds=0.0):
        self._house, self._outcomes, self._seconds = house, list(outcomes), seconds
        self.left = []

    def __call__(self, deadline):
        self.left.append(deadline.left())
        self._house.clock.now += self._seconds
        outcome = self._outcomes.pop(0)
        if isinstance(outcome, BaseException):
            raise outcome
        return outcome


@pytest.fixture
def house():
    return House()


# --- admission ------------------------------------------------------------------------------------


def test_who_is_admitted_makes_a_call(house):
    attempt = Attempt(house, "pizza")
    assert house.call(attempt) == "pizza"
    assert attempt.left == [5]
    assert house.free_places() == 2


def test_an_admission_holds_a_place_until_its_end(house):
    with house.guard.admit() as admission:
        assert house.free_places() == 1
        admission.call(Attempt(house, "pizza"))
        assert house.free_places() == 1
    assert house.free_places() == 2


def test_an_admission_that_is_not_used_gives_place_and_permit_back(house):
    house.half_open()
    with house.guard.admit():
        assert (house.free_places(), house.free_probes()) == (1, 1)
    assert (house.free_places(), house.free_probes()) == (2, 2)
    assert house.breaker.current_state == "half-open"


@pytest.mark.parametrize("error", [ZeroDivisionError, KeyboardInterrupt, Down])
def test_what_fails_between_admission_and_call_gives_place_and_permit_back_and_says_nothing_of_the_other_side(
    house, error
):
    house.half_open()
    with pytest.raises(error), house.guard.admit():
        raise error
    assert (house.free_places(), house.free_probes()) == (2, 2)
    assert house.breaker.current_state == "half-open"


@pytest.mark.parametrize("error", [Down, OurMistake, KeyboardInterrupt])
def test_a_call_that_fails_gives_the_place_back(house, error):
    with pytest.raises(error):
        house.call(Attempt(house, error(), error()))
    assert house.free_places() == 2


def test_a_permit_is_given_back_once(house):
    house.half_open()
    house.call(Attempt(house, "pizza"))
    assert house.breaker.current_state == "half-open"
    assert house.free_probes() == 1


def test_a_call_that_was_interrupted_gives_its_permit_back(house):
    house.half_open()
    with pytest.raises(KeyboardInterrupt):
        house.call(Attempt(house, KeyboardInterrupt()))
    assert house.free_probes() == 2


def test_an_admission_is_for_one_call(house):
    with house.guard.admit() as admission:
        admission.call(Attempt(house, "pizza"))
        with pytest.raises(RuntimeError, match="one call"):
            admission.call(Attempt(house, "another"))


def test_a_second_call_is_not_made_whatever_may_be_tried_again():
    house = House()
    house.guard.retry._worth = lambda error: True
    attempt = Attempt(house, "pizza", "another")
    with house.guard.admit() as admission:
        admission.call(attempt)
        with pytest.raises(RuntimeError, match="one call"):
            admission.call(attempt)


# --- the order of the layers ----------------------------------------------------------------------


def test_an_open_circuit_is_told_before_anybody_waits():
    house = House(wait=lambda turn, seconds: pytest.fail("nobody waits"))
    with house.guard.admit(), house.guard.admit():
        house.fail(5)
        refused = refusal(house.guard, before_waiting=lambda: pytest.fail("nobody waits"))
    assert (refused.why, refused.seconds) == ("open", 10)


def test_a_circuit_that_probes_is_told_before_anybody_waits():
    house = House(wait=lambda turn, seconds: pytest.fail("nobody waits"))
    house.half_open()
    with house.guard.admit(), house.guard.admit():
        assert refusal(house.guard, before_waiting=lambda: pytest.fail("nobody waits")).why == "probing"


def test_a_full_bulkhead_refuses_and_is_no_result(house):
    with house.guard.admit(), house.guard.admit():
        for _ in range(20):
            assert refusal(house.guard).why == "bulkhead"
    assert house.breaker.current_state == "closed"
    house.fail(4)
    assert house.breaker.current_state == "closed"


def test_who_finds_no_place_does_not_half_open_the_circuit(house):
    with house.guard.admit(), house.guard.admit():
        house.half_open()
        assert refusal(house.guard).why == "bulkhead"
    assert house.breaker.current_state == "open"


def test_who_has_to_wait_does_first_what_is_to_be_done_before(house):
    done = []
    with house.guard.admit(before_waiting=lambda: done.append("first")), house.guard.admit():
        assert done == []
        refusal(house.guard, before_waiting=lambda: done.append("third"))
    assert done == ["third"]


def test_who_waits_holds_no_permit():
    seen = []

    def wait(turn, seconds):
        seen.append(house.free_probes())
        return False

    house = House(wait=wait)
    house.half_open()
    house.bulkhead.enter()
    house.bulkhead.enter()
    assert refusal(house.guard).why == "bulkhead"
    assert seen == [2]


@pytest.mark.parametrize(
    ("why", "meanwhile"), [("open", lambda house: house.fail(5)), ("probing", lambda house: house.probed_by_others())]
)
def test_a_circuit_that_changes_during_the_wait_refuses_and_gives_the_place_back(why, meanwhile):
    def wait(turn, seconds):
        meanwhile(house)
        house.bulkhead.leave()
        return turn.acquire(blocking=False)

    house = House(wait=wait, open_first=1)
    house.bulkhead.enter()
    house.bulkhead.enter()
    assert refusal(house.guard).why == why
    assert house.free_places() == 1


# --- attempts -------------------------------------------------------------------------------------


def test_what_may_pass_is_tried_again_in_the_same_place():
    places = []
    house = House(sleep=lambda seconds: places.append(house.free_places()))
    attempt = Attempt(house, Down(), "pizza")
    assert house.call(attempt) == "pizza"
    assert places == [1]
    assert house.told == ["ok"]


def test_each_attempt_counts_for_the_circuit(house):
    for _ in range(2):
        with pytest.raises(Down):
            house.call(Attempt(house, Down(), Down()))
    house.fail(1)
    assert house.breaker.current_state == "open"


def test_a_good_second_attempt_breaks_the_run_of_failures(house):
    for _ in range(4):
        house.call(Attempt(house, Down(), "pizza"))
    house.fail(1)
    assert house.breaker.current_state == "closed"


def test_a_call_that_opens_the_circuit_is_not_tried_again(house):
    house.fail(4)
    first = Down("the first")
    attempt = Attempt(house, first, "pizza")
    with pytest.raises(Down) as raised:
        house.call(attempt)
    assert raised.value is first
    assert len(attempt.left) == 1
    assert house.told == ["refused"]


def test_a_bad_probe_is_not_tried_again(house):
    house.half_open()
    attempt = Attempt(house, Down(), "pizza")
    with pytest.raises(Down):
        house.call(attempt)
    assert len(attempt.left) == 1
    assert house.breaker.seconds_open == 19.75


def test_a_circuit_that_opens_in_the_pause_means_no_second_attempt():
    house = House(sleep=lambda seconds: house.fail(4))
    attempt = Attempt(house, Down(), "pizza")
    with pytest.raises(Down):
        house.call(attempt)
    assert len(attempt.left) == 1
    assert house.told == ["refused"]


def test_a_second_attempt_takes_a_permit_of_its_own():
    def sleep(seconds):
        house.fail(4)
        house.clock.now += 0.25

    house = House(sleep=sleep, open_first=0.25)
    assert house.call(Attempt(house, Down(), "pizza")) == "pizza"
    assert house.breaker.current_state == "half-open"
    assert house.free_probes() == 1


def test_a_call_admitted_before_the_circuit_opened_is_made_once_and_says_nothing_of_now(house):
    attempt = Attempt(house, Down(), "pizza")
    with pytest.raises(Down):
        house.call(attempt, before=lambda: house.fail(5))
    assert len(attempt.left) == 1
    assert house.breaker.seconds_open == 9.75


def test_ignored_errors_are_no_result_and_not_tried_again(house):
    for _ in range(20):
        attempt = Attempt(house, OurMistake(), "pizza")
        with pytest.raises(OurMistake):
            house.call(attempt)
        assert len(attempt.left) == 1
    assert house.breaker.current_state == "closed"


# --- time -----------------------------------------------------------------------------------------


def a_wait_of(seconds):
    """A full house, in which a place is free after that long."""

    def wait(turn, most):
        house.clock.now += seconds
        house.bulkhead.leave()
        return turn.acquire(blocking=False)

    house = House(wait=wait)
    house.bulkhead.enter()
    house.bulkhead.enter()
    return house


def test_the_deadline_includes_the_wait_for_a_place():
    house = a_wait_of(0.75)
    attempt = Attempt(house, "pizza")
    house.call(attempt)
    assert attempt.left == [4.25]


@pytest.mark.parametrize("waited", [0.75, 4.75])
def test_what_is_done_between_admission_and_call_takes_nothing_from_the_deadline(waited):
    house = a_wait_of(waited)
    attempt = Attempt(house, "pizza")
    assert house.call(attempt, before=lambda: house.sleep(30)) == "pizza"
    assert attempt.left == [5 - waited]


@pytest.mark.parametrize("waited", [5, 60])
def test_a_wait_that_took_all_of_the_time_is_refused_and_loses_nothing(waited):
    house = a_wait_of(waited)
    house.half_open()
    assert house.free_probes() == 2
    refused = refusal(house.guard)
    assert (refused.why, refused.seconds) == ("deadline", 0)
    assert (house.free_places(), house.free_probes()) == (1, 2)


def test_all_attempts_and_pauses_share_one_deadline(house):
    attempt = Attempt(house, Down(), "pizza", seconds=1)
    house.call(attempt)
    assert attempt.left == [5, 3.75]


def test_what_was_waited_for_a_place_is_not_there_for_a_second_attempt():
    house = a_wait_of(0.75)
    attempt = Attempt(house, Down(), "pizza", seconds=3)
    with pytest.raises(Down):
        house.call(attempt)
    assert len(attempt.left) == 1
    assert house.told == ["no_time"]


def test_each_admission_has_a_deadline_of_its_own(house):
    for _ in range(3):
        attempt = Attempt(house, "pizza", seconds=4)
        house.call(attempt)
        assert attempt.left == [5]


def test_the_wall_clock_does_not_matter(house, time_machine):
    time_machine.move_to("2026-06-05", tick=False)
    guard = Guard(seconds=5, bulkhead=house.bulkhead, breaker=house.breaker, retry=house.guard.retry)
    deadline = guard.deadline(1000)
    for year in (2036, 2016):
        time_machine.move_to(f"{year}-06-05", tick=False)
        assert 900 < deadline.left() <= 1000


# --- a crowd --------------------------------------------------------------------------------------


def test_calls_run_side_by_side(house):
    inside = Barrier(2)

    assert together(2, lambda _: house.call(lambda deadline: inside.wait(BOUND) >= 0)) == [True, True]


def test_of_50_callers_at_once_two_probe_and_all_others_are_refused():
    others_refused, refused, made = Event(), [], []
    house = House(wait=lambda turn, seconds: False)
    house.half_open()

    def attempt(deadline):
        made.append(1)
        assert others_refused.wait(BOUND)
        return "pizza"

    def order(number):
        try:
            return house.call(attempt)
        except Refused as error:
            refused.append(error.why)
            if len(refused) == 48:
                others_refused.set()
            return "refused"

    answers = together(50, order)
    assert (answers.count("pizza"), answers.count("refused"), len(made)) == (2, 48, 2)
    assert set(refused) <= {"probing", "bulkhead"}
    assert house.breaker.current_state == "closed"
    assert house.free_places() == 2
