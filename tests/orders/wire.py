"""A factory on a real socket that does, byte for byte, what a test tells it."""

import json
import socket
import struct
import threading
from collections.abc import Callable
from contextlib import suppress
from typing import Any


class Line:
    """The factory's end of one connection."""

    def __init__(self, sock: socket.socket, wire: "Wire") -> None:
        self.sock, self.wire = sock, wire
        self.file = sock.makefile("rb")

    def read_request(self) -> bytes:
        """Head and body of the next request; empty when the client has hung up."""
        lines = []
        while (line := self.file.readline()) not in (b"", b"\r\n"):
            lines.append(line)
        length = sum(int(line[15:]) for line in lines if line.lower().startswith(b"content-length:"))
        request = b"".join(lines) + self.file.read(length)
        if request:
            self.wire.requests.append(request)
        return request

    def send(self, content: bytes) -> None:
        self.sock.sendall(content)

    def silence(self) -> None:
        """Nothing, until the test is over."""
        self.wire.over.wait(30)

    def trickle(self, content: bytes, *, seconds: float = 0.05) -> None:
        """One byte at a time, again and again, until the client has hung up."""
        while not self.wire.over.is_set():
            for position in range(len(content)):
                self.wire.over.wait(seconds)
                self.send(content[position : position + 1])

    def reset(self) -> None:
        """Ends the connection as a crash does, with RST."""
        self.sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        self.close()

    def close(self) -> None:
        self.file.close()
        self.sock.close()


Behaviour = Callable[[Line], Any]


def answer(status: str = "200 OK", body: bytes | dict[str, Any] = b"", *headers: str) -> bytes:
    """A whole HTTP answer, JSON if `body` is a dict; with a Content-Length unless a header gives one."""
    content = body if isinstance(body, bytes) else json.dumps(body).encode()
    lines = [f"HTTP/1.1 {status}", *headers]
    if not any(header.lower().startswith(("content-length", "transfer-encoding")) for header in headers):
        lines.append(f"Content-Length: {len(content)}")
    return "\r\n".join([*lines, "", ""]).encode("latin-1") + content


def answering(*args: Any) -> Behaviour:
    """Gives that `answer` to each request on the connection."""

    def behave(line: Line) -> None:
        while line.read_request():
            line.send(answer(*args))

    return behave


class Wire:
    """Treats its first connection by the first behaviour, and so on; the last behaviour is for all that follow."""

    def __init__(self, *behaviours: Behaviour) -> None:
        self.connections = 0
        self.requests: list[bytes] = []
        self.over = threading.Event()
        self._behaviours = behaviours
        self._server = socket.create_server(("127.0.0.1", 0))
        self._lines: list[Line] = []
        self._threads: list[threading.Thread] = []
        self.url = f"http://127.0.0.1:{self._server.getsockname()[1]}"
        self._start(self._accept)

    def _start(self, work: Callable[..., None], *args: Any) -> None:
        self._threads.append(threading.Thread(target=work, args=args))
        self._threads[-1].start()

    def _accept(self) -> None:
        with suppress(OSError):
            while True:
                line = Line(self._server.accept()[0], self)
                behaviour = self._behaviours[min(self.connections, len(self._behaviours) - 1)]
                self.connections += 1
                self._lines.append(line)
                self._start(self._serve, line, behaviour)

    def _serve(self, line: Line, behaviour: Behaviour) -> None:
        with suppress(OSError, ValueError):
            behaviour(line)
        line.close()

    def close(self) -> None:
        """Ends all of its connections; returns once its threads are gone."""
        self.over.set()
        with suppress(OSError):
            self._server.shutdown(socket.SHUT_RDWR)
        self._server.close()
        for line in self._lines:
            with suppress(OSError):
                line.sock.shutdown(socket.SHUT_RDWR)
        for thread in self._threads:
            thread.join(5)
            assert not thread.is_alive(), "a behaviour of the factory did not end"
