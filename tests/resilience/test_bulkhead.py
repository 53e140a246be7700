import random
from collections import deque
from contextlib import suppress
from queue import SimpleQueue
from threading import Event, Lock

import pytest

from jwtpizza.resilience.bulkhead import Bulkhead
from jwtpizza.resilience.refused import Refused

from .kit import BOUND, Clock, aside, others_first, together


@pytest.fixture
def clock():
    return Clock()


def a_bulkhead(places=2, queue=2, seconds=1.0, **how):
    return Bulkhead(places=places, queue=queue, seconds=seconds, **how)


def nobody_waits(turn, seconds):
    raise AssertionError("nobody has to wait here")


def in_vain(turn, seconds):
    return False


def refusal(bulkhead, **how):
    with pytest.raises(Refused) as refused:
        bulkhead.enter(**how)
    return refused.value


class MustWait(Exception):
    """Raised by whoever would have to wait, so that a test sees it without waiting."""


def free_places(bulkhead):
    """Takes all that can be had at once, of a hundred, and counts them."""

    def before_waiting():
        raise MustWait

    taken = []
    for _ in range(100):
        with suppress(MustWait, Refused):
            taken.append(bulkhead.enter(before_waiting=before_waiting))
    return len(taken)


class Caller:
    """Somebody with a thread of their own, who has gone to stand in the queue, or is in already, when this returns."""

    def __init__(self, bulkhead, arrivals=None):
        self._waits, self.arrived, self._arrivals = Event(), Event(), arrivals
        self._entering = aside(self._enter, bulkhead)
        assert self._waits.wait(BOUND)

    def _enter(self, bulkhead):
        try:
            bulkhead.enter(before_waiting=self._waits.set)
            if self._arrivals:
                self._arrivals.put(self)
        finally:
            self._waits.set()

    def result(self):
        return self._entering.result(BOUND)


# --- places ---------------------------------------------------------------------------------------


def test_as_many_get_in_at_once_as_there_are_places():
    bulkhead = a_bulkhead(places=8, queue=0, wait=nobody_waits)
    assert free_places(bulkhead) == 8
    assert refusal(bulkhead).why == "bulkhead"


def test_a_place_that_is_left_is_free_again():
    bulkhead = a_bulkhead(places=2, queue=0, wait=nobody_waits)
    for _ in range(10):
        assert free_places(bulkhead) == 2
        bulkhead.leave()
        bulkhead.enter()
        bulkhead.leave()
        bulkhead.leave()
    assert free_places(bulkhead) == 2


def test_who_gets_in_at_once_does_nothing_before():
    done = []
    bulkhead = a_bulkhead(places=2, wait=nobody_waits)
    bulkhead.enter(before_waiting=lambda: done.append("before"))
    bulkhead.enter(before_waiting=lambda: done.append("before"))
    assert done == []


# --- the queue ------------------------------------------------------------------------------------


def test_who_has_to_wait_does_first_what_is_to_be_done_before_waiting():
    done = []
    bulkhead = a_bulkhead(places=1, queue=1, seconds=0.75, wait=lambda turn, seconds: done.append(seconds) or True)
    bulkhead.enter()
    bulkhead.enter(before_waiting=lambda: done.append("before"))
    assert done == ["before", 0.75]


def test_what_is_done_before_waiting_holds_up_nobody():
    bulkhead = a_bulkhead(places=1, queue=2, wait=in_vain)
    begun, go_on = Event(), Event()
    bulkhead.enter()
    slow = aside(bulkhead.enter, before_waiting=lambda: begun.set() or go_on.wait(BOUND))
    assert begun.wait(BOUND)
    assert aside(refusal, bulkhead).result(BOUND).why == "bulkhead"
    aside(bulkhead.close, 0).result(BOUND)
    go_on.set()
    with pytest.raises(Refused):
        slow.result(BOUND)


