"""A circuit breaker that lets calls through side by side, and judges them by how many fail and how slow they are.

States, storage and listeners are pybreaker's. What is not: pybreaker holds its lock while the guarded function runs
(one call at a time), lets everyone probe at once when half-open, counts consecutive failures only, and takes an
excluded error for a success.
"""

import logging
import time
from collections import deque
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from enum import Enum
from random import uniform
from typing import Any, NamedTuple, TypeVar

import pybreaker
from pybreaker import STATE_CLOSED, STATE_HALF_OPEN, STATE_OPEN

from jwtpizza.resilience.refused import Refused

log = logging.getLogger("jwtpizza.resilience")

Result = TypeVar("Result")
OnChange = Callable[[str, str], object]
BUCKET_SECONDS = 1.0


class Health(Enum):
    """What a call says of the other side: nothing at all, if it is IGNORED."""

    OK = "ok"
    FAILED = "failed"
    IGNORED = "ignored"


@dataclass(frozen=True, kw_only=True)
class Limits:
    """When the circuit opens, and for how long. Rates are from 0 to 1, times are seconds.

    It opens when, within `window`, `least_calls` were made and `failure_rate` of them failed or `slow_rate` of them
    took longer than `slow`; or after `failures_in_a_row`. It stays open for `open_first`, doubling with each vain
    half-open period to `open_most`, ± `jitter` of it, and closes after `probes` calls that went well and were not slow.
    """

    window: float = 30.0
    least_calls: int = 10
    failure_rate: float = 0.5
    slow_rate: float = 0.8
    slow: float = 2.0
    failures_in_a_row: int = 5
    open_first: float = 10.0
    open_most: float = 60.0
    jitter: float = 0.2
    probes: int = 2


class Permit(NamedTuple):
    """Leave for one call, given back with `Breaker.settle` exactly once."""

    period: int
    state: str


class _Bucket:
    """The results of one second."""

    __slots__ = ("calls", "failed", "second", "slow")

    def __init__(self, second: int) -> None:
        self.second = second
        self.calls = self.failed = self.slow = 0


