"""A point in time after which nobody waits any more."""

import time
from collections.abc import Callable


class DeadlineExceeded(Exception):
    """The time for the whole call is used up."""


class Deadline:
    """Counts down from `seconds` on the monotonic clock, whatever happens to the wall clock."""

    def __init__(self, seconds: float, *, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._end = clock() + seconds

    def left(self) -> float:
        """Seconds left, always more than 0; raises DeadlineExceeded when none are."""
        left = self._end - self._clock()
        if left <= 0:
            raise DeadlineExceeded
        return left

    def cut(self, seconds: float) -> float:
        """`seconds`, or what is left if that is less; raises DeadlineExceeded when nothing is."""
        return min(seconds, self.left())
