"""What operators need in an outage: the chaos switch, word of each worker's circuit, and the canary."""

import logging
import os
import secrets
import socket
import threading
import time
from hashlib import sha256
from typing import Any

from django.db import connection, transaction
from django.db.models.functions import Now

from jwtpizza.accounts.services import write_seen
from jwtpizza.fields import from_now
from jwtpizza.observability import journal
from jwtpizza.observability.multiprocess import lives
from orders import selectors
from orders.factory import gateway
from orders.factory.errors import FactoryError, TooSlow
from orders.models import Canary, ChaosSwitch, WorkerCircuit
from orders.services import links

log = logging.getLogger("orders")

CHAOS_SECONDS = 15 * 60
REPORT_SECONDS = 10.0
MACHINE = sha256(socket.gethostname().encode()).hexdigest()[:12]
WORKER = f"{MACHINE}.{os.getpid()}.{secrets.token_hex(3)}"


def switch_chaos(*, on: bool) -> bool:
    """Has half of the calls to the factory fail, for 15 minutes or until it is off.

    All processes of this machine know at once, and other machines when Redis has told them, or within a second.
    """
    # Off is a second ago: SQLite's clock counts milliseconds, and in this one "now" would still be to come.
    until = from_now(CHAOS_SECONDS if on else -1)
    ChaosSwitch.objects.update_or_create(pk=ChaosSwitch.ONLY, defaults={"until": until})
    transaction.on_commit(selectors.CHAOS_SWITCHED.renew)
    journal.note("chaos", outcome="on" if on else "off")
    log.warning("chaos is switched %s", "on" if on else "off")
    return on


def report_circuit() -> None:
    """Tells the other workers how this one's circuit stands, and forgets those that tell nothing any more."""
    state, seconds_open = gateway.circuit()
    now: dict[str, Any] = {"state": state, "told_at": Now(), "open_until": None}
    if seconds_open:
        now["open_until"] = from_now(seconds_open)
    mine = WorkerCircuit.objects.filter(worker=WORKER)
    as_before = mine.filter(state="closed") if state == "closed" else mine.exclude(state="closed")
    if not as_before.update(**now) and not mine.update(since=Now(), **now):
        WorkerCircuit.objects.create(worker=WORKER, **now)
    forget_the_dead()


def forget_the_dead() -> None:
    """Forgets the circuits of processes that tell nothing any more, and at once of those killed on this machine."""
    selectors.gone().delete()
    here = WorkerCircuit.objects.filter(worker__startswith=f"{MACHINE}.").values_list("worker", flat=True)
    killed = [worker for worker in here if not lives(int(worker.split(".")[1]))]
    if killed:
        WorkerCircuit.objects.filter(worker__in=killed).delete()


def keep_reporting() -> None:
    """Tells of the circuit and of whom this process saw, at each change of the circuit and every 10 s, for ever."""
    while True:
        gateway.CHANGED.clear()
        try:
            _report()
        except Exception:
            log.exception("the circuit's state, or who was seen, could not be told")
        gateway.CHANGED.wait(REPORT_SECONDS)


def _report() -> None:
    try:
        report_circuit()
        write_seen()
    finally:
        # It may have broken in hand.
        connection.close()


def start_reporting() -> None:
    """Has this process, which takes orders, tell the others of its circuit and of whom it saw from now on."""
    threading.Thread(target=keep_reporting, name="circuit-report", daemon=True).start()


def fly_canary() -> None:
    """Has a pizza made for nobody, which stands on no book of ours, and keeps what came of it, as it would for a diner.

    Chaos strikes real orders alone, so that no lighter probe would see it. The support link of one that failed is
    kept; where that is late, what came of the canary is told before.
    """
    name = f"canary-{secrets.token_hex(8)}"
    pizza = {"menuId": 0, "description": "Canary", "price": 0}
    order = {"id": name, "franchiseId": 0, "storeId": 0, "items": [pizza]}
    flight = {"diner": {"id": name, "name": "canary", "email": ""}, "order": order}
    begun = time.monotonic()
    try:
        gateway.canary(flight)
    except FactoryError as error:
        _keep_canary(error.reason, time.monotonic() - begun, well=False)
        if link := error.support_link or (gateway.late_link(flight) if isinstance(error, TooSlow) else ""):
            links.keep(link)
    else:
        _keep_canary("ok", time.monotonic() - begun, well=True)


def _keep_canary(outcome: str, seconds: float, *, well: bool) -> None:
    told = {"outcome": outcome, "well": well, "seconds": round(seconds, 3), "flown_at": Now()}
    journal.note("canary", outcome=outcome, seconds=told["seconds"])
    Canary.objects.update_or_create(pk=Canary.ONLY, defaults=told)
