"""The course of an incident, in spans of time that are equally long."""

from datetime import UTC, datetime, timedelta
from typing import Any, NamedTuple

from django.conf import settings
from django.db.models import (
    Avg,
    Case,
    Count,
    DurationField,
    ExpressionWrapper,
    F,
    IntegerField,
    Max,
    Q,
    Sum,
    Value,
    When,
)

from jwtpizza.incidents.models import Event, Kind
from jwtpizza.incidents.selectors.facts.counts import LOST
from jwtpizza.incidents.selectors.facts.known import Span
from jwtpizza.incidents.selectors.troubles import UNDECIDED, within
from orders.models import Order, Reason, Status

MOST = 30
# What one wants to see of the time before and after, at least.
LEAD = timedelta(seconds=60)
EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
LENGTHS = [timedelta(seconds=seconds) for seconds in (1, 2, 5, 10, 15, 30, 60, 120, 300, 600, 1800, 3600, 7200, 21600)]
DAY = timedelta(days=1)


class Course(NamedTuple):
    """From when until when to tell of, and how long each span is."""

    start: datetime
    end: datetime
    length: timedelta

    @property
    def starts(self) -> list[datetime]:
        """When each span begins."""
        number = -((self.start - self.end) // self.length)
        return [self.start + step * self.length for step in range(max(1, number))]


def course(first: datetime, last: datetime, until: datetime) -> Course:
    """That time with a little of the time before and after it, in 30 spans at most of a length that reads well."""
    lead = max(LEAD, (last - first) / 5)
    # The start is rounded down, by a span at most.
    least = (last - first + 2 * lead) / (MOST - 1)
    length = next((length for length in LENGTHS if length >= least), DAY * -(-least // DAY))
    start = first - lead
    return Course(start - (start - EPOCH) % length, min(until, last + lead), length)


def spans(told: Course) -> list[Span]:
    """What became of the orders in each; two queries."""
    decided: dict[int, tuple[Any, ...]] = {number: tuple(row) for number, *row in _decided(told)}
    not_taken: dict[int, tuple[int, int]] = {number: tuple(row) for number, *row in _not_taken(told)}
    found = []
    for number, start in enumerate(told.starts):
        made, failed, *took = decided.get(number, (0, 0, None, None))
        found.append(Span(start, made, failed, *not_taken.get(number, (0, 0)), *map(_seconds, took)))
    return found


def _decided(told: Course) -> Any:
    took = ExpressionWrapper(F("settled_at") - F("created_at"), output_field=DurationField())
    # One that a crash left took as long as its lease or more, whatever became of it: nobody waited so long.
    lease = timedelta(seconds=settings.ORDER_LEASE)
    at_once = Q(promised=False, took__lte=lease) & ~Q(reason=Reason.ABANDONED)
    decided = [Status.FULFILLED, Status.FAILED]
    orders = Order.objects.filter(status__in=decided).exclude(reason=Reason.DINER_DELETED)
    during = orders.filter(within("settled_at", since=told.start, until=told.end))
    rows = during.alias(took=took).annotate(span=_number("settled_at", told))
    found = (
        rows.order_by()
        .values("span")
        .annotate(
            made=Count("pk", filter=Q(status=Status.FULFILLED)),
            lost=Count("pk", filter=Q(status=Status.FAILED)),
            mean=Avg("took", filter=at_once),
            slowest=Max("took", filter=at_once),
        )
    )
    return found.values_list("span", "made", "lost", "mean", "slowest")


def _not_taken(told: Course) -> Any:
    during = Event.objects.filter(within("at", since=told.start, until=told.end), kind__in=LOST)
    rows = during.exclude(outcome=UNDECIDED).order_by().annotate(span=_number("at", told)).values("span")
    counted = rows.annotate(
        refused=Sum("count", filter=Q(kind=Kind.REFUSED), default=0),
        broken=Sum("count", filter=Q(kind=Kind.BROKEN), default=0),
    )
    return counted.values_list("span", "refused", "broken")


def _number(column: str, told: Course) -> Case:
    """In which span a row is; no arithmetic with dates is the same in all databases."""
    ends = enumerate(told.starts[1:])
    before = [When(**{f"{column}__lt": end}, then=Value(number)) for number, end in ends]
    return Case(*before, default=Value(len(told.starts) - 1), output_field=IntegerField())


def _seconds(duration: timedelta | None) -> float | None:
    return None if duration is None else duration.total_seconds()
