"""Incidents in the admin: a page for each, the notes on it, and its downloads."""

import json
import re

import pytest
from django.db import connection
from django.test.utils import CaptureQueriesContext

from jwtpizza.incidents.models import Incident
from orders.models import Reason
from tests.incidents import written
from tests.incidents.stage import Stage

PAGE = "/admin/incidents/incident/"


@pytest.fixture
def incident(demo):
    over = written.incident(pk=None, notes="It was the factory.")
    over.save()
    return over


@pytest.fixture
def page(desk, incident):
    return f"{PAGE}{incident.pk}/change/"


def test_the_newest_incident_is_the_first_of_the_list(desk, incident):
    Incident.objects.create(first_at=written.at(hours=1), last_at=written.at(hours=1, seconds=20))
    text = desk.get(PAGE).text
    assert text.index("20 s") < text.index("2 min 55 s")
    assert re.findall(r"\b(open|closed)\s*</span>", text) == ["open", "closed"]


def told(text, column):
    """The cells of that column of the list, the first row's first."""
    return [
        re.sub(r"<.*?>", "", cell).strip()
        for cell in re.findall(rf"field-{column}[ \"].*?>(.*?)</t[dh]>", text, re.DOTALL)
    ]


def test_the_list_tells_how_many_orders_were_lost_in_each(desk):
    stage = Stage()
    stage.failed(-0.000001)
    for seconds in (0, 0.000001, 10):
        stage.failed(seconds)
    stage.failed(5, Reason.DINER_DELETED)
    stage.made(6)
    stage.refused(7, count=3)
    stage.broken(8)
    stage.broken(8, "Undecided")
    stage.canary(9, "timeout")
    stage.incident(0, 10, closed=310)
    stage.failed(400)
    stage.refused(410, count=1200)
    stage.incident(400, 410)
    stage.canary(-500, "timeout")
    stage.incident(-500, -500, closed=-200)
    assert told(desk.get(PAGE).text, "lost") == ["1,201", "7", "0"]


def test_however_many_there_are_the_list_takes_as_many_queries(desk):
    def queries():
        with CaptureQueriesContext(connection) as captured:
            desk.get(PAGE)
        return len(captured)

    stage = Stage()
    stage.incident(0, 10, closed=310)
    one = queries()
    for day in range(1, 9):
        stage.incident(86400 * day, 86400 * day, closed=86400 * day + 300)
        stage.failed(86400 * day)
    assert queries() == one


def test_the_list_tells_seconds_in_the_viewers_zone_and_names_it(desk, incident):
    assert told(desk.get(PAGE).text, "first_failure") == ["2025-12-02 19:33:37 UTC"]
    desk.cookies["zone"] = "America/Denver"
    text = desk.get(PAGE).text
    assert told(text, "first_failure") == ["2025-12-02 12:33:37 MST"]
    assert told(text, "noticed") == ["2025-12-02 12:33:38 MST"]


def test_a_link_above_the_report_leads_to_the_notes(desk, page):
    text = desk.get(page).text
    link = re.search(r'<a href="#(.*?)">Add notes</a>', text)
    assert link.start() < text.index("<h2>Summary</h2>") < text.index(f'id="{link[1]}"')


def test_its_page_is_the_report(desk, page):
    text = desk.get(page).text
    for heading in ("Summary", "Impact", "Timeline", "Root cause", "Action items"):
        assert f"<h2>{heading}</h2>" in text
    assert "It was the factory.</textarea>" in text


def test_times_are_also_of_the_viewers_zone(desk, page):
    assert "America/Denver" not in desk.get(page).text
    desk.cookies["zone"] = "America/Denver"
    assert '<th scope="col">America/Denver</th>' in desk.get(page).text


def test_notes_are_kept_and_nothing_else_can_be_changed(desk, page, incident):
    form = {"notes": "We called them.", "first_at_0": "2020-01-01", "closed_at": "", "stores_wrong": "5"}
    assert desk.post(page, form).status_code == 302
    assert desk.get(page).text.count("We called them.") == 1
    notes = incident.notes
    kept = Incident.objects.values().get()
    assert kept["notes"] == "We called them."
    assert kept | {"notes": notes} == {field: getattr(incident, field) for field in kept}


def test_notes_do_not_undo_what_happened_while_they_were_written(desk, page):
    desk.get(page)
    Incident.objects.update(last_at=written.at(seconds=200))
    desk.post(page, {"notes": "We called them."})
    assert Incident.objects.get().last_at == written.at(seconds=200)


@pytest.mark.parametrize("path", ["add/", "{}/delete/"])
def test_none_is_added_or_deleted(desk, incident, path):
    address = PAGE + path.format(incident.pk)
    assert [desk.get(address).status_code, desk.post(address, {"post": "yes"}).status_code] == [403, 403]
    assert Incident.objects.count() == 1


@pytest.mark.parametrize(
    ("form", "kind", "begins"),
    [
        ("md", "text/markdown", "# Incident "),
        ("html", "text/html", "<!doctype html>"),
        ("json", "application/json", "{"),
    ],
)
def test_it_is_downloaded_in_each_format(desk, page, incident, form, kind, begins):
    link = f"../report.{form}"
    assert f'href="{link}"' in desk.get(page).text
    answer = desk.get(f"{PAGE}{incident.pk}/report.{form}")
    assert answer.headers["Content-Type"] == f"{kind}; charset=utf-8"
    assert answer.headers["Content-Disposition"] == f'attachment; filename="incident-{incident.pk}.{form}"'
    assert answer.text.startswith(begins)


def test_json_is_read_by_programs(desk, incident):
    assert json.loads(desk.get(f"{PAGE}{incident.pk}/report.json").content)["id"] == incident.pk


@pytest.mark.parametrize("form", ["md", "html", "json"])
def test_a_download_of_none_is_not_found(desk, form):
    assert desk.get(f"{PAGE}99/report.{form}").status_code == 404


@pytest.mark.parametrize("path", ["", "{}/change/", "{}/report.md", "{}/report.html", "{}/report.json"])
def test_a_franchisee_sees_nothing_of_it(counter, incident, path):
    assert counter.get(PAGE + path.format(incident.pk)).status_code == 403
