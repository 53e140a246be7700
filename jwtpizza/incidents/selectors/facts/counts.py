"""How many: what was lost, what was made, and for how long nothing was."""

from bisect import bisect_left, bisect_right
from collections import defaultdict
from collections.abc import Iterable, Iterator
from datetime import datetime, timedelta
from decimal import Decimal
from itertools import pairwise
from typing import Any, NamedTuple

from django.db.models import (
    Case,
    Count,
    DurationField,
    ExpressionWrapper,
    F,
    Max,
    Min,
    Q,
    QuerySet,
    Sum,
    Value,
    When,
    Window,
)
from django.db.models.functions import Lag

from jwtpizza.incidents.models import Event, Kind
from jwtpizza.incidents.selectors import troubles
from jwtpizza.incidents.selectors.facts.known import Success
from jwtpizza.incidents.selectors.facts.window import Window as Span
from jwtpizza.incidents.selectors.troubles import UNDECIDED, within
from orders.models import Order, Reason, Status

MOST_LOST = 100
LOST = (Kind.REFUSED, Kind.BROKEN)
# How long nothing can be ordered until it is the worst of incidents.
LONG = timedelta(minutes=15)
MOST_GAPS = 1000
# Of a shorter time one can't say which part of the orders was refused.
ENOUGH = timedelta(minutes=5)
# What there is no Reason for: it was promised, and could not be made within a day.
GIVEN_UP = "given_up"


class Failures(NamedTuple):
    """The orders that failed for a reason: how many, what they would have cost, when, and how many were promised.

    `first_id` is the order that was placed first of those that were not; None where all were promised.
    """

    reason: str
    number: int
    total: Decimal
    first_at: datetime
    last_at: datetime
    first_id: int | None
    promised: int


class Happened(NamedTuple):
    """The events of a kind with an outcome: how many things they stand for, what those would have cost, and when.

    `nameless` is of how many it is not known whose they were.
    """

    kind: str
    outcome: str
    trouble: bool
    number: int
    total: Decimal
    first_at: datetime
    last_at: datetime
    nameless: int | None


class Promises(NamedTuple):
    """The orders that were promised, and what became of them by now; `made_at` is when the last one was made."""

    number: int
    made: int
    pending: int
    made_at: datetime | None


def failures(window: Span) -> list[Failures]:
    """One query."""
    ran_out = When(reason=Reason.ABANDONED, promised=True, then=Value(GIVEN_UP))
    rows = troubles.failed_orders().filter(window.of("settled_at"))
    told = rows.values(why=Case(ran_out, default=F("reason"))).annotate(
        number=Count("*"),
        cost=Sum("total"),
        first=Min("settled_at"),
        last=Max("settled_at"),
        first_id=Min("pk", filter=Q(promised=False)),
        given_up=Count("pk", filter=Q(promised=True)),
    )
    columns = ("why", "number", "cost", "first", "last", "first_id", "given_up")
    return [Failures(*row) for row in told.order_by("-number", "why").values_list(*columns)]


def happened(window: Span) -> list[Happened]:
    """All but the calls that are only counted; one query."""
    kinds = [Kind.REFUSED, Kind.BROKEN, Kind.PROMISED, Kind.CANARY, Kind.RETRY, Kind.DROPPED]
    meanwhile = Q(window.of("at"), kind__in=kinds) | Q(window.of_circuits(), kind=Kind.CIRCUIT)
    rows = Event.objects.filter(meanwhile).values("kind", "outcome", "trouble")
    told = rows.annotate(number=Sum("count"), cost=Sum("total"), first=Min("at"), last=Max("at"))
    told = told.annotate(nameless=Sum("count", filter=Q(diner=None)))
    columns = ("kind", "outcome", "trouble", "number", "cost", "first", "last", "nameless")
    return [Happened(*row) for row in told.order_by("-number", "kind", "outcome").values_list(*columns)]


def promises(window: Span) -> Promises:
    """One query."""
    # Of an order whose status is named, whichever it is, an index knows when it was placed.
    placed = Order.objects.filter(status__in=list(Status), promised=True)
    placed = placed.filter(within("created_at", after=window.orders_after, until=window.orders_until))
    made, pending = Q(status=Status.FULFILLED), Q(status=Status.PENDING)
    told = placed.aggregate(
        number=Count("*"),
        made=Count("pk", filter=made),
        pending=Count("pk", filter=pending),
        made_at=Max("settled_at", filter=made),
    )
    return Promises(**told)


def made(first: datetime, last: datetime) -> tuple[int, int]:
    """Orders that were made at once meanwhile, and in 5 minutes if that is longer; one query."""
    fulfilled = Order.objects.filter(status=Status.FULFILLED, promised=False)
    lately = fulfilled.filter(within("settled_at", since=min(first, last - ENOUGH), until=last))
    meanwhile = Count("pk", filter=within("settled_at", since=first))
    return tuple(lately.aggregate(meanwhile=meanwhile, lately=Count("pk")).values())


