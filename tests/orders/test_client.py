"""One request to the factory, on real sockets: every way in which a factory can fail it."""

import errno
import gzip
import json
import socket
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, contextmanager

import pytest

from jwtpizza.resilience.deadline import Deadline
from orders.factory import client
from orders.factory.errors import BadResponse, Rejected, ServerError, TooSlow, Unauthorized, Unreachable
from tests.orders.wire import Wire, answer, answering
from tests.ports import free_port

SECONDS = 0.5
TOLERANCE = 0.3
ORDER = {"diner": {"id": 2, "name": "pizza diner"}, "order": {"id": 7, "items": [{"menuId": 1}]}}
LINK = "http://factory/api/support/key/report/code"
PIZZA = {"jwt": "a.b.c", "reportUrl": LINK}
HEAD = b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\n"
MEGABYTE = 2**20


@pytest.fixture(autouse=True)
def fresh_session(settings):
    settings.FACTORY_DEADLINE, settings.FACTORY_API_KEY = SECONDS, "our-key"
    yield
    if session := client._thread.__dict__.pop("session", None):
        session.close()


def order():
    """Asks as the service does, and checks that it never takes longer than it may."""
    begun = time.monotonic()
    try:
        return client.post_order(ORDER, deadline=Deadline(SECONDS))
    finally:
        assert time.monotonic() - begun < SECONDS + TOLERANCE


def named(monkeypatch, name, addresses):
    """Makes `name` a host with those addresses."""
    resolve = socket.getaddrinfo

    def answer(host, *args, **kwargs):
        if host != name:
            return resolve(host, *args, **kwargs)
        return [(socket.AF_INET, socket.SOCK_STREAM, 6, "", address) for address in addresses()]

    monkeypatch.setattr(socket, "getaddrinfo", answer)


def once_asked(*contents, then="close"):
    """Reads the request, sends that, and ends so."""

    def behave(line):
        line.read_request()
        for content in contents:
            line.send(content)
        getattr(line, then)()

    return behave


def trickling(content, *, after=b""):
    def behave(line):
        line.read_request()
        line.send(after)
        line.trickle(content)

    return behave


def endless(content, *, after=b"", sent=None):
    """As fast as it is taken, up to a gigabyte; `sent` learns how many megabytes that was."""

    def behave(line):
        line.read_request()
        line.send(after)
        for megabytes in range(1024):
            line.send(content)
            if sent is not None:
                sent.append(megabytes)

    return behave


def test_a_pizza_comes_with_its_jwt_and_its_support_link(wired):
    wire = wired(answering("200 OK", PIZZA))

    assert order()[:2] == ("a.b.c", LINK)

    [request] = wire.requests
    assert request.startswith(b"POST /api/order HTTP/1.1\r\n")
    assert b"\r\nAuthorization: Bearer our-key\r\n" in request
    assert b"\r\nContent-Type: application/json\r\n" in request
    assert request.endswith(json.dumps(ORDER).encode())


def test_a_factory_that_does_not_listen_is_unreachable(settings):
    settings.FACTORY_URL = f"http://127.0.0.1:{free_port()}"
    with pytest.raises(Unreachable):
        order()


def test_a_factory_whose_host_nobody_knows_is_unreachable(settings):
    settings.FACTORY_URL = "http://no.such.host.invalid"
    with pytest.raises(Unreachable):
        order()


def test_a_connection_that_is_reset_while_it_is_made_is_unreachable(settings, monkeypatch):
    def connect(*_):
        raise ConnectionResetError(errno.ECONNRESET, "Connection reset by peer")

    monkeypatch.setattr(socket, "create_connection", connect)
    settings.FACTORY_URL = "http://127.0.0.1"
    with pytest.raises(Unreachable):
        order()


@contextmanager
def full_queue(address):
    """Somebody who listens there and takes no more connections: whoever tries is kept waiting."""
    with socket.create_server(address, backlog=0) as full, socket.socket() as first:
        first.connect(full.getsockname())
        yield full.getsockname()


def test_a_factory_that_takes_no_connection_is_too_slow(settings):
    with full_queue(("127.0.0.1", 0)) as (host, port):
        settings.FACTORY_URL = f"http://{host}:{port}"
        with pytest.raises(TooSlow):
            order()


