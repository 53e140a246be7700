"""The page that Prometheus reads, on the service and on the worker."""

import logging
import socket
import struct
import time
from contextlib import ExitStack, closing
from types import SimpleNamespace
from unittest.mock import Mock
from wsgiref.simple_server import make_server

import pytest
import requests
from django.db import OperationalError
from prometheus_client import REGISTRY
from prometheus_client.parser import text_string_to_metric_families

from jwtpizza.observability import metrics
from tests.ports import free_port


def shown(text):
    """The value of each sample, by its name and the values of its labels."""
    return {
        " ".join([sample.name, *sample.labels.values()]): sample.value
        for family in text_string_to_metric_families(text)
        for sample in family.samples
    }


# --- what stands on it ----------------------------------------------------------------------------


def test_it_tells_of_the_machine(anonymous):
    page = shown(anonymous.get("/metrics").text)
    assert 0 <= page["jwtpizza_machine_cpu_ratio"] <= 1
    assert 0 < page["jwtpizza_machine_memory_ratio"] < 1


def test_while_the_database_is_gone_it_tells_so_and_all_that_was_counted(anonymous, monkeypatch):
    class Gone:
        def cursor(self):
            raise OperationalError("gone")

    monkeypatch.setattr(metrics, "connection", Gone())
    monkeypatch.setattr(metrics, "_of_process", [lambda: [metrics.gauge("known_here", "Without asking.", 1)]])
    answer = anonymous.get("/metrics")
    page = shown(answer.text)
    assert (answer.status_code, page["jwtpizza_database_up"]) == (200, 0)
    assert "jwtpizza_orders_total fulfilled" in page
    assert "jwtpizza_orders_pending" not in page
    assert page["known_here"] == 1


def test_while_the_database_is_there_it_tells_what_that_knows(anonymous):
    page = shown(anonymous.get("/metrics").text)
    assert (page["jwtpizza_database_up"], page["jwtpizza_orders_pending"], page["jwtpizza_active_users"]) == (1, 0, 0)


# --- who may read it ------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("production", "token", "sent", "status"),
    [
        (False, "", "", 200),
        (False, "secret", "", 401),
        (False, "secret", "Bearer wrong", 401),
        (False, "secret", "Basic secret", 401),
        (False, "secret", "Bearer secret", 200),
        (True, "", "", 404),
        (True, "", "Bearer ", 404),
        (True, "secret", "Bearer secret", 200),
        (True, "secret", "bearer secret", 200),
        (True, "secret", "Bearer s\u00e9cret", 401),
    ],
)
def test_whoever_has_the_token_and_in_production_nobody_without_one(settings, production, token, sent, status):
    settings.PRODUCTION, settings.METRICS_TOKEN = production, token
    assert metrics.admitted(sent) == status


# --- the worker's ---------------------------------------------------------------------------------


@pytest.fixture
def port():
    """Where the worker serves its page."""
    port = free_port()
    metrics.serve("127.0.0.1", port)
    return port


class Enough(Exception):
    """No other try is wanted."""


def ask(port, path="/metrics", **headers):
    give_up = time.monotonic() + 20
    while True:
        try:
            return requests.get(f"http://127.0.0.1:{port}{path}", headers=headers, timeout=10)
        except requests.ConnectionError:
            assert time.monotonic() < give_up


def test_the_worker_tells_what_it_counted_and_nothing_of_the_database(port):
    page = shown(ask(port).text)
    assert "jwtpizza_orders_total fulfilled" in page
    assert "jwtpizza_database_up" not in page


def test_the_workers_page_asks_for_the_token_too(port, settings):
    settings.METRICS_TOKEN = "secret"
    answers = [ask(port), ask(port, Authorization="Bearer wrong"), ask(port, Authorization="Bearer secret")]
    assert [answer.status_code for answer in answers] == [401, 401, 200]
    assert answers[0].text == answers[1].text == ""


def test_it_has_no_other_page(port):
    assert ask(port, "/").status_code == 404


def test_a_port_that_is_taken_is_said_once_and_tried_again(monkeypatch, caplog):
    pauses = []
    monkeypatch.setattr(metrics, "time", SimpleNamespace(sleep=pauses.append))
    monkeypatch.setattr(metrics, "make_server", Mock(side_effect=[OSError("taken"), OSError("taken"), Enough]))
    with pytest.raises(Enough):
        metrics.serve_in_turn("127.0.0.1", 9464)
    assert pauses == [metrics.TAKEN_SECONDS] * 2
    warnings = [record.getMessage() for record in caplog.records if record.levelname == "WARNING"]
    assert warnings == ["the metrics' port 9464 can't be had now: taken"]


def test_of_two_on_one_port_the_second_waits(port):
    assert ask(port).ok
    with pytest.raises(OSError, match="in use"), closing(make_server("127.0.0.1", port, None)):
        pass


def test_it_listens_where_it_is_told_to_and_nowhere_else(port):
    assert ask(port).ok
    with pytest.raises(ConnectionRefusedError):
        socket.create_connection(("127.0.0.2", port), timeout=5)


def resets(sock):
    """Before it has read the page."""
    sock.sendall(b"GET /metrics HTTP/1.0\r\n\r\n")
    resets_at_once(sock)


def resets_at_once(sock):
    sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    sock.close()


def is_silent(sock):
    """From the beginning."""


def reads_nothing(sock):
    sock.sendall(b"GET /metrics HTTP/1.0\r\n\r\n")


@pytest.fixture
def handled(monkeypatch):
    """Returns once the server is done with so many clients."""
    done = []
    shutdown = metrics._Server.shutdown_request
    monkeypatch.setattr(metrics._Server, "shutdown_request", lambda *args: (shutdown(*args), done.append(args)))

    def handled(count):
        give_up = time.monotonic() + 20
        while len(done) < count:
            assert time.monotonic() < give_up
            time.sleep(0.01)  # its threads have no clock that could be faked

    return handled


@pytest.mark.parametrize("behave", [resets, resets_at_once, is_silent, reads_nothing])
def test_a_client_that_is_silent_or_leaves_is_no_plain_text(port, monkeypatch, capfd, handled, behave, caplog):
    caplog.set_level(logging.DEBUG)
    monkeypatch.setattr(metrics._Silent, "timeout", 0.1)
    monkeypatch.setattr(metrics.Page, "text", lambda self: b"x" * 20_000_000)
    ask(port, "/warm")
    with ExitStack() as clients:
        for _ in range(3):
            behave(clients.enter_context(socket.create_connection(("127.0.0.1", port), timeout=20)))
        handled(4)
    assert capfd.readouterr().err == ""
    assert [record for record in caplog.records if record.levelno > logging.DEBUG] == []


def test_a_page_that_breaks_is_an_error_in_the_log_and_no_plain_text(port, monkeypatch, capfd, caplog):
    def broken(_):
        raise ValueError("a file that is none")

    monkeypatch.setattr(metrics.Page, "text", broken)
    assert ask(port).status_code == 500
    assert capfd.readouterr().err == ""
    [error] = caplog.records
    assert (error.levelname, error.exc_info[0]) == ("ERROR", ValueError)


# --- who was there --------------------------------------------------------------------------------


def test_each_method_that_somebody_invents_is_the_same(anonymous):
    def methods():
        return {
            sample.labels["method"]
            for family in REGISTRY.collect()
            for sample in family.samples
            if "method" in sample.labels
        }

    for number in range(3):
        anonymous(f"INVENTED{number}", "/api/order/menu")
    assert not [method for method in methods() if method.startswith("INVENTED")]
    assert "<invalid method>" in methods()
