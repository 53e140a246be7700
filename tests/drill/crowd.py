"""Clients in a closed loop, and what they saw."""

import threading
import time
from collections import defaultdict
from collections.abc import Callable, Iterable
from concurrent.futures import Future, ThreadPoolExecutor
from typing import NamedTuple

from tests.drill.client import Connection

NO_ANSWER = 0
MOST_CLIENTS = 256
PATIENCE = 90

Step = Callable[[], int]


class Call(NamedTuple):
    """When it began and ended (monotonic seconds), and the answer's status, or NO_ANSWER."""

    begun: float
    ended: float
    status: int

    @property
    def seconds(self) -> float:
        return self.ended - self.begun


class Crowd:
    """Clients that call until they are stopped; `calls` has theirs by kind."""

    def __init__(self) -> None:
        self.calls: defaultdict[str, list[Call]] = defaultdict(list)
        self._over = threading.Event()
        self._pool = ThreadPoolExecutor(MOST_CLIENTS)
        self._clients: list[Future[None]] = []

    def add(self, kind: str, clients: Iterable[Step], *, wait: float) -> None:
        """Begins to take each client's step again and again, `wait` seconds after each answer."""
        for step in clients:
            self._clients.append(self._pool.submit(self._live, self.calls[kind], step, wait))

    def _live(self, calls: list[Call], step: Step, wait: float) -> None:
        while not self._over.is_set():
            begun = time.monotonic()
            try:
                status = step()
            except OSError:
                status = NO_ANSWER
            calls.append(Call(begun, time.monotonic(), status))
            self._over.wait(wait)

    @property
    def is_over(self) -> bool:
        """Whether they were told to stop."""
        return self._over.is_set()

    def stop(self) -> None:
        """Returns when the last of them has its answer; raises what any of them stumbled over."""
        self._over.set()
        for client in self._clients:
            client.result(PATIENCE)
        self._pool.shutdown()


def reader(port: int, sent: bytes) -> Step:
    """A client that sends this again and again."""
    connection = Connection(port)
    return lambda: connection.ask(sent).status


def within(calls: Iterable[Call], begun: float, ended: float) -> list[Call]:
    """Those that were answered in that time."""
    return [call for call in calls if begun <= call.ended < ended]


def percentile(values: Iterable[float], share: float) -> float:
    """The smallest value that so large a share (0 to 1) is not above; 0 without any."""
    ordered = sorted(values)
    return ordered[min(len(ordered) - 1, int(share * len(ordered)))] if ordered else 0.0
