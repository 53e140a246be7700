"""The admin's home in Chromium, before, in and after an outage.

With SCREENSHOTS=docs the pictures go to docs/, which show it to readers: admin-home-healthy.png, admin-home-outage.png.
"""

import os
from pathlib import Path
from urllib.parse import urlsplit

import pytest
from playwright.sync_api import sync_playwright

from tests.drill.house import wait_for_workers
from tests.e2e.steps import eventually, order, working

pytestmark = pytest.mark.slow

CHROMIUM = Path("/usr/bin/chromium")
FLAGS = ["--no-sandbox", "--disable-gpu", "--disable-background-networking", "--no-first-run"]
DESKTOP, PHONE = {"width": 1280, "height": 900}, {"width": 390, "height": 844}
# Stricter than any that we set: the page needs no script, no style and nobody but us.
POLICY = "default-src 'self'"
HASTY = {"FACTORY_CANARY_SECONDS": "1", "FACTORY_BREAKER_OPEN_SECONDS": "10"}
BUTTON = "Follow the factory's support link"
# A month of sales, more at noon and on Fridays, and an hour five hours ago in which most orders failed.
HISTORY = """
from datetime import timedelta
from math import cos, pi
from django.utils import timezone
from menu.models import MenuItem
from orders.models import Order
now, prices = timezone.now(), list(MenuItem.objects.order_by("pk").values_list("price", flat=True))
def placed(hour):
    at = now - timedelta(hours=hour)
    busy = 1 - 0.8 * cos(2 * pi * (at.hour - 1) / 24) - 0.1 * abs(at.weekday() - 4)
    for number in range(round(10 * busy + hour * 7 % 5)):
        failed = number > 2 if hour == 5 else (hour * 31 + number) % 53 == 0
        how = {"status": "failed", "reason": "server_error"} if failed else {"status": "fulfilled", "jwt": "x"}
        when = at - timedelta(minutes=number)
        yield Order(diner_id=2, store_id=1, created_at=when, settled_at=when, total=prices[number % 5], **how)
Order.objects.bulk_create(order for hour in range(1, 30 * 24) for order in placed(hour))
"""


@pytest.fixture
def service(serve):
    service = serve(env=HASTY)
    service.manage("shell", "--verbosity=0", "--command", HISTORY)
    wait_for_workers(service)
    return service


@pytest.fixture
def token(service):
    return service.log_in("d@jwt.com", "diner")


@pytest.fixture
def chromium():
    if not CHROMIUM.exists():
        pytest.skip(f"there is no {CHROMIUM}")
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=CHROMIUM, args=FLAGS)
        yield browser
        browser.close()


@pytest.fixture
def complaints():
    """What the browser complained of, and who else than the service was asked for anything."""
    found = []
    yield found
    assert found == []


@pytest.fixture
def desk(chromium, service, complaints):
    """A page on which the admin has logged in, on a screen of that size."""

    def strict(route):
        answer = route.fetch(max_redirects=0)
        route.fulfill(response=answer, headers=answer.headers | {"content-security-policy": POLICY})

    def asked(request):
        if urlsplit(request.url).netloc != urlsplit(service.url).netloc:
            complaints.append(f"asked {request.url}")

    def desk(screen, **how):
        context = chromium.new_context(viewport=screen, **how)
        context.route("**/admin/", strict)
        context.on("request", asked)
        context.on("console", lambda said: complaints.append(said.text) if said.type in ("error", "warning") else None)
        context.on("weberror", lambda error: complaints.append(str(error.error)))
        page = context.new_page()
        page.goto(service.url + "/admin/")
        page.get_by_label("E-mail address").fill("a@jwt.com")
        page.get_by_label("Password").fill("admin")
        page.get_by_role("button", name="Log in").click()
        page.wait_for_url(service.url + "/admin/")
        return page

    return desk


@pytest.fixture
def pictured(tmp_path):
    directory = Path(os.environ.get("SCREENSHOTS", tmp_path))

    def pictured(page, name):
        page.screenshot(path=directory / f"admin-home-{name}.png", full_page=True)

    return pictured


def ordering(service):
    return service("GET", "/api/status").json()["ordering"]


def told(page):
    """What the home says of the factory, as somebody reads it who has just opened it."""
    page.reload()
    return page.get_by_role("region", name="The factory now").inner_text()


def sell(service, token):
    for menu_id in (1, 2, 3):
        assert order(service, token, menu_id).status_code == 200


def fails(service, token):
    """Orders until no worker takes any."""

    def refused():
        order(service, token, 1)
        return ordering(service) == "down"

    eventually(refused)


def fits(page):
    return page.evaluate("document.documentElement.scrollWidth <= document.documentElement.clientWidth")


def test_an_outage_is_seen_and_ended_at_the_home(service, factory, token, desk, pictured):
    sell(service, token)
    page, phone = desk(DESKTOP), desk(PHONE, java_script_enabled=False, color_scheme="dark")
    with working(service):
        eventually(lambda: "ok in" in told(page))
        assert "Ordering is up" in told(page)
        assert "2 closed" in told(page)
        pictured(page, "healthy")

        factory.chaos("fail")
        fails(service, token)
        eventually(lambda: "server_error in" in told(page))
        assert "Ordering is down" in told(page)
        assert "2 open" in told(page)
        pictured(page, "outage")
        assert "Nobody has followed it yet" in told(phone)
        pictured(phone, "outage-phone")

        page.get_by_role("button", name=BUTTON).focus()
        page.keyboard.press("Enter")
        assert "Pizza is back on the menu!" in page.locator(".messagelist").inner_text()
        page.goto(service.url + "/admin/")
        eventually(lambda: "Ordering is up" in told(page))
        assert "a@jwt.com followed it" in told(page)
    sell(service, token)


@pytest.mark.parametrize("screen", [DESKTOP, PHONE], ids=["desktop", "phone"])
@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_each_chart_has_a_name_and_a_table_that_the_keyboard_opens(desk, pictured, screen, scheme):
    page = desk(screen, color_scheme=scheme)
    assert fits(page)
    charts = page.get_by_role("figure")
    assert charts.count() == 4
    for chart in charts.all():
        drawing, table = chart.get_by_role("img"), chart.get_by_role("table")
        title = chart.get_by_role("heading").inner_text()
        assert drawing.get_attribute("aria-label").startswith(f"{title}: ")
        assert table.count() == 0
        chart.locator("summary").focus()
        page.keyboard.press("Enter")
        assert table.is_visible()
        assert drawing.locator("rect[height]:not(.background)").count() >= table.locator("tbody tr").count()
    assert fits(page)
    pictured(page, f"{scheme}-{screen['width']}")
