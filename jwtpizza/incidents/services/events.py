"""From the journals of this machine's processes into the database, each line once."""

import hmac
import logging
import time
from collections.abc import Iterable, Sequence
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from itertools import islice
from typing import Any

from django.conf import settings
from django.db import DataError, IntegrityError, connection, transaction
from django.db.models import Q

from jwtpizza.accounts.models import User
from jwtpizza.fields import database_now
from jwtpizza.incidents.models import Event, Incident, Kind
from jwtpizza.observability import journal, traffic
from jwtpizza.observability.journal import JOURNAL, Batch, Line
from menu.models import MenuItem

log = logging.getLogger("jwtpizza.incidents")

AT_ONCE = 1000
# What one diner is refused within such a span is one row: a client that asks without end is not to fill the table.
MANY = (Kind.REFUSED, Kind.BROKEN, Kind.RETRY)
TOGETHER_SECONDS = 0.1
# What menu items they wanted, and which orders they are about.
LISTS = ("items", "orders")
# An incident is known by then.
SOON = timedelta(minutes=5)
# Words may be told; of any other text, whether it changed.
TELLING = ("DJANGO_ENV", "RELEASE", "LOG_LEVEL", "LOG_FORMAT", "LOG_SOURCE")
MOST_OUTCOME = Event.outcome.field.max_length


def note_start(role: str) -> None:
    """Notes that this process begins as a "web" or "worker" process, with which release and which settings."""
    known = {name: _told(name, value) for name, value in sorted(settings.KNOWN.items())}
    journal.note(Kind.START, outcome=role, release=settings.RELEASE, settings=known)


def _told(name: str, value: Any) -> Any:
    if isinstance(value, (bool, int, float)) or name in TELLING or not value:
        return value
    digest = hmac.digest(settings.SECRET_KEY.encode(), f"{name}={value}".encode(), "sha256")
    return f"digest {digest.hex()[:12]}"


def drain() -> int:
    """Keeps what this process has noted since the last time; how many lines. Raises django.db.Error."""
    batch = JOURNAL.own()
    if batch is None:
        return 0
    kept = _keep(batch)
    JOURNAL.kept()
    return kept


def adopt() -> int:
    """Keeps what processes of this machine have left that live no more; how many lines. Raises django.db.Error."""
    kept = 0
    for batch in journal.left():
        try:
            kept += _keep(batch)
        except BaseException:
            batch.leave()
            raise
        batch.done()
    return kept


def _keep(batch: Batch) -> int:
    """A thousand lines at once, however many there are; what was kept before adds nothing."""
    lines, kept = batch.lines(), 0
    while chunk := list(islice(lines, AT_ONCE)):
        _keep_lines(chunk)
        kept += len(chunk)
    return kept


def _keep_lines(lines: Sequence[Line]) -> None:
    """All at once; if one makes no sense or is refused, the others all the same: it would be in the way for ever."""
    try:
        _insert(_rows(lines))
    except (DataError, IntegrityError, TypeError, ValueError, OverflowError):
        if len(lines) == 1:
            log.exception("a line of the journal is not kept: %s", lines[0].name)
            return
        for line in lines:
            _keep_lines([line])


def _rows(lines: Sequence[Line]) -> list[Event]:
    prices = dict(MenuItem.objects.values_list("pk", "price")) if any("items" in line.what for line in lines) else {}
    named = {diner for line in lines if (diner := line.what.get("diner"))}
    diners = set(User.objects.filter(pk__in=named).values_list("pk", flat=True)) if named else set()
    _, ahead = _clocks()
    return [_row(line, prices, diners, ahead) for line in _together(lines)]


def _insert(rows: Sequence[Event]) -> None:
    with transaction.atomic():
        Event.objects.bulk_create(rows, ignore_conflicts=True)


def _clocks() -> tuple[datetime, timedelta]:
    """What the database's clock says, and by how much it is ahead of this process's."""
    # To connect takes longer than to ask, and only what is between the two looks at our clock is halved.
    connection.ensure_connection()
    before = time.time()
    now = database_now()
    return now, now - _moment((before + time.time()) / 2)


def _moment(seconds: float) -> datetime:
    return datetime.fromtimestamp(seconds, UTC)


def _together(lines: Iterable[Line]) -> list[Line]:
    """The first of those that are alike and of the same moment, with how many they are and all that they wanted."""
    found: dict[tuple[Any, ...], Line] = {}
    for line in lines:
        span = int(line.at / TOGETHER_SECONDS)
        key = (line.kind, line.what.get("outcome"), line.what.get("diner"), span) if line.kind in MANY else (line.name,)
        first = found.setdefault(key, line._replace(what={"count": 0} | line.what | {name: [] for name in LISTS}))
        first.what["count"] += 0 if "count" in line.what else 1
        for name in LISTS:
            first.what[name] += line.what.get(name, [])
    return list(found.values())


def _is_trouble(line: Line) -> bool:
    well = line.kind == Kind.CANARY and line.what.get("outcome") == "ok"
    return line.kind in (Kind.REFUSED, Kind.BROKEN, Kind.PROMISED, Kind.CANARY) and not well


def _row(line: Line, prices: dict[int, Decimal], diners: set[int], ahead: timedelta) -> Event:
    what = dict(line.what)
    diner, orders = what.pop("diner", None), what.pop("orders")
    return Event(
        key=line.name,
        kind=line.kind,
        at=_moment(line.at) + ahead,
        trouble=_is_trouble(line),
        outcome=str(what.pop("outcome", ""))[:MOST_OUTCOME],
        count=what.pop("count"),
        total=sum((prices.get(item, Decimal(0)) for item in what.pop("items")), Decimal(0)),
        seconds=what.pop("seconds", None),
        # A diner of another database than this one would be refused.
        diner_id=diner if diner in diners else None,
        detail=what | ({"orders": orders} if orders else {}),
    )


def keep_traffic() -> None:
    """Keeps how the calls fared that an incident is to be compared with, if there is one. Raises django.db.Error."""
    spans = traffic.finished()
    if not spans:
        return
    now, ahead = _clocks()
    begun = _moment(min(span.start for span in spans)) + ahead
    first = Incident.objects.filter(Q(closed_at=None) | Q(closed_at__gt=begun)).order_by("first_at").first()
    since = first.first_at if first else now - SOON
    during = [span for span in spans if _moment(span.start + traffic.SPAN_SECONDS) + ahead > since]
    if first:
        _insert([_of_calls(span, ahead) for span in during])
    # While nobody knows of an incident, one that began just now may still be found.
    traffic.forget(spans if first else [span for span in spans if span not in during])


def _of_calls(span: traffic.Span, ahead: timedelta) -> Event:
    return Event(
        key=f"{JOURNAL.process}:{span.name}:{span.start}",
        kind=Kind.TRAFFIC,
        at=_moment(span.start) + ahead,
        outcome=span.name,
        count=span.calls,
        failed=span.failed,
    )
