"""Which request this thread works on: its id and its place in a distributed trace."""

import re
import secrets
from contextvars import ContextVar
from typing import NamedTuple

SANE_REQUEST_ID = re.compile(r"[A-Za-z0-9._:/+=@-]{1,128}")
TRACEPARENT = re.compile(r"00-(?!0{32})([0-9a-f]{32})-(?!0{16})[0-9a-f]{16}-([0-9a-f]{2})")


class Trace(NamedTuple):
    """A request's id, and its W3C trace id and flags (hexadecimal)."""

    request_id: str = ""
    trace_id: str = ""
    flags: str = "00"

    def traceparent(self) -> str:
        """The header for a call that this request makes, with a span of its own."""
        return f"00-{self.trace_id}-{secrets.token_hex(8)}-{self.flags}"


NO_REQUEST = Trace()
_current: ContextVar[Trace] = ContextVar("trace", default=NO_REQUEST)


def begin(*, request_id: str, traceparent: str) -> Trace:
    """Starts a request: keeps its id and trace if they are well formed, and makes new ones if not."""
    inbound = TRACEPARENT.fullmatch(traceparent)
    trace = Trace(
        request_id if SANE_REQUEST_ID.fullmatch(request_id) else secrets.token_hex(16),
        inbound[1] if inbound else secrets.token_hex(16),
        inbound[2] if inbound else "00",
    )
    _current.set(trace)
    return trace


def current() -> Trace:
    """The request in hand; all empty where none is, as in a management command."""
    return _current.get()
