import time
from contextlib import suppress
from threading import Barrier, Event

import pytest

from jwtpizza.resilience import bulkhead as bulkheads
from jwtpizza.resilience import retry as retries
from jwtpizza.resilience.bulkhead import Bulkhead
from jwtpizza.resilience.deadline import Deadline
from jwtpizza.resilience.refused import Refused
from jwtpizza.resilience.retry import Budget, Retry
from jwtpizza.turns import TURNS, Turns
from tests.resilience.kit import BOUND, Clock, aside, others_first, together


def impatient(places=2):
    """Nobody waits: who finds no turn runs without."""
    return Turns(places, patience=0)


def patient(places=2):
    return Turns(places, patience=BOUND)


def free(turns):
    """How many of a dozen threads that come one after the other, and stay, have a turn."""
    taken, over = [], Event()

    def hold():
        turns.take()
        taken[-1].set()
        over.wait(BOUND)
        return turns.leave()

    holding = []
    for _ in range(12):
        taken.append(Event())
        holding.append(aside(hold))
        assert taken[-1].wait(BOUND)
    over.set()
    return sum(each.result(BOUND) for each in holding)


# --- a turn ---------------------------------------------------------------------------------------


def test_there_are_as_many_turns_as_places():
    assert [free(impatient(places)) for places in (1, 2, 5)] == [1, 2, 5]


def test_a_turn_that_was_left_is_the_next_ones():
    turns = impatient(1)
    for _ in range(10):
        turns.take()
        assert aside(lambda: turns.take() or turns.leave()).result(BOUND) is False
        assert turns.leave()
        assert aside(lambda: turns.take() or turns.leave()).result(BOUND) is True


def test_who_waits_gets_the_turn_that_is_left():
    turns, waits = patient(1), Event()
    turns.take()
    waiting = aside(lambda: waits.set() or turns.take() or turns.leave())
    assert waits.wait(BOUND)
    assert not waiting.done()
    turns.leave()
    assert waiting.result(BOUND) is True


def test_the_third_waits_out_its_patience_and_runs_without():
    turns = Turns(2, patience=0.01)
    both, over = Barrier(3), Event()

    def hold():
        turns.take()
        both.wait(BOUND)
        over.wait(BOUND)
        return turns.leave()

    holding = [aside(hold) for _ in range(2)]
    both.wait(BOUND)
    begun = time.monotonic()
    turns.take()
    assert 0.01 <= time.monotonic() - begun < BOUND
    assert turns.leave() is False
    over.set()
    assert [each.result(BOUND) for each in holding] == [True, True]
    assert free(turns) == 2


def test_what_is_left_twice_is_free_once():
    turns = impatient()
    turns.take()
    assert [turns.leave(), turns.leave()] == [True, False]
    assert free(turns) == 2


def test_who_leaves_without_a_turn_gives_none_away():
    turns = impatient()
    assert turns.leave() is False
    assert free(turns) == 2


def test_a_thread_has_one_turn_however_often_it_takes_it():
    turns = impatient()
    turns.take()
    turns.take()
    assert free(turns) == 1
    assert [turns.leave(), turns.leave()] == [True, False]
    assert free(turns) == 2


# --- aside ----------------------------------------------------------------------------------------


def test_aside_the_turn_is_others_and_afterwards_ones_own_again():
    turns = impatient(1)
    turns.take()
    with turns.aside():
        assert free(turns) == 1
    assert free(turns) == 0
    assert turns.leave()


def test_who_has_locks_goes_on_without_a_turn_where_none_is_free():
    turns, taken, over = patient(1), Event(), Event()
    turns.take()
    with turns.aside(patience=0):
        other = aside(lambda: turns.take() or taken.set() or (over.wait(BOUND) and turns.leave()))
        assert taken.wait(BOUND)
    assert turns.leave() is False
    over.set()
    assert other.result(BOUND) is True


def test_who_goes_on_without_a_turn_has_one_again_after_the_next_wait():
    turns = patient(1)
    turns.take()
    with turns.aside(patience=0):
        other = aside(turns.take)
        other.result(BOUND)
    with turns.aside():
        turns._free.put(None)  # the other's, which is over
    assert turns.leave() is True


