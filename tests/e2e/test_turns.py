"""Who lets the service wait holds nobody up: one worker, which lets two requests run at once."""

import json
import socket
import time
from contextlib import ExitStack, closing

import pytest
import requests

from tests.e2e.steps import eventually

pytestmark = pytest.mark.slow

# Who has no turn to take waits as long for one (jwtpizza.turns), so that nobody is answered sooner.
PATIENCE = 0.05
LOGIN = json.dumps({"email": "d@jwt.com", "password": "diner"}).encode()


@pytest.fixture
def service(serve):
    return serve(workers=1)


@pytest.fixture
def half_sent(service):
    """Eight logins of which half is there, by the headers that tell of the rest."""
    with ExitStack() as open_ones:

        def send(header, half):
            for _ in range(8):
                sender = open_ones.enter_context(closing(socket.create_connection(("127.0.0.1", service.port), 30)))
                head = (
                    f"PUT /api/auth HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\n{header}\r\n\r\n"
                )
                sender.sendall(head.encode() + half)
                senders.append(sender)
            return senders

        senders = []
        yield send


def quickest(service, path="/api/order/menu", count=30):
    """The seconds of the quickest of so many requests: what else the machine does is not the service's."""
    took = []
    with requests.Session() as session:
        for _ in range(count):
            begun = time.monotonic()
            assert session.get(service.url + path, timeout=30).status_code == 200
            took.append(time.monotonic() - begun)
    return min(took)


@pytest.mark.parametrize(
    ("header", "half", "rest"),
    [
        pytest.param(f"Content-Length: {len(LOGIN)}", LOGIN[:9], LOGIN[9:], id="with its length"),
        pytest.param(
            "Transfer-Encoding: chunked",
            b"9\r\n" + LOGIN[:9] + b"\r\n",
            f"{len(LOGIN) - 9:x}\r\n".encode() + LOGIN[9:] + b"\r\n0\r\n\r\n",
            id="in chunks",
        ),
    ],
)
def test_who_sends_slowly_holds_nobody_up_and_is_answered_in_the_end(service, half_sent, header, half, rest):
    senders = half_sent(header, half)
    time.sleep(0.3)  # all of them are being read
    assert quickest(service) < PATIENCE
    for sender in senders:
        sender.sendall(rest)
        assert sender.recv(99).startswith(b"HTTP/1.1 200")


def test_a_body_in_chunks_has_the_same_limit(service):
    def sent(size):
        chunks = (b" " * 1000 for _ in range(size // 1000))
        headers = {"Content-Type": "application/json"}
        return requests.put(f"{service.url}/api/auth", data=chunks, headers=headers, timeout=30).status_code

    assert [sent(100_000), sent(150_000)] == [400, 413]


def test_a_factory_that_hangs_holds_nobody_up(service, factory):
    token = service.log_in("d@jwt.com", "diner")
    factory.chaos("throttle", delay=4000)
    body = json.dumps({"franchiseId": 1, "storeId": 1, "items": [{"menuId": 1}]})
    head = f"POST /api/order HTTP/1.1\r\nHost: localhost\r\nAuthorization: Bearer {token}\r\n"
    head += f"Content-Type: application/json\r\nContent-Length: {len(body)}\r\n\r\n"
    with ExitStack() as orders:
        for _ in range(4):
            order = orders.enter_context(closing(socket.create_connection(("127.0.0.1", service.port), 30)))
            order.sendall((head + body).encode())
        eventually(lambda: factory.books()["attempts"] == 4)
        assert quickest(service) < PATIENCE
