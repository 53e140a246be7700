"""Reading orders, and what is known of the factory that makes them."""

import math
import time
from collections import Counter, defaultdict
from collections.abc import Callable, Iterator, Sequence
from datetime import datetime
from decimal import Decimal
from itertools import pairwise, product
from typing import Any, Generic, NamedTuple, TypeVar

from django.conf import settings
from django.db.models import (
    Count,
    DurationField,
    Exists,
    ExpressionWrapper,
    F,
    Max,
    Min,
    OuterRef,
    Prefetch,
    Q,
    QuerySet,
    Subquery,
    Sum,
    Value,
)
from django.db.models.functions import Now
from prometheus_client.core import GaugeMetricFamily
from prometheus_client.metrics_core import Metric

from franchises.models import Store
from jwtpizza.accounts.models import User
from jwtpizza.api.body import iso
from jwtpizza.api.errors import NotFound
from jwtpizza.databases.prepared import Prepared, PreparedFor
from jwtpizza.fields import from_now, key_of
from jwtpizza.observability.metrics import gauge
from jwtpizza.shared import Generation
from orders.models import Canary, ChaosSwitch, Order, OrderItem, Status, SupportLink, WorkerCircuit, digest_of

Known = TypeVar("Known")
# A process that told nothing for three times its period is gone.
GONE_SECONDS = 30.0
# A canary tells of three of its periods; after one that failed, 40 s may pass until its link is there.
CANARY_SECONDS = 3 * settings.FACTORY_CANARY_SECONDS + 40.0


class Pizza(NamedTuple):
    """One pizza of an order, at the price (₿) and by the name that the menu had then."""

    order_id: int
    id: int | None
    menu_item_id: int
    description: str
    price: Decimal


class Receipt(NamedTuple):
    """An order as its diner reads it."""

    id: int
    diner_id: int
    franchise_id: int
    store_id: int
    created_at: datetime
    status: str
    jwt: str | None
    pizzas: list[Pizza]


HISTORY = {
    "": [Status.FULFILLED, Status.PENDING],
    "failed": [Status.FAILED],
    "pending": [Status.PENDING],
    "fulfilled": [Status.FULFILLED],
    "all": list(Status),
}


PAGE = 10
# A page far back skips what is before it, which is read from an index alone.
_PAGES = {
    name: Prepared(
        lambda diner, start, statuses=statuses: (
            Order.objects.filter(diner=diner, status__in=statuses)
            .order_by("-pk")
            .values_list("pk")[start : start + PAGE + 1]
        ),
        diner=int,
        start=int,
    )
    for name, statuses in HISTORY.items()
}
_ORDERS = PreparedFor(
    lambda ids: (
        Order.objects.filter(pk__in=ids)
        .order_by("-pk")
        .values_list("pk", "diner_id", "store__franchise_id", "store_id", "created_at", "status", "jwt")
    )
)
_PIZZAS = PreparedFor(
    lambda orders: (
        OrderItem.objects.filter(order_id__in=orders)
        .order_by("pk")
        .values_list("order_id", "pk", "menu_item_id", "description", "price")
    )
)


def pizzas(order_ids: Sequence[int]) -> dict[int, list[Pizza]]:
    """What was ordered, by order; one query."""
    found: dict[int, list[Pizza]] = {order_id: [] for order_id in order_ids}
    for row in _PIZZAS.rows(order_ids):
        found[row[0]].append(Pizza(*row))
    return found


def _receipts(order_ids: Sequence[int]) -> list[Receipt]:
    ordered = pizzas(order_ids)
    return [Receipt(*row, ordered[row[0]]) for row in _ORDERS.rows(order_ids)]


def history(*, diner: User, statuses: str, page: int) -> tuple[list[Receipt], bool]:
    """A page, counted from 1, of a diner's orders, newest first, and whether there are more; three queries.

    `statuses` is a key of `HISTORY`.
    """
    found = list(_PAGES[statuses].rows(diner=diner.pk, start=(page - 1) * PAGE))
    # One may have been decided in between.
    receipts = [each for each in _receipts([pk for (pk,) in found[:PAGE]]) if each.status in HISTORY[statuses]]
    return receipts, len(found) > PAGE


