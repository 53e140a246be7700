"""Lines pushed to Loki: all of them when it is well, none waited for when it is not."""

import json
import logging
import socket
import threading
import time
from base64 import b64encode
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pytest
import requests

from jwtpizza.observability import loki
from jwtpizza.observability.logs import JsonFormatter
from tests.live import Worker

USER, TOKEN = "12345", "token-of-the-log-store"


class Loki(ThreadingHTTPServer):
    """Keeps what is pushed; answers with `status`."""

    def __init__(self):
        super().__init__(("127.0.0.1", 0), _Request)
        self.status, self.requests, self.came = 204, [], threading.Semaphore(0)
        self.url = f"http://127.0.0.1:{self.server_port}/loki/api/v1/push"
        threading.Thread(target=self.serve_forever, args=[0.01], daemon=True).start()

    def lines(self):
        """The labels and the JSON of each line that was taken."""
        return [
            (stream["stream"], int(when), json.loads(text))
            for status, _, body in list(self.requests)
            if status == 204
            for stream in json.loads(body)["streams"]
            for when, text in stream["values"]
        ]


class _Request(BaseHTTPRequestHandler):
    def do_POST(self):
        body = self.rfile.read(int(self.headers["Content-Length"]))
        self.server.requests.append((self.server.status, dict(self.headers) | {"path": self.path}, body))
        self.send_response(self.server.status)
        self.send_header("Location", f"http://127.0.0.1:{self.server.server_port}/elsewhere")
        self.end_headers()
        self.server.came.release()

    def log_message(self, *_):
        pass


@pytest.fixture
def server():
    loki = Loki()
    yield loki
    loki.shutdown()
    loki.server_close()


@pytest.fixture
def pushing(monkeypatch):
    """A logger whose lines go to that address, and nowhere else, and its handler, which waits for hardly anything."""
    monkeypatch.setattr(loki, "PUSH_SECONDS", 0.01)
    monkeypatch.setattr(loki, "PAUSES", (0.01, 0.01))
    made = []

    def start(url):
        handler = loki.Handler(url, USER, TOKEN, "jwt-pizza-service")
        handler.setFormatter(JsonFormatter())
        log = logging.Logger("pizza")
        log.addHandler(handler)
        made.append(handler)
        return log, handler

    yield start
    for handler in made:
        handler.close()
        # What it still has to say is no part of the next test.
        if handler._thread:
            handler._thread.join()


def dropped():
    return loki.dropped()._value.get()


def test_lines_come_under_their_labels_with_the_token_and_as_they_are_printed(server, pushing):
    log, handler = pushing(server.url)
    log.warning("cold %s", "pizza", extra={"data": {"type": "factory", "attempt": 2}})
    log.info("hot")
    handler.close()

    (labels, when, line), (others, _, _) = sorted(server.lines(), key=lambda each: each[0]["level"], reverse=True)
    source = {"source": "jwt-pizza-service", "component": "jwt-pizza-service"}
    assert labels == source | {"level": "warning", "type": "factory"}
    assert others == source | {"level": "info", "type": "app"}
    assert (line["message"], line["attempt"]) == ("cold pizza", 2)
    assert abs(when / 1e9 - time.time()) < 60
    headers = server.requests[0][1]
    assert headers["Authorization"] == "Basic " + b64encode(f"{USER}:{TOKEN}".encode()).decode()
    assert headers["path"] == "/loki/api/v1/push"


def test_a_passing_failure_loses_nothing(server, pushing):
    server.status = 503
    log, handler = pushing(server.url)
    log.info("hot")
    assert server.came.acquire(timeout=10)
    server.status = 204
    assert server.came.acquire(timeout=10)
    handler.close()
    assert [line["message"] for _, _, line in server.lines()] == ["hot"]


