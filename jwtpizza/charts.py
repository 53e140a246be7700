"""Stacked bars, drawn on the server: no script, no other host, and figures for who can't see them."""

import re
from collections.abc import Mapping, Sequence
from datetime import datetime, timedelta
from decimal import Decimal
from functools import cache
from math import ceil
from pathlib import Path
from typing import Any, NamedTuple

from django.utils import timezone
from django.utils.html import format_html, format_html_join
from django.utils.safestring import SafeString

from jwtpizza.fields import in_bitcoin, midnight

Amounts = Sequence[int | Decimal]
Bars = Amounts | Sequence[float]
Seconds = Sequence[float | None]

STYLE = Path(__file__).parent / "static/jwtpizza/charts.css"
DAY = timedelta(days=1)

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

    @property
    def name(self) -> str:
        """What it is called where it can't be seen: its title and totals."""
        return f"{self.title}: {', '.join(f'{total} {name}' for name, total in self.totals.items())}"


class Axis(NamedTuple):
    """What stands below the bars: where each begins and the last ends, the label of every so-manieth, and all."""

    bounds: list[datetime]
    every: int
    short: list[str]
    long: list[str]

    def chart(self, title: str, series: Mapping[str, Amounts]) -> Chart:
        """A bar for each span; `series` has an amount for each, by name."""
        figures = [[written(amount) for amount in amounts] for amounts in series.values()]
        totals = {name: written(sum(amounts)) for name, amounts in series.items()}
        return self._chart(title, series, figures, totals)

    def latency(self, title: str, *, mean: Seconds, slowest: Seconds, totals: dict[str, str]) -> Chart:
        """Bars as high as the slowest took, up to the mean in a colour of its own; a gap where there is None."""
        above = [(most or 0.0) - (middle or 0.0) for most, middle in zip(slowest, mean, strict=True)]
        series = {"mean": [middle or 0.0 for middle in mean], "slowest": above}
        return self._chart(title, series, [[*map(in_seconds, each)] for each in (mean, slowest)], totals)

    def _chart(self, title: str, series: Mapping[str, Bars], figures: list[list[str]], totals: dict[str, str]) -> Chart:
        chart = Chart(title, "", totals, list(zip(self.long, *figures, strict=True)))
        bars = [f"{row[0]}: {row[number]} {name}" for number, name in enumerate(series, 1) for row in chart.rows]
        drawing = drawn(self.short, self.every, series)
        drawing.add_xml_filter(lambda svg: _plain(svg, chart.name, bars))
        return chart._replace(svg=drawing.render())


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


def spans(bounds: Sequence[datetime], *, labels: int = 5) -> Axis:
    """From each of these times to the next, by the current time zone's clock."""
    starts = [timezone.localtime(each) for each in bounds[:-1]]
    clock = "%H:%M:%S" if any(each.second for each in starts) else "%H:%M"
    short = clock if bounds[-1] - bounds[0] < DAY else "%d %b %H:%M"
    long = [f"{each:%Y-%m-%d %H:%M:%S}" for each in starts]
    return Axis([*bounds], ceil(len(starts) / labels), [f"{each:{short}}" for each in starts], long)


def in_seconds(seconds: float | None) -> str:
    """As 0.123 s; a dash for none."""
    return "–" if seconds is None else f"{seconds:.3f} s"


def written(amount: int | Decimal) -> str:
    """A count as 1,234, an amount as ₿ 0.0038."""
    return f"{amount:,}" if isinstance(amount, int) else in_bitcoin(amount)


def as_file(chart: Chart) -> str:
    """The chart as a picture that stands alone: on white, with its title, what its colours mean, and its style."""
    wide, high, line = LOOK["width"], LOOK["height"], 18
    above = 30 + line * len(chart.totals)
    legend = [
        (number, 30 + line * number, 39 + line * number, f"{total} {name}")
        for number, (name, total) in enumerate(chart.totals.items())
    ]
    head, _, rest = chart.svg.partition(">")
    return format_html(
        '{} width="{wide}" height="{}"><style>{}</style><rect width="100%" height="100%" fill="#fff"/>'
        '<text x="12" y="20" class="title">{}</text>{}<g transform="translate(0 {})">{}</g></svg>\n',
        SafeString(re.sub(r'viewBox="[^"]*"', f'viewBox="0 0 {wide} {high + above}"', head)),
        high + above,
        SafeString(_style_of_file()),
        chart.title,
        format_html_join(
            "",
            '<rect class="color-{}" x="12" y="{}" width="10" height="10"/><text x="28" y="{}" class="key">{}</text>',
            legend,
        ),
        above,
        SafeString(rest.removesuffix("</svg>")),
        wide=wide,
    )


@cache
def _style_of_file() -> str:
    """The style sheet's rules for what is drawn, in its light colours: not all that shows SVG knows variables."""
    sheet = STYLE.read_text()
    colours = dict(re.findall(r"(--[\w-]+): light-dark\((#\w+)", sheet))
    rules = re.findall(r"^\.charts svg ([^{]+\{[^}]*\})", sheet, re.MULTILINE)
    alone = (
        "text { font-family: system-ui, sans-serif; } .title, .key { text-anchor: start; } .title { font-weight: 600; }"
    )
    style = re.sub(r"var\((--[\w-]+)\)", lambda found: colours[found[1]], " ".join([*rules, alone]))
    return re.sub(r"\s+", " ", style)


def drawn(labels: list[str], every: int, series: Mapping[str, Bars]) -> Any:
    """The chart, not rendered yet."""
    # Here, since few requests draw and each worker's start would take 17 ms longer.
    from pygal import Config, StackedBar

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
