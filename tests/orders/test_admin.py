"""The way out of an outage, for who is woken by it: the factory's support link, and the button that follows it."""

import pytest
from django.contrib.admin.models import LogEntry
from django.test import Client

from orders.models import Order, SupportLink


@pytest.fixture
def outage(diner, factory):
    factory.chaos("fail")
    assert diner.order(1).status_code == 500
    return SupportLink.objects.get()


def button(link):
    return f"/admin/orders/supportlink/{link.pk}/follow/"


def test_one_button_ends_the_outage_and_the_answer_is_shown(desk, outage, diner):
    page = desk.post(button(outage), follow=True)
    assert "The factory answered 200 Problem resolved. Pizza is back on the menu!" in page.text
    assert diner.order(1).status_code == 200


def test_the_button_is_on_the_page_of_the_link_and_of_the_failed_order(desk, outage):
    for path in (
        f"/admin/orders/supportlink/{outage.pk}/change/",
        f"/admin/orders/order/{Order.objects.get().pk}/change/",
    ):
        assert f'action="{button(outage)}"' in desk.get(path).text


def test_an_order_that_was_made_has_no_button(desk, diner, factory):
    order_id = diner.order(1).json()["order"]["id"]
    assert "/follow/" not in desk.get(f"/admin/orders/order/{order_id}/change/").text


def test_who_followed_it_first_and_what_came_of_it_is_kept_and_each_try_told(desk, outage):
    desk.post(button(outage))
    desk.post(button(outage))
    outage.refresh_from_db()
    assert (outage.followed_by.name, outage.answer) == (
        "常用名字",
        "the factory answered 200 Problem resolved. Pizza is back on the menu!",
    )
    assert outage.followed_at is not None
    told = [entry.change_message for entry in LogEntry.objects.order_by("pk")]
    assert told == [
        "Followed it: the factory answered 200 Problem resolved. Pizza is back on the menu!",
        "Followed it: the factory answered 200 No chaos currently executing",
    ]


def test_a_factory_that_is_gone_is_shown_as_an_answer_too(desk, outage, settings):
    settings.FACTORY_URL = "http://127.0.0.1:9"
    assert "The factory can&#x27;t be reached" in desk.post(button(outage), follow=True).text
    outage.refresh_from_db()
    assert outage.followed_at is None


def test_no_page_shows_our_key(desk, outage, factory):
    paths = ("supportlink/", f"supportlink/{outage.pk}/change/", "order/", f"order/{Order.objects.get().pk}/change/")
    for path in paths:
        page = desk.get(f"/admin/orders/{path}").text
        assert factory.api_key not in page
    assert "/api/support/***/report/" in desk.get("/admin/orders/supportlink/").text


@pytest.mark.parametrize("who", [("d@jwt.com", "diner"), ("f@jwt.com", "franchisee"), ("d@jwt.com", "wrong")])
def test_nobody_but_an_admin_can_press_it(who, outage, diner):
    browser = Client()
    browser.post("/admin/login/", dict(zip(("username", "password"), who, strict=True)))
    answer = browser.post(button(outage))
    assert answer.status_code in (302, 403)
    outage.refresh_from_db()
    assert outage.followed_at is None


def test_looking_at_the_button_does_not_press_it(desk, outage):
    assert desk.get(button(outage)).status_code == 405
    outage.refresh_from_db()
    assert outage.followed_at is None


def test_another_site_can_not_press_it_for_an_admin(outage):
    strict = Client(enforce_csrf_checks=True)
    page = strict.get("/admin/login/")
    token = page.context["csrf_token"]
    form = {"username": "a@jwt.com", "password": "admin", "csrfmiddlewaretoken": str(token)}
    strict.post("/admin/login/", form)
    assert strict.post(button(outage)).status_code == 403
    outage.refresh_from_db()
    assert outage.followed_at is None
