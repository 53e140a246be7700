"""All the figures of an incident, each from orders and events, none of them sampled."""

from collections.abc import Sequence
from datetime import datetime
from decimal import Decimal
from typing import Any

from jwtpizza.incidents.models import Incident, Kind
from jwtpizza.incidents.selectors.facts import counts, happenings
from jwtpizza.incidents.selectors.facts.counts import Failures, Happened, by_outcome, first_of
from jwtpizza.incidents.selectors.facts.examples import examples
from jwtpizza.incidents.selectors.facts.known import (
    Example,
    Facts,
    Link,
    Span,
    Start,
    Success,
    Switch,
    Traffic,
    Transition,
)
from jwtpizza.incidents.selectors.facts.spans import course, spans
from jwtpizza.incidents.selectors.facts.window import Window, window_of
from jwtpizza.incidents.selectors.troubles import UNDECIDED

__all__ = [
    "Example",
    "Facts",
    "Link",
    "Span",
    "Start",
    "Success",
    "Switch",
    "Traffic",
    "Transition",
    "facts",
]


def facts(incident: Incident) -> Facts:
    """What is known of an incident by now. As many queries for 10,000 orders as for one."""
    window = window_of(incident)
    failed, happened = counts.failures(window), counts.happened(window)
    first, last = _bounds(incident, failed, happened)
    success = counts.success(last)
    told = course(first, success.at if success else last, window.until)
    made, made_lately = counts.made(first, last)
    left = counts.left_undecided(window)
    return Facts(
        incident=incident,
        first_failure=first,
        last_failure=last,
        until=window.until,
        opened_by=_opened_by(failed, happened),
        made=made,
        made_lately=made_lately,
        diners=counts.diners(window),
        not_taken=_not_taken(failed, happened),
        lost_at=counts.lost_at(window, left),
        left_undecided=len(left),
        success=success,
        traffic=happenings.calls(first, last),
        spans=spans(told),
        span=told.length,
        examples=examples(failed, happened),
        last_failed_at=_last_failed(failed, happened),
        **_of_orders(window, failed),
        **_of_events(happened),
        **_without(first, last, happened),
        **_happenings(window),
    )


def _of_orders(window: Window, failed: Sequence[Failures]) -> dict[str, Any]:
    promises = counts.promises(window)
    return {
        "failed": sum(row.number for row in failed),
        "failures": {row.reason: row.number for row in failed},
        "began": {row.reason: row.first_at for row in failed},
        "at_once": {row.reason: row.number - row.promised for row in failed},
        "promised": promises.number,
        "made_later": promises.made,
        "given_up": sum(row.promised for row in failed),
        "still_pending": promises.pending,
        "all_made_at": promises.made_at if promises.number == promises.made else None,
    }


def _of_events(happened: Sequence[Happened]) -> dict[str, Any]:
    outcomes = {kind: by_outcome(happened, kind) for kind in Kind}
    undecided = outcomes[Kind.BROKEN].pop(UNDECIDED, 0)
    broken = [row for row in happened if row.kind == Kind.BROKEN and row.outcome != UNDECIDED]
    return {
        "refused": sum(outcomes[Kind.REFUSED].values()),
        "refusals": outcomes[Kind.REFUSED],
        "first_refused_at": first_of(happened, Kind.REFUSED),
        "broken": sum(outcomes[Kind.BROKEN].values()),
        "breakages": outcomes[Kind.BROKEN],
        "undecided": undecided,
        "nameless": sum(row.nameless or 0 for row in broken),
        "first_broken_at": first_of(happened, Kind.BROKEN),
        "first_promised_at": first_of(happened, Kind.PROMISED),
        "canaries": outcomes[Kind.CANARY],
        "canary_failed_at": first_of(happened, Kind.CANARY),
        "circuits": outcomes[Kind.CIRCUIT],
        "retries_denied": sum(outcomes[Kind.RETRY].values()),
        "dropped": sum(outcomes[Kind.DROPPED].values()),
    }


def _without(first: datetime, last: datetime, happened: Sequence[Happened]) -> dict[str, Any]:
    # A canary says nothing of our own database.
    canaries = not any(row.kind == Kind.BROKEN for row in happened)
    start, end = counts.longest_without(first, last, canaries=canaries)
    return {"longest_without": end - start, "failures_without": counts.failures_in(start, end)}


def _happenings(window: Window) -> dict[str, Any]:
    links = happenings.counted_links(window)
    return {
        "transitions": happenings.transitions(window),
        "links": happenings.links(window),
        "links_seen": links.seen,
        "links_followed": links.followed,
        "first_link_at": links.first_at,
        "first_followed_at": links.first_followed_at,
        "starts": happenings.starts(window),
        "switches": happenings.switches(window),
    }


def _bounds(incident: Incident, failed: Sequence[Failures], happened: Sequence[Happened]) -> tuple[datetime, datetime]:
    """The first failure and the last; as the incident says, if what it was opened by is in no book any more."""
    troubles: list[Failures | Happened] = [*failed, *(row for row in happened if row.trouble)]
    first = min((row.first_at for row in troubles), default=incident.first_at)
    return first, max((row.last_at for row in troubles), default=incident.last_at)


def _last_failed(failed: Sequence[Failures], happened: Sequence[Happened]) -> datetime | None:
    found = [row.last_at for row in failed]
    found += [row.last_at for row in happened if row.trouble and row.kind in (Kind.CANARY, Kind.BROKEN)]
    return max(found, default=None)


def _opened_by(failed: Sequence[Failures], happened: Sequence[Happened]) -> str:
    found = [(row.first_at, "order") for row in failed]
    found += [(row.first_at, row.kind) for row in happened if row.trouble]
    return min(found, default=(None, "order"))[1]


def _not_taken(failed: Sequence[Failures], happened: Sequence[Happened]) -> Decimal:
    # What is undecided stands in the books.
    others = (row.total for row in happened if row.kind in counts.LOST and row.outcome != UNDECIDED)
    return sum((row.total for row in failed), Decimal(0)) + sum(others, Decimal(0))
