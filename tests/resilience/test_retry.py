from contextlib import suppress

import pytest

from jwtpizza.resilience.deadline import Deadline, DeadlineExceeded
from jwtpizza.resilience.refused import Refused
from jwtpizza.resilience.retry import RESULTS, Budget, Retry

from .kit import Clock, others_first, together


class Passing(Exception):
    """May pass by itself."""


class Lasting(Exception):
    """Will be the same the next time."""


@pytest.fixture
def clock():
    return Clock()


class Attempts:
    """Does what it is told, one after the other: an error is raised, all else is returned. Each takes `seconds`."""

    def __init__(self, clock, *outcomes, seconds=0.0):
        self._clock, self._outcomes, self._seconds = clock, list(outcomes), seconds
        self.made = 0

    def __call__(self):
        self.made += 1
        self._clock.now += self._seconds
        outcome = self._outcomes.pop(0)
        if isinstance(outcome, BaseException):
            raise outcome
        return outcome


class Pauses:
    """Somebody who sleeps on the test's clock, always for the longest, and hears what came of the retries."""

    def __init__(self, clock):
        self._clock, self.slept, self.drawn, self.told = clock, [], [], []

    def draw(self, low, high):
        self.drawn.append((low, high))
        return high

    def sleep(self, seconds):
        self.slept.append(seconds)
        self._clock.now += seconds


@pytest.fixture
def pauses(clock):
    return Pauses(clock)


def a_budget():
    return Budget(ratio=0.1, saved=10)


@pytest.fixture
def a_retry(pauses):
    def make(attempts=2, budget=None):
        return Retry(
            attempts=attempts,
            jitter=0.2,
            least=1.5,
            budget=budget or a_budget(),
            worth=lambda error: isinstance(error, Passing),
            told=pauses.told.append,
            sleep=pauses.sleep,
            draw=pauses.draw,
        )

    return make


def call(retry, attempts, clock, *, again=None, seconds=5.0):
    return retry.call(attempts, again or attempts, deadline=Deadline(seconds, clock=clock))


# --- attempts -------------------------------------------------------------------------------------


def test_what_succeeds_is_not_tried_again(a_retry, clock, pauses):
    attempts = Attempts(clock, "pizza")
    assert call(a_retry(), attempts, clock) == "pizza"
    assert (attempts.made, pauses.slept, pauses.told) == (1, [], [])


def test_what_may_pass_is_tried_once_more(a_retry, clock, pauses):
    attempts = Attempts(clock, Passing(), "pizza")
    assert call(a_retry(), attempts, clock) == "pizza"
    assert (attempts.made, pauses.told) == (2, ["ok"])


def test_the_second_attempt_is_the_one_that_is_given_for_it(a_retry, clock):
    first, again = Attempts(clock, Passing()), Attempts(clock, "pizza")
    assert call(a_retry(), first, clock, again=again) == "pizza"
    assert (first.made, again.made) == (1, 1)


def test_nothing_is_a_result_like_any_other(a_retry, clock, pauses):
    assert call(a_retry(), Attempts(clock, Passing(), None), clock) is None
    assert pauses.told == ["ok"]


def test_two_attempts_are_all(a_retry, clock, pauses):
    first, last = Passing("first"), Passing("last")
    attempts = Attempts(clock, first, last, "too late")
    with pytest.raises(Passing) as raised:
        call(a_retry(), attempts, clock)
    assert raised.value is last
    assert (attempts.made, pauses.told) == (2, ["failed"])


@pytest.mark.parametrize("most", [1, 2, 3, 5])
def test_there_are_as_many_attempts_as_it_is_told(a_retry, clock, pauses, most):
    attempts = Attempts(clock, *[Passing() for _ in range(9)])
    with pytest.raises(Passing):
        call(a_retry(attempts=most), attempts, clock)
    assert attempts.made == most
    assert pauses.told == ["failed"] * (most - 1)


def test_a_third_attempt_may_be_the_good_one(a_retry, clock, pauses):
    attempts = Attempts(clock, Passing(), Passing(), "pizza")
    assert call(a_retry(attempts=3), attempts, clock) == "pizza"
    assert pauses.told == ["failed", "ok"]


# --- whether it is worth it -----------------------------------------------------------------------


def test_what_will_not_pass_is_not_tried_again(a_retry, clock, pauses):
    attempts = Attempts(clock, Lasting(), "pizza")
    with pytest.raises(Lasting):
        call(a_retry(), attempts, clock)
    assert (attempts.made, pauses.slept, pauses.told) == (1, [], [])


