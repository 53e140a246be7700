"""An incident's report as JSON, with the names and the dates of the API."""

from collections.abc import Iterable
from datetime import datetime
from typing import Any, NamedTuple

from jwtpizza.api.body import iso
from jwtpizza.fields import as_number
from jwtpizza.incidents.selectors.facts import Facts
from jwtpizza.incidents.serializers import sections
from jwtpizza.incidents.services.reports import Report


def as_json(report: Report) -> dict[str, Any]:
    """The report, without a secret in it; all of it can be given to json.dumps. Amounts are ₿, durations seconds."""
    facts = report.facts
    return {
        "id": facts.incident.pk,
        "state": "closed" if facts.incident.closed_at else "open",
        "severity": report.severity,
        "rule": report.rule,
        "summary": report.summary,
        **_when(facts),
        **_impact(facts),
        **_happened(facts),
        "endpoint": report.endpoint,
        "symptoms": report.symptoms,
        "unaffected": report.unaffected,
        "examples": _rows(facts.examples),
        "detection": report.detection,
        "alerts": _rows(report.alerts),
        "timeline": _rows(report.timeline),
        "causes": _rows(report.causes),
        "resolution": _rows(report.resolution),
        "actions": _rows(report.actions),
        "spans": _rows(facts.spans),
        "span": facts.span.total_seconds(),
        "storesWrong": facts.incident.stores_wrong,
        "notes": sections.notes(facts.incident),
    }


def _when(facts: Facts) -> dict[str, Any]:
    return {
        "firstFailure": iso(facts.first_failure),
        "lastFailure": iso(facts.last_failure),
        "seconds": facts.duration.total_seconds(),
        "noticedAt": iso(facts.incident.opened_at),
        "closedAt": _plain(facts.incident.closed_at),
        "openedBy": facts.opened_by,
    }


def _impact(facts: Facts) -> dict[str, Any]:
    return {
        "orders": {
            "asked": facts.asked,
            "made": facts.made,
            "failed": facts.failed,
            "refused": facts.refused,
            "broken": facts.broken,
            "promised": facts.promised,
            "madeLater": facts.made_later,
            "givenUp": facts.given_up,
            "stillPending": facts.still_pending,
            "undecided": facts.undecided,
        },
        "diners": facts.diners,
        "notTaken": as_number(facts.not_taken),
        "failures": facts.failures,
        "refusals": facts.refusals,
        "breakages": facts.breakages,
        "canaries": facts.canaries,
        "traffic": _rows(facts.traffic),
        "longestWithout": facts.longest_without.total_seconds(),
    }


def _happened(facts: Facts) -> dict[str, Any]:
    return {
        "transitions": _rows(facts.transitions),
        "circuits": dict(facts.circuits),
        "retriesDenied": facts.retries_denied,
        "dropped": facts.dropped,
        "links": _rows(facts.links),
        "linksSeen": facts.links_seen,
        "linksFollowed": facts.links_followed,
        "firstSuccess": _row(facts.success) if facts.success else None,
        "starts": _rows(facts.starts),
        "chaos": _rows(facts.switches),
    }


# What is called otherwise than in the facts, besides names of two words.
NAMES = {"pk": "id", "masked": "link"}


def _rows(rows: Iterable[NamedTuple]) -> list[dict[str, Any]]:
    return [_row(row) for row in rows]


def _row(row: NamedTuple) -> dict[str, Any]:
    return {_camel(name): _plain(value) for name, value in row._asdict().items()}


def _camel(name: str) -> str:
    first, *rest = NAMES.get(name, name).split("_")
    return first + "".join(word.capitalize() for word in rest)


def _plain(value: Any) -> Any:
    return iso(value) if isinstance(value, datetime) else value
