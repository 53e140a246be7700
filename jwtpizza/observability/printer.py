"""Log lines printed by a thread of their own.

Who writes to a file gives Python's lock up meanwhile, and gets back into line behind all other threads: the slowest of
a hundred requests took twice as long for its one line.
"""

import logging
import select
import threading
from collections import deque
from collections.abc import Iterable, Iterator
from multiprocessing.util import Finalize
from typing import Any, NamedTuple

# A few megabytes at most. Where the stream takes no more, whoever says something waits for it.
MOST_LINES = 1000


def take_over() -> None:
    """From here on a thread prints what this process logs; for one that answers requests, and forks no other."""
    root = logging.getLogger()
    for handler in [each for each in root.handlers if type(each) is logging.StreamHandler]:
        printer = Handler(handler.stream)
        printer.setFormatter(handler.formatter)
        root.removeHandler(handler)
        root.addHandler(printer)


class Line(NamedTuple):
    record: logging.LogRecord
    text: str


class Handler(logging.StreamHandler[Any]):
    """As `logging.StreamHandler`; a process that is killed takes the lines of its last milliseconds with it.

    In a process that forks another the thread would be missing there, and what waits be printed twice.
    """

    def __init__(self, stream: Any = None) -> None:
        super().__init__(stream)
        self._waiting: deque[Line] = deque()
        self._said = threading.Event()
        self._out = threading.Lock()
        self._thread: threading.Thread | None = None
        # granian's workers are children of multiprocessing's, which end without what atexit would do. After Loki's.
        Finalize(None, self.flush, exitpriority=-1)

    def emit(self, record: logging.LogRecord) -> None:
        """Waits for nobody, unless much waits already."""
        try:
            self._waiting.append(Line(record, self.format(record) + self.terminator))
            if self._thread is None:
                thread = threading.Thread(target=self._print, name="printer", daemon=True)
                thread.start()
                self._thread = thread
            if not self._said.is_set():
                self._said.set()
            if len(self._waiting) > MOST_LINES:
                self.flush()
        except Exception:
            self.handleError(record)

    def flush(self) -> None:
        """Returns when what was said is printed."""
        with self._out:
            for lines in _at_once(self._taken()):
                for line in lines:
                    self._write(line)
                try:
                    self.stream.flush()
                except (OSError, ValueError):
                    self.handleError(lines[-1].record)

    def _write(self, line: Line) -> None:
        try:
            self.stream.write(line.text)
        except (OSError, ValueError):
            self.handleError(line.record)

    def _taken(self) -> Iterator[Line]:
        for _ in range(len(self._waiting)):
            yield self._waiting.popleft()

    def _print(self) -> None:
        while self._said.wait():
            self._said.clear()
            self.flush()


def _at_once(lines: Iterable[Line]) -> Iterator[list[Line]]:
    """Of several processes that print into one pipe, nobody else's comes between as much as it takes whole."""
    at_once, size = list[Line](), 0
    for line in lines:
        length = len(line.text.encode(errors="replace"))
        if at_once and size + length > select.PIPE_BUF:
            yield at_once
            at_once, size = [], 0
        at_once.append(line)
        size += length
    if at_once:
        yield at_once
