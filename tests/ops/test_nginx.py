"""nginx as ops/nginx/ configures it, in front of two made-up copies: what they are sent, and what is said for them."""

import http.client
import json
import re
import socket
from contextlib import ExitStack, suppress
from threading import Thread

import pytest

from tests.nginx import Nginx, missing

pytestmark = pytest.mark.skipif(missing(), reason="nginx is not installed (apt install nginx-light)")

OK = b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: 2\r\n\r\n{}"
SERVICES_ID = re.compile(r"[\w.:/+=@-]{1,128}")


class Copy:
    """Takes all requests and keeps them in `requests`. With `answer` empty it breaks off instead of answering."""

    def __init__(self):
        self.answer, self.requests = OK, []
        self._server = socket.create_server(("127.0.0.1", 0))
        self.port = self._server.getsockname()[1]
        Thread(target=self._serve, daemon=True).start()

    def _serve(self):
        while True:
            try:
                caller, _ = self._server.accept()
            except OSError:
                return
            Thread(target=self._talk, args=[caller], daemon=True).start()

    def _talk(self, caller):
        with caller, caller.makefile("rb") as stream:
            while line := stream.readline():
                headers = http.client.parse_headers(stream)
                body = stream.read(int(headers.get("Content-Length", 0)))
                self.requests.append((line.decode().strip(), headers, body))
                if not self.answer:
                    return
                caller.sendall(self.answer)

    def close(self):
        """From now on whoever wants to connect is refused."""
        with suppress(OSError):  # it has been closed before
            self._server.shutdown(socket.SHUT_RDWR)
        self._server.close()


@pytest.fixture
def stack():
    with ExitStack() as stack:
        yield stack


@pytest.fixture
def copies(stack):
    """The first is nginx's first choice."""
    copies = [Copy(), Copy()]
    for copy in copies:
        stack.callback(copy.close)
    return copies


@pytest.fixture
def nginx(copies, stack, tmp_path):
    nginx = Nginx(tmp_path, [copy.port for copy in copies])
    stack.callback(nginx.stop)
    return nginx


@pytest.fixture
def ask(nginx):
    def ask(method, path="/api/order", body=None, **headers):
        connection = http.client.HTTPConnection("127.0.0.1", nginx.port, timeout=20)
        connection.request(method, path, body, {name.replace("_", "-"): value for name, value in headers.items()})
        answer = connection.getresponse()
        answer.text = answer.read().decode("latin-1")
        connection.close()
        return answer

    return ask


def asked(copies):
    """How often each of them was."""
    return [len(copy.requests) for copy in copies]


def test_the_copies_take_turns(ask, copies):
    assert {ask(method).status for method in ("GET", "POST", "PUT", "DELETE") for _ in range(4)} == {200}
    assert asked(copies) == [8, 8]


@pytest.mark.parametrize("method", ["GET", "POST", "PUT", "DELETE"])
def test_what_can_not_have_reached_a_copy_is_sent_to_the_other(method, ask, copies):
    copies[0].close()
    assert [ask(method, body=b"{}").status for _ in range(6)] == [200] * 6
    assert asked(copies) == [0, 6]


def test_what_only_reads_is_asked_of_the_other_when_a_copy_breaks_off(ask, copies):
    copies[0].answer = b""
    assert [ask("GET").status for _ in range(3)] == [200] * 3
    assert asked(copies) == [1, 3]


@pytest.mark.parametrize("method", ["POST", "PUT", "DELETE"])
def test_what_a_copy_may_have_done_already_is_never_sent_again(method, ask, copies):
    copies[0].answer = b""
    answer = ask(method, body=b"{}")
    assert asked(copies) == [1, 0]
    assert (answer.status, answer.headers["Retry-After"]) == (502, "3")
    assert "look whether what you asked for has been done" in json.loads(answer.text)["message"]


@pytest.mark.parametrize("method", ["GET", "POST", "PUT", "DELETE"])
def test_a_kept_connection_that_a_copy_has_closed_is_not_used(method, ask, copies):
    for copy in copies:
        copy.answer = OK.replace(b"\r\n\r\n", b"\r\nConnection: close\r\n\r\n")
    assert [ask(method).status for _ in range(6)] == [200] * 6


@pytest.mark.parametrize("method", ["GET", "POST", "PUT", "DELETE"])
def test_a_copy_that_is_taken_out_is_sent_nothing_until_it_is_taken_in(method, nginx, ask, copies):
    nginx.take_out("a")
    assert [ask(method).status for _ in range(4)] == [200] * 4
    assert asked(copies) == [0, 4]
    nginx.take_in("a")
    nginx.take_out("b")
    assert [ask(method).status for _ in range(4)] == [200] * 4
    assert asked(copies) == [4, 4]


def says_it_as_the_service_does(answer, status, title):
    told = json.loads(answer.text)
    assert answer.headers["Content-Type"] == "application/json"
    assert told["message"]
    assert (answer.status, told["statusCode"], told["error"]) == (status, status, title)
    assert told["requestId"] == answer.headers["X-Request-Id"]


