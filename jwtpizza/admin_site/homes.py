"""What people see first: an admin how the factory is and the way out of an outage, a franchisee how their shops do."""

import logging
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from datetime import datetime, timedelta
from decimal import Decimal
from itertools import pairwise
from typing import Any, NamedTuple

from django.conf import settings
from django.urls import reverse
from django.utils import timezone
from django.utils.html import format_html

from franchises import selectors as franchises
from jwtpizza.accounts.models import User
from jwtpizza.charts import Amounts, Axis, Chart, days, hours, written
from jwtpizza.fields import in_bitcoin, midnight
from jwtpizza.incidents.selectors import troubles
from jwtpizza.observability.logs import masked
from orders import selectors
from orders.models import Order

log = logging.getLogger("jwtpizza.admin")

DAYS_AGO = {"today": 0, "yesterday": 1, "a week ago": 7}
# The colours of the style sheet; all other stores share the last.
MOST_STORES, OTHERS = 6, "all others"
Home = dict[str, Any]


def of(user: User) -> Home:
    """What the home of this user shows, by part."""
    return _told(ADMIN) if user.is_superuser else _told(_franchisee(user))


def _told(parts: Mapping[str, Callable[[], Any]]) -> Home:
    """A part that can't be told is left out and named in `untold`: the others are needed then."""
    told: Home = {"now": timezone.now(), "canary_seconds": settings.FACTORY_CANARY_SECONDS, "untold": []}
    for name, part in parts.items():
        try:
            told[name] = part()
        except Exception:
            log.exception("a part of the admin's home failed: %s", name)
            told["untold"].append(name.replace("_", " "))
    return told


def _ordering() -> dict[str, Any]:
    told = selectors.ordering()
    return told | {"since": told["since"] and datetime.fromisoformat(told["since"])}


# --- an admin's -----------------------------------------------------------------------------------


def _incident() -> dict[str, Any] | None:
    """That which is open, or for a day the last that was, and how many orders it took."""
    incident = troubles.present(timezone.now())
    if incident is None:
        return None
    return {"incident": incident, "lost": troubles.lost(incident)}


def _support_link() -> dict[str, Any] | None:
    link = selectors.latest_link()
    return {"link": link, "masked": masked(link.link)} if link else None


def _charts_of_all() -> list[Chart]:
    by = {"by hour": hours(24, every=6), "by day": days(30, every=7)}
    return [chart for name, axis in by.items() for chart in _sales(name, axis)]


def _sales(by: str, axis: Axis) -> list[Chart]:
    sold = selectors.sales(orders=Order.objects.all(), bounds=axis.bounds)
    orders: dict[str, Amounts] = {
        "fulfilled": [span.fulfilled for span in sold],
        "failed": [span.failed for span in sold],
    }
    revenue: dict[str, Amounts] = {"revenue": [span.revenue for span in sold]}
    return [axis.chart(f"Orders {by}", orders), axis.chart(f"Revenue {by}", revenue)]


ADMIN: dict[str, Callable[[], Any]] = {
    "incident": _incident,
    "ordering": _ordering,
    "circuits": lambda: dict(Counter(circuit.stands for circuit in selectors.CIRCUITS())),
    "canary": selectors.CANARY,
    "pending": selectors.pending,
    "last_made": selectors.last_made,
    "support_link": _support_link,
    "charts": _charts_of_all,
}

# --- a franchisee's -------------------------------------------------------------------------------


class Figure(NamedTuple):
    """One number of today's, and the same of earlier days by this time of the day."""

    title: str
    today: str
    earlier: dict[str, str]


def _franchisee(user: User) -> dict[str, Callable[[], Any]]:
    names = _names(user)
    return {
        "ordering": _ordering,
        "figures": lambda: _figures(list(names)),
        "lately": lambda: _lately(list(names)),
        "charts": lambda: _charts_by_store(names),
    }


def _names(user: User) -> dict[int, str]:
    """Their stores by id, as they are told apart."""
    stores = list(franchises.stores_of(user).order_by("name").values_list("pk", "name", "franchise__name"))
    several = len({franchise for *_, franchise in stores}) > 1
    return {pk: f"{name} ({franchise})" if several else name for pk, name, franchise in stores}


def _figures(stores: list[int]) -> list[Figure]:
    """Today's, against what it was by this time on the days before: at noon, a whole day would look like a loss.

    None for who has no store.
    """
    now, today = timezone.localtime(), timezone.localdate()
    dates = [today - timedelta(days=ago) for ago in DAYS_AGO.values()]
    spans = [(midnight(day), datetime.combine(day, now.time(), now.tzinfo)) for day in dates]
    sold = selectors.sales_by_store(stores=stores, spans=spans)
    if not sold:
        return []
    columns: dict[str, Callable[[selectors.Sales], Any]] = {
        "Orders made": lambda sales: sales.fulfilled,
        "Revenue": lambda sales: sales.revenue,
        "Orders failed": lambda sales: sales.failed,
    }
    return [
        _figure(title, [sum(map(of, day)) for day in zip(*sold.values(), strict=True)]) for title, of in columns.items()
    ]


def _figure(title: str, amounts: Sequence[int | Decimal]) -> Figure:
    today, *earlier = map(written, amounts)
    return Figure(title, today, dict(zip(list(DAYS_AGO)[1:], earlier, strict=True)))


def _lately(stores: list[int]) -> dict[str, Any] | None:
    """The rows of a table, or None for nothing to say."""
    orders = selectors.lately(stores=stores)
    headers = ["order", "placed", "store", "diner", "price", "what happened"]
    return {"headers": headers, "rows": [_row(order) for order in orders]} if orders else None


def _row(order: Order) -> list[str]:
    link = format_html('<a href="{}">{}</a>', reverse("admin:orders_order_change", args=[order.pk]), order.pk)
    placed = f"{timezone.localtime(order.created_at):%H:%M:%S}"
    return [link, placed, order.store.name, order.diner.name, in_bitcoin(order.total), order.trouble]


def _charts_by_store(names: Mapping[int, str]) -> list[Chart]:
    """Revenue and orders of two weeks; the stores that earned most by their names, and all others as one."""
    axis = days(14, every=3)
    sold = selectors.sales_by_store(stores=list(names), spans=list(pairwise(axis.bounds)))
    best = sorted(sold, key=lambda store: -sum(day.revenue for day in sold[store]))
    series: dict[str, list[list[selectors.Sales]]] = {}
    for rank, store in enumerate(best):
        series.setdefault(names[store] if rank < MOST_STORES else OTHERS, []).append(sold[store])
    revenue = {name: _by_day(stores, lambda day: day.revenue) for name, stores in series.items()}
    made = {name: _by_day(stores, lambda day: day.fulfilled) for name, stores in series.items()}
    return [axis.chart("Revenue by day", revenue), axis.chart("Orders made by day", made)] if series else []


def _by_day(stores: list[list[selectors.Sales]], of: Callable[[selectors.Sales], Any]) -> Amounts:
    return [sum(map(of, day)) for day in zip(*stores, strict=True)]
