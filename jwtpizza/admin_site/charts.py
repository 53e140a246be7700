"""Stacked bars, drawn on the server: no script, no other host, and figures for who can't see them."""

from collections.abc import Mapping, Sequence
from datetime import datetime, timedelta
from decimal import Decimal
from typing import Any, NamedTuple

from django.utils import timezone
from pygal import Config, StackedBar

from jwtpizza.fields import in_bitcoin, midnight

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
    """Stacked bars, and their figures: the totals by series, and a row for each bar."""

    title: str
    svg: str
    totals: dict[str, str]
    rows: list[tuple[str, ...]]


class Axis(NamedTuple):
    """What stands below the bars: where each begins and the last ends, the label of every so-manieth, and all."""

    bounds: list[datetime]
    every: int
    short: list[str]
    long: list[str]

    def chart(self, title: str, series: Mapping[str, Amounts]) -> Chart:
        """A bar for each span; `series` has an amount for each, by name."""
        figures = [[written(amount) for amount in amounts] for amounts in series.values()]
        rows = list(zip(self.long, *figures, strict=True))
        totals = {name: written(sum(amounts)) for name, amounts in series.items()}
        bars = [f"{row[0]}: {row[number]} {name}" for number, name in enumerate(series, 1) for row in rows]
        drawing = drawn(self.short, self.every, series)
        name = f"{title}: {', '.join(f'{total} {name}' for name, total in totals.items())}"
        drawing.add_xml_filter(lambda svg: _plain(svg, name, bars))
        return Chart(title, drawing.render(), totals, rows)


def hours(count: int, *, every: int) -> Axis:
    """The last so many hours of the viewer's clock, the one in hand included."""
    last = timezone.localtime().replace(minute=0, second=0, microsecond=0)
    bounds = [timezone.localtime(last + timedelta(hours=number)) for number in range(1 - count, 2)]
    starts = bounds[:-1]
    return Axis(bounds, every, [f"{each:%H:%M}" for each in starts], [f"{each:%Y-%m-%d %H:%M}" for each in starts])


def days(count: int, *, every: int) -> Axis:
    """The last so many days of the viewer's calendar, today included."""
    dates = [timezone.localdate() + timedelta(days=number) for number in range(1 - count, 2)]
    starts = dates[:-1]
    short = [f"{each.day} {each:%b}" for each in starts]
    return Axis([midnight(each) for each in dates], every, short, [f"{each:%Y-%m-%d}" for each in starts])


def written(amount: int | Decimal) -> str:
    """A count as 1,234, an amount as ₿ 0.0038."""
    return f"{amount:,}" if isinstance(amount, int) else in_bitcoin(amount)


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
