"""What only pages for people need: they have all of it, and the API's requests none."""

import pytest
from django.conf import settings as project
from django.middleware.csrf import CsrfViewMiddleware
from django.test import Client
from django.utils.module_loading import import_string

from jwtpizza.accounts.models import User
from jwtpizza.admin_site.pages import BrowserPages
from menu.models import MenuItem

ITEM = {"title": "Tiny", "description": "x", "image": "x.png", "price": "0.1"}
API = ("/api/order/menu", "/api/franchise", "/api/order", "/api/user/me", "/api/nope", "/api/auth", "/api/doc")
PAGES = ("/admin/login/", "/api/docs", "/api/docs/ui", "/", "/nope")


@pytest.fixture
def wary(desk):
    """The admin's browser, before a server that asks for a token with each form."""
    desk.handler.enforce_csrf_checks = True
    return desk


def token_in(browser, path):
    browser.get(path)
    return browser.cookies["csrftoken"].value


@pytest.mark.parametrize(
    "path",
    [
        "/admin/menu/menuitem/add/",
        "/admin/menu/menuitem/1/change/",
        "/admin/accounts/user/2/password/",
        "/admin/password_change/",
        "/admin/logout/",
    ],
)
def test_a_form_without_a_token_is_refused(wary, path):
    before = list(MenuItem.objects.values()), list(User.objects.values_list("password"))
    assert wary.post(path, ITEM).status_code == 403
    assert (list(MenuItem.objects.values()), list(User.objects.values_list("password"))) == before
    assert wary.get("/admin/").status_code == 200


def test_a_login_from_another_site_is_refused(demo):
    browser = Client(enforce_csrf_checks=True)
    form = {"username": "a@jwt.com", "password": "admin"}
    assert browser.post("/admin/login/?next=/admin/", form).status_code == 403
    form["csrfmiddlewaretoken"] = token_in(browser, "/admin/login/")
    assert browser.post("/admin/login/?next=/admin/", form).status_code == 302


def test_a_form_with_its_token_is_taken(wary):
    token = token_in(wary, "/admin/menu/menuitem/add/")
    assert wary.post("/admin/menu/menuitem/add/", ITEM | {"csrfmiddlewaretoken": "x" * 32}).status_code == 403
    assert wary.post("/admin/menu/menuitem/add/", ITEM | {"csrfmiddlewaretoken": token}).status_code == 302
    assert MenuItem.objects.filter(title="Tiny").exists()


@pytest.mark.parametrize("path", PAGES)
def test_a_page_may_stand_in_no_frame(demo, path):
    assert Client().get(path).headers["X-Frame-Options"] == "DENY"


@pytest.mark.parametrize("path", API)
def test_the_api_passes_by_all_of_it(desk, monkeypatch, path):
    passed = []
    for name in ("process_request", "process_response"):
        monkeypatch.setattr(CsrfViewMiddleware, name, lambda *_, name=name: passed.append(name))
    answer = desk.get(path)
    request = answer.wsgi_request
    assert passed == []
    assert not {"session", "_messages"} & vars(request).keys()
    assert not answer.cookies
    assert not {"X-Frame-Options", "Content-Security-Policy"} & answer.headers.keys()
    assert "cookie" not in answer.headers.get("Vary", "").lower()


def test_the_session_of_the_admin_is_nobody_to_the_api(desk):
    assert desk.get("/api/user/me").status_code == 401
    assert desk.delete("/api/user/2").status_code == 401
    assert User.objects.filter(pk=2, deleted_at=None).exists()


def test_the_api_asks_for_no_token_of_a_form(demo):
    browser = Client(enforce_csrf_checks=True)
    body = {"email": "d@jwt.com", "password": "diner"}
    assert browser.put("/api/auth", body, content_type="application/json").status_code == 200


@pytest.mark.parametrize("path", [*API, *PAGES])
def test_a_host_that_is_not_ours_is_refused(demo, path):
    answer = Client(raise_request_exception=False).get(path, headers={"Host": "evil.example"})
    assert answer.status_code == 400
    assert "evil" not in answer.text


def test_they_are_passed_in_the_order_of_the_setting(demo, settings, rf):
    passed = []

    def named(name):
        class Middleware:
            def __init__(self, get_response):
                self.get_response = get_response

            def __call__(self, request):
                passed.append(name)
                return self.get_response(request)

            def process_view(self, request, view, *_):
                passed.append(f"{name} before {view}")
                return "stop" if name == "second" else None

        return Middleware

    kinds = {name: named(name) for name in ("first", "second", "third")}
    settings.BROWSER_MIDDLEWARE = [f"{__name__}.{name}" for name in kinds]
    globals().update(kinds)
    pages = BrowserPages(lambda request: "answer")
    assert pages(rf.get("/admin/")) == "answer"
    assert pages.process_view(rf.get("/admin/"), "a view", (), {}) == "stop"
    assert passed == ["first", "second", "third", "first before a view", "second before a view"]
    passed.clear()
    assert pages(rf.get("/api/order")) == "answer"
    assert pages.process_view(rf.get("/api/order"), "a view", (), {}) is None
    assert passed == []


def test_nothing_of_it_has_a_hook_that_is_not_called():
    kinds = [import_string(path) for path in project.BROWSER_MIDDLEWARE]
    assert not [
        kind for kind in kinds for hook in ("process_exception", "process_template_response") if hasattr(kind, hook)
    ]


def test_every_answer_of_the_api_tells_its_length(diner):
    menu = diner.get("/api/order/menu")
    answers = [
        menu,
        diner("HEAD", "/api/order/menu"),
        diner.get("/api/nope"),
        diner.get("/api/user"),
        diner.post("/api/order", {}),
        diner.post("/api/order", b"x" * (project.BODY_LIMIT + 1)),
        diner.get("/api/order/menu", Host="evil.example"),
    ]
    assert [answer.status_code for answer in answers] == [200, 200, 404, 403, 400, 413, 400]
    whole = [menu.content, menu.content, *(answer.content for answer in answers[2:])]
    assert [answer.headers["Content-Length"] for answer in answers] == [str(len(body)) for body in whole]


def test_who_has_it_already_is_told_no_length(anonymous):
    etag = anonymous.get("/api/order/menu").headers["ETag"]
    answer = anonymous.get("/api/order/menu", **{"If-None-Match": etag})
    assert (answer.status_code, answer.content) == (304, b"")
    assert "Content-Length" not in answer.headers
