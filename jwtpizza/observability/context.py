"""Which request this thread works on: its id, its place in a distributed trace, and who sent it."""

import random
import re
from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass

SANE_REQUEST_ID = re.compile(r"[A-Za-z0-9._:/+=@-]{1,128}")
TRACEPARENT = re.compile(r"00-(?!0{32})([0-9a-f]{32})-(?!0{16})[0-9a-f]{16}-([0-9a-f]{2})")


def _hex(bits: int) -> str:
    """An id that nobody else has. To ask the system for one gives Python's lock up, and costs the line for it."""
    return f"{random.getrandbits(bits):0{bits // 4}x}"


@dataclass(slots=True)
class Trace:
    """A request's id, its W3C trace id and flags (hexadecimal), and its caller's id once that is known."""

    request_id: str
    trace_id: str
    flags: str
    user_id: int | None = None

    def traceparent(self) -> str:
        """The header for a call that this request makes, with a span of its own."""
        return f"00-{self.trace_id}-{_hex(64)}-{self.flags}"


_current: ContextVar[Trace | None] = ContextVar("trace", default=None)


@contextmanager
def request(*, request_id: str, traceparent: str) -> Iterator[Trace]:
    """A request in hand: keeps its id and trace if they are well formed, and makes new ones if not."""
    inbound = TRACEPARENT.fullmatch(traceparent)
    trace = Trace(
        request_id if SANE_REQUEST_ID.fullmatch(request_id) else _hex(128),
        inbound[1] if inbound else _hex(128),
        inbound[2] if inbound else "00",
    )
    token = _current.set(trace)
    try:
        yield trace
    finally:
        _current.reset(token)


def current() -> Trace | None:
    """The request in hand; None where there is none, as in a management command."""
    return _current.get()


def request_id() -> str:
    """The id of the request in hand; "" where there is none."""
    trace = current()
    return trace.request_id if trace else ""


def note_caller(user_id: int) -> None:
    """Who sent the request in hand, for its lines in the log; nothing where there is none."""
    if trace := current():
        trace.user_id = user_id