def test_a_full_queue_refuses_at_once():
    bulkhead = a_bulkhead(places=1, queue=2, seconds=BOUND)
    bulkhead.enter()
    callers = [Caller(bulkhead), Caller(bulkhead)]
    asked = []
    refused = refusal(bulkhead, before_waiting=lambda: asked.append("to wait"))
    assert (refused.why, refused.seconds, asked) == ("bulkhead", BOUND, [])
    for caller in callers:
        bulkhead.leave()
        caller.result()


def test_without_a_queue_nobody_waits():
    bulkhead = a_bulkhead(places=1, queue=0, wait=nobody_waits)
    bulkhead.enter()
    assert refusal(bulkhead, before_waiting=lambda: pytest.fail("nobody waits")).why == "bulkhead"


def test_first_come_first_served():
    bulkhead, arrivals = a_bulkhead(places=2, queue=10, seconds=BOUND), SimpleQueue()
    bulkhead.enter()
    bulkhead.enter()
    callers = [Caller(bulkhead, arrivals) for _ in range(10)]
    for caller in callers:
        bulkhead.leave()
        assert arrivals.get(timeout=BOUND) is caller


def test_a_newcomer_does_not_overtake_who_was_called_and_is_still_on_the_way():
    called, go_on = Event(), Event()

    def sluggish(turn, seconds):
        came = turn.acquire(timeout=BOUND)
        called.set()
        assert go_on.wait(BOUND)
        return came

    bulkhead = a_bulkhead(places=1, queue=1, wait=sluggish)
    bulkhead.enter()
    caller = Caller(bulkhead)
    bulkhead.leave()
    assert called.wait(BOUND)
    assert free_places(bulkhead) == 0
    go_on.set()
    caller.result()
    bulkhead.leave()
    assert free_places(bulkhead) == 1


def test_a_newcomer_stands_behind_those_who_wait():
    bulkhead, arrivals = a_bulkhead(places=1, queue=2, seconds=BOUND), SimpleQueue()
    bulkhead.enter()
    first = Caller(bulkhead, arrivals)
    bulkhead.leave()
    assert arrivals.get(timeout=BOUND) is first
    second = Caller(bulkhead, arrivals)
    newcomer = Caller(bulkhead, arrivals)
    bulkhead.leave()
    assert arrivals.get(timeout=BOUND) is second
    bulkhead.leave()
    assert arrivals.get(timeout=BOUND) is newcomer


# --- waiting in vain ------------------------------------------------------------------------------


class FirstGivesUp:
    """A wait that is in vain for who waits first, as soon as the test says so, and patient for all others."""

    def __init__(self):
        self.stands, self.gives_up = Event(), Event()

    def __call__(self, turn, seconds):
        if self.stands.is_set():
            return turn.acquire(timeout=BOUND)
        self.stands.set()
        assert self.gives_up.wait(BOUND)
        return False


def test_who_waited_in_vain_is_refused():
    bulkhead = a_bulkhead(places=1, queue=1, seconds=0.5, wait=in_vain)
    bulkhead.enter()
    refused = refusal(bulkhead)
    assert (refused.why, refused.seconds) == ("bulkhead", 0.5)


def test_the_wait_ends_by_itself():
    bulkhead = a_bulkhead(places=1, queue=1, seconds=0.001)
    bulkhead.enter()
    assert aside(refusal, bulkhead).result(BOUND).why == "bulkhead"


def test_the_queues_place_of_who_waited_in_vain_is_free_again():
    waits = []
    bulkhead = a_bulkhead(places=1, queue=1, wait=lambda turn, seconds: waits.append(turn))
    bulkhead.enter()
    for _ in range(5):
        refusal(bulkhead)
    assert len(waits) == 5


def test_a_place_is_not_given_to_who_has_gone():
    bulkhead = a_bulkhead(places=1, queue=3, wait=in_vain)
    bulkhead.enter()
    refusal(bulkhead)
    refusal(bulkhead)
    bulkhead.leave()
    assert free_places(bulkhead) == 1


