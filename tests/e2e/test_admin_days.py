"""The days of a franchisee, an admin and a diner in the admin, in Chromium, from login to logout; what axe-core finds.

With SCREENSHOTS=docs the pictures go to docs/, which show them to readers.
"""

import csv
import re
from pathlib import Path

import pytest
from django.contrib.admin import site

from tests.drill.house import wait_for_workers
from tests.e2e.steps import eventually, order

pytestmark = pytest.mark.slow

AXE = Path(__file__).parent / "node_modules/axe-core/axe.min.js"
DESKTOP, PHONE = {"width": 1280, "height": 900}, {"width": 390, "height": 844}
FRANCHISEE, ADMIN = ("f@jwt.com", "franchisee"), ("a@jwt.com", "admin")
# Three weeks of three shops, with an hour in which most orders failed, and two that trouble somebody now.
SHOPS = """
from datetime import timedelta
from math import cos, pi
from django.utils import timezone
from franchises.models import Store
from jwtpizza.accounts.models import User
from menu.models import MenuItem
from orders.models import Order, OrderItem
now, menu = timezone.now(), list(MenuItem.objects.order_by("pk"))
stores = [Store.objects.get(), *(Store.objects.create(franchise_id=1, name=name) for name in ("Provo", "Ogden"))]
names = ("Ada Lovelace", "Élodie Dupont", "Grace Hopper", "Alan Turing")
diners = [User.objects.create_user(name=name, email=f"{n}@jwt.com", password=None) for n, name in enumerate(names)]
def booked(at, store, diner, item, status, **how):
    settled = None if status == "pending" else at
    return Order(created_at=at, settled_at=settled, store=store, diner=diner, total=item.price, status=status, **how)
def placed(hour):
    at = now - timedelta(hours=hour, minutes=70)
    for n in range(round(4 - 3 * cos(2 * pi * (at.hour - 8) / 24)) + hour * 7 % 3):
        failed = n > 2 if hour == 5 else (hour * 31 + n) % 53 == 0
        how = {"status": "failed", "reason": "server_error"} if failed else {"status": "fulfilled", "jwt": "x"}
        store, diner = stores[(hour * 5 + n * n) % 7 % 3], diners[(hour + n) % 4]
        yield booked(at - timedelta(minutes=7 * n), store, diner, menu[n % 5], **how)
waiting = booked(now, stores[1], diners[0], menu[0], "pending", promised=True, lease_until=now + timedelta(hours=1))
late = booked(now, stores[0], diners[1], menu[1], "failed", reason="timeout")
Order.objects.bulk_create([*(order for hour in range(24 * 21) for order in placed(hour)), waiting, late])
OrderItem.objects.bulk_create(
    OrderItem(order=order, menu_item=menu[order.pk % 5], description=menu[order.pk % 5].title, price=order.total)
    for order in Order.objects.all()
)
"""


@pytest.fixture
def service(serve):
    service = serve()
    service.manage("shell", "--verbosity=0", "--command", SHOPS)
    wait_for_workers(service)
    return service


def fits(page):
    return page.evaluate("document.documentElement.scrollWidth <= document.documentElement.clientWidth")


def menu_of(page, name):
    """Opens the sidebar where it is folded away, and goes there."""
    link = page.locator("#nav-sidebar-inner").get_by_role("link", name=re.compile(f"{name}$"))
    if not link.is_visible():
        page.get_by_role("button", name="Menu").locator("visible=true").click()
    link.click()
    page.wait_for_load_state()


def log_out(page):
    if not page.get_by_text("unfold_more").is_visible():
        page.get_by_role("button", name="Menu").locator("visible=true").click()
    page.get_by_text("unfold_more").click()
    page.get_by_role("button", name="Log out").click()
    page.get_by_text("Log in again").first.wait_for()


