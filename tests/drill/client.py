"""HTTP as cheap as Python can do it: the load must not take the processor from what it measures."""

import json
import re
import socket
from typing import Any, NamedTuple

LENGTH = re.compile(rb"\r\ncontent-length: *(\d+)", re.IGNORECASE)
CHUNK = 64 * 1024


class Answer(NamedTuple):
    """What came back: the status, the head as it was sent, the body."""

    status: int
    head: bytes
    body: bytes

    def header(self, name: str) -> str:
        """Its value, "" if there is none."""
        found = re.search(rf"\r\n{name}: *(.*?)\r\n".encode(), self.head, re.IGNORECASE)
        return found[1].decode() if found else ""

    def json(self) -> Any:
        return json.loads(self.body)


def request(method: str, path: str, body: Any = None, *, token: str = "", **headers: str) -> bytes:
    """The bytes of a request; a header's name is written with underscores."""
    lines = [f"{method} {path} HTTP/1.1", "Host: 127.0.0.1"]
    lines += [f"{name.replace('_', '-')}: {value}" for name, value in headers.items()]
    if token:
        lines.append(f"Authorization: Bearer {token}")
    content = b"" if body is None else json.dumps(body).encode()
    if body is not None:
        lines += ["Content-Type: application/json", f"Content-Length: {len(content)}"]
    return "\r\n".join([*lines, "", ""]).encode() + content


class Connection:
    """A connection to a port of this machine that is kept between requests, for one thread."""

    def __init__(self, port: int, *, patience: float = 60) -> None:
        self._port, self._patience = port, patience
        self._socket: socket.socket | None = None

    def ask(self, sent: bytes) -> Answer:
        """Raises OSError when there is no whole answer within the patience (seconds for each wait)."""
        try:
            if self._socket is None:
                self._socket = socket.create_connection(("127.0.0.1", self._port), self._patience)
                self._socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            self._socket.sendall(sent)
            return self._answer(self._socket)
        except OSError:
            self.close()
            raise

    def _answer(self, connected: socket.socket) -> Answer:
        got = b""
        while (end := got.find(b"\r\n\r\n")) < 0:
            got += self._more(connected)
        head, body = got[: end + 2], got[end + 4 :]
        length = LENGTH.search(head)
        if length is None:
            raise OSError(f"an answer without a length: {head!r}")
        while len(body) < int(length[1]):
            body += self._more(connected)
        answer = Answer(int(head[9:12]), head, body)
        if answer.header("Connection") == "close":
            self.close()
        return answer

    def _more(self, connected: socket.socket) -> bytes:
        got = connected.recv(CHUNK)
        if not got:
            raise ConnectionResetError("the connection was closed before the answer was whole")
        return got

    def close(self) -> None:
        if self._socket is not None:
            self._socket.close()
            self._socket = None

    def __del__(self) -> None:
        self.close()