def order(*, order_id: int, reader: User) -> Receipt:
    """An order, for its diner and for admins; raises NotFound for everybody else."""
    for receipt in _receipts([order_id]):
        if reader.is_superuser or receipt.diner_id == reader.pk:
            return receipt
    raise NotFound("There is no such order.")


# Nobody waits for an order, or remembers its Idempotency-Key, for longer than a day.
DAY = 24 * 60 * 60
OUT_OF_WINDOW = Q(created_at__lt=from_now(-DAY))
ABANDONED = OUT_OF_WINDOW | Q(promised=False, idempotency_key=None)


def due() -> QuerySet[Order]:
    """Pending orders that anybody may take over, those that have been due for longest first."""
    return Order.objects.filter(status=Status.PENDING, lease_until__lt=Now()).order_by("lease_until")


def abandoned() -> QuerySet[Order]:
    """Those of them that nobody waits for: they are failed."""
    return due().filter(ABANDONED)


def awaited() -> QuerySet[Order]:
    """Those of them that a diner was promised, or asked for with an Idempotency-Key: they are made."""
    return due().exclude(ABANDONED)


def last_decided() -> dict[str, Any] | None:
    """How the latest decided order ended, as a hint of how the factory is."""
    order = Order.objects.exclude(settled_at=None).only("status", "reason", "settled_at").order_by("-pk").first()
    if order is None or order.settled_at is None:
        return None
    return {"status": order.status, "reason": order.reason, "at": iso(order.settled_at)}


class Remembered(Generic[Known]):
    """What `read` says, asked again once it is a second old: all workers agree soon, and few requests pay for it.

    It is asked again at once when the number that `generation` returns is another one.
    """

    def __init__(
        self, read: Callable[[], Known], *, seconds: float = 1.0, generation: Callable[[], int] = lambda: 0
    ) -> None:
        self._read, self._seconds, self._generation = read, seconds, generation
        self._known: tuple[float, int, Known] | None = None

    def __call__(self) -> Known:
        # In this order: what is read is no older than the generation.
        now, generation, known = time.monotonic(), self._generation(), self._known
        if known is None or now - known[0] >= self._seconds or known[1] != generation:
            known = self._known = now, generation, self._read()
        return known[2]


CHAOS_SWITCHED = Generation("chaos")
CHAOS = Remembered(lambda: ChaosSwitch.objects.filter(until__gt=Now()).exists(), generation=CHAOS_SWITCHED)


def chaos_is_on() -> bool:
    """Whether half of the calls to the factory are to fail."""
    return CHAOS()


def gone() -> QuerySet[WorkerCircuit]:
    """The circuits of processes that tell nothing any more."""
    return WorkerCircuit.objects.filter(told_at__lt=from_now(-GONE_SECONDS))


class Circuit(NamedTuple):
    """The circuit breaker of a worker: `seconds_open` is for how long it refuses all orders."""

    state: str
    since: datetime
    seconds_open: float

    @property
    def stands(self) -> str:
        """Its state as the next order will meet it: one that was open for long enough lets that order probe."""
        return "half-open" if self.state == "open" and not self.seconds_open else self.state

    def is_well(self, canary: "Canary | None") -> bool:
        """It takes orders, and there is no reason to expect that they fail."""
        found_out = canary is not None and canary.well and canary.flown_at > self.since
        return not self.seconds_open and (self.state == "closed" or found_out)


def _circuits() -> list[Circuit]:
    told = WorkerCircuit.objects.filter(told_at__gte=from_now(-GONE_SECONDS)).annotate(now=Now())
    rows = told.values_list("state", "since", "open_until", "now")
    return [
        Circuit(state, since, max(0.0, (until - now).total_seconds()) if until else 0.0)
        for state, since, until, now in rows
    ]


