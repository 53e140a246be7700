"""A POST to somebody who is no part of the service, a log store or a chat: the standard library alone.

It asks no proxy and follows no redirect, so that a token or an address that is a secret goes to that host and nowhere
else. Certificates are verified.
"""

import io
import socket
import ssl
import time
from collections.abc import Callable, Mapping
from http.client import HTTPConnection, HTTPResponse
from math import inf
from types import SimpleNamespace
from typing import NamedTuple, cast
from urllib.parse import SplitResult

MOST_HEAD = 16 * 1024


class Answer(NamedTuple):
    """Its status, and the seconds that its Retry-After says; 0 without one."""

    status: int
    retry_after: float


def post(
    url: SplitResult, body: bytes, headers: Mapping[str, str], *, timeout: float = inf, total: float = inf
) -> Answer:
    """Raises OSError or HTTPException if there is no answer, ValueError for an address that can't be one.

    `timeout` is seconds of each wait, `total` of all of them but the resolver's; one of both has to be given. Of the
    answer nothing but its head is read.
    """
    until = time.monotonic() + total

    def left() -> float:
        seconds = min(timeout, until - time.monotonic())
        if seconds <= 0:
            raise TimeoutError("it took too long")
        return seconds

    sock = _connected(url, left)
    try:
        if url.scheme == "https":
            sock.settimeout(left())
            sock = ssl.create_default_context().wrap_socket(sock, server_hostname=url.hostname)
        _ask(sock, url, body, headers, left)
        return _answer(sock, left)
    finally:
        sock.close()


def _connected(url: SplitResult, left: Callable[[], float]) -> socket.socket:
    port = url.port or (443 if url.scheme == "https" else 80)
    failure = OSError("the host has no address")
    for *_, address in socket.getaddrinfo(url.hostname, port, type=socket.SOCK_STREAM):
        try:
            sock = socket.create_connection((str(address[0]), port), left())
        except OSError as error:
            failure = error
        else:
            sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            return sock
    raise failure


def _ask(
    sock: socket.socket, url: SplitResult, body: bytes, headers: Mapping[str, str], left: Callable[[], float]
) -> None:
    connection = HTTPConnection(url.hostname or "", url.port)
    connection.sock = sock
    sock.settimeout(left())
    path = url.path + (f"?{url.query}" if url.query else "")
    connection.request("POST", path, body, {**headers, "Connection": "close"})


def _answer(sock: socket.socket, left: Callable[[], float]) -> Answer:
    head = b""
    while b"\r\n\r\n" not in head and len(head) < MOST_HEAD:
        # http.client would wait as long for each byte.
        sock.settimeout(left())
        more = sock.recv(MOST_HEAD)
        if not more:
            break
        head += more
    response = HTTPResponse(cast(socket.socket, SimpleNamespace(makefile=lambda _: io.BytesIO(head))))
    response.begin()
    seconds = response.getheader("Retry-After", "")
    return Answer(response.status, float(seconds) if seconds.isascii() and seconds.isdigit() else 0.0)
