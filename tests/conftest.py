"""What tests begin with: the demo data in a database, a practice factory, and the people."""

import os
import re
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import suppress
from functools import cache
from pathlib import Path
from types import SimpleNamespace
from typing import Any
from unittest import mock

import pytest
import requests
from django.conf import settings as project
from django.contrib.auth.hashers import make_password
from django.core.management import call_command
from django.test import Client

from franchises.services import FRANCHISES
from jwtpizza import shared
from jwtpizza.accounts import services as people
from jwtpizza.observability.journal import JOURNAL
from menu.services import MENU
from orders import selectors
from orders.factory import gateway
from tests.actors import Actor, logged_in
from tests.contract.cases import CASES
from tests.e2e.steps import eventually
from tests.live import PROJECT, RedisServer, Service
from tests.ports import free_port

API_KEY = "key0001"


def pytest_terminal_summary(terminalreporter: Any) -> None:
    reports = [report for outcome in ("passed", "failed") for report in terminalreporter.getreports(outcome)]
    ran = {report.nodeid for report in reports if "::test_case[" in report.nodeid and report.when == "call"}
    if ran:
        terminalreporter.write_line(f"contract: {len(ran)} of {len(CASES)} cases ran")


@pytest.fixture(scope="session", autouse=True)
def run_dir(tmp_path_factory: pytest.TempPathFactory) -> None:
    project.RUN_DIR = tmp_path_factory.mktemp("run")


@pytest.fixture(scope="session")
def django_db_modify_db_settings(django_db_modify_db_settings: None, tmp_path_factory: pytest.TempPathFactory) -> None:
    """SQLite in a file, as it runs: threads see each other's transactions, which memory does not show them."""
    database = project.DATABASES["default"]
    if database["ENGINE"].endswith("sqlite"):
        database.setdefault("TEST", {})["NAME"] = str(tmp_path_factory.mktemp("db") / "test.sqlite3")


# Three demo passwords are 60 ms of Argon2id, which need not be spent before every test.
hashed_once = cache(make_password)


@pytest.fixture
def demo(transactional_db: None, django_db_reset_sequences: None) -> None:
    """An empty database with the demo data, ids from 1, in which commits are commits."""
    with mock.patch("django.contrib.auth.base_user.make_password", hashed_once):
        call_command("seed_demo")
    MENU._generation.renew()
    FRANCHISES._generation.renew()
    fresh_process()


def fresh_process() -> None:
    """As a process begins: its circuit closed, its retries saved up, nobody seen, nothing known of the others."""
    people._seen.clear()
    gateway.GUARD = gateway.new_guard()
    for remembered in (selectors.CHAOS, selectors.CIRCUITS, selectors.CANARY):
        remembered._known = None
    JOURNAL.own()
    JOURNAL.kept()


@pytest.fixture
def anonymous(demo: None) -> Actor:
    return Actor()


@pytest.fixture
def diner(demo: None) -> Actor:
    return logged_in("d@jwt.com", "diner")


@pytest.fixture
def franchisee(demo: None) -> Actor:
    return logged_in("f@jwt.com", "franchisee")


@pytest.fixture
def admin(demo: None) -> Actor:
    return logged_in("a@jwt.com", "admin")


@pytest.fixture
def enter(demo: None) -> Callable[[str, str], Client]:
    """A browser in which somebody has logged in with the form."""

    def enter(email: str, password: str) -> Client:
        browser = Client()
        answer = browser.post("/admin/login/?next=/admin/", {"username": email, "password": password})
        assert answer.status_code == 302, answer.text
        return browser

    return enter


@pytest.fixture
def desk(enter: Callable[[str, str], Client]) -> Client:
    """The admin's."""
    return enter("a@jwt.com", "admin")


@pytest.fixture
def counter(enter: Callable[[str, str], Client]) -> Client:
    """The franchisee's, who runs pizzaPocket."""
    return enter("f@jwt.com", "franchisee")


