"""What a report is made of."""

from datetime import datetime
from typing import NamedTuple

from jwtpizza.incidents.selectors.facts import Facts


class Finding(NamedTuple):
    """A sentence, and whether the books say so ("evidence") or it is what they suggest ("inference")."""

    sentence: str
    basis: str


class Alert(NamedTuple):
    """An alert of ops/prometheus/rules, and when its rule first held: "page" or "ticket"."""

    name: str
    severity: str
    at: datetime


class Moment(NamedTuple):
    """A line of the timeline."""

    at: datetime
    what: str


class Action(NamedTuple):
    """Something to do, and the figure that calls for it."""

    what: str
    figure: str


class Report(NamedTuple):
    """An incident, ready to be written down in any format.

    `severity` is SEV-1, SEV-2 or SEV-3, and `rule` the sentence by which it is.
    """

    facts: Facts
    severity: str
    rule: str
    summary: str
    endpoint: str
    symptoms: list[str]
    unaffected: list[str]
    detection: list[str]
    alerts: list[Alert]
    timeline: list[Moment]
    causes: list[Finding]
    resolution: list[Finding]
    actions: list[Action]