def test_a_factory_that_takes_no_connection_at_any_of_its_addresses_is_too_slow(settings, monkeypatch):
    settings.FACTORY_CONNECT_TIMEOUT, port = 0.2, free_port()
    addresses = [(f"127.0.0.{last}", port) for last in range(1, 9)]
    named(monkeypatch, "factory.test", lambda: addresses)
    settings.FACTORY_URL = f"http://factory.test:{port}"
    with ExitStack() as queues:
        for address in addresses:
            queues.enter_context(full_queue(address))
        with pytest.raises(TooSlow):
            order()


def test_the_first_address_that_takes_a_connection_gets_the_order(wired, settings, monkeypatch):
    wire = wired(answering("200 OK", PIZZA))
    port = int(wire.url.rsplit(":", 1)[1])
    named(monkeypatch, "factory.test", lambda: [("127.0.0.2", port), ("127.0.0.1", port)])
    settings.FACTORY_URL = f"http://factory.test:{port}"
    assert order().jwt == "a.b.c"
    assert f"\r\nHost: factory.test:{port}\r\n".encode() in wire.requests[0]


def test_a_resolver_that_does_not_answer_is_too_slow(settings, monkeypatch):
    over = threading.Event()
    named(monkeypatch, "factory.test", lambda: over.wait(5) and [])
    settings.FACTORY_URL = "http://factory.test"
    try:
        with pytest.raises(TooSlow):
            order()
    finally:
        over.set()


def test_a_handshake_that_does_not_end_is_too_slow(wired, settings):
    wired(lambda line: line.silence())
    settings.FACTORY_URL = settings.FACTORY_URL.replace("http:", "https:")
    with pytest.raises(TooSlow):
        order()


@pytest.mark.parametrize(
    "behaviour",
    [
        pytest.param(lambda line: line.reset(), id="reset before the request"),
        pytest.param(lambda line: line.close(), id="closed before the request"),
        pytest.param(once_asked(then="reset"), id="reset after the request"),
        pytest.param(once_asked(then="close"), id="closed after the request"),
        pytest.param(once_asked(HEAD[:10], then="reset"), id="reset in the status line"),
        pytest.param(once_asked(answer("200 OK", b"{}", "Content-Length: 2, 3"), then="close"), id="two lengths"),
    ],
)
def test_a_connection_that_breaks_before_the_answer_is_unreachable(wired, behaviour):
    wired(behaviour)
    with pytest.raises(Unreachable):
        order()


@pytest.mark.parametrize(
    "behaviour",
    [
        pytest.param(once_asked(b"\x15\x03\x01\x00\x02\x02\x50", then="close"), id="no HTTP at all"),
        pytest.param(once_asked(b"HTTP/1.1 OK 200\r\n\r\n", then="close"), id="a status that is no number"),
        pytest.param(once_asked(HEAD + b"A: b\r\n" * 1000 + b"\r\n", then="close"), id="a thousand headers"),
        pytest.param(endless(b"a" * MEGABYTE, after=HEAD + b"A: "), id="a header without end"),
    ],
)
def test_what_is_no_http_is_a_bad_response(wired, behaviour):
    wired(behaviour)
    with pytest.raises(BadResponse):
        order()


@pytest.mark.parametrize(
    "behaviour",
    [
        pytest.param(once_asked(then="silence"), id="no answer"),
        pytest.param(lambda line: line.silence(), id="the request is not even read"),
        pytest.param(once_asked(HEAD[:40], then="silence"), id="half a header, then silence"),
        pytest.param(
            once_asked(answer("200 OK", b"{", "Content-Length: 9"), then="silence"), id="half a body, then silence"
        ),
        pytest.param(trickling(HEAD), id="a status line and headers, byte by byte"),
        pytest.param(trickling(b"X-Header: of many\r\n", after=HEAD), id="headers for ever, byte by byte"),
        pytest.param(trickling(b" ", after=HEAD + b"Content-Length: 999\r\n\r\n"), id="a body, byte by byte"),
        pytest.param(trickling(b" ", after=HEAD + b"\r\n"), id="a body without a length, byte by byte"),
        pytest.param(
            trickling(b"1\r\n \r\n", after=HEAD + b"Transfer-Encoding: chunked\r\n\r\n"), id="chunks, byte by byte"
        ),
        pytest.param(endless(b"HTTP/1.1 100 Continue\r\n\r\n" * 1000), id="100 Continue for ever"),
    ],
)
def test_an_answer_that_does_not_come_in_time_is_too_slow(wired, behaviour):
    wired(behaviour)
    with pytest.raises(TooSlow):
        order()