CIRCUITS = Remembered(_circuits)
CANARY = Remembered(lambda: Canary.objects.filter(flown_at__gte=from_now(-CANARY_SECONDS)).first())

ORDERING = {
    "up": "Pizzas are made as usual.",
    "degraded": "The pizza factory is having trouble. Your order may take longer, or may have to be sent again.",
    "down": "The pizza factory is not taking orders right now. Nothing is charged meanwhile; please try again soon.",
}


def ordering() -> dict[str, Any]:
    """Whether diners can order, over all workers: `retryAfter` is in seconds, and None unless ordering is down.

    "down" is that each worker refuses; "up" that each takes orders, and the last canary says nothing against it.
    """
    circuits, canary = CIRCUITS(), CANARY()
    refusing = [circuit.seconds_open for circuit in circuits if circuit.seconds_open]
    well = [circuit for circuit in circuits if circuit.is_well(canary)]
    if circuits and len(refusing) == len(circuits):
        state = "down"
    elif circuits and len(well) == len(circuits) and (canary is None or canary.well):
        state = "up"
    else:
        state = "degraded"
    ill = [circuit.since for circuit in circuits if circuit not in well]
    if canary and not canary.well:
        ill.append(canary.flown_at)
    since = min(ill) if ill else max((circuit.since for circuit in circuits), default=None)
    return {
        "ordering": state,
        "message": ORDERING[state],
        "since": since and iso(since),
        "retryAfter": math.ceil(min(refusing)) if state == "down" else None,
    }


def factory_report() -> dict[str, Any]:
    """What `/readyz` tells of the factory; none of it makes us unready."""
    told, canary = ordering(), CANARY()
    circuits = [circuit.state for circuit in CIRCUITS()]
    flown = canary and {"outcome": canary.outcome, "seconds": canary.seconds, "at": iso(canary.flown_at)}
    known = {"ordering": told["ordering"], "since": told["since"], "workers": circuits, "canary": flown}
    return known | {"lastOrder": last_decided()}


def gauges() -> Iterator[Metric]:
    """What Prometheus is told of the books and of the factory, however many workers there are."""
    pending = Order.objects.filter(status=Status.PENDING)
    age = ExpressionWrapper(Now() - Min("created_at"), output_field=DurationField())
    waiting = pending.aggregate(count=Count("pk"), oldest=age)
    oldest = waiting["oldest"].total_seconds() if waiting["oldest"] else 0.0
    yield gauge("jwtpizza_orders_pending", "Orders that are not decided yet.", waiting["count"])
    yield gauge("jwtpizza_orders_oldest_pending_seconds", "How long the oldest of them has waited.", oldest)
    states = Counter(circuit.stands for circuit in CIRCUITS())
    workers = GaugeMetricFamily("jwtpizza_factory_breaker_workers", "Processes by their circuit.", labels=["state"])
    for state in ("closed", "open", "half-open"):
        workers.add_metric([state], states[state])
    yield workers
    if canary := CANARY():
        yield gauge("jwtpizza_factory_up", "Whether a diner would have got the last canary.", canary.well)
        yield gauge("jwtpizza_factory_canary_seconds", "How long it took.", canary.seconds)
        flown = canary.flown_at.timestamp()
        yield gauge("jwtpizza_factory_canary_timestamp_seconds", "When it came back.", flown)


def latest_link() -> SupportLink | None:
    """The support link of the latest failure."""
    return SupportLink.objects.select_related("followed_by").order_by("-pk").first()


def link_of(*, order_id: int) -> SupportLink | None:
    """The support link that came with an order's failure."""
    text = Order.objects.filter(pk=order_id, status=Status.FAILED).values_list("support_link", flat=True).first()
    return SupportLink.objects.filter(digest=digest_of(text)).first() if text else None


class Sales(NamedTuple):
    """What became of the orders that were placed in a span of time from `start` on; `revenue` is in ₿."""

    start: datetime
    fulfilled: int
    failed: int
    revenue: Decimal


