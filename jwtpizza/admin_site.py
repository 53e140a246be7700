"""The admin's home: how the factory is, the way out of an outage, and what was sold. For people without Grafana."""

import logging
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import Any, NamedTuple

from django.conf import settings
from django.contrib import admin
from django.http import HttpRequest, HttpResponse
from django.template.response import TemplateResponse
from django.utils import timezone
from pygal import Config, StackedBar

from jwtpizza.accounts.limits import LimitedLogin
from jwtpizza.accounts.services import saw
from jwtpizza.observability.logs import masked
from orders import selectors
from orders.models import Order

log = logging.getLogger("jwtpizza.admin")

EPOCH = datetime.fromtimestamp(0, UTC)
HOUR, DAY = timedelta(hours=1), timedelta(days=1)
Amounts = Sequence[int | Decimal]

# Colours and sizes of letters are our style sheet's, and so is the legend; the library's script is nobody's.
LOOK: dict[str, Any] = {
    "js": [],
    "css": [],
    "width": 440,
    "height": 220,
    "margin": 8,
    "spacing": 8,
    "max_scale": 5,
    "truncate_label": -1,
    "show_minor_x_labels": False,
    "show_legend": False,
    "disable_xml_declaration": True,
}


class Chart(NamedTuple):
    """Stacked bars, and their figures for who can't see them: the totals by series, and a row for each bar."""

    title: str
    svg: str
    totals: dict[str, str]
    rows: list[tuple[str, ...]]


class Period(NamedTuple):
    """The last so many spans of time, of which every so-manieth has its label (`short`) below the bars."""

    by: str
    span: timedelta
    spans: int
    every: int
    long: Callable[[datetime], str]
    short: Callable[[datetime], str]

    def bounds(self, now: datetime) -> list[datetime]:
        """Where its spans begin and end; `now` is in the last."""
        end = now - (now - EPOCH) % self.span + self.span
        return [end + self.span * number for number in range(-self.spans, 1)]

    def charts(self) -> list[Chart]:
        """Orders and revenue of all stores."""
        sold = selectors.sales(orders=Order.objects.all(), bounds=self.bounds(timezone.now()))
        series: dict[str, dict[str, Amounts]] = {
            "Orders": {"fulfilled": [span.fulfilled for span in sold], "failed": [span.failed for span in sold]},
            "Revenue": {"bitcoin": [span.revenue for span in sold]},
        }
        starts = [span.start for span in sold]
        return [self._chart(f"{name} {self.by}", starts, amounts) for name, amounts in series.items()]

    def _chart(self, title: str, starts: list[datetime], series: Mapping[str, Amounts]) -> Chart:
        spans = zip(map(self.long, starts), *series.values(), strict=True)
        rows = [(long, *map(written, amounts)) for long, *amounts in spans]
        totals = {name: written(sum(amounts)) for name, amounts in series.items()}
        bars = [f"{row[0]}: {row[number]} {name}" for number, name in enumerate(series, 1) for row in rows]
        drawing = drawn([self.short(start) for start in starts], self.every, series)
        name = f"{title}: {', '.join(f'{total} {name}' for name, total in totals.items())}"
        drawing.add_xml_filter(lambda svg: _plain(svg, name, bars))
        return Chart(title, drawing.render(), totals, rows)


def written(amount: int | Decimal) -> str:
    """A count as 1,234; ₿ with all their decimals."""
    return f"{amount:,}" if isinstance(amount, int) else f"{amount:,.8f}"


def drawn(labels: list[str], every: int, series: Mapping[str, Amounts]) -> Any:
    """The chart, not rendered yet."""
    highest = max(sum(amounts) for amounts in zip(*series.values(), strict=True))
    drawing = StackedBar(
        Config(
            **LOOK,
            x_labels=labels,
            x_labels_major=labels[::every],
            range=(0, float(highest or 1)),
            order_min=0 if isinstance(highest, int) else None,
            value_formatter=lambda amount: f"{amount:,.8f}".rstrip("0").rstrip("."),
        )
    )
    for name, amounts in series.items():
        drawing.add(name, [float(amount) for amount in amounts])
    return drawing


def _plain(svg: Any, name: str, bars: list[str]) -> Any:
    """What is drawn and no more: no style, no script, no address; and what to call it and each of its bars."""
    svg.attrib.pop("id")
    svg.attrib.update({"role": "img", "aria-label": name})
    svg[:] = [child for child in svg if child.tag == "g"]
    (graph,) = svg
    graph[:] = [part for part in graph if part.get("class") == "plot"]
    drawn_bars = [node for node in graph.iter("g") if node.get("class") == "bar"]
    for bar, title in zip(drawn_bars, bars, strict=True):
        bar[:] = [bar[0], bar.makeelement("title", {})]
        bar[1].text = title
    return svg


PERIODS = (
    Period("by hour", HOUR, 24, 6, "{:%Y-%m-%d %H:%M}".format, "{:%H:%M}".format),
    Period("by day", DAY, 30, 7, "{:%Y-%m-%d}".format, lambda day: f"{day.day} {day:%b}"),
)


def _ordering() -> dict[str, Any]:
    told = selectors.ordering()
    return told | {"since": told["since"] and datetime.fromisoformat(told["since"])}


def _support_link() -> dict[str, Any] | None:
    link = selectors.latest_link()
    return {"link": link, "masked": masked(link.link)} if link else None


PARTS: dict[str, Callable[[], Any]] = {
    "ordering": _ordering,
    "circuits": lambda: dict(Counter(circuit.stands for circuit in selectors.CIRCUITS())),
    "canary": selectors.CANARY,
    "pending": selectors.pending,
    "last_made": selectors.last_made,
    "support_link": _support_link,
    "charts": lambda: [chart for period in PERIODS for chart in period.charts()],
}


def home() -> dict[str, Any]:
    """What the home shows. A part that can't be told is left out and named in `untold`: the others are needed then."""
    told: dict[str, Any] = {"now": timezone.now(), "canary_seconds": settings.FACTORY_CANARY_SECONDS, "untold": []}
    for name, part in PARTS.items():
        try:
            told[name] = part()
        except Exception:
            log.exception("a part of the admin's home failed: %s", name)
            told["untold"].append(name.replace("_", " "))
    return told


class Site(admin.AdminSite):
    """Django's, with that home for admins."""

    site_title = site_header = "JWT Pizza"
    login_form = LimitedLogin
    index_template = "admin/home.html"

    def has_permission(self, request: HttpRequest) -> bool:
        """Whether they may work here; whoever may is an active user."""
        permitted = super().has_permission(request)
        if permitted and request.user.pk:
            saw(request.user.pk)
        return permitted

    def login(self, request: HttpRequest, extra_context: dict[str, Any] | None = None) -> HttpResponse:
        """The form, or the way in; 429 with Retry-After for who failed too often."""
        answer = super().login(request, extra_context)
        form = (getattr(answer, "context_data", None) or {}).get("form")
        if refused := getattr(form, "refused", None):
            answer.status_code = refused.status
            for name, value in refused.headers.items():
                answer[name] = value
        return answer

    def index(self, request: HttpRequest, extra_context: dict[str, Any] | None = None) -> TemplateResponse:
        shown = {"home": home()} if request.user.is_superuser else {}
        return super().index(request, {**shown, **(extra_context or {})})
