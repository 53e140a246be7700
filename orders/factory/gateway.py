"""The one way to the factory: a guarded call, whose JWT is verified before anybody sees it."""

import logging
import random
import re
import threading
import time
from collections.abc import Callable
from itertools import count
from typing import Any, NamedTuple
from urllib.parse import unquote, urlsplit

from django.conf import settings

from jwtpizza.observability import journal, logs
from jwtpizza.resilience.breaker import Breaker, Limits
from jwtpizza.resilience.bulkhead import Bulkhead
from jwtpizza.resilience.deadline import Deadline, DeadlineExceeded
from jwtpizza.resilience.guard import Admission, Guard
from jwtpizza.resilience.refused import Refused
from jwtpizza.resilience.retry import Budget, Retry
from orders import metrics
from orders.factory import client, keys
from orders.factory.client import Reply
from orders.factory.errors import BadJwt, Chaos, FactoryError, TooSlow, Unverified

log = logging.getLogger("orders.factory")

CHAOS_RATE = 0.5
OK = 200
# The factory's own throttling takes 32 s, and its support link comes with the answer.
LINK_SECONDS = 40.0
SUPPORT_PATH = re.compile(r"/api/support/([\w~%-][\w.~%-]*)/report/([\w~%-][\w.~%-]*)", re.ASCII)


class Circuit(NamedTuple):
    """The state of this process's circuit breaker, and for how many seconds all calls will be refused."""

    state: str
    seconds_open: float


def new_guard() -> Guard:
    """A guard as the settings say; each process has one, `GUARD`."""
    breaker = Breaker(
        Limits(
            window=settings.FACTORY_BREAKER_WINDOW,
            least_calls=settings.FACTORY_BREAKER_CALLS,
            failure_rate=settings.FACTORY_BREAKER_FAILURE_RATE,
            slow_rate=settings.FACTORY_BREAKER_SLOW_RATE,
            slow=settings.FACTORY_BREAKER_SLOW,
            failures_in_a_row=settings.FACTORY_BREAKER_FAILURES,
            open_first=settings.FACTORY_BREAKER_OPEN_SECONDS,
            open_most=settings.FACTORY_BREAKER_OPEN_SECONDS_MOST,
            jitter=settings.FACTORY_BREAKER_JITTER,
            probes=settings.FACTORY_BREAKER_PROBES,
        ),
        enabled=settings.FACTORY_BREAKER_ENABLED,
        ignores=lambda error: not (isinstance(error, FactoryError) and error.ill),
        on_change=_changed,
    )
    retry = Retry(
        attempts=settings.FACTORY_ATTEMPTS,
        jitter=settings.FACTORY_RETRY_JITTER,
        least=settings.FACTORY_RETRY_LEAST,
        budget=Budget(ratio=settings.FACTORY_RETRY_RATE, saved=settings.FACTORY_RETRY_SAVED),
        worth=_is_worth_another,
        told=_retried,
    )
    bulkhead = Bulkhead(
        places=settings.FACTORY_PLACES, queue=settings.FACTORY_QUEUE, seconds=settings.FACTORY_QUEUE_SECONDS
    )
    return Guard(seconds=settings.FACTORY_DEADLINE, bulkhead=bulkhead, breaker=breaker, retry=retry)


def _is_worth_another(error: Exception) -> bool:
    return isinstance(error, FactoryError) and error.passing and error.seconds <= settings.FACTORY_BREAKER_SLOW


def _retried(result: str) -> None:
    metrics.retries.labels(result).inc()
    if result == "no_budget":
        journal.note("retry", outcome=result)


def _changed(old: str, new: str) -> None:
    metrics.transitions.labels(old, new).inc()
    journal.note("circuit", outcome=new, was=old)
    log.warning("the circuit is %s", new, extra={"data": {"type": "factory", "breaker": new, "was": old}})
    CHANGED.set()


# Set when calls begin or cease to be refused, for whoever reports it.
CHANGED = threading.Event()
GUARD = new_guard()


def circuit() -> Circuit:
    """How this process's circuit stands."""
    return Circuit(GUARD.breaker.current_state, max(GUARD.breaker.seconds_open, GUARD.bulkhead.seconds_closed))


def admit(*, before_waiting: Callable[[], object] = lambda: None) -> Admission:
    """Leave to make one call, for `with`; raises Refused. `before_waiting` is done first where one has to wait."""
    try:
        return GUARD.admit(before_waiting=before_waiting)
    except Refused as refused:
        metrics.refusals.labels(refused.why).inc()
        raise


def make_pizza(payload: dict[str, Any], *, admission: Admission, chaos: bool = False) -> Reply:
    """The verified JWT for the order in `payload`, within the admission's deadline; raises a FactoryError.

    With `chaos`, half of the attempts fail before they leave.
    """
    number = count(1)
    return admission.call(lambda deadline: _attempt(payload, deadline, next(number), chaos=chaos))