def test_a_franchisees_day_on_a_phone(enter, service, pictured):
    page = enter(*FRANCHISEE, PHONE, has_touch=True, is_mobile=True)
    for words in ("Orders made", "Waiting for the factory", "The factory took too long", "Revenue by day"):
        assert page.get_by_text(words).first.is_visible(), words
    assert fits(page)
    pictured(page, "franchisee-phone")

    menu_of(page, "Stores")
    page.get_by_role("link", name="add").click()
    page.get_by_label("Name").fill("Moab")
    page.get_by_role("button", name="Save", exact=True).click()
    page.get_by_text("was added successfully").wait_for()
    page.get_by_role("link", name="Moab").first.click()
    page.get_by_label("Name").fill("Moab East")
    page.get_by_role("button", name="Save", exact=True).click()
    page.get_by_role("link", name="Moab East").first.wait_for()
    [franchise] = service("GET", "/api/franchise").json()["franchises"]
    assert "Moab East" in [store["name"] for store in franchise["stores"]]

    page.get_by_role("link", name="Moab East").first.click()
    page.get_by_text("more_horiz").click()
    page.get_by_role("link", name="Close it").click()
    assert page.get_by_text("Diners can't order there any more").is_visible()
    assert fits(page)
    pictured(page, "franchisee-closes")
    page.get_by_role("button", name="Close it").click()
    page.get_by_text("Moab East is closed.").first.wait_for()

    menu_of(page, "Orders")
    assert fits(page)
    page.get_by_text("Filters").first.click()
    page.get_by_label("By status").select_option("failed")
    page.get_by_role("button", name="Apply Filters").click()
    page.get_by_text("The factory took too long").first.wait_for()
    assert page.get_by_text("fulfilled", exact=True).count() == 0
    pictured(page, "franchisee-orders-phone", whole=False)
    log_out(page)
    page.goto(service.url + "/admin/orders/order/")
    assert page.get_by_role("button", name="Log in").is_visible()


def test_a_franchisee_finds_and_exports_orders(enter, service, pictured, tmp_path):
    page = enter(*FRANCHISEE, DESKTOP)
    pictured(page, "franchisee-desktop")
    menu_of(page, "Orders")
    pictured(page, "franchisee-orders", whole=False)
    page.get_by_placeholder("An order's number, or a diner's name").fill("dupont")
    page.keyboard.press("Enter")
    page.get_by_text("Élodie Dupont").first.wait_for()
    assert page.get_by_text("Ada Lovelace").count() == 0
    with page.expect_download() as download:
        page.get_by_role("link", name="Export as CSV").click()
    file = tmp_path / "orders.csv"
    download.value.save_as(file)
    with file.open(encoding="utf-8-sig", newline="") as lines:
        assert {row["Diner"] for row in csv.DictReader(lines)} == {"Élodie Dupont"}
    log_out(page)


def test_an_admins_day(enter, service, pictured):
    diner = service.log_in("d@jwt.com", "diner")
    page = enter(*ADMIN, DESKTOP)
    menu_of(page, "Menu items")
    pictured(page, "menu")
    places = page.get_by_label("place on the menu")
    for number in range(places.count()):
        places.nth(number).fill(str(10 - number))
    page.get_by_role("button", name="Save").click()
    eventually(lambda: service("GET", "/api/order/menu").json()[0]["title"] == "Charred Leopard")
    page.get_by_role("link", name="Crusty").first.click()
    page.get_by_role("link", name="Take it off the menu").click()
    page.get_by_role("button", name="Retire it").click()
    page.get_by_text("Crusty is retired.").first.wait_for()
    assert order(service, diner, 4).status_code == 404

    menu_of(page, "Users")
    page.get_by_role("link", name="d@jwt.com").first.click()
    page.get_by_text("Add another Franchise that they run").click()
    page.locator("#id_Franchise_admins-0-franchise + .select2").click()
    page.get_by_role("option", name="pizzaPocket").click()
    page.get_by_role("button", name="Save", exact=True).click()
    page.get_by_text("was changed successfully").wait_for()
    assert service("GET", "/api/user/me", token=diner).json()["roles"][1]["role"] == "franchisee"

    page.get_by_role("row", name="d@jwt.com").get_by_role("checkbox").check()
    page.get_by_label("Select action to run").select_option("end_sessions")
    page.get_by_role("button", name="Run").click()
    page.get_by_text("Their sessions are ended.").first.wait_for()
    assert service("GET", "/api/user/me", token=diner).status_code == 401
    log_out(page)


