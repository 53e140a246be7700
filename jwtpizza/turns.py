"""Turns: of the threads that answer requests so many run at once, and the others wait for whom they wait for.

Python runs one thread at a time, and those that want to run fight for it: of 40 threads with work each lost a third of
its time to that. A request takes a turn and steps aside while it waits for somebody else.
"""

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from queue import Empty, SimpleQueue


class Turns:
    """`places` threads have a turn at once. Who waited `patience` seconds for one runs without.

    So what holds its turn for long, and shouldn't, has others wait for that long, and stops nobody. May be used from
    many threads; a thread has one turn at most.
    """

    def __init__(self, places: int, *, patience: float) -> None:
        self._patience = patience
        self._free: SimpleQueue[None] = SimpleQueue()
        self._mine = threading.local()
        for _ in range(places):
            self._free.put(None)

    def take(self, patience: float | None = None) -> None:
        """A turn, unless there is none within the patience (in seconds); nothing where the thread has one."""
        if self._held():
            return
        self._mine.owed = True
        try:
            self._free.get(timeout=self._patience if patience is None else patience)
        except Empty:
            return
        self._mine.held, self._mine.owed = True, False

    def leave(self) -> bool:
        """Gives the thread's turn to the next; whether it had one."""
        self._mine.owed = False
        held = self._held()
        if held:
            self._mine.held = False
            self._free.put(None)
        return held

    def _held(self) -> bool:
        return getattr(self._mine, "held", False)

    @contextmanager
    def aside(self, patience: float | None = None) -> Iterator[None]:
        """Others run meanwhile. It waits for the next turn as `take` does, also for one that it could not have before.

        Nothing where the thread has not taken turns.
        """
        due = getattr(self._mine, "owed", False) or self._held()
        self.leave()
        try:
            yield
        finally:
            if due:
                self.take(patience)


# Of a process. Two, for one of them may be in the middle of a question to SQLite.
TURNS = Turns(2, patience=0.05)
