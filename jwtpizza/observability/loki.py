"""Log lines pushed to Loki: gathered for a second, sent by a thread of their own, dropped and counted before they
could slow anybody down.
"""

import json
import logging
import os
import threading
from base64 import b64encode
from collections import defaultdict
from collections.abc import Iterable
from functools import cache
from http.client import HTTPException
from multiprocessing.util import Finalize
from typing import NamedTuple
from urllib.parse import urlsplit

from prometheus_client import Counter

from jwtpizza.observability import push
from jwtpizza.observability.logs import kind

log = logging.getLogger("jwtpizza.loki")


@cache
def dropped() -> Counter:
    """Made when it is first asked for, in a worker: granian's own process, which logs too, forks those."""
    return Counter("jwtpizza_log_lines_dropped", "Log lines that could not be delivered to Loki.")


PUSH_SECONDS = 1.0
# Of one wait for Loki; a hanging one costs nobody else anything.
TIMEOUT = 5.0
# Between two tries of a batch; after the last it is dropped.
PAUSES = (0.5, 1.0, 2.0, 4.0, 8.0, 15.0, 30.0)
# Characters: what waits, and as much again is under way.
MOST_WAITING = 4 * 1024 * 1024
# Loki takes 4 MiB at once by default.
MOST_AT_ONCE = 512 * 1024
# Seconds that a process which ends still gives to what it said last.
STOP_SECONDS = 2.0
TOO_MANY = 429


class Line(NamedTuple):
    """The labels level and type, when (nanoseconds since 1970), and the JSON."""

    level: str
    type: str
    nanoseconds: int
    text: str


class Refused(Exception):
    """Loki won't take this batch, however often it is asked."""


class Handler(logging.Handler):
    """Pushes what is logged to `url` under the stream labels source, component (the same), level and type."""

    def __init__(self, url: str, user: str, token: str, source: str) -> None:
        super().__init__()
        self._url, self._source = urlsplit(url), source
        self._headers = {"Content-Type": "application/json"}
        if token:
            self._headers["Authorization"] = f"Basic {b64encode(f'{user}:{token}'.encode()).decode()}"
        self._waiting: list[Line] = []
        self._size = 0
        # Lines that are handed to the sender, of which nobody knows yet whether they arrive.
        self._under_way = 0
        self._well = True
        self._stop = threading.Event()
        self._thread: threading.Thread | None = None
        self._process = os.getpid()
        # logging.shutdown() holds the handler's own lock while it closes it.
        self._swap = threading.Lock()
        # A word about Loki is not for Loki.
        self.addFilter(lambda record: record.name != log.name)
        # granian's workers are children of multiprocessing's, which end without what atexit would do.
        Finalize(None, self.close, exitpriority=0)

    def emit(self, record: logging.LogRecord) -> None:
        """Waits for nobody, and whoever logs is told of no trouble."""
        try:
            text = self.format(record)
            line = Line(record.levelname.lower(), kind(record), int(record.created * 1_000_000_000), text)
            with self._swap:
                taken = self._take(line)
            if taken and self._thread is None:
                self._begin()
        except Exception:
            taken = False
        if not taken:
            dropped().inc()

    def _take(self, line: Line) -> bool:
        if self._stop.is_set() or self._size + len(line.text) > MOST_WAITING:
            return False
        self._waiting.append(line)
        self._size += len(line.text)
        return True

    def _begin(self) -> None:
        """The sender begins with the first line: a process that forks before it says anything has no thread to lose."""
        self._thread = threading.Thread(target=self._send, name="loki", daemon=True)
        self._thread.start()

    def close(self) -> None:
        """Sends what waits, for `STOP_SECONDS` at most; what is left is dropped."""
        if self._process == os.getpid() and self._thread and not self._stop.is_set():
            self._stop.set()
            self._thread.join(STOP_SECONDS)
            self._taken()
            self._settle(self._under_way, lost=True)
        super().close()

    def _send(self) -> None:
        over = False
        while not over:
            over = self._stop.wait(PUSH_SECONDS)
            for batch in _batches(self._taken()):
                self._deliver(batch)

    def _taken(self) -> list[Line]:
        with self._swap:
            lines, self._waiting, self._size = self._waiting, [], 0
            self._under_way += len(lines)
        return lines

    def _settle(self, count: int, *, lost: bool) -> None:
        """So many lines are no longer under way; those that were given up at the end are lost but once."""
        with self._swap:
            count = min(count, self._under_way)
            self._under_way -= count
        if lost:
            dropped().inc(count)

    def _deliver(self, batch: list[Line]) -> None:
        try:
            body = self._body(batch)
            self._persistently(body)
        except Exception as error:
            self._settle(len(batch), lost=True)
            self._tell(False, error)
        else:
            self._settle(len(batch), lost=False)
            self._tell(True, None)

    def _persistently(self, body: bytes) -> None:
        """Raises Refused, or what the last try came to."""
        for pause in PAUSES:
            try:
                return self._push(body)
            except (OSError, HTTPException) as error:
                self._tell(False, error)
            if self._stop.wait(pause):
                break
        return self._push(body)

    def _push(self, body: bytes) -> None:
        """Raises OSError or HTTPException where another try makes sense, Refused where it doesn't."""
        timeout = STOP_SECONDS / 2 if self._stop.is_set() else TIMEOUT
        status = push.post(self._url, body, self._headers, timeout=timeout).status
        if status >= 500 or status == TOO_MANY:
            raise OSError(f"it answered {status}")
        if status >= 300:
            raise Refused(f"it answered {status}")

    def _body(self, batch: Iterable[Line]) -> bytes:
        streams: defaultdict[tuple[str, str], list[list[str]]] = defaultdict(list)
        for line in batch:
            streams[line.level, line.type].append([str(line.nanoseconds), line.text])
        source = {"source": self._source, "component": self._source}
        told = [
            {"stream": source | {"level": level, "type": what}, "values": v} for (level, what), v in streams.items()
        ]
        return json.dumps({"streams": told}, ensure_ascii=False).encode()

    def _tell(self, well: bool, error: Exception | None) -> None:
        """Once when it begins to fail and once when that is over."""
        if well != self._well:
            self._well = well
            if well:
                log.info("log lines reach Loki again")
            else:
                log.warning("log lines don't reach Loki: %s: %s", type(error).__name__, error)


def _batches(lines: list[Line]) -> Iterable[list[Line]]:
    batch, size = list[Line](), 0
    for line in lines:
        if batch and size + len(line.text) > MOST_AT_ONCE:
            yield batch
            batch, size = [], 0
        batch.append(line)
        size += len(line.text)
    if batch:
        yield batch
