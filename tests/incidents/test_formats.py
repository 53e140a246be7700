"""Incidents as they happened, in each format."""

import json
from zoneinfo import ZoneInfo

import pytest

from jwtpizza.incidents.serializers.formats import FORMATS, written
from jwtpizza.incidents.services.reports import report
from tests.incidents.stage import one_order, the_outage
from tests.incidents.test_markdown import HEADINGS


@pytest.mark.parametrize("happened", [the_outage, one_order], ids=lambda what: what.__name__)
@pytest.mark.parametrize("form", ["md", "html"])
def test_whatever_happened_each_section_is_there(stage, happened, form):
    text = written(report(happened(stage)), ZoneInfo("America/Denver"), form=form)
    assert [heading for heading in HEADINGS[1:] if f"# {heading}\n" not in text and f">{heading}</h" not in text] == []


@pytest.mark.parametrize("form", FORMATS)
def test_nothing_but_a_canary_needs_a_report_too(stage, form):
    stage.canary(0, "timeout")
    stage.canary(60)
    assert written(report(stage.incident(closed=360)), None, form=form)


def test_an_open_incident_is_told_as_far_as_it_goes(stage):
    stage.failed(0)
    incident = stage.incident()
    before = json.loads(written(report(incident), None, form="json"))
    stage.failed(30)
    after = json.loads(written(report(incident), None, form="json"))
    assert [each["orders"]["failed"] for each in (before, after)] == [1, 2]
    assert "open" in written(report(incident), None, form="md").splitlines()[0]
