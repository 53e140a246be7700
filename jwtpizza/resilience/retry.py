"""Trying again: once more, a moment later, and only while that does not make an outage worse."""

import threading
import time
from collections.abc import Callable
from random import uniform
from typing import TypeVar

from jwtpizza.resilience.deadline import Deadline, DeadlineExceeded
from jwtpizza.resilience.refused import Refused
from jwtpizza.turns import TURNS

Result = TypeVar("Result")
OnRetry = Callable[[str], object]
RESULTS = ("ok", "failed", "refused", "no_budget", "no_time")


class Budget:
    """Retries are paid for by calls: each call adds `ratio` of a retry, up to `saved`, with which it begins."""

    def __init__(self, *, ratio: float, saved: float) -> None:
        self._ratio, self._most, self._left = ratio, saved, saved
        self._lock = threading.Lock()

    def earn(self) -> None:
        """A call is made."""
        with self._lock:
            self._left = min(self._most, self._left + self._ratio)

    def spend(self) -> bool:
        """Whether there was a retry left; it is gone now."""
        with self._lock:
            # Ten times a tenth is a little less than one.
            if self._left < 1 - 1e-9:
                return False
            self._left -= 1
            return True


class Retry:
    """Up to `attempts`, with a pause of up to `jitter` seconds in between, while `least` seconds are left.

    `worth` says which errors may pass by themselves, and do no harm when the call is made once more. `told` hears of
    each retry that would have been worth it, by one of `RESULTS`.
    """

    def __init__(
        self,
        *,
        attempts: int,
        jitter: float,
        least: float,
        budget: Budget,
        worth: Callable[[Exception], bool],
        told: OnRetry = lambda result: None,
        sleep: Callable[[float], object] = time.sleep,
        draw: Callable[[float, float], float] = uniform,
    ) -> None:
        self._attempts, self._jitter, self._least = attempts, jitter, least
        self._budget, self._worth, self._told = budget, worth, told
        self._sleep, self._draw = sleep, draw

    def call(self, first: Callable[[], Result], again: Callable[[], Result], *, deadline: Deadline) -> Result:
        """What `first` returns, or `again` where that failed; raises the error of the last attempt that was made."""
        self._budget.earn()
        try:
            return first()
        except Exception as error:
            failure = error
        for _ in range(self._attempts - 1):
            if not (self._worth(failure) and self._may(deadline)):
                break
            with TURNS.aside():
                self._sleep(self._draw(0, self._jitter))
            try:
                made = again()
            except Refused:
                self._told("refused")
                break
            except Exception as error:
                self._told("failed")
                failure = error
            else:
                self._told("ok")
                return made
        raise failure

    def _may(self, deadline: Deadline) -> bool:
        try:
            enough = deadline.left() >= self._least
        except DeadlineExceeded:
            enough = False
        if not enough:
            self._told("no_time")
            return False
        if not self._budget.spend():
            self._told("no_budget")
            return False
        return True