def test_who_gives_up_in_the_middle_of_the_queue_leaves_the_others_in_their_order():
    wait, arrivals = FirstGivesUp(), SimpleQueue()
    bulkhead = a_bulkhead(places=1, queue=3, wait=wait)
    bulkhead.enter()
    gone = Caller(bulkhead)
    assert wait.stands.wait(BOUND)
    others = [Caller(bulkhead, arrivals), Caller(bulkhead, arrivals)]
    wait.gives_up.set()
    with pytest.raises(Refused):
        gone.result()
    for caller in others:
        bulkhead.leave()
        assert arrivals.get(timeout=BOUND) is caller


def test_a_turn_that_comes_in_the_moment_the_wait_ends_is_not_lost():
    def just_too_late(turn, seconds):
        bulkhead.leave()
        return False

    bulkhead = a_bulkhead(places=1, queue=1, wait=just_too_late)
    bulkhead.enter()
    assert refusal(bulkhead).why == "bulkhead"
    assert free_places(bulkhead) == 1


def test_a_turn_that_came_too_late_goes_to_the_next_in_the_queue():
    wait = FirstGivesUp()
    bulkhead = a_bulkhead(places=1, queue=2, wait=wait)
    bulkhead.enter()
    late = Caller(bulkhead)
    assert wait.stands.wait(BOUND)
    patient = Caller(bulkhead)
    bulkhead.leave()
    wait.gives_up.set()
    with pytest.raises(Refused):
        late.result()
    patient.result()
    assert free_places(bulkhead) == 0
    bulkhead.leave()
    assert free_places(bulkhead) == 1


@pytest.mark.parametrize("error", [ZeroDivisionError, KeyboardInterrupt])
def test_what_fails_before_waiting_loses_nothing(error):
    def before_waiting():
        raise error

    bulkhead = a_bulkhead(places=1, queue=1, wait=nobody_waits)
    bulkhead.enter()
    for _ in range(5):
        with pytest.raises(error):
            bulkhead.enter(before_waiting=before_waiting)
    bulkhead.leave()
    assert free_places(bulkhead) == 1


def test_what_fails_before_waiting_after_its_turn_came_loses_nothing():
    def before_waiting():
        bulkhead.leave()
        raise ZeroDivisionError

    bulkhead = a_bulkhead(places=1, queue=1, wait=nobody_waits)
    bulkhead.enter()
    with pytest.raises(ZeroDivisionError):
        bulkhead.enter(before_waiting=before_waiting)
    assert free_places(bulkhead) == 1


def test_a_turn_that_comes_before_the_wait_begins_is_taken_at_once():
    bulkhead = a_bulkhead(places=1, queue=1, seconds=0)
    bulkhead.enter()
    bulkhead.enter(before_waiting=bulkhead.leave)
    assert free_places(bulkhead) == 0


def test_a_wait_that_is_interrupted_loses_nothing():
    def interrupted(turn, seconds):
        raise KeyboardInterrupt

    bulkhead = a_bulkhead(places=1, queue=1, wait=interrupted)
    bulkhead.enter()
    for _ in range(5):
        with pytest.raises(KeyboardInterrupt):
            bulkhead.enter()
    bulkhead.leave()
    assert free_places(bulkhead) == 1


# --- closed for a while ---------------------------------------------------------------------------


def test_closed_it_refuses_with_the_seconds_left_even_where_places_are_free(clock):
    bulkhead = a_bulkhead(wait=nobody_waits, clock=clock)
    bulkhead.close(20)
    clock.now += 5
    refused = refusal(bulkhead, before_waiting=lambda: pytest.fail("nobody waits"))
    assert (refused.why, refused.seconds) == ("bulkhead", 15)
    clock.now += 14.999
    refusal(bulkhead)
    clock.now += 0.001
    assert free_places(bulkhead) == 2


def test_a_shorter_close_does_not_open_it_earlier(clock):
    bulkhead = a_bulkhead(wait=nobody_waits, clock=clock)
    bulkhead.close(20)
    bulkhead.close(0)
    clock.now += 1
    bulkhead.close(10)
    assert refusal(bulkhead).seconds == 19
    bulkhead.close(30)
    assert refusal(bulkhead).seconds == 30