def test_what_will_not_pass_ends_it_in_the_middle(a_retry, clock):
    attempts = Attempts(clock, Passing(), Lasting(), "pizza")
    with pytest.raises(Lasting):
        call(a_retry(attempts=3), attempts, clock)
    assert attempts.made == 2


@pytest.mark.parametrize("error", [KeyboardInterrupt, SystemExit])
@pytest.mark.parametrize("before", [[], [Passing()]])
def test_who_is_interrupted_does_not_try_again_whatever_is_worth_it(clock, error, before):
    retry = Retry(
        attempts=9, jitter=0, least=0, budget=a_budget(), worth=lambda error: True, sleep=lambda seconds: None
    )
    attempts = Attempts(clock, *before, error(), "pizza")
    with pytest.raises(error):
        call(retry, attempts, clock)
    assert attempts.made == len(before) + 1


@pytest.mark.parametrize("why", ["open", "probing"])
def test_a_second_attempt_that_is_refused_raises_the_error_of_the_first(a_retry, clock, pauses, why):
    first = Passing("of the first")
    attempts = Attempts(clock, first, Refused(why, 10), "pizza")
    with pytest.raises(Passing) as raised:
        call(a_retry(attempts=3), attempts, clock)
    assert raised.value is first
    assert (attempts.made, pauses.told) == (2, ["refused"])


# --- pauses ---------------------------------------------------------------------------------------


def test_before_each_further_attempt_is_a_pause_of_up_to_200_ms(a_retry, clock, pauses):
    attempts = Attempts(clock, Passing(), Passing(), "pizza")
    call(a_retry(attempts=3), attempts, clock)
    assert pauses.drawn == [(0, 0.2)] * 2
    assert pauses.slept == [0.2] * 2


def test_pauses_differ_by_themselves(clock):
    slept = []
    retry = Retry(
        attempts=100,
        jitter=0.2,
        least=0,
        budget=Budget(ratio=1, saved=100),
        worth=lambda error: True,
        sleep=slept.append,
    )
    with pytest.raises(Passing):
        call(retry, Attempts(clock, *[Passing() for _ in range(100)]), clock)
    assert len(set(slept)) > 50
    assert 0 <= min(slept) < 0.1 < max(slept) <= 0.2


# --- time -----------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("seconds", "made", "told"), [(3.5, 2, ["ok"]), (3.501, 1, ["no_time"]), (5, 1, ["no_time"]), (9, 1, ["no_time"])]
)
def test_it_is_tried_again_only_with_a_second_and_a_half_left(a_retry, clock, pauses, seconds, made, told):
    attempts = Attempts(clock, Passing(), "pizza", seconds=seconds)
    with suppress(Passing):
        call(a_retry(), attempts, clock)
    assert (attempts.made, pauses.told) == (made, told)


def test_the_error_is_the_attempts_own_when_the_time_is_over(a_retry, clock):
    with pytest.raises(Passing):
        call(a_retry(), Attempts(clock, Passing(), seconds=6), clock)


def test_an_error_about_the_deadline_is_let_through(a_retry, clock):
    with pytest.raises(DeadlineExceeded):
        call(a_retry(), Attempts(clock, DeadlineExceeded()), clock)


def test_pauses_take_of_the_time_that_is_left(a_retry, clock, pauses):
    attempts = Attempts(clock, *[Passing() for _ in range(99)], seconds=0.3)
    with pytest.raises(Passing):
        call(a_retry(attempts=99), attempts, clock)
    # After seven attempts and six pauses 1.7 s are left, after one more of each 1.2 s.
    assert attempts.made == 8
    assert pauses.told == ["failed"] * 7 + ["no_time"]


# --- the budget -----------------------------------------------------------------------------------


def spent(budget, most=1000):
    """How many retries are to be had."""
    return next(number for number in range(most) if not budget.spend())


def test_ten_retries_are_saved_at_the_start():
    assert spent(a_budget()) == 10


def test_each_call_earns_a_tenth_of_a_retry():
    budget = a_budget()
    spent(budget)
    for _ in range(3):
        for _ in range(9):
            budget.earn()
            assert not budget.spend()
        budget.earn()
        assert budget.spend()
        assert not budget.spend()


def test_never_more_than_ten_are_saved():
    budget = a_budget()
    for _ in range(10_000):
        budget.earn()
    assert spent(budget) == 10


