"""Secrets never get out: each is sent through each path with each method, and then looked for in all that is logged."""

import io
import json
import logging
import os
import re
import secrets as dice
import subprocess
import sys
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from unittest import mock

import pytest
from django.test import Client
from django.urls import URLResolver, get_resolver

from jwtpizza.accounts.models import User
from jwtpizza.observability import loki
from jwtpizza.observability.logs import JsonFormatter, TextFormatter
from orders.factory import gateway
from orders.services import outages, sales
from tests.actors import Actor, logged_in
from tests.conftest import fresh_process
from tests.live import PROJECT
from tests.ports import free_port

METHODS = ("GET", "POST", "PUT", "DELETE", "PATCH", "OPTIONS", "HEAD", "TRACE", "INVENTED")
PASSWORD, WRONG, NEW = (f"{word}-{dice.token_hex(8)}" for word in ("right", "wrong", "new"))
ADDRESS = f"{dice.token_hex(8)}@secret.example"
TOKENS = {name: f"{name.lower()}-{dice.token_hex(16)}" for name in ("SECRET_KEY", "METRICS_TOKEN", "LOKI_TOKEN")}
LOKI_USER = "12345"
OF_DATABASE, OF_REDIS = "of-database-5b0c1d2e", "of-redis-3c81f6a0"


class Pushed(BaseHTTPRequestHandler):
    """A Loki that keeps what it is sent."""

    got: list[bytes] = []

    def do_POST(self):
        self.got.append(self.rfile.read(int(self.headers["Content-Length"])))
        self.send_response(204)
        self.end_headers()

    def log_message(self, *_):
        pass


@pytest.fixture
def logged(settings, monkeypatch):
    """All that is logged meanwhile, as JSON, as text and at Loki's, with LOG_LEVEL=DEBUG."""
    for name, value in TOKENS.items():
        setattr(settings, name, value)
    settings.LOG_BODIES, settings.REDIS_PASSWORD = True, OF_REDIS
    monkeypatch.setitem(settings.DATABASES["default"], "PASSWORD", OF_DATABASE)
    Pushed.got = []
    server = ThreadingHTTPServer(("127.0.0.1", 0), Pushed)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    url = f"http://127.0.0.1:{server.server_port}/loki/api/v1/push"
    out = io.StringIO()
    handlers = [logging.StreamHandler(out), logging.StreamHandler(out)]
    handlers.append(loki.Handler(url, LOKI_USER, TOKENS["LOKI_TOKEN"], "jwt-pizza-service"))
    for handler, formatter in zip(handlers, (JsonFormatter(), TextFormatter(), JsonFormatter()), strict=True):
        handler.setFormatter(formatter)
        logging.root.addHandler(handler)
    level = logging.root.level
    logging.root.setLevel(logging.DEBUG)

    def everything():
        handlers[-1].close()
        return out.getvalue() + b"\n".join(Pushed.got).decode()

    yield everything
    for handler in handlers:
        logging.root.removeHandler(handler)
    logging.root.setLevel(level)
    handlers[-1].close()
    server.shutdown()
    server.server_close()


def paths(resolver, before="/"):
    """Each path of the service with these words in place of what varies, the admin's pages too."""
    for entry in resolver.url_patterns:
        path = before + str(entry.pattern).removeprefix("^").replace("\\Z", "").replace("$", "")
        if isinstance(entry, URLResolver):
            yield from paths(entry, path)
        else:
            for number in ("1", "3"):
                yield re.sub(r"<[^>]+>", number, path)


def all_paths():
    found = {re.sub(r"\(\?P.*\)|\(\?:.*\)", "x", path) for path in paths(get_resolver())}
    return [*sorted(found - {"/admin/logout/"}), "/nope"]


