"""The line that is logged of each request, and the id it has."""

import json
import logging

import pytest
from django.test import Client

from jwtpizza.accounts.models import User
from jwtpizza.observability.logs import JsonFormatter
from jwtpizza.observability.middleware import log
from orders.factory import client


@pytest.fixture
def lines(caplog):
    """What was logged of requests, in order."""
    return lambda: [record.data for record in caplog.records if record.name == log.name]


def test_a_request_is_one_line(anonymous, lines):
    anonymous.get("/api/order/menu?x=1")
    (line,) = lines()
    assert line.pop("ms") >= 0
    assert line == {"type": "http", "method": "GET", "path": "/api/order/menu", "statusCode": 200, "authorized": False}


def test_a_refused_request_is_one_line_too(anonymous, lines):
    anonymous.get("/api/order")
    anonymous.get("/nope")
    anonymous.put("/api/auth", b"x" * 200_000)
    assert [line["statusCode"] for line in lines()] == [401, 404, 413]


def test_who_sends_a_token_is_told_apart(diner, lines):
    diner.get("/api/user/me")
    assert [line["authorized"] for line in lines()] == [True]


def test_an_error_of_ours_is_one_line_at_the_level_of_errors(anonymous, caplog, monkeypatch):
    monkeypatch.setattr("jwtpizza.observability.health.readiness", lambda: 1 / 0)
    assert anonymous.get("/readyz").status_code == 500
    (record,) = [record for record in caplog.records if record.name == log.name]
    assert (record.levelname, record.data["statusCode"]) == ("ERROR", 500)


def test_a_path_is_logged_as_it_was_sent(anonymous, lines):
    anonymous.get("/api/order/menu/")
    assert lines()[0]["path"] == "/api/order/menu/"


@pytest.mark.parametrize("path", ["/", "/nope", "/api/order", "/api/docs/ui", "/admin/", "/livez"])
def test_each_answer_has_the_request_id_that_came(anonymous, path):
    assert anonymous.get(path, **{"X-Request-Id": "r-1"})["X-Request-Id"] == "r-1"


def test_an_error_names_the_same_id_as_its_header(anonymous):
    answer = anonymous.get("/api/order")
    assert answer.json()["requestId"] == answer["X-Request-Id"]


def test_the_factory_is_told_id_and_trace(diner, factory, monkeypatch):
    sent = {}

    def exchange(method, path, payload, deadline, patience):
        sent.update(client._headers())
        raise client.Unreachable("down")

    monkeypatch.setattr(client, "_exchange", exchange)
    trace = "0af7651916cd43dd8448eb211c80319c"
    diner.order(1, **{"X-Request-Id": "r-1", "traceparent": f"00-{trace}-b7ad6b7169203331-01"})
    assert sent["X-Request-Id"] == "r-1"
    assert sent["traceparent"].startswith(f"00-{trace}-")


def test_what_changes_something_is_logged_with_its_bodies_cleaned(anonymous, lines):
    anonymous.put("/api/auth", {"email": "d@jwt.com", "password": "diner"})
    (line,) = lines()
    assert json.loads(line["reqBody"]) == {"email": "***", "password": "***"}
    answer = json.loads(line["resBody"])
    assert (answer["user"]["email"], answer["user"]["id"], answer["token"]) == ("***", 2, "***")


def test_what_was_read_is_logged_without_a_body_unless_it_failed(diner, lines):
    diner.get("/api/order/menu")
    diner.get("/api/order/1")
    read, failed = lines()
    assert "resBody" not in read
    assert json.loads(failed["resBody"])["statusCode"] == 404


def test_bodies_can_be_left_out(anonymous, lines, settings):
    settings.LOG_BODIES = False
    anonymous.put("/api/auth", {"email": "d@jwt.com", "password": "wrong"})
    assert not {"reqBody", "resBody"} & set(lines()[0])


def test_a_callers_id_is_in_each_line_of_their_request(diner, demo, caplog):
    said = []
    handler = logging.Handler()
    handler.emit = lambda record: said.append(json.loads(JsonFormatter().format(record)))
    log.addHandler(handler)
    try:
        diner.get("/api/user/me")
        browser = Client()
        browser.force_login(User.objects.get(email="a@jwt.com"))
        browser.get("/admin/")
        Client().get("/")
    finally:
        log.removeHandler(handler)
    assert [line["userId"] for line in said] == [2, 1, None]