def test_when_the_deadline_is_over_already_nobody_is_asked(wired):
    wire = wired(answering("200 OK", PIZZA))
    now = iter([0.0, 1.0, 2.0])
    with pytest.raises(TooSlow):
        client.post_order(ORDER, deadline=Deadline(SECONDS, clock=lambda: next(now)))
    assert wire.connections == 0


def test_the_read_timeout_of_an_attempt_is_shorter_than_the_deadline(wired, settings):
    settings.FACTORY_READ_TIMEOUT = 0.1
    wired(once_asked(then="silence"))
    begun = time.monotonic()
    with pytest.raises(TooSlow):
        client.post_order(ORDER, deadline=Deadline(60))
    assert time.monotonic() - begun < 0.1 + TOLERANCE


@pytest.mark.parametrize(
    "head",
    [
        pytest.param(answer("200 OK", b"", f"Content-Length: {2**30}"), id="with its length"),
        pytest.param(answer("200 OK", b"", "Content-Length: 2", "Transfer-Encoding: chunked"), id="in chunks"),
        pytest.param(answer("302 Found", b"", f"Content-Length: {2**30}", "Location: /"), id="of a redirect"),
        pytest.param(answer("500 Oops", b"", f"Content-Length: {2**30}"), id="of a failure"),
    ],
)
def test_a_gigabyte_is_not_read(wired, head):
    sent = []
    chunk = b" " * MEGABYTE
    if b"chunked" in head:
        chunk = b"%x\r\n" % MEGABYTE + chunk + b"\r\n"
    wired(endless(chunk, after=head, sent=sent))
    with pytest.raises(ServerError if b"500" in head else BadResponse):
        order()
    assert len(sent) < 16  # what the sockets' own buffers took


@pytest.mark.parametrize("status", ["200 OK", "302 Found"])
@pytest.mark.parametrize("decoder", ["Gzip", "Deflate"])
def test_an_answer_that_is_compressed_unasked_is_not_unpacked(wired, status, decoder, monkeypatch):
    unpacked = []
    monkeypatch.setattr(f"urllib3.response.{decoder}Decoder.decompress", lambda *args, **_: unpacked.append(args))
    bomb = gzip.compress(b'{"jwt": "' + b"a" * 16 * MEGABYTE + b'"}')
    wired(answering(status, bomb, f"Content-Encoding: {decoder.lower()}", "Location: /"))
    with pytest.raises(BadResponse):
        order()
    assert unpacked == []


@pytest.mark.parametrize("then", ["close", "reset"])
def test_a_body_that_is_cut_off_is_a_bad_response(wired, then):
    wired(once_asked(answer("200 OK", json.dumps(PIZZA)[:-1].encode(), "Content-Length: 999"), then=then))
    with pytest.raises(BadResponse):
        order()


@pytest.mark.parametrize("chunks", [b"zz\r\n", b"5\r\nab", b"2\r\n{}\r\n", b"-1\r\n", b""])
def test_broken_chunks_are_a_bad_response(wired, chunks):
    wired(once_asked(answer("200 OK", chunks, "Transfer-Encoding: chunked"), then="close"))
    with pytest.raises(BadResponse):
        order()


def test_a_body_that_goes_on_after_its_length_is_a_bad_response_and_spoils_no_other_order(wired):
    def behave(line):
        line.read_request()
        line.send(answer("200 OK", PIZZA, "Content-Length: 9"))
        answering("200 OK", PIZZA)(line)

    wired(behave)
    with pytest.raises(BadResponse):
        order()
    assert order().jwt == "a.b.c"