def bodies(known):
    """What holds each secret under its key, at some depth, in each shape that a body has."""
    people = {"email": ADDRESS, "password": PASSWORD, "Password": WRONG, "newPassword": NEW, "name": "pizza diner"}
    told = people | {"token": known["token"], "jwt": known["jwt"], "API_KEY": known["key"], "reportUrl": known["link"]}
    told |= {"followLinkToEndChaos": known["link"], "authorization": f"Bearer {known['token']}"}
    order = {"franchiseId": 1, "storeId": 1, "items": [{"menuId": 1}]}
    for body in (told | order | {"admins": [people], "deep": [[told]]}, people, [told]):
        yield json.dumps(body).encode(), "application/json"
    yield json.dumps(told).encode()[:-1], "application/json"
    yield json.dumps(PASSWORD).encode(), "application/json"
    yield PASSWORD.encode(), "text/plain"
    form = {"username": ADDRESS, "password": PASSWORD, "password1": NEW, "password2": NEW, "email": ADDRESS}
    form |= {"csrfmiddlewaretoken": known["csrf"], "sessionid": known["session"]}
    yield "&".join(f"{name}={value}" for name, value in form.items()).encode(), "application/x-www-form-urlencoded"
    parts = "".join(f'--x\r\nContent-Disposition: form-data; name="{n}"\r\n\r\n{v}\r\n' for n, v in form.items())
    yield f"{parts}--x--\r\n".encode(), "multipart/form-data; boundary=x"


@pytest.fixture
def known(demo, factory):
    """The secrets that only come to be as the service runs."""
    diner, admin = logged_in("d@jwt.com", "diner"), logged_in("a@jwt.com", "admin")
    sold = diner.order(1).json()
    browser = Client(raise_request_exception=False)
    browser.force_login(User.objects.get(email="a@jwt.com"))
    browser.get("/admin/")
    session = browser.cookies["sessionid"].value
    return {
        "token": diner.token,
        "admin": admin.token,
        "jwt": sold["jwt"],
        "key": factory.api_key,
        "link": f"{factory.url}/api/support/{factory.api_key}/report/abc",
        "session": session,
        "sessions": [session],
        "csrf": dice.token_hex(16),
        "browser": browser,
    }


def callers(known):
    yield {"Authorization": f"Bearer {known['token']}"}
    yield {"Authorization": f"Bearer {known['admin']}"}
    yield {"Authorization": f"Bearer {TOKENS['METRICS_TOKEN']}"}


def send_all(known):
    """Each path, method and body, as a diner, an admin and a scraper of the API, and as an admin of the pages."""
    content = list(bodies(known))
    for path in all_paths():
        admin = path.startswith("/admin/")
        if admin:  # what was sent before may have ended the session, and made the admin none
            User.objects.filter(pk=1).update(is_superuser=True, is_active=True, deleted_at=None)
            known["browser"].force_login(User.objects.get(pk=1))
            known["sessions"].append(known["browser"].cookies["sessionid"].value)
        for method in METHODS:
            sent = content if method in ("POST", "PUT", "PATCH") else content[:1]
            for body, kind in sent:
                for headers in [{}] if admin else callers(known):
                    known["browser"].generic(
                        method,
                        f"{path}?token={known['token']}",
                        body,
                        kind,
                        headers={"Referer": known["link"], **headers},
                    )


def order_in_each_weather(known, factory):
    for chaos in ("none", "fail", "badjwt"):
        factory.chaos(chaos)
        fresh_process()
        for token in (known["token"], known["admin"]):
            Actor(token).order(1)
    outages.fly_canary()
    with mock.patch.object(gateway, "CHAOS_RATE", 1.0):
        Actor(known["admin"]).put("/api/order/chaos/true")
        Actor(known["token"]).order(1)


def break_down(known):
    """An exception with all of it in its words, in a view."""

    def broken(*_, **__):
        raise RuntimeError(
            f"{known['link']} {known['jwt']} {known['key']} Bearer {known['token']} {TOKENS} {OF_DATABASE} {OF_REDIS}"
        )

    with mock.patch.object(sales, "place_order", broken):
        Actor(known["token"]).order(1)


