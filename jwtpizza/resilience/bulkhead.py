"""A bulkhead: so many calls at once, a few more that wait a moment, and none beyond."""

import threading
import time
from collections import deque
from collections.abc import Callable
from threading import Lock

from jwtpizza.resilience.refused import Refused
from jwtpizza.turns import TURNS

Wait = Callable[[Lock, float], bool]


def _wait(turn: Lock, seconds: float) -> bool:
    with TURNS.aside():
        return turn.acquire(timeout=seconds)


class Bulkhead:
    """`places` callers are inside at once, `queue` more wait up to `seconds` each, first come, first served.

    May be used from many threads. `wait` takes a turn within that many seconds, and says whether it came.
    """

    def __init__(
        self,
        *,
        places: int,
        queue: int,
        seconds: float,
        wait: Wait = _wait,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._free, self._queue_length, self._seconds, self._wait = places, queue, seconds, wait
        self._clock, self._closed_until = clock, 0.0
        self._waiting: deque[Lock] = deque()
        self._lock = threading.Lock()

    def enter(self, *, before_waiting: Callable[[], object] = lambda: None) -> None:
        """A place, which `leave` gives back; raises Refused if it is closed, the queue is full or the wait is over.

        Who has to wait does `before_waiting` first: what others need is not to be held meanwhile.
        """
        with self._lock:
            if (left := self._closed_until - self._clock()) > 0:
                raise Refused("bulkhead", left)
            if self._free:
                self._free -= 1
                return
            if len(self._waiting) >= self._queue_length:
                raise Refused("bulkhead", self._seconds)
            turn = Lock()
            turn.acquire()
            self._waiting.append(turn)
        came = False
        try:
            before_waiting()
            came = self._wait(turn, self._seconds)
        finally:
            if not came:
                self._give_up(turn)
        if not came:
            raise Refused("bulkhead", self._seconds)

    @property
    def seconds_closed(self) -> float:
        """For how long nobody new is let in; 0 as a rule."""
        with self._lock:
            return max(0.0, self._closed_until - self._clock())

    def close(self, seconds: float) -> None:
        """Lets nobody new in for that long: the other side asks for less."""
        with self._lock:
            self._closed_until = max(self._closed_until, self._clock() + seconds)

    def leave(self) -> None:
        """The place goes to who waited longest, or is free."""
        with self._lock:
            if self._waiting:
                self._waiting.popleft().release()
            else:
                self._free += 1

    def _give_up(self, turn: Lock) -> None:
        with self._lock:
            if turn in self._waiting:
                self._waiting.remove(turn)
                return
        # It came in the very moment in which the wait ended.
        self.leave()
