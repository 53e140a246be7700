"""A guarded call: deadline( bulkhead( retry( breaker( one attempt ))))."""

import time
from collections.abc import Callable
from types import TracebackType
from typing import TypeVar

from jwtpizza.resilience.breaker import Breaker, Health, Permit
from jwtpizza.resilience.bulkhead import Bulkhead
from jwtpizza.resilience.deadline import Deadline, DeadlineExceeded
from jwtpizza.resilience.refused import Refused
from jwtpizza.resilience.retry import Retry

Result = TypeVar("Result")


class Admission:
    """A place, and leave for one call; `with` gives back what was not used.

    Between the admission and its call the caller may do what has to be done before. That takes nothing from the
    deadline: a slow database of ours is not to look like a slow other side.
    """

    def __init__(self, permit: Permit, seconds: float, guard: "Guard") -> None:
        self._permit: Permit | None = permit
        self._seconds, self._guard = seconds, guard

    def __enter__(self) -> "Admission":
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, _: TracebackType | None) -> None:
        if self._permit:
            self._guard.breaker.settle(self._permit, Health.IGNORED)
        self._guard.bulkhead.leave()

    def call(self, attempt: Callable[[Deadline], Result]) -> Result:
        """What `attempt` returns, tried again where that makes sense; raises the error of the last try."""
        permit, self._permit = self._permit, None
        if permit is None:
            raise RuntimeError("an admission is for one call")
        deadline, breaker = self._guard.deadline(self._seconds), self._guard.breaker

        def first() -> Result:
            with breaker.settling(permit):
                return attempt(deadline)

        return self._guard.retry.call(first, lambda: breaker.call(attempt, deadline), deadline=deadline)


class Guard:
    """The one way to call somebody who may fail, be slow, or hang. `seconds` is the deadline of a whole call."""

    def __init__(
        self,
        *,
        seconds: float,
        bulkhead: Bulkhead,
        breaker: Breaker,
        retry: Retry,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self.breaker, self.bulkhead, self.retry = breaker, bulkhead, retry
        self._seconds, self._clock = seconds, clock

    def deadline(self, seconds: float) -> Deadline:
        """That many seconds from now, by this guard's clock."""
        return Deadline(seconds, clock=self._clock)

    def admit(self, *, before_waiting: Callable[[], object] = lambda: None) -> Admission:
        """Leave to make one call; raises Refused, at once or after the bulkhead's wait, and then nothing was done.

        Waiting for a place takes from the deadline of the call.
        """
        deadline = self.deadline(self._seconds)
        # First, for a full bulkhead is no reason to wait for what would be refused.
        self.breaker.check()
        self.bulkhead.enter(before_waiting=before_waiting)
        try:
            seconds = deadline.left()
            return Admission(self.breaker.acquire(), seconds, self)
        except BaseException as error:
            self.bulkhead.leave()
            if isinstance(error, DeadlineExceeded):
                raise Refused("deadline", 0.0) from error
            raise