def test_closed_for_no_time_it_is_not_closed(clock):
    bulkhead = a_bulkhead(wait=nobody_waits, clock=clock)
    bulkhead.close(0)
    assert free_places(bulkhead) == 2


def test_it_says_for_how_long_it_is_closed(clock):
    bulkhead = a_bulkhead(clock=clock)
    assert bulkhead.seconds_closed == 0
    bulkhead.close(20)
    clock.now += 5
    assert bulkhead.seconds_closed == 15
    clock.now += 60
    assert bulkhead.seconds_closed == 0


def test_closing_puts_nobody_out(clock):
    bulkhead = a_bulkhead(places=1, queue=1, seconds=BOUND, clock=clock)
    bulkhead.enter()
    caller = Caller(bulkhead)
    bulkhead.close(20)
    bulkhead.leave()
    caller.result()
    bulkhead.leave()
    clock.now += 20
    assert free_places(bulkhead) == 1


def test_the_wall_clock_does_not_matter(time_machine):
    time_machine.move_to("2026-06-05", tick=False)
    bulkhead = a_bulkhead(wait=nobody_waits)
    bulkhead.close(1000)
    for year in (2036, 2016):
        time_machine.move_to(f"{year}-06-05", tick=False)
        assert 900 < refusal(bulkhead).seconds <= 1000


# --- a crowd --------------------------------------------------------------------------------------


class Inside:
    """Counts who is inside, and how many were at most."""

    def __init__(self):
        self._lock, self._now, self.most = Lock(), 0, 0

    def change(self, step):
        with self._lock:
            self._now += step
            self.most = max(self.most, self._now)


class Watched(deque):
    """Says, once, that somebody looks at the queue."""

    looked = staticmethod(lambda: None)

    def __len__(self):
        looked, self.looked = self.looked, lambda: None
        looked()
        return super().__len__()


def test_a_place_that_is_left_while_somebody_goes_to_the_queue_is_theirs():
    leaving = []

    def looked():
        leaving.append(aside(bulkhead.leave))
        # It has to wait for the end of this look; without a lock it would be done by then.
        with suppress(TimeoutError):
            leaving[0].result(0.1)

    bulkhead = a_bulkhead(places=1, queue=1, seconds=BOUND)
    bulkhead.enter()
    bulkhead._waiting = Watched()
    bulkhead._waiting.looked = looked
    bulkhead.enter()
    leaving[0].result(BOUND)
    assert free_places(bulkhead) == 0


class Crowded(deque):
    """A queue where others are always quicker: whoever looks or moves here is overtaken by all who are let."""

    def __len__(self):
        others_first()
        return super().__len__()

    def __contains__(self, turn):
        found = super().__contains__(turn)
        others_first()
        return found

    def append(self, turn):
        others_first()
        super().append(turn)

    def popleft(self):
        others_first()
        return super().popleft()

    def remove(self, turn):
        others_first()
        super().remove(turn)


def test_under_32_threads_no_place_is_lost_and_none_is_given_twice():
    inside, waited, dice = Inside(), [], random.Random(1)

    def moody(turn, seconds):
        with bulkhead._lock:
            waited.append(bulkhead._free and len(bulkhead._waiting))
        return turn.acquire(timeout=dice.choice([0, 0, 0.0001, BOUND]))

    def before_waiting():
        if dice.random() < 0.1:
            raise MustWait

    bulkhead = a_bulkhead(places=4, queue=16, wait=moody)
    bulkhead._waiting = Crowded()

    def caller(number):
        for _ in range(100):
            with suppress(Refused, MustWait):
                bulkhead.enter(before_waiting=before_waiting)
                inside.change(1)
                others_first()
                inside.change(-1)
                bulkhead.leave()

    together(32, caller)
    assert len(waited) > 20
    assert not any(waited), "somebody waited while a place was free"
    assert inside.most <= 4
    assert free_places(bulkhead) == 4