def sales(*, orders: QuerySet[Order], bounds: Sequence[datetime]) -> list[Sales]:
    """The sales between each bound and the next, also where there were none.

    One query, which reads each span from an index: to group by a date that is cut off, a database sorts all of them.
    """
    spans = product((Status.FULFILLED, Status.FAILED), pairwise(bounds))
    first, *others = [_counted(orders, number, status, *span) for number, (status, span) in enumerate(spans)]
    rows = sorted(first.union(*others, all=True))
    decided = zip(bounds, rows, rows[len(bounds) - 1 :], strict=False)
    return [Sales(start, sold[1], failed[1], sold[2] or Decimal(0)) for start, sold, failed in decided]


def _counted(orders: QuerySet[Order], number: int, status: Status, start: datetime, end: datetime) -> Any:
    """A row: this number, how many orders have that status and were placed in that span, and what they cost."""
    placed = orders.filter(status=status, created_at__gte=start, created_at__lt=end).values(number=Value(number))
    return placed.annotate(count=Count("*"), cost=Sum("total")).values_list("number", "count", "cost")


def pending() -> dict[str, Any]:
    """How many orders are not decided yet, and when the oldest of them was placed."""
    return Order.objects.filter(status=Status.PENDING).aggregate(count=Count("*"), oldest=Min("created_at"))


def last_made() -> datetime | None:
    """When, of the orders that were made, the one that was placed last was made."""
    made = Order.objects.filter(status=Status.FULFILLED).order_by("-created_at")
    return made.values_list("settled_at", flat=True).first()


# Of that many orders counting, sorting and the search for a name together take a tenth of a second.
MOST_LISTED = 15_000
# Up to so many stores share them; of more, each has a page or two.
FEW_STORES, LEAST_LISTED = 100, 100


def orders_of(stores: Sequence[int] | None) -> QuerySet[Order]:
    """The orders at these stores, or at all of them for None, newest first.

    Without their JWTs: one is longer than the rest of its order, and sorting would carry it along.
    """
    # Of an order whose status is named, whichever it is, `order_sales` knows when it was placed.
    placed = Order.objects.filter(status__in=list(Status)) if stores is None else Order.objects.filter(store__in=stores)
    return placed.defer("jwt").order_by("-created_at", "-pk")


def latest(orders: QuerySet[Order], *, stores: Sequence[int] | None) -> tuple[QuerySet[Order], datetime | None]:
    """The newest of `orders` (of `orders_of`, perhaps filtered): as many as a list can count, sort and search in.

    All since the datetime that comes with them; all there are, if that is None. They are about 15,000 if the stores
    sell alike, and never fewer than the newest 15,000 divided by the number of stores; of more than 100 stores they are
    the newest 100 or more. One query.
    """
    sellers = Store.objects.all() if stores is None else Store.objects.filter(pk__in=stores)
    bounds = sellers.aggregate(
        **{f"piece_{n}": Max(Subquery(piece)) for n, piece in enumerate(_pieces(orders, stores))}
    )
    since = max((bound for bound in bounds.values() if bound), default=None)
    newest = orders.filter(created_at__gte=since) if since else orders
    # With an order that an index has, PostgreSQL seeks a quiet store's page in all orders of all stores.
    return newest.order_by(F("pk") * 0, *orders.query.order_by), since