def canary(payload: dict[str, Any]) -> Reply:
    """A pizza for nobody, made outside the guard, waited for and tried again as a diner's; raises a FactoryError."""
    deadline = Deadline(settings.FACTORY_DEADLINE)
    try:
        return _asked(payload, deadline, 1)
    except FactoryError as error:
        if not _is_worth_another(error):
            raise
    return _asked(payload, deadline, 2)


def late_link(payload: dict[str, Any]) -> str:
    """The support link of an answer that takes up to 40 s, for which no diner waits; "" without one."""
    deadline = Deadline(LINK_SECONDS + settings.FACTORY_CONNECT_TIMEOUT)
    try:
        return _asked(payload, deadline, 3, patience=LINK_SECONDS).support_link
    except FactoryError as error:
        return error.support_link


def follow(link: str) -> tuple[int, str]:
    """What the configured factory answers to the path of its support link: the status, and the sentence with it.

    Raises ValueError for a link that is none, and a FactoryError.
    """
    return client.get(support_path(link), deadline=Deadline(settings.FACTORY_DEADLINE))


def support_path(link: str) -> str:
    """The part of a support link that may be asked for; raises ValueError where there is none."""
    path = urlsplit(link).path
    found = SUPPORT_PATH.fullmatch(path)
    if not found or {".", ".."} & set(unquote(path).split("/")):
        raise ValueError("This is no support link of the factory's.")
    return path


def fetch_keys() -> None:
    """Fetches the factory's public keys, so that the first order need not; raises a FactoryError."""
    keys.RING.fetch(deadline=Deadline(settings.FACTORY_DEADLINE))


def _attempt(payload: dict[str, Any], deadline: Deadline, number: int, *, chaos: bool) -> Reply:
    """One request of a diner's, which is counted."""
    begun = time.monotonic()
    try:
        reply = _asked(payload, deadline, number, chaos=chaos)
    except FactoryError as error:
        _count(error.reason, error.seconds)
        if error.retry_after:
            # An unreasonable wish is not to stop all sales.
            GUARD.bulkhead.close(min(error.retry_after, settings.FACTORY_BREAKER_OPEN_SECONDS_MOST))
            CHANGED.set()
        raise
    _count("ok", time.monotonic() - begun)
    return reply


def _asked(
    payload: dict[str, Any], deadline: Deadline, number: int, *, chaos: bool = False, patience: float = 0.0
) -> Reply:
    """One request for a pizza, the `number`th for its order: measured and logged."""
    begun = time.monotonic()
    try:
        if chaos and random.random() < CHAOS_RATE:  # noqa: S311
            raise Chaos("chaos is switched on")
        reply = _verified(payload, deadline, patience=patience)
    except FactoryError as error:
        error.seconds = time.monotonic() - begun
        _log(payload, error, number=number, outcome=error.reason, seconds=error.seconds)
        raise
    _log(payload, reply, number=number, outcome="ok", seconds=time.monotonic() - begun)
    return reply


def _count(outcome: str, seconds: float) -> None:
    metrics.attempts.labels(outcome).inc()
    metrics.attempt_seconds.observe(seconds)


def _verified(payload: dict[str, Any], deadline: Deadline, *, patience: float) -> Reply:
    try:
        with metrics.in_flight.track_inprogress():
            reply = client.post_order(payload, deadline=deadline, patience=patience)
        order_id, diner_id = payload["order"]["id"], payload["diner"]["id"]
        try:
            keys.verify(reply.jwt, order_id=order_id, diner_id=diner_id, deadline=deadline)
        except (BadJwt, Unverified) as error:
            error.support_link, error.status, error.answer = reply.support_link, OK, reply.answer
            raise
    except DeadlineExceeded as error:
        raise TooSlow("the deadline is over") from error
    metrics.last_success.set_to_current_time()
    return reply


def _log(payload: dict[str, Any], told: Reply | FactoryError, *, number: int, outcome: str, seconds: float) -> None:
    """The answer's status has a name of its own: what is called statusCode is counted as an answer of ours."""
    failed = isinstance(told, FactoryError)
    level = logging.WARNING if failed else logging.INFO
    data = {
        "type": "factory",
        "attempt": number,
        "outcome": outcome,
        "breaker": GUARD.breaker.current_state,
        "ms": round(seconds * 1000, 1),
        "orderId": payload["order"]["id"],
        "factoryStatus": told.status if isinstance(told, FactoryError) else OK,
        "reportUrl": told.support_link,
    }
    if settings.LOG_BODIES and log.isEnabledFor(level):
        data |= {"reqBody": logs.cleaned(payload), "resBody": logs.cleaned(told.answer)}
    log.log(level, "no pizza: %s" if failed else "a pizza", *([told] if failed else []), extra={"data": data})