@pytest.mark.slow
def test_no_secret_is_ever_logged(known, logged, factory, settings):
    settings.FACTORY_BREAKER_ENABLED = False
    order_in_each_weather(known, factory)
    break_down(known)
    send_all(known)
    said = logged()

    expected = [
        "INVENTED /api/order ",
        "GET /admin/franchises/franchise/1/change/ 200",
        "POST /api/order 500",
        '"type": "db"',
        "canary",
    ]
    assert [part for part in [*expected, r"\"type\": \"factory\"", '"type": "exception"'] if part not in said] == []
    secrets = [PASSWORD, WRONG, NEW, ADDRESS, OF_DATABASE, OF_REDIS, *TOKENS.values()]
    secrets += [known[name] for name in ("token", "admin", "jwt", "key", "csrf")] + known["sessions"]
    assert {secret: said.count(secret) for secret in secrets if secret in said} == {}
    assert not re.search(r"eyJ[\w-]{20,}", said)


# --- what real processes print --------------------------------------------------------------------


def printed(argv, url, form, **how):
    """All that it printed, which knows of the database's password and of nobody who would answer there."""
    environment = os.environ | {
        "DATABASE_URL": url,
        "LOG_FORMAT": form,
        "LOG_LEVEL": "DEBUG",
        "PYTHONPATH": str(PROJECT),
    }
    done = subprocess.run(
        argv,
        env=environment | how.pop("env", {}),
        stdout=-1,
        stderr=-2,
        text=True,
        timeout=60,
        **{"cwd": PROJECT} | how,
    )
    return done.stdout


@pytest.mark.parametrize("form", ["json", "text"])
@pytest.mark.parametrize(
    "url",
    [
        f"//jwtpizza:{OF_DATABASE}@postgres/db",
        f"postgres://jwtpizza:{OF_DATABASE}@postgres:54x32/db",
        f"postgres://jwtpizza:{OF_DATABASE}/@postgres/db",
        f"postgres://jwtpizza:{OF_DATABASE}@127.0.0.1:99999/db",
        f"sqlite://jwtpizza:{OF_DATABASE}@postgres/db",
        f"oracle://jwtpizza:{OF_DATABASE}@postgres/db",
    ],
)
def test_an_address_that_is_none_is_a_sentence_without_its_password(url, form):
    said = printed([sys.executable, "manage.py", "migrate"], url, form).splitlines()
    assert len(said) == 1
    assert "DATABASE_URL" in said[0]
    assert OF_DATABASE not in said[0]


@pytest.mark.parametrize("form", ["json", "text"])
def test_a_database_that_does_not_answer_is_told_of_without_its_password(form):
    url = f"postgres://jwtpizza:{OF_DATABASE}@127.0.0.1:{free_port()}/db"
    said = printed([sys.executable, "manage.py", "migrate"], url, form)
    assert "The database of DATABASE_URL refuses" in said
    assert OF_DATABASE not in said


@pytest.mark.parametrize("password", [OF_DATABASE, f"{OF_DATABASE}%2F@"])
@pytest.mark.parametrize(
    "text", ["$DATABASE_URL $REDIS_URL", "a traceback with $(python3 -c 'import os; print(repr(os.environ))')"]
)
def test_what_a_program_prints_of_its_environment_is_relayed_without_them(tmp_path, password, text):
    (tmp_path / "Procfile").write_text(f'web: echo "{text}"\n')
    url = f"postgres://jwtpizza:{password}@127.0.0.1/db"
    env = TOKENS | {"REDIS_URL": f"redis://:{OF_REDIS}@127.0.0.1:6379/0"}
    said = printed([sys.executable, "-m", "script.processes", "web"], url, "json", cwd=tmp_path, env=env)
    assert "postgres://jwtpizza:" in said
    assert "redis://:" in said
    assert [secret for secret in (OF_DATABASE, OF_REDIS, *TOKENS.values()) if secret in said] == []
