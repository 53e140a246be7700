"""An incident in Chromium: its page in the admin, and the report that is downloaded there."""

from itertools import product

import pytest

from tests.e2e.test_admin_days import AXE, DESKTOP, PHONE, faults, fits

pytestmark = pytest.mark.slow

ADMIN = ("a@jwt.com", "admin")
# The outage of 2 December 2025 as it would be today: every order failed or was refused for three minutes.
OUTAGE = """
from datetime import timedelta
from django.db import transaction
from django.utils import timezone
from jwtpizza.incidents.models import Event, Incident, Kind
from orders.models import Order
began = timezone.now() - timedelta(minutes=20)
def at(seconds):
    return began + timedelta(seconds=seconds)
def order(seconds):
    failed = 0 <= seconds < 60
    how = {"status": "failed", "reason": "server_error"} if failed else {"status": "fulfilled", "jwt": "x"}
    when = at(seconds)
    took = timedelta(milliseconds=90 + seconds % 7 * 40)
    return Order(diner_id=2, store_id=1, created_at=when - took, settled_at=when, total="0.0038", **how)
with transaction.atomic():
    Order.objects.bulk_create(order(each) for each in range(-300, 900, 10) if not 60 <= each < 180)
    def event(kind, after, outcome, **how):
        return Event(key=f"{kind} {after}", kind=kind, at=at(after), outcome=outcome, **how)
    refused = [event("refused", each, "open", trouble=True, diner_id=2, total="0.0038") for each in range(61, 181, 7)]
    Event.objects.bulk_create([
        *refused,
        event("circuit", 55, "open", detail={"was": "closed"}),
        event("canary", 30, "server_error", trouble=True, seconds=0.2),
        event("canary", 190, "ok", seconds=0.2),
        *(event("traffic", each, name, count=40) for each, name in enumerate(("menu", "login", "franchises"))),
    ])
    Incident.objects.create(
        first_at=at(0), last_at=at(180), opened_at=at(1), closed_at=at(480), is_open=None, stores_wrong=0,
        notes="The factory was called at noon.\\n<script>document.title = 'gone'</script> | `x`",
    )
"""


@pytest.fixture
def service(serve):
    service = serve()
    service.manage("shell", "--verbosity=0", "--command", OUTAGE)
    return service


def look(page):
    """Nothing sticks out of the screen, and axe-core has no fault to find."""
    assert fits(page)
    if not AXE.exists():
        pytest.skip("axe-core is not installed (npm ci --prefix tests/e2e)")
    assert faults(page) == []


def open_figures(page):
    for chart in page.get_by_role("figure").all():
        chart.locator("summary").click()
        assert chart.get_by_role("table").is_visible()
        assert chart.locator("details").evaluate("each => each.scrollWidth <= each.clientWidth")


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_the_page_in_the_admin(enter, service, pictured, scheme):
    for screen in (DESKTOP, PHONE):
        page = enter(*ADMIN, screen, color_scheme=scheme)
        pictured(page, f"incident-home-{scheme}-{screen['width']}", whole=False)
        page.get_by_role("link", name="Incident 1", exact=True).click()
        page.get_by_role("heading", name="Root cause").wait_for()
        page.wait_for_load_state("networkidle")
        pictured(page, f"incident-{scheme}-{screen['width']}")
        look(page)
        open_figures(page)
        pictured(page, f"incident-figures-{scheme}-{screen['width']}")
        look(page)


def test_the_report_as_a_file(enter, service, chromium, complaints, pictured, tmp_path):
    page = enter(*ADMIN, DESKTOP)
    page.goto(f"{service.url}/admin/incidents/incident/1/change/")
    with page.expect_download() as download:
        page.get_by_role("link", name="html").click()
    file = tmp_path / "report.html"
    download.value.save_as(file)
    for screen, scheme in product((DESKTOP, PHONE), ("light", "dark")):
        context = chromium.new_context(viewport=screen, color_scheme=scheme)
        context.on("request", lambda asked: complaints.append(asked.url) if asked.url != file.as_uri() else None)
        context.on("console", lambda said: complaints.append(said.text))
        report = context.new_page()
        report.goto(file.as_uri())
        pictured(report, f"report-{scheme}-{screen['width']}")
        look(report)
        assert report.title().startswith("Incident 1: SEV-")
        assert report.get_by_text("<script>document.title = 'gone'</script>").is_visible()
        open_figures(report)
        pictured(report, f"report-figures-{scheme}-{screen['width']}")
        look(report)


def test_notes_are_added_and_stay(enter, service):
    page = enter(*ADMIN, DESKTOP)
    page.goto(f"{service.url}/admin/incidents/incident/1/change/")
    page.get_by_label("Notes").fill("The on-call engineer was asleep.")
    page.get_by_role("button", name="Save and continue editing").click()
    page.get_by_text("was changed successfully").wait_for()
    assert page.get_by_label("Notes").input_value() == "The on-call engineer was asleep."
