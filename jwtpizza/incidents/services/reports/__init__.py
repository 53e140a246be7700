"""What follows from an incident's facts: how severe it was, why it happened, and what to do about it."""

from jwtpizza.incidents.models import Incident
from jwtpizza.incidents.selectors.facts import facts
from jwtpizza.incidents.services.reports import impact
from jwtpizza.incidents.services.reports.actions import actions
from jwtpizza.incidents.services.reports.causes import causes, resolution
from jwtpizza.incidents.services.reports.detection import alerts, detection
from jwtpizza.incidents.services.reports.parts import Action, Alert, Finding, Moment, Report
from jwtpizza.incidents.services.reports.timeline import timeline

__all__ = ["Action", "Alert", "Finding", "Moment", "Report", "report"]


def report(incident: Incident) -> Report:
    """The incident's report, from what is known by now; it costs what its facts cost."""
    known = facts(incident)
    severity, rule = impact.severity(known)
    held = alerts(known)
    return Report(
        facts=known,
        severity=severity,
        rule=rule,
        summary=impact.summary(known),
        endpoint=impact.ENDPOINT,
        symptoms=impact.symptoms(known),
        unaffected=impact.unaffected(known),
        detection=detection(known, held),
        alerts=held,
        timeline=timeline(known, held),
        causes=causes(known),
        resolution=resolution(known),
        actions=actions(known, held),
    )
