"""What the tests of orders share: time that a test tells, a factory without a socket, and what a crash leaves."""

from collections.abc import Callable
from datetime import timedelta
from functools import wraps
from typing import Any

from django.conf import settings
from django.db import connection
from django.db.models import F
from django.utils import timezone
from prometheus_client import REGISTRY

from jwtpizza.resilience.breaker import Health
from jwtpizza.resilience.guard import Guard
from orders.factory import gateway
from orders.factory.client import Reply
from orders.factory.errors import TooSlow
from orders.models import Order, Status
from tests.resilience.kit import Clock

LINK = "http://factory/api/support/our-key/report/code"
LATER = {"Prefer": "respond-async"}


class Crash(BaseException):
    """The process is gone."""


def do(outcome: Any, payload: dict[str, Any]) -> Reply:
    """A pizza, after `outcome` was raised or, if it is something to do, done."""
    if isinstance(outcome, BaseException):
        raise outcome
    if outcome is not None:
        outcome(payload)
    return Reply(f"pizza {payload['order']['id']}", LINK)


class Gateway:
    """The way to the factory, with its guard: answers by `outcome` (an error to raise, or something to do first)."""

    def __init__(self) -> None:
        self.asked: list[dict[str, Any]] = []
        self.outcome: Any = None

    def make_pizza(self, payload: dict[str, Any], *, admission: Any, chaos: bool = False) -> Reply:
        assert not connection.in_atomic_block
        assert connection.vendor == "sqlite" or connection.connection is None
        self.asked.append(payload)
        return do(self.outcome, payload)

    @property
    def ids(self) -> list[int]:
        return [payload["order"]["id"] for payload in self.asked]


class Kitchen:
    """The factory behind the guard, without a socket.

    It answers each attempt by the next of what it `does` (an error to raise, something to do first, or None for a
    pizza), and all that follow by the last. Each takes that many `seconds`, unless who asks loses patience before.
    """

    def __init__(self, clock: Clock) -> None:
        self.clock = clock
        self.asked: list[dict[str, Any]] = []
        self.patience: list[float] = []
        self.does()

    def does(self, *outcomes: Any, seconds: float = 0.0) -> None:
        self._outcomes, self._seconds = list(outcomes) or [None], seconds

    def post_order(self, payload: dict[str, Any], *, deadline: Any, patience: float = 0.0) -> Reply:
        self.asked.append(payload)
        self.patience.append(patience)
        most = patience or settings.FACTORY_READ_TIMEOUT
        self.clock.now += min(self._seconds, most)
        if self._seconds > most:
            raise TooSlow("the factory did not answer in time")
        return do(self._outcomes.pop(0) if len(self._outcomes) > 1 else self._outcomes[0], payload)

    @property
    def ids(self) -> list[int]:
        return [payload["order"]["id"] for payload in self.asked]


def timed(guard: Guard, clock: Clock) -> Guard:
    """The guard, in a world in which `clock` is the time, a pause takes none, and chance is always the mean."""

    def pause(seconds: float) -> None:
        clock.now += seconds

    guard._clock = guard.breaker._clock = guard.bulkhead._clock = clock
    guard.breaker._draw = guard.retry._draw = lambda least, most: (least + most) / 2
    guard.retry._sleep = pause
    return guard


def open_circuit() -> None:
    """As calls that failed leave it: for 10 s no call is let through, for 20 s if it was half-open."""
    breaker = gateway.GUARD.breaker
    while gateway.circuit().state != "open":
        breaker.settle(breaker.acquire(), Health.FAILED)


def half_open_circuit(clock: Clock) -> None:
    """As it is 10 s later: the next two calls are probes."""
    open_circuit()
    clock.now += 10


def apart(job: Callable[..., Any]) -> Callable[..., Any]:
    """For a thread of its own: the job, which leaves no connection behind."""

    @wraps(job)
    def done(*args: Any) -> Any:
        try:
            return job(*args)
        finally:
            connection.close()

    return done


def age_lease(*order_ids: int) -> None:
    """Their leases have run out, or those of all pending orders. They are of the database's clock: nobody fakes it."""
    orders = Order.objects.filter(pk__in=order_ids) if order_ids else Order.objects.filter(status=Status.PENDING)
    orders.update(lease_until=timezone.now() - timedelta(seconds=1))


def age(**ago: float) -> None:
    """All orders came that much earlier."""
    Order.objects.update(created_at=F("created_at") - timedelta(**ago))


class Counted:
    """What our counters have grown by since the last look, those apart that did not grow."""

    def __init__(self) -> None:
        self._before = _samples()

    def grown(self) -> dict[str, float]:
        """By name and labels, as in {"orders_total fulfilled": 1}."""
        before, self._before = self._before, _samples()
        grown = {name: round(value - before.get(name, 0.0), 8) for name, value in self._before.items()}
        return {name: by for name, by in grown.items() if by}


def _samples() -> dict[str, float]:
    return {
        " ".join((sample.name.removeprefix("jwtpizza_"), *sample.labels.values())): sample.value
        for metric in REGISTRY.collect()
        if metric.name.startswith("jwtpizza_") and metric.type == "counter"
        for sample in metric.samples
        if sample.name.endswith("_total")
    }
