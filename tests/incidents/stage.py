"""An incident's rows, dated: `Stage` puts them into the books, so many seconds after the first failure of that day."""

from collections.abc import Iterable
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from itertools import count
from typing import Any

from franchises.models import Franchise, Store
from jwtpizza.accounts.models import User
from jwtpizza.incidents.models import Event, Incident, Kind
from orders.models import Order, Reason, Status, SupportLink, digest_of

# Of the outage that docs tell of.
START = datetime(2025, 12, 2, 19, 33, 37, tzinfo=UTC)
PRICE = Decimal("0.0038")
LINK = "https://factory.example/api/support/{key}/report/{code}"


def at(seconds: float) -> datetime:
    """So many seconds after the first failure."""
    return START + timedelta(seconds=seconds)


class Stage:
    """Puts rows into the books; each method's first argument is when it happened, in seconds after `START`."""

    def __init__(self) -> None:
        self._numbers = count(1)
        franchise, _ = Franchise.objects.get_or_create(name="pizzaPocket")
        self.store, _ = Store.objects.get_or_create(franchise=franchise, name="SLC")
        self.diner = self.person("diner")
        self.admin = self.person("boss", is_superuser=True)

    def person(self, name: str, **how: Any) -> User:
        number = next(self._numbers)
        return User.objects.create(name=name, email=f"{number}@stage.example", password="!", **how)

    def order(self, seconds: float, **how: Any) -> Order:
        """Settled then, at once unless it `took` some seconds."""
        placed = self._order(seconds, **how)
        placed.save()
        return placed

    def made(self, seconds: float, **how: Any) -> Order:
        return self.order(seconds, status=Status.FULFILLED, jwt="x", **how)

    def failed(self, seconds: float, reason: str = Reason.SERVER_ERROR, **how: Any) -> Order:
        return self.order(seconds, status=Status.FAILED, reason=reason, **how)

    def pending(self, seconds: float, **how: Any) -> Order:
        return self.order(seconds, settled_at=None, lease_until=at(seconds + 30), **how)

    def _order(self, seconds: float, *, took: float = 0.0, **how: Any) -> Order:
        settled = at(seconds)
        usual: dict[str, Any] = {"store": self.store, "diner": self.diner, "total": PRICE, "settled_at": settled}
        return Order(**{**usual, "created_at": settled - timedelta(seconds=took), **how})

    def many_failed(self, seconds: Iterable[float], **how: Any) -> None:
        failed = {"status": Status.FAILED, "reason": Reason.SERVER_ERROR} | how
        Order.objects.bulk_create([self._order(when, **failed) for when in seconds], batch_size=1000)

    def event(self, when: float, kind: str, outcome: str = "", **how: Any) -> Event:
        happened = self._event(when, kind, outcome, **how)
        happened.save()
        return happened

    def _event(self, when: float, kind: str, outcome: str = "", **how: Any) -> Event:
        well = kind == Kind.CANARY and outcome == "ok"
        trouble = kind in (Kind.REFUSED, Kind.BROKEN, Kind.PROMISED, Kind.CANARY) and not well
        return Event(
            key=f"stage:{next(self._numbers)}",
            kind=kind,
            outcome=outcome,
            **{"at": at(when), "trouble": trouble, **how},
        )

    def refused(self, seconds: float, why: str = "open", **how: Any) -> Event:
        return self.event(seconds, Kind.REFUSED, why, **{"diner": self.diner, "total": PRICE, **how})

    def many_refused(self, seconds: Iterable[float], **how: Any) -> None:
        usual = {"diner": self.diner, "total": PRICE} | how
        rows = [self._event(when, Kind.REFUSED, "open", **usual) for when in seconds]
        Event.objects.bulk_create(rows, batch_size=1000)

    def broken(self, seconds: float, error: str = "OperationalError", **how: Any) -> Event:
        return self.event(seconds, Kind.BROKEN, error, **how)

    def promised(self, seconds: float, *, made: float | None = None, **how: Any) -> Order:
        """Promised then; made so many seconds after `START`, if it is."""
        self.event(seconds, Kind.PROMISED)
        usual: dict[str, Any] = {"promised": True, "created_at": at(seconds), **how}
        return self.pending(seconds, **usual) if made is None else self.made(made, **usual)

    def canary(self, when: float, outcome: str = "ok") -> Event:
        return self.event(when, Kind.CANARY, outcome, seconds=0.1)

    def circuit(self, seconds: float, was: str, state: str) -> Event:
        return self.event(seconds, Kind.CIRCUIT, state, detail={"was": was})

    def chaos(self, seconds: float, state: str) -> Event:
        return self.event(seconds, Kind.CHAOS, state)

    def retry_denied(self, seconds: float) -> Event:
        return self.event(seconds, Kind.RETRY, "no_budget")

    def started(self, seconds: float, role: str = "web", *, release: str = "abc", **known: Any) -> Event:
        return self.event(seconds, Kind.START, role, detail={"release": release, "settings": known})

    def calls(self, seconds: float, name: str, number: int, failed: int = 0) -> Event:
        """In the ten seconds from then on."""
        return self.event(seconds, Kind.TRAFFIC, name, count=number, failed=failed)

    def link(self, seconds: float, *, code: str = "code", key: str = "our-key", **how: Any) -> SupportLink:
        """Seen then; `followed` so many seconds after `START`, by the worker unless it says `followed_by`."""
        text = LINK.format(key=key, code=code)
        if "followed" in how:
            how = {"followed_at": at(how.pop("followed")), "answer": "the factory answered 200", **how}
        return SupportLink.objects.create(link=text, digest=digest_of(text), seen_at=at(seconds), **how)

    def incident(
        self, first: float = 0.0, last: float = 0.0, *, closed: float | None = None, noticed: float = 1.0, **how: Any
    ) -> Incident:
        """Open unless it `closed`."""
        told: dict[str, Any] = {"first_at": at(first), "last_at": at(last), "opened_at": at(noticed)}
        if closed is not None:
            told |= {"closed_at": at(closed), "is_open": None, "stores_wrong": 0}
        return Incident.objects.create(**told | how)


def the_outage(stage: Stage) -> Incident:
    """One order in 50 s, of which four fail in 2 min 55 s; an admin follows the link, and a test order succeeds."""
    stage.made(-45, took=0.2)
    stage.started(-7200, release="r1")
    for number, seconds in enumerate((0, 50, 100, 175)):
        stage.failed(seconds, took=0.4, diner=stage.person(f"diner {number}"))
    for seconds in (20, 80, 140):
        stage.canary(seconds, "server_error")
    for seconds in range(-5, 175, 10):
        stage.calls(seconds, "menu", 30)
        stage.calls(seconds, "login", 2)
        stage.calls(seconds, "franchises", 5)
    stage.link(0.1, code="c0")
    answer = "the factory answered 200 Problem resolved. Pizza is back on the menu!"
    stage.link(175.1, code="c3", followed=265, followed_by=stage.admin, answer=answer)
    stage.made(323, took=0.2)
    return stage.incident(0, 175, closed=623)


def one_order(stage: Stage) -> Incident:
    """One that took too long, while the menu was read; two minutes later the next one is made."""
    stage.failed(0, Reason.TIMEOUT, took=5)
    stage.calls(-5, "menu", 30)
    stage.made(120)
    return stage.incident(closed=420)