def test_an_answer_too_many_is_nobodys(wired):
    def twice(line):
        while line.read_request():
            line.send(answer("200 OK", {"jwt": "the first"}) + answer("200 OK", {"jwt": "the second"}))

    wired(twice)
    assert [order().jwt, order().jwt] == ["the first", "the first"]


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"<html><body>It works!</body></html>",
        b"null",
        b"[]",
        b'"jwt"',
        b"{}",
        b'{"JWT": "a.b.c"}',
        b'{"jwt": null}',
        b'{"jwt": 1}',
        b'{"jwt": ["a.b.c"]}',
        b'{"jwt": {"a": "b"}}',
        b'{"jwt": "a.b.c"',
        b'{"jwt": "a.b.c"}}',
        b"\xff\xfe\x00",
        b'{"jwt": "\xff"}',
        b"[" * 60_000,
        b"9" * 60_000,
        pytest.param(b'{"jwt": "' + b"a" * 64 * 1024 + b'"}', id="more than 64 KiB"),
    ],
)
def test_200_without_a_jwt_is_a_bad_response(wired, body):
    wired(answering("200 OK", body))
    with pytest.raises(BadResponse):
        order()


def test_a_connection_that_ends_in_the_headers_is_a_bad_response(wired):
    wired(once_asked(HEAD[:40], then="close"))
    with pytest.raises(BadResponse):
        order()


@pytest.mark.parametrize("status", ["201 Created", "204 No Content", "206 Partial Content", "304 Not Modified"])
def test_success_of_another_kind_is_a_bad_response(wired, status):
    wired(answering(status, b"" if status[:3] in ("204", "304") else PIZZA))
    with pytest.raises(BadResponse):
        order()


@pytest.mark.parametrize("status", [301, 302, 303, 307, 308])
def test_a_redirect_is_never_followed(wired, status):
    elsewhere = Wire(answering("200 OK", PIZZA))
    wire = wired(answering(f"{status} Elsewhere", b"", f"Location: {elsewhere.url}/api/order"))
    with pytest.raises(BadResponse):
        order()
    elsewhere.close()
    assert (elsewhere.connections, len(wire.requests)) == (0, 1)


@pytest.mark.parametrize("location", ["http://[", "\xff\xfe", "http://\x00", "", "//", "://", "javascript:alert(1)"])
def test_a_redirect_to_nonsense_is_a_bad_response(wired, location):
    wired(answering("302 Found", b"", f"Location: {location}"))
    with pytest.raises(BadResponse):
        order()


@pytest.mark.parametrize(
    ("status", "error"),
    [
        *[(status, Unauthorized) for status in (401, 403)],
        *[(status, Rejected) for status in (400, 404, 405, 409, 413, 422, 429, 451)],
        *[(status, ServerError) for status in (500, 501, 502, 503, 504, 599)],
    ],
)
def test_a_refusal_is_told_by_its_status_and_carries_the_support_link(wired, status, error):
    wire = wired(
        answering(f"{status} No", {"message": "chaos monkey", "reportUrl": LINK}, "Retry-After: 0"),
        answering(f"{status} No", {"message": "chaos monkey", "reportUrl": LINK}),
    )
    with pytest.raises(error) as refused:
        order()
    assert refused.value.support_link == LINK
    assert len(wire.requests) == 1


@pytest.mark.parametrize("body", [b"", b"Bad gateway", b"[]", {"message": "oops"}, {"reportUrl": None}])
def test_a_failure_without_a_support_link_is_a_failure_without_one(wired, body):
    wired(answering("502 Bad Gateway", body))
    with pytest.raises(ServerError) as failed:
        order()
    assert failed.value.support_link == ""


@pytest.mark.parametrize(
    "link", [7, None, ["a"], {"a": "b"}, "\x00", "http://a/\ud800", "http://a/\n", "http://a b", "x" * 2049]
)
def test_a_support_link_that_no_book_could_keep_is_none(wired, link):
    wired(answering("200 OK", PIZZA | {"reportUrl": link}))
    assert order()[:2] == ("a.b.c", "")


@pytest.mark.parametrize("name", ["HTTP_PROXY", "http_proxy", "ALL_PROXY", "all_proxy"])
def test_a_proxy_in_the_environment_is_ignored(wired, monkeypatch, name):
    proxy = Wire(answering("200 OK", {"jwt": "by proxy"}))
    monkeypatch.setenv(name, proxy.url)
    monkeypatch.delenv("NO_PROXY", raising=False)
    monkeypatch.delenv("no_proxy", raising=False)
    wired(answering("200 OK", PIZZA))
    assert order().jwt == "a.b.c"
    proxy.close()
    assert proxy.connections == 0


