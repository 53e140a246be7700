"""How many of some calls were answered, and how many of these with an error of ours, in spans of 10 seconds."""

import threading
import time
from collections import defaultdict
from typing import NamedTuple

SPAN_SECONDS = 10
# Whoever wants to keep a span has so long to ask for it, for the database may be gone.
KEPT_SECONDS = 24 * 60 * 60


class Span(NamedTuple):
    """The calls of that name that were answered from `start` on (seconds since 1970), for 10 seconds."""

    start: int
    name: str
    calls: int
    failed: int


_watched: dict[tuple[str, str], str] = {}
_lock = threading.Lock()
# [calls, failed] by the span's start and the name.
_counts: defaultdict[tuple[int, str], list[int]] = defaultdict(lambda: [0, 0])


def watch(name: str, *, view: str, method: str) -> None:
    """Has these calls counted under that name."""
    _watched[view, method] = name


def name_of(view: str, method: str) -> str:
    """Under which such calls are counted; "" if they are not."""
    return _watched.get((view, method), "")


def count(name: str, *, failed: bool) -> None:
    """A call of that name was answered just now."""
    with _lock:
        now = int(time.time())
        counts = _counts[now - now % SPAN_SECONDS, name]
        counts[0] += 1
        counts[1] += failed


def finished() -> list[Span]:
    """What was counted in spans that are over; what is too old is forgotten."""
    now = int(time.time())
    with _lock:
        for span in [span for span in _counts if span[0] < now - KEPT_SECONDS]:
            del _counts[span]
        return [Span(*span, *counts) for span, counts in _counts.items() if span[0] + SPAN_SECONDS <= now]


def forget(spans: list[Span]) -> None:
    """They are kept elsewhere."""
    with _lock:
        for span in spans:
            _counts.pop((span.start, span.name), None)
