"""Log lines printed by a thread of their own.

Who writes to a file gives Python's lock up meanwhile, and gets back into line behind all other threads: the slowest of
a hundred requests took twice as long for its one line. And a reader of the log that stalls stalls nobody else.
"""

import logging
import select
import threading
from collections import deque
from collections.abc import Iterable, Iterator
from multiprocessing.util import Finalize
from typing import Any

from prometheus_client import Counter

dropped = Counter("jwtpizza_log_lines_dropped", "Log lines that could not be printed, or delivered to Loki.")

# What waits beyond that is dropped: some seconds' worth at full speed.
MOST_LINES = 20_000


class Handler(logging.StreamHandler[Any]):
    """As `logging.StreamHandler`; a process that is killed takes the lines of its last milliseconds with it."""

    def __init__(self, stream: Any = None) -> None:
        super().__init__(stream)
        self._waiting: deque[str] = deque()
        self._said = threading.Event()
        self._out = threading.Lock()
        self._thread: threading.Thread | None = None
        # granian's workers are children of multiprocessing's, which end without what atexit would do.
        Finalize(None, self.flush, exitpriority=0)

    def emit(self, record: logging.LogRecord) -> None:
        """Waits for nobody."""
        try:
            line = self.format(record) + self.terminator
        except Exception:
            self.handleError(record)
            return
        if len(self._waiting) >= MOST_LINES:
            dropped.inc()
            return
        self._waiting.append(line)
        # The printer begins with the first line: a process that forks before has no thread to lose.
        if self._thread is None:
            self._thread = threading.Thread(target=self._print, name="printer", daemon=True)
            self._thread.start()
        if not self._said.is_set():
            self._said.set()

    def flush(self) -> None:
        """Returns when what was said is printed, or can't be."""
        with self._out:
            for lines in _at_once(self._taken()):
                try:
                    for line in lines:
                        self.stream.write(line)
                    self.stream.flush()
                except (OSError, ValueError):
                    dropped.inc(len(lines))

    def _taken(self) -> Iterator[str]:
        for _ in range(len(self._waiting)):
            yield self._waiting.popleft()

    def _print(self) -> None:
        while self._said.wait():
            self._said.clear()
            self.flush()


def _at_once(lines: Iterable[str]) -> Iterator[list[str]]:
    """Of several processes that print into one pipe, nobody else's comes between as much as it takes whole."""
    at_once, size = list[str](), 0
    for line in lines:
        length = len(line.encode(errors="replace"))
        if at_once and size + length > select.PIPE_BUF:
            yield at_once
            at_once, size = [], 0
        at_once.append(line)
        size += length
    if at_once:
        yield at_once
