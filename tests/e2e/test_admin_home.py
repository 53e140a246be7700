"""The admin's home in Chromium, before, in and after an outage.

With SCREENSHOTS=docs the pictures go to docs/, which show it to readers: admin-home-healthy.png, admin-home-outage.png.
"""

import pytest

from tests.drill.house import wait_for_workers
from tests.e2e.steps import eventually, order, working

pytestmark = pytest.mark.slow

DESKTOP, PHONE = {"width": 1280, "height": 900}, {"width": 390, "height": 844}
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
def desk(enter):
    """The admin's home, on a screen of that size."""
    return lambda screen, **how: enter("a@jwt.com", "admin", screen, **how)


def told(page):
    """What the home says of the factory, as somebody reads it who has just opened it."""
    page.reload()
    return page.get_by_role("region", name="The factory now").inner_text()


def shows(page, *words):
    seen = told(page)
    return all(word in seen for word in words)


def sell(service, token):
    for menu_id in (1, 2, 3):
        assert order(service, token, menu_id).status_code == 200


def fits(page):
    return page.evaluate("document.documentElement.scrollWidth <= document.documentElement.clientWidth")


def test_an_outage_is_seen_and_ended_at_the_home(service, factory, token, desk, pictured):
    sell(service, token)
    page, phone = desk(DESKTOP), desk(PHONE, color_scheme="dark")
    with working(service):
        eventually(lambda: "ok in" in told(page))
        assert "Ordering is up" in told(page)
        assert "2 closed" in told(page)
        pictured(page, "home-healthy")

        factory.chaos("fail")
        outage = {"Ordering is down", "2 open", "server_error in"}
        # Orders go on, so that circuits which let one probe open again.
        eventually(lambda: (order(service, token, 1), shows(page, *outage))[1])
        pictured(page, "home-outage")
        assert "Nobody has followed it yet" in told(phone)
        pictured(phone, "home-outage-phone")

        page.get_by_role("button", name=BUTTON).focus()
        page.keyboard.press("Enter")
        page.get_by_text("Pizza is back on the menu!").first.wait_for()
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
    pictured(page, f"home-{scheme}-{screen['width']}")
