"""Factories that go wrong in every way but those the practice factory knows, and a database that is gone."""

import json
import socket
import sqlite3
import struct
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from threading import Thread
from typing import Any

from django.db import connection

from tests.ports import free_port

Reply = Callable[[socket.socket], object]


def _http(status: str, kind: str, body: str) -> Reply:
    head = f"HTTP/1.1 {status}\r\nContent-Type: {kind}\r\nContent-Length: {len(body)}\r\nConnection: close\r\n\r\n"
    return lambda caller: caller.sendall((head + body).encode())


def _reset(caller: socket.socket) -> None:
    caller.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))


def _never(caller: socket.socket) -> None:
    while caller.recv(1024):
        pass


HTML = "<html><body>Bad Gateway: see http://127.0.0.1/api/support/key0001/report/1</body></html>"
STUBS: dict[str, Reply] = {
    "html502": _http("502 Bad Gateway", "text/html", HTML),
    "html200": _http("200 OK", "text/html", HTML),
    "empty200": _http("200 OK", "application/json", ""),
    "noJwt": _http("200 OK", "application/json", json.dumps({"reportUrl": "http://x/api/support/key0001/report/1"})),
    "reset": _reset,
    "never": _never,
}


@contextmanager
def factory_that(reply: Reply) -> Iterator[str]:
    """The address of a factory that reads each request and then does as `reply`."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        thread = Thread(target=_serve, args=(server, reply), daemon=True)
        thread.start()
        yield f"http://127.0.0.1:{server.getsockname()[1]}"
        server.shutdown(socket.SHUT_RDWR)
        thread.join(timeout=10)


def _serve(server: socket.socket, reply: Reply) -> None:
    with suppress(OSError):
        while True:
            caller, _ = server.accept()
            with caller, suppress(OSError):
                _read_request(caller)
                reply(caller)


def _read_request(caller: socket.socket) -> None:
    # A socket that is closed with something unread in it resets the connection, and the answer is lost.
    with caller.makefile("rb", buffering=0) as request:
        length = 0
        while (line := request.readline().lower()) not in (b"\r\n", b""):
            if line.startswith(b"content-length:"):
                length = int(line.partition(b":")[2])
        while length > 0:
            length -= len(request.read(length) or b" " * length)


def nobody() -> str:
    """An address at which every connection is refused."""
    return f"http://127.0.0.1:{free_port()}"


@contextmanager
def database_gone(how: str, directory: Path) -> Iterator[None]:
    """No connection is left and none can be had: the server is `down`, the data `dropped`, or every place `taken`."""
    _disconnect()
    whole = connection.settings_dict
    connection.settings_dict = {**whole, **_elsewhere(how, directory, whole["NAME"])}
    blocker = _locked(whole["NAME"]) if how == "taken" and connection.vendor == "sqlite" else None
    try:
        yield
    finally:
        if blocker:
            blocker.close()
        _disconnect()
        connection.settings_dict = whole


def _elsewhere(how: str, directory: Path, name: str) -> dict[str, Any]:
    if connection.vendor == "sqlite":
        place = {"down": directory / "missing" / "db", "dropped": directory / "empty", "taken": name}[how]
        return {"NAME": str(place), "OPTIONS": {"timeout": 0.05}}
    return {"NAME": "no_such_database"} if how == "dropped" else {"HOST": "127.0.0.1", "PORT": free_port()}


def _disconnect() -> None:
    connection.close()
    if connection.vendor == "postgresql":
        connection.close_pool()


def _locked(name: str) -> sqlite3.Connection:
    """SQLite has no number of connections that it allows; what comes nearest is one that keeps all others out."""
    blocker = sqlite3.connect(name, isolation_level=None)
    blocker.execute("PRAGMA locking_mode = EXCLUSIVE")
    blocker.execute("BEGIN EXCLUSIVE")
    return blocker