def test_nearly_a_retry_is_none():
    budget = Budget(ratio=0.999, saved=1)
    budget.spend()
    budget.earn()
    assert not budget.spend()
    budget.earn()
    assert budget.spend()


def test_to_ask_where_nothing_is_left_costs_nothing():
    budget = a_budget()
    spent(budget)
    for _ in range(100):
        budget.spend()
    for _ in range(10):
        budget.earn()
    assert spent(budget) == 1


def test_nothing_saved_is_nothing_to_spend():
    budget = Budget(ratio=0.1, saved=0)
    for _ in range(100):
        budget.earn()
    assert spent(budget) == 0


def test_a_budget_does_not_drift(a_retry, clock):
    budget = a_budget()
    spent(budget)
    retries = 0
    for _ in range(100_000):
        budget.earn()
        retries += budget.spend()
    assert retries == 10_000


def test_a_thousand_calls_that_all_fail_cost_a_hundred_and_ten_retries_at_most(a_retry, clock, pauses):
    retry, made = a_retry(), 0
    for _ in range(1000):
        attempts = Attempts(clock, Passing(), Passing())
        with pytest.raises(Passing):
            call(retry, attempts, clock)
        made += attempts.made
    # The first call finds all ten saved, so that its own tenth is lost.
    assert 1000 + 109 <= made <= 1000 + 110
    assert pauses.told.count("failed") == made - 1000
    assert pauses.told.count("no_budget") == 2000 - made


def test_without_budget_the_first_error_is_raised_at_once(a_retry, clock, pauses):
    error = Passing("the first")
    attempts = Attempts(clock, error, "pizza")
    with pytest.raises(Passing) as raised:
        call(a_retry(budget=Budget(ratio=0.1, saved=0)), attempts, clock)
    assert raised.value is error
    assert (attempts.made, pauses.slept, pauses.told) == (1, [], ["no_budget"])


def test_calls_that_succeed_earn_as_well(a_retry, clock, pauses):
    budget = a_budget()
    spent(budget)
    for _ in range(10):
        call(a_retry(budget=budget), Attempts(clock, "pizza"), clock)
    assert spent(budget) == 1


def test_a_call_earns_once_however_many_attempts_it_makes(a_retry, clock):
    budget = Budget(ratio=1, saved=10)
    spent(budget, 20)
    for _ in range(2):
        budget.earn()
    with pytest.raises(Passing):
        call(a_retry(attempts=9, budget=budget), Attempts(clock, *[Passing() for _ in range(9)]), clock)
    assert spent(budget) == 0


@pytest.mark.parametrize(("error", "seconds"), [(Lasting, 0.0), (Passing, 4.0)])
def test_what_is_not_tried_again_costs_nothing(a_retry, clock, error, seconds):
    budget = a_budget()
    for _ in range(20):
        with pytest.raises(error):
            call(a_retry(budget=budget), Attempts(clock, error(), seconds=seconds), clock)
    assert spent(budget) == 10


def test_the_names_of_results_are_known_beforehand():
    assert set(RESULTS) == {"ok", "failed", "refused", "no_budget", "no_time"}


# --- a crowd --------------------------------------------------------------------------------------


class Crowded(float):
    """A number where others are always quicker: who reads it is overtaken before anything is done with it."""

    def __lt__(self, other):
        others_first()
        return super().__lt__(other)

    def __sub__(self, other):
        return Crowded(super().__sub__(other))

    def __radd__(self, other):
        others_first()
        return super().__radd__(other)


def test_under_32_threads_all_that_is_saved_is_spent_and_no_more():
    budget = Budget(ratio=0.1, saved=Crowded(100))
    given = together(32, lambda number: sum(budget.spend() for _ in range(10)))
    assert sum(given) == 100


def test_under_32_threads_nothing_that_is_earned_is_lost():
    budget = Budget(ratio=Crowded(0.25), saved=1000)
    spent(budget, 1001)

    def earn(number):
        for _ in range(20):
            budget.earn()

    together(32, earn)
    assert spent(budget, 1001) == 32 * 20 / 4


def test_under_32_threads_a_thousand_failing_calls_stay_within_their_budget(clock):
    made = []
    retry = Retry(
        attempts=2, jitter=0.2, least=1.5, budget=a_budget(), worth=lambda error: True, sleep=lambda seconds: None
    )

    def attempt():
        made.append(1)
        raise Passing

    def caller(number):
        for _ in range(32):
            with suppress(Passing):
                call(retry, attempt, clock)

    together(32, caller)
    assert 1024 + 100 <= len(made) <= 1024 + 112
