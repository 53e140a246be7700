"""The worker: makes promised orders, decides abandoned ones, flies the canary, tells of incidents."""

import logging
import signal
import threading
from collections.abc import Callable
from queue import Empty, SimpleQueue
from typing import Any

from django.conf import settings
from django.core.management.base import BaseCommand, CommandParser
from django.db import connection

from jwtpizza.incidents.services import notices
from jwtpizza.incidents.services.lifecycle import start_keeping
from jwtpizza.observability import metrics
from jwtpizza.shared import start_listening
from orders.services import later, links, outages, sales

log = logging.getLogger("orders")

POLL_SECONDS = 1.0
# What is broken is not asked every second.
TROUBLE_SECONDS = 5.0


class Stop:
    """Whether somebody wants the worker to end.

    A signal strikes its thread anywhere, in the middle of this too: an Event's lock would then wait for itself.
    """

    def __init__(self) -> None:
        self._asked: SimpleQueue[None] = SimpleQueue()

    def set(self) -> None:
        self._asked.put(None)

    def is_set(self) -> bool:
        return not self._asked.empty()

    def wait(self, seconds: float) -> bool:
        """Up to so many seconds, unless it is wanted; whether it is."""
        try:
            self._asked.put(self._asked.get(timeout=seconds))
        except Empty:
            return False
        return True


class Command(BaseCommand):
    help = "Makes the orders that were promised, and decides those that a crash left pending; ends at SIGTERM."

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("--once", action="store_true", help="decide what is due now, 100 orders at most, and end")

    def handle(self, *args: Any, once: bool = False, **options: Any) -> None:
        if once:
            outcomes = later.decide_due()
            counts = [f"{outcomes[status]} {status}" for status in ("fulfilled", "failed", "pending")]
            self.stdout.write(", ".join(counts))
            return
        stop = Stop()
        for number in (signal.SIGTERM, signal.SIGINT):
            signal.signal(number, lambda *_: stop.set())
        metrics.tidy()
        if settings.WORKER_METRICS_PORT:
            metrics.serve(settings.WORKER_METRICS_HOST, settings.WORKER_METRICS_PORT)
        start_listening()
        _safely(sales.fetch_factory_keys)
        start_keeping("worker", look_seconds=POLL_SECONDS)
        if settings.FACTORY_CANARY_SECONDS:
            _every(settings.FACTORY_CANARY_SECONDS, outages.fly_canary, stop)
        if settings.FACTORY_FOLLOW_SUPPORT_LINK:
            _every(TROUBLE_SECONDS, links.follow_latest, stop)
        if settings.INCIDENT_WEBHOOK_URL:
            _every(TROUBLE_SECONDS, notices.send_due, stop)
        while not stop.is_set():
            decided = _safely(lambda: later.decide_due(stopped=stop.is_set))
            if not decided:
                stop.wait(TROUBLE_SECONDS if decided is None else POLL_SECONDS)


def _every(seconds: float, work: Callable[[], object], stop: Stop) -> None:
    """Has the work done again and again beside the orders; nobody waits for it at the end."""

    def again_and_again() -> None:
        while not stop.wait(seconds):
            _safely(work)

    threading.Thread(target=again_and_again, name=work.__name__, daemon=True).start()


def _safely(work: Callable[[], Any]) -> Any:
    """What the work returns, or None: the worker outlives its database, and whatever else goes wrong."""
    try:
        try:
            return work()
        finally:
            connection.close()
    except Exception:
        log.exception("the worker could not do its work")
        return None
