"""A database of a service's own; and people in front of a browser: Debian's Chromium, headless."""

import os
from pathlib import Path
from urllib.parse import urlsplit

import pytest
from playwright.sync_api import sync_playwright

from tests import servers
from tests.e2e import books

CHROMIUM = Path("/usr/bin/chromium")
FLAGS = ["--no-sandbox", "--disable-gpu", "--disable-background-networking", "--no-first-run"]


@pytest.fixture(params=["SQLite"])
def kind(request):
    """Of the database that the service runs on."""
    return request.param


@pytest.fixture
def database(kind, tmp_path):
    with books.NEW[kind](tmp_path) as database:
        yield database


@pytest.fixture
def server(kind):
    """A database server of the test's own, to be stopped and started."""
    try:
        with servers.running(kind) as server:
            yield server
    except FileNotFoundError as missing:
        pytest.skip(f"{kind} is not installed: {missing}")


@pytest.fixture
def query(database):
    return database.query


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
def visit(chromium, service, complaints):
    """The admin's login page, on a screen of that size; how they came there is Playwright's `new_context`."""

    def asked(request):
        if urlsplit(request.url).netloc != urlsplit(service.url).netloc:
            complaints.append(f"asked {request.url}")

    def visit(screen, **how):
        context = chromium.new_context(viewport=screen, timezone_id="America/Denver", **how)
        context.set_default_timeout(10_000)
        context.on("request", asked)
        context.on("console", lambda said: complaints.append(said.text) if said.type in ("error", "warning") else None)
        context.on("weberror", lambda error: complaints.append(str(error.error)))
        page = context.new_page()
        page.goto(service.url + "/admin/")
        return page

    return visit


@pytest.fixture
def enter(visit, service):
    """The admin's home of somebody who has logged in."""

    def enter(email, password, screen, **how):
        page = visit(screen, **how)
        page.get_by_label("E-mail address").fill(email)
        page.get_by_label("Password").fill(password)
        page.get_by_role("button", name="Log in").click()
        page.wait_for_url(service.url + "/admin/")
        return page

    return enter


@pytest.fixture
def pictured(tmp_path):
    """Takes a picture of a page, all of it or a screen of it; SCREENSHOTS=docs puts it where README.md shows it."""
    directory = Path(os.environ.get("SCREENSHOTS", tmp_path))

    def pictured(page, name, *, whole=True):
        page.screenshot(path=directory / f"admin-{name}.png", full_page=whole)

    return pictured