def test_who_never_took_one_has_none_after_a_wait_either():
    turns = impatient(1)
    turns.take()
    turns.leave()
    with turns.aside():
        pass
    assert turns.leave() is False


def test_aside_of_aside_is_aside():
    turns = impatient(1)
    turns.take()
    with turns.aside():
        with turns.aside():
            assert free(turns) == 1
        assert free(turns) == 1
    assert free(turns) == 0
    assert turns.leave()
    assert free(turns) == 1


def test_aside_without_a_turn_is_nothing():
    turns = impatient(1)
    with turns.aside():
        assert free(turns) == 1
    assert turns.leave() is False
    assert free(turns) == 1


def back_from_aside(turns):
    """A thread that steps aside and comes back after this one has taken its turn; whether it has one then."""
    is_aside, back = Event(), Event()

    def wait():
        turns.take()
        with turns.aside():
            is_aside.set()
            assert back.wait(BOUND)
        return turns.leave()

    waiting = aside(wait)
    assert is_aside.wait(BOUND)
    turns.take()
    back.set()
    return waiting


def test_who_comes_back_waits_for_a_turn():
    turns = patient(1)
    waiting = back_from_aside(turns)
    assert not waiting.done()
    turns.leave()
    assert waiting.result(BOUND) is True


def test_who_comes_back_to_none_goes_on_without():
    turns = impatient(1)
    waiting = back_from_aside(turns)
    assert waiting.result(BOUND) is False
    assert turns.leave()
    assert free(turns) == 1


@pytest.mark.parametrize("error", [ValueError, KeyboardInterrupt, SystemExit])
def test_who_fails_aside_has_the_turn_again(error):
    turns = impatient(1)
    turns.take()
    with pytest.raises(error), turns.aside():
        raise error
    assert free(turns) == 0
    assert turns.leave()
    assert free(turns) == 1


def test_a_hundred_threads_are_never_more_inside_than_there_are_places():
    turns, inside, most = patient(3), [], []

    def work():
        inside.append(1)
        most.append(len(inside))
        others_first()
        inside.pop()

    def caller(number):
        for _ in range(20):
            turns.take()
            work()
            with turns.aside():
                others_first()
            work()
            assert turns.leave()

    together(100, caller)
    assert max(most) <= 3
    assert turns._free.qsize() == 3


# --- its users ------------------------------------------------------------------------------------


def test_a_process_has_two():
    assert free(TURNS) == 2


@pytest.fixture
def turn(monkeypatch):
    """One turn for all, which this thread has."""
    turns = impatient(1)
    for user in (bulkheads, retries):
        monkeypatch.setattr(user, "TURNS", turns)
    turns.take()
    return turns


def test_who_waits_at_a_bulkhead_holds_no_turn(turn):
    bulkhead, waiting = Bulkhead(places=1, queue=1, seconds=BOUND), Event()
    bulkhead.enter()

    def run_and_leave():
        waiting.wait(BOUND)
        ran = free_soon(turn)
        bulkhead.leave()
        return ran

    leaving = aside(run_and_leave)
    bulkhead.enter(before_waiting=waiting.set)
    assert leaving.result(BOUND)
    assert turn.leave()


def free_soon(turns):
    """Whether the turn is to be had within the bound."""
    give_up = time.monotonic() + BOUND
    while time.monotonic() < give_up:
        turns.take()
        if turns.leave():
            return True
        others_first()
    return False


def test_who_waited_in_vain_at_a_bulkhead_has_its_turn_again(turn):
    bulkhead = Bulkhead(places=0, queue=1, seconds=0)
    with pytest.raises(Refused):
        bulkhead.enter()
    assert turn.leave()


def test_who_pauses_before_a_retry_holds_no_turn(turn):
    found = []
    retry = Retry(
        attempts=2,
        jitter=0.2,
        least=0,
        budget=Budget(ratio=1, saved=1),
        worth=lambda error: True,
        sleep=lambda seconds: found.append(free(turn)),
    )

    def attempt():
        found.append(free(turn))
        raise ValueError

    with suppress(ValueError):
        retry.call(attempt, attempt, deadline=Deadline(5, clock=Clock()))
    assert found == [0, 1, 0]
    assert turn.leave()