class Window:
    """The results of the last seconds, in buckets of one, with running totals: a call costs the same however many."""

    def __init__(self, seconds: float) -> None:
        self._seconds = seconds
        self.clear()

    def clear(self) -> None:
        self._buckets: deque[_Bucket] = deque()
        self.calls = self.failed = self.slow = 0

    def add(self, now: float, *, failed: bool, slow: bool) -> None:
        """Counts a call that ended `now`, and forgets what is older than the window."""
        self._forget(now)
        second = int(now // BUCKET_SECONDS)
        if not self._buckets or self._buckets[-1].second != second:
            self._buckets.append(_Bucket(second))
        self._count(self._buckets[-1], 1, failed, slow)

    def _count(self, bucket: _Bucket, calls: int, failed: int, slow: int) -> None:
        for counted in (bucket, self):
            counted.calls += calls
            counted.failed += failed
            counted.slow += slow

    def _forget(self, now: float) -> None:
        oldest = (now - self._seconds) // BUCKET_SECONDS
        while self._buckets and self._buckets[0].second <= oldest:
            gone = self._buckets.popleft()
            self.calls -= gone.calls
            self.failed -= gone.failed
            self.slow -= gone.slow


_State = pybreaker.CircuitBreakerState


class _Recorder(pybreaker.CircuitBreakerListener):
    """Hears of a change under the breaker's lock, where nobody else may be kept waiting."""

    def state_change(self, cb: Any, old_state: Any, new_state: Any) -> None:
        cb.entered(old_state.name, new_state.name)


class Breaker(pybreaker.CircuitBreaker):
    """One for each process; all methods may be called from many threads, none of which waits for another's call.

    `on_change` is called with the old and the new state's name, after the change and without the lock; what it
    raises is logged. `ignores` says which errors tell nothing of the other side's health. `clock` is monotonic.
    """

    def __init__(
        self,
        limits: Limits,
        *,
        enabled: bool = True,
        ignores: Callable[[BaseException], bool] = lambda error: False,
        on_change: OnChange = lambda old, new: None,
        clock: Callable[[], float] = time.monotonic,
        jitter: Callable[[float, float], float] = uniform,
    ) -> None:
        self._limits, self._enabled = limits, enabled
        self._told: list[OnChange] = [on_change]
        self._clock, self._draw = clock, jitter
        self._window = Window(limits.window)
        self._period = self._probing = self._in_a_row = 0
        self._open_seconds = self._until = 0.0
        self._changes: deque[tuple[str, str]] = deque()
        super().__init__(
            fail_max=limits.failures_in_a_row,
            reset_timeout=limits.open_first,
            success_threshold=limits.probes,
            exclude=[ignores],
            listeners=[_Recorder()],
        )

    def add_listener(self, listener: pybreaker.CircuitBreakerListener) -> None:
        """Tells it of each change of state as `on_change` is told: after it, without the lock, whatever it raises."""
        self._told.append(lambda old, new: listener.state_change(self, _State(self, old), _State(self, new)))

    @property
    def seconds_open(self) -> float:
        """How long calls are still refused for certain; 0 unless the circuit is open."""
        with self._lock:
            return max(0.0, self._until - self._clock()) if self.current_state == STATE_OPEN else 0.0

    @property
    def state(self) -> Any:
        """pybreaker's, under the lock: without it, it would put right what is only just changing."""
        with self._lock:
            return super().state

    @state.setter
    def state(self, name: str) -> None:
        pybreaker.CircuitBreaker.state.fset(self, name)  # type: ignore[attr-defined]

    def check(self) -> None:
        """Raises Refused where `acquire` would, and takes nothing."""
        try:
            with self._lock:
                self._may_call()
        finally:
            self._tell()

    def acquire(self) -> Permit:
        """Leave for one call; raises Refused while the circuit is open, or half-open with all its probes taken."""
        try:
            with self._lock:
                self._may_call()
                if self.current_state == STATE_OPEN:
                    self.half_open()
                if self.current_state == STATE_HALF_OPEN:
                    self._probing += 1
                return Permit(self._period, self.current_state)
        finally:
            self._tell()

    def settle(self, permit: Permit, health: Health, seconds: float = 0.0) -> None:
        """Gives the permit back, with what came of the call and how long it took.

        What began before the last change of state says nothing about the time after it, and is dropped.
        """
        with self._lock:
            if permit.period == self._period:
                if permit.state == STATE_HALF_OPEN:
                    self._settle_probe(health, slow=seconds > self._limits.slow)
                elif health is not Health.IGNORED:
                    self._settle_call(health is Health.FAILED, slow=seconds > self._limits.slow)
        self._tell()

    @contextmanager
    def calling(self) -> Iterator[None]:
        """A call, from leave to settlement; raises Refused, and lets every error through."""
        permit = self.acquire()
        with self.settling(permit):
            yield

    @contextmanager
    def settling(self, permit: Permit) -> Iterator[None]:
        """A call for which leave was taken before; lets every error through."""
        health, begun = Health.IGNORED, self._clock()
        try:
            yield
            health = Health.OK
        except Exception as error:
            health = Health.FAILED if self.is_system_error(error) else Health.IGNORED
            raise
        finally:
            self.settle(permit, health, self._clock() - begun)

    def call(self, func: Callable[..., Result], *args: Any, **kwargs: Any) -> Result:
        """What `func` returns; raises Refused, and what `func` raises."""
        with self.calling():
            return func(*args, **kwargs)

    def entered(self, old: str, new: str) -> None:
        """A new state begins: what was counted in the last one is forgotten. pybreaker says so; nobody else does."""
        self._period += 1
        self._probing = self._in_a_row = 0
        self._window.clear()
        if new == STATE_OPEN:
            vain = old == STATE_HALF_OPEN
            least, most = self._limits.open_first, self._limits.open_most
            self._open_seconds = min(max(self._open_seconds * 2, least), most) if vain else least
            jitter = self._draw(1 - self._limits.jitter, 1 + self._limits.jitter)
            self._until = self._clock() + self._open_seconds * jitter
        elif new == STATE_CLOSED:
            self._open_seconds = 0.0
        if old != new:
            self._changes.append((old, new))

    def _may_call(self) -> None:
        if not self._enabled:
            return
        if self.current_state == STATE_OPEN and (left := self._until - self._clock()) > 0:
            raise Refused("open", left)
        if self.current_state == STATE_HALF_OPEN and self._probing + self.success_counter >= self._limits.probes:
            raise Refused("probing", self._limits.slow)

    def _settle_probe(self, health: Health, *, slow: bool) -> None:
        self._probing -= 1
        if health is Health.FAILED or (health is Health.OK and slow):
            self.open()
        elif health is Health.OK:
            self._state_storage.increment_success_counter()
            if self.success_counter >= self._limits.probes:
                self.close()

    def _settle_call(self, failed: bool, *, slow: bool) -> None:
        self._window.add(self._clock(), failed=failed, slow=slow)
        self._in_a_row = self._in_a_row + 1 if failed else 0
        if self._enabled and self._too_bad():
            self.open()

    def _too_bad(self) -> bool:
        window, limits = self._window, self._limits
        if self._in_a_row >= limits.failures_in_a_row:
            return True
        return window.calls >= limits.least_calls and (
            window.failed >= limits.failure_rate * window.calls or window.slow >= limits.slow_rate * window.calls
        )

    def _tell(self) -> None:
        """Outside the lock: who is told of a change may take their time, or fail."""
        while self._changes:
            try:
                change = self._changes.popleft()
            except IndexError:
                return  # another thread tells it
            for told in self._told:
                try:
                    told(*change)
                except Exception:
                    log.exception("a change of the circuit could not be told")
