"""A report as plain words and tables, before they are marked up."""

import json
from collections.abc import Sequence
from datetime import UTC, datetime, tzinfo
from itertools import compress
from typing import Any, NamedTuple

from django.utils import timezone

from jwtpizza.charts import Chart, in_seconds, spans
from jwtpizza.fields import in_bitcoin
from jwtpizza.incidents.models import Incident
from jwtpizza.incidents.selectors.facts import Example, Facts
from jwtpizza.incidents.services.reports import Report
from jwtpizza.incidents.services.reports.words import lasting, listed, utc
from jwtpizza.observability.logs import masked
from jwtpizza.observability.redaction import without_addresses


class Table(NamedTuple):
    """`headers` may be empty: then each row is a name and what it is."""

    headers: list[str]
    rows: Sequence[tuple[str, ...]]


class Answer(NamedTuple):
    """What a diner got: a sentence, and its body as JSON."""

    what: str
    body: str


class Sections(NamedTuple):
    """What stands in the report's sections, by section."""

    title: str
    report: Report
    figures: Table
    answers: list[Answer]
    alerts: Table
    timeline: Table
    charts: list[Chart]
    spans: Table
    notes: str


def of(report: Report, zone: tzinfo | None) -> Sections:
    """Times are UTC, and in the tables of that zone too."""
    facts = report.facts
    columns = _Columns(zone)
    charts, rows = _charts(facts, columns)
    return Sections(
        title=f"Incident {facts.incident.pk}: {report.severity}, {state(facts.incident)}",
        report=report,
        figures=Table([], _figures(facts)),
        answers=[_answer(example) for example in facts.examples],
        alerts=columns.table(["alert"], [(each.at, f"{each.name} ({each.severity})") for each in report.alerts]),
        timeline=columns.table(["what happened"], [(each.at, each.what) for each in report.timeline]),
        charts=charts,
        spans=rows,
        notes=notes(facts.incident).strip(),
    )


def state(incident: Incident) -> str:
    return "closed" if incident.closed_at else "open"


def notes(incident: Incident) -> str:
    """What people wrote, without secrets and without addresses of e-mail."""
    return without_addresses(masked(incident.notes))


def _dated(at: datetime, zone: tzinfo) -> str:
    return f"{at.astimezone(zone):%Y-%m-%d %H:%M:%S}"


class _Columns(NamedTuple):
    """The columns of time with which each table begins that has any."""

    zone: tzinfo | None

    def table(self, headers: list[str], rows: list[tuple[Any, ...]]) -> Table:
        local = [str(self.zone)] if self.zone else []
        return Table(["UTC", *local, *headers], [(*self._times(at), *cells) for at, *cells in rows])

    def _times(self, at: datetime) -> list[str]:
        return [_dated(at, UTC), *([_dated(at, self.zone)] if self.zone else [])]


def _figures(facts: Facts) -> list[tuple[str, str]]:
    incident = facts.incident
    counts = {
        "Failed, by kind": facts.failures,
        "Refused, by reason": facts.refusals,
        "Our own errors, by name": facts.breakages,
        "Canary pizzas, by outcome": facts.canaries,
    }
    return [
        ("First failure", utc(facts.first_failure)),
        ("Last failure", utc(facts.last_failure)),
        ("From the first failure to the last", lasting(facts.duration)),
        ("Noticed", utc(incident.opened_at)),
        ("Closed", utc(incident.closed_at) if incident.closed_at else "not yet"),
        ("Orders that diners sent meanwhile", f"{facts.asked:,}"),
        ("Made", f"{facts.made:,}"),
        ("Failed", f"{facts.failed_at_once:,}"),
        ("Refused", f"{facts.refused:,}"),
        ("Broken by an error of ours", f"{facts.broken:,}"),
        ("Promised", _promised(facts)),
        *([("Promised orders that failed later", f"{facts.given_up:,}")] if facts.given_up else []),
        *(
            [("Answered as undecided, and counted as what became of them", f"{facts.undecided:,}")]
            if facts.undecided
            else []
        ),
        ("Diners whose order failed, was refused or broken", f"{facts.diners:,}"),
        ("Revenue not taken, at menu prices", in_bitcoin(facts.not_taken)),
        *((name, listed(by)) for name, by in counts.items() if by),
        ("Longest time in which nothing that was tried succeeded", lasting(facts.longest_without)),
        ("Retries that were due when their budget had run dry", f"{facts.retries_denied:,}"),
        ("Stores whose revenue is not what their orders cost", _stores_wrong(incident)),
    ]


def _promised(facts: Facts) -> str:
    return f"{facts.promised:,}, {facts.made_later:,} of them made later" if facts.promised else "0"


def _stores_wrong(incident: Incident) -> str:
    if incident.stores_wrong is None:
        return "not looked at, for it was told late" if incident.closed_at else "looked at when it closes"
    return f"{incident.stores_wrong:,}"


def _answer(example: Example) -> Answer:
    whose = f"Order {example.order_id} was" if example.order_id else "An order was"
    return Answer(
        f"{whose} answered {example.status}; made again from the books:",
        masked(json.dumps(example.body, ensure_ascii=False, indent=2)),
    )


def _charts(facts: Facts, columns: _Columns) -> tuple[list[Chart], Table]:
    """The charts, and the figures of both in one table; no figures of spans in which there was none."""
    if not facts.spans:
        return [], Table([], [])
    zone = columns.zone or UTC
    with timezone.override(zone):
        axis = spans([*(span.start for span in facts.spans), facts.spans[-1].start + facts.span])
        each = f"per {lasting(facts.span)} ({zone})"
        outcomes = ["made", "failed", "refused", *(["broken"] if any(span.broken for span in facts.spans) else [])]
        orders = axis.chart(
            f"Orders {each}", {name: [getattr(span, name) for span in facts.spans] for name in outcomes}
        )
        latency = axis.latency(
            f"Latency {each}",
            mean=[span.mean for span in facts.spans],
            slowest=[span.slowest for span in facts.spans],
            totals=_overall(facts),
        )
    decided = [bool(span.made or span.failed or span.refused or span.broken) for span in facts.spans]
    timed = [span.mean is not None for span in facts.spans]
    told = zip(facts.spans, orders.rows, latency.rows, strict=True)
    rows = [(span.start, *counts[1:], *seconds[1:]) for span, counts, seconds in told]
    figures = columns.table([*outcomes, "mean", "slowest"], [*compress(rows, decided)])
    return [_with_rows(orders, decided), _with_rows(latency, timed)], figures


def _with_rows(chart: Chart, told: list[bool]) -> Chart:
    return chart._replace(rows=[*compress(chart.rows, told)])


def _overall(facts: Facts) -> dict[str, str]:
    """Of all the orders that were decided, not of the spans."""
    decided = [(span.made + span.failed, span.mean) for span in facts.spans if span.mean is not None]
    count = sum(number for number, _ in decided)
    mean = sum(number * each for number, each in decided) / count if count else None
    slowest = max((span.slowest for span in facts.spans if span.slowest is not None), default=None)
    return {"mean": in_seconds(mean), "slowest": in_seconds(slowest)}
