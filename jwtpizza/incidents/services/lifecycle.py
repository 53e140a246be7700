"""An incident opens with the first failure and closes once all has been well for a while.

Everything is read from orders and events, and each step is one conditional write: whoever runs this, however many at
once, and wherever one of them is killed, the same incidents come of it.
"""

import logging
import math
import threading
import time
from collections.abc import Callable
from datetime import datetime, timedelta
from typing import Any

from django.conf import settings
from django.db import IntegrityError, connection, transaction
from django.db.models import F, OuterRef, Subquery, Sum, Value
from django.db.models.functions import Coalesce

from franchises.models import Store
from jwtpizza.fields import BitcoinField, database_now
from jwtpizza.incidents.models import Incident, Notice
from jwtpizza.incidents.selectors import troubles
from jwtpizza.incidents.services import events
from orders.models import Order, Status

log = logging.getLogger("jwtpizza.incidents")

TICK_SECONDS = 1.0
# Between two looks of a process that takes orders; the worker looks each second.
LOOK_SECONDS = 10.0
# What has happened is in the database by then, whichever process saw it.
GRACE = timedelta(seconds=5)
# Each process of a machine that was cut off has a journal, and they tell them one after the other.
TOLD_SECONDS = 30.0


def watch() -> int:
    """Brings incidents up to what is known by now; in how many steps. Raises django.db.Error."""
    steps = 0
    while _step():
        steps += 1
    return steps


def _step() -> bool:
    """One step, if there is one to take; whether there may be another."""
    now = database_now()
    incident, before = troubles.open_incident(), troubles.last_closed_at()
    first = troubles.first_trouble(after=max(now - troubles.DAY, before or troubles.recorded_since()))
    if incident is None:
        return first is not None and _open(first, before)
    if first and first < incident.first_at:
        # Somebody's journal came late.
        last, over = _course(first, until=incident.first_at)
        if over is None or over >= incident.first_at:
            return _move_begin(incident, first, before)
        if now > over + GRACE and _all_told(first, last):
            return _write_down(first, last, over, incident, before)
        # Once this one is closed, nobody looks for an earlier one.
        return _go_on(incident, now, closes=False)
    return _go_on(incident, now)


# What was found last of what was told late, and when (monotonic seconds).
_found: dict[str, Any] = {"late": None, "at": 0.0}


def _all_told(*late: datetime) -> bool:
    """Whether this has been all there is for long enough: what would come later would be in no incident."""
    if _found["late"] != late:
        _found.update(late=late, at=time.monotonic())
    return bool(time.monotonic() - _found["at"] >= TOLD_SECONDS)


def _unchanged(incident: Incident, before: datetime | None) -> bool:
    """Whether it is as it was found, and locked: of two who found it, one changes it. `before` is as in `_open`."""
    still = Incident.objects.select_for_update().filter(pk=incident.pk, is_open=True, first_at=incident.first_at)
    return still.first() is not None and troubles.last_closed_at() == before


def _move_begin(incident: Incident, first: datetime, before: datetime | None) -> bool:
    with transaction.atomic():
        if _unchanged(incident, before):
            Incident.objects.filter(pk=incident.pk).update(first_at=first)
    return True


def _course(first: datetime, *, until: datetime) -> tuple[datetime, datetime | None]:
    """How far what began with `first` had come by `until`, and when it was over, if it was by then."""
    last = first
    while True:
        later, over = _after(last)
        if later is None or later >= until:
            return last, over
        last = later


def _write_down(first: datetime, last: datetime, over: datetime, incident: Incident, before: datetime | None) -> bool:
    """One that was over before the open one began. Nobody is told of it: it is no news."""
    with transaction.atomic():
        if _unchanged(incident, before):
            late = Incident.objects.create(first_at=first, last_at=last, closed_at=over, is_open=None)
            log.warning("incident %d is written down late: it was over at %s", late.pk, over.isoformat())
    return True