@pytest.mark.parametrize(("status", "tries"), [(400, 1), (401, 1), (302, 1), (503, 3), (429, 3)])
def test_what_is_not_taken_is_dropped_and_counted_and_no_redirect_is_followed(server, pushing, status, tries):
    server.status = status
    log, handler = pushing(server.url)
    before = dropped()
    log.info("hot")
    for _ in range(tries):
        assert server.came.acquire(timeout=10)
    handler.close()
    assert dropped() - before == 1
    assert len(server.requests) == tries
    assert {headers["path"] for _, headers, _ in server.requests} == {"/loki/api/v1/push"}


def test_no_proxy_is_asked(server, pushing, monkeypatch):
    for name in ("http_proxy", "HTTP_PROXY", "ALL_PROXY"):
        monkeypatch.setenv(name, "http://127.0.0.1:9")
    log, handler = pushing(server.url)
    log.info("hot")
    handler.close()
    assert len(server.lines()) == 1


def test_memory_is_bounded_and_the_rest_is_counted(pushing, monkeypatch):
    monkeypatch.setattr(loki, "MOST_WAITING", 10_000)
    monkeypatch.setattr(loki.Handler, "_begin", lambda self: None)
    log, handler = pushing("http://127.0.0.1:9/push")
    before = dropped()
    for _ in range(1000):
        log.info("x" * 100)
    assert handler._size <= 10_000
    assert dropped() - before == 1000 - len(handler._waiting)


def test_a_hanging_loki_holds_up_neither_who_logs_nor_the_end(pushing, monkeypatch):
    monkeypatch.setattr(loki, "STOP_SECONDS", 0.2)
    with socket.create_server(("127.0.0.1", 0)) as silent:
        log, handler = pushing(f"http://127.0.0.1:{silent.getsockname()[1]}/push")
        before = dropped()
        log.info("the first, which hangs")
        connection, _ = silent.accept()
        begun = time.monotonic()
        for _ in range(1000):
            log.info("hot")
        handler.close()
        assert time.monotonic() - begun < 2
        assert dropped() - before == 1001, "the one under way, too"
        connection.close()


def test_its_own_trouble_is_told_once_and_not_to_loki(server, pushing, caplog):
    caplog.set_level(logging.INFO)
    server.status = 503
    log, handler = pushing(server.url)
    loki.log.addHandler(handler)
    try:
        for _ in range(3):
            log.info("hot")
            assert server.came.acquire(timeout=10)
        server.status = 204
        handler.close()
    finally:
        loki.log.removeHandler(handler)
    told = [record.getMessage() for record in caplog.records if record.name == loki.log.name]
    assert told[0] == "log lines don't reach Loki: OSError: it answered 503"
    assert len(told) <= 2
    assert {line["message"] for _, _, line in server.lines()} <= {"hot"}


@pytest.mark.slow
def test_all_that_real_processes_print_reaches_loki_before_they_end(serve, server, tmp_path):
    service = serve(env={"LOKI_URL": server.url, "LOKI_USER": USER, "LOKI_TOKEN": TOKEN, "FACTORY_CANARY_SECONDS": "0"})
    worker = Worker(service, tmp_path / "worker.log")
    for _ in range(50):
        requests.get(service.url, timeout=5)
    time.sleep(1)  # the worker begins
    worker.stop()
    service.stop()

    printed = [line for path in (service.log, tmp_path / "worker.log") for line in path.read_text().splitlines()]
    printed = [json.loads(line) for line in printed]
    pushed = [line for _, _, line in server.lines()]
    assert sum(line.get("path") == "/" for line in pushed) == 50
    assert sorted(map(repr, pushed)) == sorted(map(repr, printed))


@pytest.mark.slow
def test_requests_are_as_quick_while_loki_hangs_and_the_end_is_not_held_up(serve):
    with socket.create_server(("127.0.0.1", 0), backlog=100) as silent:
        url = f"http://127.0.0.1:{silent.getsockname()[1]}/push"
        service = serve(env={"LOKI_URL": url, "FACTORY_CANARY_SECONDS": "0"})
        begun = time.monotonic()
        with requests.Session() as session:
            for _ in range(300):
                assert session.get(service.url, timeout=5).ok
        assert time.monotonic() - begun < 10
        begun = time.monotonic()
        service.stop()
        assert time.monotonic() - begun < 6