def diners(window: Span) -> int:
    """How many people's orders failed, were refused or met an error of ours; one query."""
    failed = troubles.failed_orders().filter(window.of("settled_at")).values_list("diner_id")
    others = Event.objects.filter(window.of("at"), kind__in=LOST, diner__isnull=False).values_list("diner_id")
    return failed.order_by().union(others.order_by()).count()


def left_undecided(window: Span) -> set[int]:
    """The orders that nobody settled, and of which their diners were told that we can't tell; two queries."""
    noted = Event.objects.filter(window.of("at"), kind=Kind.BROKEN, outcome=UNDECIDED).order_by()
    told = {order for detail in noted.values_list("detail", flat=True) for order in detail.get("orders", [])}
    unsettled = troubles.failed_orders().filter(window.of("settled_at"), reason=Reason.ABANDONED, promised=False)
    return told.intersection(unsettled.values_list("pk", flat=True))


def lost_at(window: Span, left: set[int]) -> list[datetime]:
    """When the first hundred orders failed, were refused or met an error of ours; two queries.

    One that was `left` undecided was lost when its diner was told so, and not once more when it was given up.
    """
    failed = troubles.failed_orders().filter(window.of("settled_at")).order_by("settled_at")
    others = Event.objects.filter(window.of("at"), kind__in=LOST).order_by("at")
    settled = failed.values_list("settled_at", "pk")[: MOST_LOST + len(left)]
    lost: list[Any] = [at for at, order in settled if order not in left]
    for at, count in others.values_list("at", "count")[:MOST_LOST]:
        lost += [at] * min(count, MOST_LOST)
    return sorted(lost)[:MOST_LOST]


def success(after: datetime) -> Success | None:
    """The first pizza after that time; two queries."""
    made: Any = _made().filter(within("settled_at", after=after)).order_by("settled_at")
    order = made.values_list("settled_at", "pk").first()
    canary = _flown().filter(within("at", after=after)).order_by("at").values_list("at", flat=True).first()
    if order and (canary is None or order[0] <= canary):
        return Success(*order)
    return Success(canary, None) if canary else None


def _made() -> QuerySet[Order]:
    return Order.objects.filter(status=Status.FULFILLED, settled_at__isnull=False)


def _flown() -> QuerySet[Event]:
    return Event.objects.filter(kind=Kind.CANARY, trouble=False)


def longest_without(first: datetime, end: datetime, *, canaries: bool) -> tuple[datetime, datetime]:
    """From when until when, between `first` and `end`, no pizza was made for the longest time.

    A canary that flew well is one of them if `canaries`. Three queries. Of the times between two orders it reads the
    longest 1,000, or more where that many may be of a quarter of an hour, and sees which canaries flew in them: what it
    says is exact if it is that long, or longer than the shortest of these.
    """
    orders = _made().filter(within("settled_at", after=first, until=end))
    flights = _flown().filter(within("at", after=first, until=end)).order_by("at").values_list("at", flat=True)
    flown = list(flights) if canaries else []
    bounds = orders.aggregate(first=Min("settled_at"), last=Max("settled_at"))
    gaps = [(first, bounds["first"] or end), (bounds["last"] or end, end)]
    gaps += _gaps(orders, most=max(MOST_GAPS, (end - first) // LONG + 1))
    return max(_parts(gaps, flown), key=lambda gap: gap[1] - gap[0])


def _gaps(orders: QuerySet[Order], *, most: int) -> Any:
    """The longest times from one of these orders to the next."""
    before = Window(Lag("settled_at"), order_by="settled_at")
    length = ExpressionWrapper(F("settled_at") - F("before"), output_field=DurationField())
    found = orders.annotate(before=before, length=length).filter(before__isnull=False).order_by("-length")
    return found.values_list("before", "settled_at")[:most]


def _parts(gaps: Iterable[tuple[datetime, datetime]], flown: list[datetime]) -> Iterator[tuple[datetime, datetime]]:
    """These times, between the canaries that flew in them."""
    for start, end in gaps:
        between = flown[bisect_right(flown, start) : bisect_left(flown, end)]
        yield from pairwise([start, *between, end])


def failures_in(start: datetime, end: datetime) -> int:
    """How often something was seen to fail then; two queries."""
    failed = troubles.failed_orders().filter(within("settled_at", since=start, until=end)).count()
    return failed + Event.objects.filter(within("at", since=start, until=end), trouble=True).count()


def by_outcome(rows: Iterable[Happened], kind: str) -> dict[str, int]:
    """How many there were of that kind, by outcome."""
    counted: defaultdict[str, int] = defaultdict(int)
    for row in rows:
        if row.kind == kind:
            counted[row.outcome] += row.number
    return dict(counted)


def first_of(rows: Iterable[Happened], kind: Kind) -> datetime | None:
    """When the first of that kind was that is trouble."""
    return min((row.first_at for row in rows if row.kind == kind and row.trouble), default=None)
