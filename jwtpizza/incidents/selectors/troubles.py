"""When something failed, and when something succeeded; and which incidents there are."""

from datetime import UTC, datetime, timedelta
from typing import Any, NamedTuple

from django.db.models import F, Q, QuerySet, Sum

from jwtpizza.api.errors import NotFound
from jwtpizza.incidents.models import Event, Incident, Kind
from orders.errors import Undecided
from orders.models import Order, Reason, Status

# The event of an order that stands in the books, and is counted there.
UNDECIDED = Undecided.__name__
DAY, MICROSECOND = timedelta(days=1), timedelta(microseconds=1)


def failed_orders() -> QuerySet[Order]:
    """All but those that were called off with their diner's account, which is no failure."""
    return Order.objects.filter(status=Status.FAILED).exclude(reason=Reason.DINER_DELETED)


def within(
    column: str, *, since: datetime | None = None, after: datetime | None = None, until: datetime | None = None
) -> Q:
    """From `since` on, or after `after`; to `until`, that moment included.

    SQLite compares times as texts, and its own clock writes fewer digits than Python does: a microsecond decides.
    """
    bounds = {"gt": since and since - MICROSECOND, "gte": after and after + MICROSECOND}
    bounds["lt"] = until and until + MICROSECOND
    return Q(**{f"{column}__{bound}": at for bound, at in bounds.items() if at})


def _times(rows: QuerySet[Any], column: str, *, after: datetime, until: datetime | None = None) -> QuerySet[Any]:
    """When they were, the first first. To ask for one is one look into an index."""
    return rows.filter(within(column, after=after, until=until)).order_by(column).values_list(column, flat=True)


def _troubles(*, after: datetime, until: datetime | None = None) -> list[QuerySet[Any]]:
    orders = _times(failed_orders(), "settled_at", after=after, until=until)
    return [orders, _times(Event.objects.filter(trouble=True), "at", after=after, until=until)]


def first_trouble(*, after: datetime) -> datetime | None:
    """When the first order or canary failed, or order was refused, after that time."""
    return min(filter(None, (times.first() for times in _troubles(after=after))), default=None)


def last_trouble(*, after: datetime, until: datetime) -> datetime | None:
    """The same for the last one after `after`, and not after `until`."""
    return max(filter(None, (times.last() for times in _troubles(after=after, until=until))), default=None)


def first_success(*, after: datetime) -> datetime | None:
    """When the first order was made, or canary flew well, after that time."""
    made = _times(Order.objects.filter(status=Status.FULFILLED), "settled_at", after=after)
    flown = _times(Event.objects.filter(kind=Kind.CANARY, trouble=False), "at", after=after)
    return min(filter(None, (made.first(), flown.first())), default=None)


def incident(incident_id: int) -> Incident:
    """Raises NotFound where there is none."""
    found = Incident.objects.filter(pk=incident_id).first()
    if found is None:
        raise NotFound("There is no such incident.")
    return found


def open_incident() -> Incident | None:
    return Incident.objects.filter(is_open=True).first()


def recorded_since() -> datetime:
    """When the first process began of which anything is known: whatever failed before that is in no incident."""
    starts = Event.objects.filter(kind=Kind.START).order_by("at").values_list("at", flat=True)
    return starts.first() or datetime.min.replace(tzinfo=UTC)


def last_closed_at() -> datetime | None:
    """When the latest of those that are over was."""
    closed = Incident.objects.exclude(closed_at=None).order_by(F("closed_at").desc())
    return closed.values_list("closed_at", flat=True).first()


def newest(count: int) -> QuerySet[Incident]:
    """So many incidents, the last one first."""
    return Incident.objects.order_by("-first_at")[:count]


def present(now: datetime) -> Incident | None:
    """One that is open, or else the last that closed within a day."""
    return Incident.objects.filter(Q(is_open=True) | Q(closed_at__gt=now - DAY)).order_by("-first_at").first()


class Lost(NamedTuple):
    """How many orders failed, were refused or met an error of ours, were promised, or were answered as undecided."""

    failed: int
    refused: int
    promised: int
    undecided: int


def lost(incident: Incident) -> Lost:
    """From its first failure until it closed, or by now; two queries."""
    meanwhile = {"since": incident.first_at, "until": incident.closed_at}
    failed = failed_orders().filter(within("settled_at", **meanwhile)).count()
    undecided = Q(kind=Kind.BROKEN, outcome=UNDECIDED)
    refused = Q(kind__in=[Kind.REFUSED, Kind.BROKEN]) & ~undecided
    events = Event.objects.filter(within("at", **meanwhile), trouble=True)
    counted = events.aggregate(
        refused=Sum("count", filter=refused, default=0),
        promised=Sum("count", filter=Q(kind=Kind.PROMISED), default=0),
        undecided=Sum("count", filter=undecided, default=0),
    )
    return Lost(failed, **counted)