def _pieces(orders: QuerySet[Order], stores: Sequence[int] | None) -> Iterator[Any]:
    """When in each piece, of which an index has the orders in the order in which they were placed, one too many was."""

    def since(many: int, **piece: Any) -> Any:
        return orders.filter(**piece).order_by("-created_at").values("created_at")[many : many + 1]

    if stores is None:
        # Nearly all orders have the same status.
        yield from (since(MOST_LISTED, status=status) for status in Status)
    elif len(stores) <= FEW_STORES:
        # Each by its name: of one that comes from a join PostgreSQL expects no more than of any, and sorts all it has.
        yield from (since(MOST_LISTED // len(stores), store=store) for store in stores)
    else:
        yield since(LEAST_LISTED, store=OuterRef("pk"))


LONGEST_NUMBER = len(str(2**63))


def search(term: str, *, orders: QuerySet[Order], newest: QuerySet[Order]) -> QuerySet[Order]:
    """The one of `orders` with this number; if there is none, those of `newest` whose diner has this in the name.

    Upper or lower case are the same, and no sign is special. Whether a number is there costs one query.
    """
    if term.isdecimal() and len(term) <= LONGEST_NUMBER:
        numbered = orders.filter(pk=int(term))
        if numbered.exists():
            return numbered
    # Joined, a common name has SQLite read all orders that its bearers ever placed.
    return newest.filter(Exists(User.objects.filter(pk=OuterRef("diner_id"), name_key__contains=key_of(term))))


Span = tuple[datetime, datetime]


def sales_by_store(*, stores: Sequence[int], spans: Sequence[Span]) -> dict[int, list[Sales]]:
    """The sales of each of these stores in each of these spans, from its start until before its end; one query."""
    rows: dict[Any, tuple[int, Decimal]] = defaultdict(lambda: (0, Decimal(0)))
    if stores and spans:
        first, *others = [_sold(stores, number, *span) for number, span in enumerate(spans)]
        rows |= {tuple(piece): (count, cost) for *piece, count, cost in first.union(*others, all=True)}
    return {
        store: [
            Sales(start, fulfilled, rows[number, store, Status.FAILED][0], revenue)
            for number, (start, _) in enumerate(spans)
            for fulfilled, revenue in [rows[number, store, Status.FULFILLED]]
        ]
        for store in stores
    }


def _sold(stores: Sequence[int], number: int, start: datetime, end: datetime) -> Any:
    """Rows: this number, a store, a status, how many of its orders have it and were placed in that span, their cost."""
    placed = Order.objects.filter(store__in=stores, created_at__gte=start, created_at__lt=end)
    decided = placed.filter(status__in=[Status.FULFILLED, Status.FAILED])
    pieces = decided.values("store_id", "status", number=Value(number)).annotate(count=Count("*"), cost=Sum("total"))
    return pieces.values_list("number", "store_id", "status", "count", "cost")


def lately(*, stores: Sequence[int], minutes: int = 60, most: int = 10) -> QuerySet[Order]:
    """The newest orders that trouble these stores: pending ones of the last 24 hours, and those that failed lately."""
    # Both within a day, for an index to begin with: of an OR alone SQLite makes a walk through all orders.
    troubled = orders_of(stores).filter(status__in=[Status.PENDING, Status.FAILED], created_at__gte=from_now(-DAY))
    now = Q(status=Status.PENDING) | Q(created_at__gte=from_now(-60 * minutes))
    return troubled.filter(now).select_related("store", "diner")[:most]


CHUNK = 1000


def in_chunks(orders: QuerySet[Order], *, stores: Sequence[int]) -> Iterator[list[Order]]:
    """Those of `orders` at these stores, with store, diner and items: store after store, newest first, 1,000 at once.

    Two queries each. A client of PostgreSQL's or MariaDB's holds all rows of a query in memory, hence so few. Each
    chunk begins where the one before it ended: an order comes once, whatever is placed and settled meanwhile.
    """
    items = Prefetch("items", OrderItem.objects.order_by("pk"))
    told = ("created_at", "total", "status", "reason", "store__name", "diner__name")
    bare = orders.prefetch_related(None).order_by("-created_at", "-pk")
    read = bare.select_related("store", "diner").only(*told).prefetch_related(items)
    for store in stores:
        rest = read.filter(store=store)
        while chunk := list(rest[:CHUNK]):
            yield chunk
            if len(chunk) < CHUNK:
                break
            last = chunk[-1]
            older = Q(created_at__lt=last.created_at) | Q(pk__lt=last.pk)
            rest = read.filter(older, store=store, created_at__lte=last.created_at)
