"""What holds for each page of the admin: its policy, its cookies, and the viewer's time zone."""

from datetime import UTC, datetime

import pytest
from django.db import OperationalError

from franchises import selectors
from franchises.models import Store
from tests.admin_site.conftest import sold

PAGES = ("/admin/login/", "/admin/", "/admin/orders/order/", "/admin/franchises/store/99/change/")


@pytest.mark.parametrize("path", PAGES)
def test_a_page_may_load_nothing_but_ours_and_no_script_that_stands_in_it(desk, path):
    policy = desk.get(path).headers["Content-Security-Policy"]
    rules = dict(rule.strip().split(" ", 1) for rule in policy.split(";"))
    assert rules["default-src"] == "'self'"
    assert "unsafe-inline" not in rules["script-src"]
    assert rules["frame-ancestors"] == "'none'"


def test_the_api_has_no_such_policy(anonymous):
    assert "Content-Security-Policy" not in anonymous.get("/api/order/menu").headers


@pytest.mark.parametrize(
    ("zone", "shown"),
    [
        ("America/Denver", "June 10, 2026, 11:59 p.m."),
        ("Asia/Kathmandu", "June 11, 2026, 11:44 a.m."),
        ("UTC", "June 11, 2026, 5:59 a.m."),
        ("", "June 11, 2026, 5:59 a.m."),
        ("../../etc/passwd", "June 11, 2026, 5:59 a.m."),
        ("Z" * 300, "June 11, 2026, 5:59 a.m."),
    ],
)
def test_times_are_in_the_zone_that_the_browser_told_of(counter, zone, shown):
    sold(Store.objects.get(), created_at=datetime(2026, 6, 11, 5, 59, tzinfo=UTC))
    counter.cookies["zone"] = zone
    assert shown in counter.get("/admin/orders/order/").text


def test_the_next_request_is_in_no_zone_but_its_own(counter, desk):
    sold(Store.objects.get(), created_at=datetime(2026, 6, 11, 5, 59, tzinfo=UTC))
    counter.cookies["zone"] = "America/Denver"
    counter.get("/admin/orders/order/")
    assert "June 11, 2026, 5:59 a.m." in desk.get("/admin/orders/order/").text


@pytest.mark.parametrize(
    ("path", "status", "words"),
    [
        ("/admin/franchises/store/99/change/", 404, "There is nothing here"),
        ("/admin/accounts/user/", 403, "This is not yours to see"),
        ("/admin/orders/order/?jwt__contains=x", 400, "could not be understood"),
    ],
)
def test_what_went_wrong_is_a_page_with_a_way_back(counter, path, status, words):
    answer = counter.get(path)
    assert (answer.status_code, answer.headers["Content-Type"]) == (status, "text/html; charset=utf-8")
    assert words in answer.text
    assert 'href="/admin/"' in answer.text


def test_a_database_that_is_gone_is_said_on_a_page_too(counter, monkeypatch):
    def gone(*_):
        raise OperationalError

    counter.raise_request_exception = False
    monkeypatch.setattr(selectors, "stores_of", gone)
    answer = counter.get("/admin/franchises/store/")
    assert (answer.status_code, answer.headers["Retry-After"]) == (503, "5")
    assert "Nothing was ordered or changed" in answer.text


def test_another_site_can_close_no_store(counter):
    counter.handler.enforce_csrf_checks = True
    assert counter.post("/admin/franchises/store/1/close/").status_code == 403
    assert Store.objects.get().closed_at is None