def test_a_netrc_does_not_replace_our_key(wired, monkeypatch, tmp_path):
    (tmp_path / "netrc").write_text("machine 127.0.0.1 login someone password else\n")
    monkeypatch.setenv("NETRC", str(tmp_path / "netrc"))
    wire = wired(answering("200 OK", PIZZA))
    order()
    assert b"\r\nAuthorization: Bearer our-key\r\n" in wire.requests[0]


def test_many_orders_of_a_thread_share_a_connection(wired):
    wire = wired(answering("200 OK", PIZZA))
    for _ in range(20):
        order()
    assert (len(wire.requests), wire.connections) == (20, 1)


@pytest.mark.parametrize("status", ["500 Oops", "422 No", "302 Found", "204 No Content"])
def test_a_failed_order_costs_no_connection(wired, status):
    wire = wired(answering(status, b"", "Location: /elsewhere"))
    for _ in range(3):
        with pytest.raises((ServerError, Rejected, BadResponse)):
            order()
    assert (len(wire.requests), wire.connections) == (3, 1)


def test_a_kept_connection_that_the_factory_closed_meanwhile_is_no_failure(wired):
    closed = threading.Event()

    def serve_one(line):
        line.read_request()
        line.send(answer("200 OK", PIZZA))
        line.close()
        closed.set()

    wire = wired(serve_one)
    for _ in range(5):
        assert order().jwt == "a.b.c"
        assert closed.wait(5)
        closed.clear()
    assert wire.connections == 5


def test_a_kept_connection_that_the_factory_reset_meanwhile_is_no_failure(wired):
    was_reset = threading.Event()

    def serve_one(line):
        line.read_request()
        line.send(answer("200 OK", PIZZA))
        line.reset()
        was_reset.set()

    wired(serve_one)
    for _ in range(5):
        assert order().jwt == "a.b.c"
        assert was_reset.wait(5)
        was_reset.clear()


def test_after_an_answer_that_came_too_late_the_next_order_gets_its_own(wired):
    late = threading.Event()

    def answer_late(line):
        line.read_request()
        late.wait(5)
        line.send(answer("200 OK", {"jwt": "too late"}))
        line.silence()

    wired(answer_late, answering("200 OK", PIZZA))
    with pytest.raises(TooSlow):
        order()
    late.set()
    assert order().jwt == "a.b.c"


def test_threads_wait_for_their_own_answers_only(wired):
    """Each order of eight at once is answered with its own id."""

    def echo(line):
        while request := line.read_request():
            order_id = json.loads(request[request.index(b'{"') :])["order"]["id"]
            line.send(answer("200 OK", {"jwt": str(order_id)}))

    wired(echo)

    def ask(order_id):
        return client.post_order({"order": {"id": order_id}}, deadline=Deadline(5)).jwt

    with ThreadPoolExecutor(8) as pool:
        assert list(pool.map(ask, range(200))) == [str(order_id) for order_id in range(200)]


@pytest.mark.parametrize(
    "behaviour",
    [
        answering("500 Oops", {"keys": []}),
        answering("200 OK", b"<html>"),
        answering("200 OK", []),
        answering("200 OK", {"keys": None}),
        answering("200 OK", {"keys": {}}),
        answering("302 Found", b"", "Location: /"),
    ],
)
def test_keys_that_are_none_are_a_bad_response(wired, behaviour):
    wired(behaviour)
    with pytest.raises(BadResponse):
        client.fetch_jwks(deadline=Deadline(SECONDS))


def test_keys_are_fetched_as_they_are_and_what_is_no_key_is_left_out(wired):
    wire = wired(answering("200 OK", {"keys": [{"kid": "1"}, None, 7, "key", [], {}]}))
    assert client.fetch_jwks(deadline=Deadline(SECONDS)) == [{"kid": "1"}, {}]
    assert wire.requests[0].startswith(b"GET /.well-known/jwks.json HTTP/1.1\r\n")
