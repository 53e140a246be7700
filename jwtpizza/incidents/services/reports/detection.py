"""Who was told, and when: the alerts by their rules, and the incident itself."""

from collections.abc import Iterator
from datetime import datetime, timedelta
from itertools import pairwise

from jwtpizza.incidents.selectors.facts import Facts
from jwtpizza.incidents.services.reports.parts import Alert
from jwtpizza.incidents.services.reports.words import clock, joined, lasting
from orders.models import Reason

OPENED_BY = {
    "order": "an order that failed",
    "refused": "an order that was refused",
    "broken": "an order that met an error of ours",
    "promised": "an order that could not be made at once",
    "canary": "a canary that failed",
}
# Of those of ops/prometheus/rules, what orders and events tell of; the others go by what stands in no book.
KNOWN = ["OrderFailed", "OrdersFailing", "FactoryDown", "BreakerOpen", "PizzaNotGenuine", "FactoryKeyRefused"]
# Of two orders that are lost within that time somebody is woken.
PAIR = timedelta(minutes=5)


def alerts(facts: Facts) -> list[Alert]:
    """Those of KNOWN whose condition held, and since when; the first first.

    The rules of PizzaNotGenuine and FactoryKeyRefused count calls to the factory. No book has these: that they held is
    derived from the orders that failed.
    """
    lost = facts.lost_at
    pairs = (later for earlier, later in pairwise(lost) if later - earlier <= PAIR)
    # A circuit opens a moment before the order is booked that opened it.
    opened = (max(change.at, facts.first_failure) for change in facts.transitions if change.state == "open")
    forged = [facts.began[reason] for reason in (Reason.BAD_JWT, Reason.UNVERIFIED) if reason in facts.began]
    found = (
        ("ticket", lost[0] if lost else None),
        ("page", next(pairs, None)),
        ("page", facts.canary_failed_at),
        ("page", next(opened, None)),
        ("page", min(forged, default=None)),
        ("page", facts.began.get(Reason.UNAUTHORIZED)),
    )
    held = [Alert(name, severity, at) for name, (severity, at) in zip(KNOWN, found, strict=True) if at]
    return sorted(held, key=lambda alert: alert.at)


def first_page(found: list[Alert]) -> Alert | None:
    """The first that wakes somebody."""
    return next((alert for alert in found if alert.severity == "page"), None)


def detection(facts: Facts, found: list[Alert]) -> list[str]:
    """How it was noticed, and how long that took."""
    return list(_detection(facts, found))


def _detection(facts: Facts, found: list[Alert]) -> Iterator[str]:
    first, opened = facts.first_failure, facts.incident.opened_at
    yield f"It was opened by {OPENED_BY[facts.opened_by]}, at {clock(first, first)}."
    yield f"The service noticed it at {clock(opened, first)}, {_after(opened, first)}."
    known = f"Of the alerts that the books can tell of ({joined(KNOWN)})"
    if page := first_page(found):
        told = f"{known}, {page.name} was the first that pages: its rule held at {clock(page.at, first)}"
        yield f"{told}, {_after(page.at, first)}."
    else:
        yield f"{known}, none that pages was due."
    if found:
        yield "Prometheus scrapes and evaluates every 10 s each, so an alert comes up to 20 s after its rule held."


def _after(moment: datetime, first: datetime) -> str:
    return f"{lasting(moment - first)} after the first failure" if moment > first else "with the first failure"