def _open(first: datetime, before: datetime | None) -> bool:
    """`before` is when the last incident closed, by the time that `first` was found."""
    wrong = stores_wrong()
    try:
        with transaction.atomic():
            incident = Incident.objects.create(first_at=first, last_at=first, wrong_before=wrong)
            if troubles.last_closed_at() != before:
                raise IntegrityError("somebody has opened it and closed it meanwhile")
            _tell(incident, Notice.Word.OPENED)
    except IntegrityError:
        pass  # somebody was quicker
    else:
        log.error("incident %d is open: its first failure was at %s", incident.pk, first.isoformat())
    return True


def _go_on(incident: Incident, now: datetime, *, closes: bool = True) -> bool:
    later, over = _after(incident.last_at)
    if later:
        return _take_in(incident, later)
    return closes and over is not None and now > over + GRACE and _close(incident, over)


def _after(last: datetime) -> tuple[datetime | None, datetime | None]:
    """A later failure of the same incident; or else when it is over, for there is such a time without a failure."""
    healthy = timedelta(seconds=settings.INCIDENT_HEALTHY_SECONDS)
    if later := troubles.last_trouble(after=last, until=last + healthy):
        return later, None
    well = troubles.first_success(after=last)
    again = troubles.first_trouble(after=last)
    if again and (well is None or again <= well + healthy):
        return again, None
    return None, well and well + healthy


def _take_in(incident: Incident, later: datetime) -> bool:
    return bool(Incident.objects.filter(pk=incident.pk, is_open=True, last_at__lt=later).update(last_at=later))


def _close(incident: Incident, at: datetime) -> bool:
    wrong = set(stores_wrong()) - set(incident.wrong_before)
    with transaction.atomic():
        still = Incident.objects.filter(pk=incident.pk, is_open=True, last_at=incident.last_at)
        closed = still.update(is_open=None, closed_at=at, stores_wrong=len(wrong))
        if closed:
            _tell(incident, Notice.Word.CLOSED)
    if closed:
        log.warning("incident %d is closed", incident.pk)
    return True


def _tell(incident: Incident, word: Notice.Word) -> None:
    """In the transaction that makes it true, so that a crash can't come in between."""
    if settings.INCIDENT_WEBHOOK_URL:
        Notice.objects.create(incident=incident, word=word)


def stores_wrong() -> list[int]:
    """The stores whose revenue is not what their orders have cost; one statement, which reads the sales of all time."""
    sold = Order.objects.filter(store=OuterRef("pk"), status=Status.FULFILLED).values("store").annotate(Sum("total"))
    cost = Coalesce(Subquery(sold.values("total__sum")), Value(0), output_field=BitcoinField())
    return list(Store.objects.annotate(cost=cost).exclude(revenue=F("cost")).values_list("pk", flat=True))


def keep(look_seconds: float = LOOK_SECONDS) -> None:
    """Keeps what this process notes, each second, and looks after the incidents, for ever."""
    looked = -math.inf
    while True:
        look = time.monotonic() - looked >= look_seconds
        if look:
            looked = time.monotonic()
        _keep(look=look)
        connection.close()
        time.sleep(TICK_SECONDS)


def _keep(*, look: bool) -> None:
    """Whatever of it fails, the rest is done."""
    drained = _safely(events.drain)
    if look:
        _safely(events.adopt)
    watched = _safely(watch) if look or drained else None
    # While nobody could find out whether there is an incident, what it is compared with must not be forgotten.
    if look and drained is not None and watched is not None:
        _safely(events.keep_traffic)


def _safely(work: Callable[[], Any]) -> Any:
    """What it returned; None if it failed."""
    try:
        return work()
    except Exception:
        log.exception("incidents could not be looked after: %s", work.__name__)
        return None


def start_keeping(role: str, look_seconds: float = LOOK_SECONDS) -> None:
    """Has this process note its start, and keep what it notes from now on; see `keep`."""
    events.note_start(role)
    threading.Thread(target=keep, args=[look_seconds], name="incidents", daemon=True).start()
