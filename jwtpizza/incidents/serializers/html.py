"""A report as HTML."""

from datetime import tzinfo
from functools import cache
from pathlib import Path

from django.template.loader import render_to_string
from django.utils.safestring import SafeString

from jwtpizza import charts
from jwtpizza.incidents.serializers import sections
from jwtpizza.incidents.services.reports import Report

STYLE = Path(__file__).parents[1] / "static/incidents/report.css"


def as_html(report: Report, zone: tzinfo | None) -> str:
    """A page in one file, without a script, that asks no host for anything. Times are UTC, and in that zone too."""
    return render_to_string("incidents/page.html", {"told": sections.of(report, zone), "style": _style()})


@cache
def _style() -> str:
    return SafeString(charts.STYLE.read_text() + STYLE.read_text())