def test_a_diner_is_told_that_this_is_not_for_them(visit, pictured):
    page = visit(PHONE)
    page.get_by_label("E-mail address").fill("d@jwt.com")
    page.get_by_label("Password").fill("diner")
    page.get_by_role("button", name="Log in").click()
    page.get_by_text("This is where shops are run, and your account runs none.").wait_for()
    assert fits(page)
    pictured(page, "diner")


def test_all_of_it_can_be_done_by_keyboard(visit, service):
    page = visit(DESKTOP)
    page.locator("#id_username:focus").wait_for()
    page.keyboard.type("f@jwt.com")
    tab_to(page, "id_password")
    page.keyboard.type("franchisee")
    page.keyboard.press("Enter")
    page.wait_for_url(service.url + "/admin/")
    tab_to(page, "Orders")
    page.keyboard.press("Enter")
    page.wait_for_url("**/orders/order/")
    tab_to(page, "filter_list")
    page.keyboard.press("Enter")
    page.get_by_label("By status").locator("visible=true").wait_for()
    page.keyboard.press("Escape")
    page.get_by_label("By status").wait_for(state="hidden")
    tab_to(page, "Export as CSV")
    tab_to(page, "unfold_more")
    page.keyboard.press("Enter")
    tab_to(page, "logout")
    page.keyboard.press("Enter")
    page.get_by_text("Log in again").first.wait_for()


def tab_to(page, name):
    """Presses Tab until what is in focus is called so, or has that id."""
    for _ in range(200):
        page.keyboard.press("Tab")
        chosen = page.locator("body :is(a, button, input, [role=button]):focus")
        if chosen.count() and name in (chosen.get_attribute("id"), chosen.inner_text().split("\n")[-1].strip()):
            return
    raise AssertionError(f"{name} is not reached by keyboard")


LISTS = [f"{model._meta.app_label}/{model._meta.model_name}/" for model in site._registry]
PAGES = {
    FRANCHISEE: (
        "",
        "franchises/store/",
        "franchises/store/1/change/",
        "franchises/store/1/close/",
        "franchises/store/1/history/",
        "franchises/store/add/",
        "orders/order/",
        "orders/order/1/change/",
        "orders/order/?status__exact=failed",
        "password_change/",
    ),
    ADMIN: (
        "",
        *LISTS,
        *(f"{path}add/" for path in LISTS),
        "accounts/user/2/change/",
        "accounts/user/2/password/",
        "franchises/franchise/1/change/",
        "menu/menuitem/1/change/",
        "menu/menuitem/1/retire/",
        "orders/order/1/change/",
    ),
}


def faults(page):
    """What axe-core calls serious or critical, but in Django's own widget for a choice among many."""
    page.evaluate(AXE.read_text())
    found = page.evaluate("axe.run(document, {resultTypes: ['violations']})")["violations"]
    grave = [fault for fault in found if fault["impact"] in ("serious", "critical")]
    return [(fault["id"], node["html"]) for fault in grave for node in fault["nodes"] if "select2-" not in node["html"]]


# Each color and each width: none of the rules that find something looks at both.
@pytest.mark.parametrize(("scheme", "screen"), [("light", DESKTOP), ("dark", PHONE)], ids=["desktop", "phone"])
def test_axe_finds_no_fault_on_any_page(visit, enter, service, complaints, screen, scheme):
    if not AXE.exists():
        pytest.skip("axe-core is not installed (npm ci --prefix tests/e2e)")
    assert faults(visit(screen, color_scheme=scheme)) == []
    for who, paths in PAGES.items():
        page = enter(*who, screen, color_scheme=scheme)
        for path in paths:
            if page.goto(f"{service.url}/admin/{path}").status == 403:
                complaints.clear()  # Chromium's word that it was refused; some lists have nothing to add
            page.wait_for_load_state("networkidle")
            assert (path, faults(page)) == (path, [])
            assert fits(page), path