class Factory:
    """A practice factory in a process of its own."""

    api_key = API_KEY

    def __init__(self, directory: Path) -> None:
        self.url = f"http://127.0.0.1:{free_port()}"
        environment = os.environ | {
            "FACTORY_PORT": self.url.rsplit(":", 1)[1],
            "FACTORY_API_KEY": API_KEY,
            "SANDBOX_DIR": str(directory),
        }
        self.process = subprocess.Popen([sys.executable, "-m", "jwtpizza.sandbox"], env=environment)
        self._wait()

    def _wait(self) -> None:
        give_up = time.monotonic() + 20
        while time.monotonic() < give_up:
            try:
                requests.get(self.url, timeout=1)
            except requests.ConnectionError:
                time.sleep(0.02)  # a process of its own has no clock that could be faked
            else:
                return
        raise AssertionError("the practice factory did not start")

    def __call__(self, method: str, path: str, **kwargs: Any) -> requests.Response:
        headers = {"Authorization": f"Bearer {API_KEY}"}
        return requests.request(method, self.url + path, headers=headers, timeout=60, **kwargs)

    def chaos(self, kind: str, **how: float) -> None:
        self("PUT", f"/api/vendor/chaos/{kind}", params=how).raise_for_status()

    def books(self) -> dict[str, Any]:
        """What it made since it was last told to forget."""
        return dict(self("GET", "/api/sandbox/orders").json())

    def forget(self) -> None:
        self.chaos("none")
        self("DELETE", "/api/sandbox/orders").raise_for_status()


@pytest.fixture(scope="session")
def factory_process(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Factory]:
    factory = Factory(tmp_path_factory.mktemp("factory"))
    yield factory
    factory.process.terminate()
    factory.process.wait(timeout=10)


@pytest.fixture
def factory(factory_process: Factory, settings: Any) -> Factory:
    """The practice factory that the service is pointed at; healthy, with empty books."""
    factory_process.forget()
    settings.FACTORY_URL, settings.FACTORY_API_KEY = factory_process.url, API_KEY
    return factory_process


@pytest.fixture
def redis(tmp_path: Path) -> Iterator[RedisServer]:
    server = RedisServer(tmp_path)
    yield server
    server.client.close()
    server.kill()


@pytest.fixture
def linked(redis: RedisServer, settings: Any, monkeypatch: pytest.MonkeyPatch) -> Iterator[shared.Link]:
    """This process's link to that Redis, which is up; it loses no time between two tries."""
    over = threading.Event()

    def between_tries(_: float) -> None:
        if over.wait(0.01):
            raise SystemExit

    def keep() -> None:
        with suppress(SystemExit):
            link.keep()

    settings.REDIS_URL = redis.url
    link = shared.Link()
    monkeypatch.setattr(shared, "LINK", link)
    monkeypatch.setattr(shared, "SILENT_SECONDS", 0.1)
    monkeypatch.setattr(shared, "time", SimpleNamespace(time=time.time, sleep=between_tries))
    keeper = threading.Thread(target=keep)
    keeper.start()
    eventually(lambda: link.up)
    yield link
    over.set()
    redis.kill()
    keeper.join(10)
    assert not keeper.is_alive()
    link._redis.close()


@pytest.fixture
def serve(factory: Factory, tmp_path: Path) -> Iterator[Callable[..., Service]]:
    """Starts services with the arguments of `Service`, on one SQLite file unless told otherwise; ends them all."""
    running: list[Service] = []

    def start(database_url: str = f"sqlite:///{tmp_path / 'live.sqlite3'}", **how: Any) -> Service:
        running.append(Service(database_url, factory, **({"directory": tmp_path} | how)))
        return running[-1]

    yield start
    for service in running:
        service.kill()


@pytest.fixture
def run(tmp_path: Path) -> Callable[..., str]:
    """What a Python of its own tells after this code; its threads, which may log meanwhile, end with it."""
    environment = os.environ | {
        "DJANGO_SETTINGS_MODULE": "jwtpizza.settings",
        "DATABASE_URL": f"sqlite:///{tmp_path / 'db.sqlite3'}",
        "RUN_DIR": str(tmp_path),
        "FACTORY_URL": "http://127.0.0.1:9",
    }

    def run(code: str, last: str, *flags: str) -> str:
        tell = f"os.write(1, b'\\ntold %b\\n' % str({last}).encode())"
        argv = [sys.executable, *flags, "-c", f"{code}\nimport os, sys, time\n{tell}\nos._exit(0)"]
        done = subprocess.run(argv, env=environment, cwd=PROJECT, capture_output=True, text=True, timeout=60)
        assert done.returncode == 0, done.stderr
        told = re.search("^told (.*)$", done.stdout, re.MULTILINE)
        return done.stderr if flags or told is None else told[1]

    return run