@pytest.mark.parametrize("method", ["GET", "POST", "PUT", "DELETE"])
def test_with_no_copy_left_it_says_when_to_come_back(method, ask, copies):
    for copy in copies:
        copy.close()
    for _ in range(3):
        answer = ask(method, body=b"{}")
        says_it_as_the_service_does(answer, 502, "Service unavailable")
        assert answer.headers["Retry-After"] == "3"


@pytest.mark.parametrize("method", ["POST", "PUT", "DELETE"])
def test_a_body_over_the_services_limit_is_refused_by_the_service_and_a_huge_one_before_it(method, ask, copies):
    assert ask(method, body=b"x" * 200_000).status == 200
    assert [len(body) for copy in copies for _, _, body in copy.requests] == [200_000]
    # The second doesn't say how long it is: it is found out while it is read.
    for huge in (b"x" * 1_100_000, iter([b"x" * 1_100_000])):
        says_it_as_the_service_does(ask(method, body=huge), 413, "Body too large")
    assert asked(copies) == [1, 0]


def test_the_metrics_are_not_for_outside(ask, copies):
    for path in ("/metrics", "/metrics/", "//metrics", "/%6detrics", "/api/../metrics", "/metrics?name[]=up"):
        answer = ask("GET", path)
        says_it_as_the_service_does(answer, 404, "Not found")
        assert json.loads(answer.text)["message"] == "unknown endpoint"
    assert asked(copies) == [0, 0]


def test_what_is_no_request_is_refused_in_the_same_form(ask):
    says_it_as_the_service_does(ask("GET", "/%zz"), 400, "Invalid input")
    says_it_as_the_service_does(ask("GET", Cookie="x" * 40_000), 400, "Invalid input")
    says_it_as_the_service_does(ask("GET", "/answer-of-nginx"), 404, "Not found")


def test_a_copy_is_told_who_asks_for_what_and_how(ask, copies):
    ask("GET", "/api/order?page=2", Host="pizza.example:81", X_Request_Id="mine-1", X_Forwarded_For="1.2.3.4")
    [(line, headers, _)] = copies[0].requests
    assert line == "GET /api/order?page=2 HTTP/1.1"
    assert headers["Host"] == "pizza.example:81"
    assert headers["X-Forwarded-For"] == "1.2.3.4, 127.0.0.1"
    assert headers["X-Forwarded-Proto"] == "http"
    assert headers["X-Request-Id"] == "mine-1"
    assert "Connection" not in headers


def test_an_id_that_is_none_is_replaced(ask, copies):
    for given in ({}, {"X_Request_Id": 'a "quoted" one'}, {"X_Request_Id": "x" * 129}):
        ask("GET", **given)
    ids = [headers["X-Request-Id"] for copy in copies for _, headers, _ in copy.requests]
    assert len(set(ids)) == 3
    assert all(SERVICES_ID.fullmatch(name) for name in ids)


def test_a_header_with_an_underscore_gets_nowhere(nginx, copies):
    with socket.create_connection(("127.0.0.1", nginx.port)) as caller:
        caller.sendall(b"GET / HTTP/1.1\r\nHost: x\r\nX_Forwarded_For: 6.6.6.6\r\nConnection: close\r\n\r\n")
        assert caller.recv(100).startswith(b"HTTP/1.1 200")
    [(_, headers, _)] = copies[0].requests
    assert headers["X-Forwarded-For"] == "127.0.0.1"
    assert "X_Forwarded_For" not in headers


def test_a_body_is_passed_on_when_it_is_whole(nginx, copies):
    with socket.create_connection(("127.0.0.1", nginx.port)) as caller:
        caller.sendall(b"POST / HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\nConnection: close\r\n\r\n")
        caller.sendall(b"2\r\n{}\r\n")
        assert asked(copies) == [0, 0]
        caller.sendall(b"0\r\n\r\n")
        assert caller.recv(100).startswith(b"HTTP/1.1 200")
    [(_, headers, body)] = copies[0].requests
    assert (headers["Content-Length"], body) == ("2", b"{}")


def test_an_etag_stays_strong_but_for_static_files_which_are_compressed(ask, copies):
    text = b'HTTP/1.1 200 OK\r\nContent-Type: text/css\r\nETag: "1-2"\r\nContent-Length: 4000\r\n\r\n' + b"x" * 4000
    for copy in copies:
        copy.answer = text
    listed, static = (ask("GET", path, Accept_Encoding="gzip") for path in ("/api/order/menu", "/static/admin.css"))
    assert (listed.headers["ETag"], listed.headers["Content-Encoding"]) == ('"1-2"', None)
    assert (static.headers["ETag"], static.headers["Content-Encoding"]) == (None, "gzip")
    assert static.headers["Vary"] == "Accept-Encoding"
