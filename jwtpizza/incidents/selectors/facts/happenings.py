"""What happened, one after the other: circuits, support links, starts of processes, the chaos switch."""

from collections import Counter
from datetime import datetime, timedelta
from itertools import chain
from typing import Any, NamedTuple

from django.db.models import Count, F, Min, Sum

from jwtpizza.incidents.models import Event, Kind
from jwtpizza.incidents.selectors.facts.known import Link, Start, Switch, Traffic, Transition
from jwtpizza.incidents.selectors.facts.window import Window
from jwtpizza.incidents.selectors.troubles import within
from jwtpizza.observability.logs import masked
from jwtpizza.observability.redaction import without_addresses
from jwtpizza.observability.traffic import SPAN_SECONDS
from orders.models import SupportLink
from orders.services.outages import CHAOS_SECONDS

MOST_TRANSITIONS = 200
MOST_LINKS = 20
MOST_STARTS, MOST_READ = 100, 10_000
MOST_SWITCHES = 50
# What somebody changed so long before the first failure may be behind it.
BEFORE = timedelta(minutes=30)
CALLS = ("menu", "login", "franchises")
ROLES = ("web", "worker")
KEY = "SECRET_KEY"
# In these two copies on one machine have to differ.
OWN = {"RUN_DIR", "PROMETHEUS_MULTIPROC_DIR", "WORKER_METRICS_HOST", "WORKER_METRICS_PORT"}
HIDDEN, CHANGED = "***", "*** (changed)"


class Links(NamedTuple):
    """How many support links there are of an incident, when the first was seen, and the first followed."""

    seen: int
    followed: int
    first_at: datetime | None
    first_followed_at: datetime | None


def transitions(window: Window) -> list[Transition]:
    """The first 200."""
    changes = Event.objects.filter(window.of_circuits(), kind=Kind.CIRCUIT).order_by("at", "pk")
    rows = changes.values_list("at", "detail", "outcome")[:MOST_TRANSITIONS]
    return [Transition(at, detail.get("was", ""), state) for at, detail, state in rows]


def switches(window: Window) -> list[Switch]:
    """The first 50, from as long before as chaos lasts."""
    told = Event.objects.filter(window.of("at", before=timedelta(seconds=CHAOS_SECONDS)), kind=Kind.CHAOS).order_by(
        "at", "pk"
    )
    return [Switch(*row) for row in told.values_list("at", "outcome")[:MOST_SWITCHES]]


def counted_links(window: Window) -> Links:
    """All of them; one query."""
    told = _links(window).aggregate(Count("pk"), Count("followed_at"), Min("seen_at"), Min("followed_at"))
    return Links(*told.values())


def links(window: Window) -> list[Link]:
    """20 of them: those that were followed last, then those that were seen first; in the order in which they came."""
    followed_first = _links(window).order_by(F("followed_at").desc(nulls_last=True), "seen_at", "pk")
    chosen = sorted(followed_first[:MOST_LINKS], key=lambda link: (link.seen_at, link.pk))
    return [
        Link(link.pk, masked(link.link), link.seen_at, link.followed_at, _follower(link), _answer(link))
        for link in chosen
    ]


def _links(window: Window) -> Any:
    return SupportLink.objects.filter(within("seen_at", after=window.links_after, until=window.until))


def _follower(link: SupportLink) -> str:
    """Without a name: who reads a report may look the number up, if they may know."""
    if link.followed_by_id:
        return f"user {link.followed_by_id}, an admin"
    return "the worker" if link.answer else ""


def _answer(link: SupportLink) -> str:
    # The factory's words, which may be of anybody.
    return without_addresses(masked(link.answer))


def calls(first: datetime, last: datetime) -> list[Traffic]:
    """What was called from the span of the first failure to that of the last; one query."""
    spans = Event.objects.filter(
        within("at", after=first - timedelta(seconds=SPAN_SECONDS), until=last), kind=Kind.TRAFFIC
    )
    sums = spans.order_by().values("outcome").annotate(calls=Sum("count"), errors=Sum("failed"))
    found = {name: (count, failed) for name, count, failed in sums.values_list("outcome", "calls", "errors")}
    return [Traffic(name, *found.get(name, (0, 0))) for name in CALLS]


def starts(window: Window) -> list[Start]:
    """The processes that began, from half an hour before; three queries.

    The first 100 with another release or other settings, and the first 100 of the others, of 10,000.
    """
    began = Event.objects.filter(kind=Kind.START).order_by("at", "pk")
    during = began.filter(window.of("at", before=BEFORE)).values_list("at", "outcome", "detail")[:MOST_READ]
    before = (began.filter(outcome=role, at__lt=window.since - BEFORE).reverse()[:1] for role in ROLES)
    known: dict[str, dict[str, Any]] = {}
    for event in chain.from_iterable(before):
        known[event.outcome] = event.detail
    # In a crash loop what changed comes after any number of starts that changed nothing.
    seen: Counter[bool] = Counter()
    told = []
    # All of their settings at once would be 100 MB.
    for at, role, detail in during.iterator(chunk_size=500):
        changes = _changes(known.get(role), detail)
        known[role] = detail
        seen[bool(changes)] += 1
        if seen[bool(changes)] <= MOST_STARTS:
            told.append(Start(at, role, masked(str(detail.get("release", ""))), changes))
    return told


def _changes(before: dict[str, Any] | None, after: dict[str, Any]) -> dict[str, list[Any]]:
    """The settings, and the release, in which the two differ; of texts that may be secret, only that they do.

    Where none is known before, the release came after None. Digests are keyed with SECRET_KEY: under another one,
    nobody can tell whether two are of the same text.
    """
    if before is None:
        return {"RELEASE": _shown(None, after.get("release", ""))}
    old, new = _told(before), _told(after)
    names = [name for name in sorted(old.keys() | new.keys()) if old.get(name) != new.get(name)]
    if KEY in names:
        names = [name for name in names if name == KEY or not (_hidden(old.get(name)) and _hidden(new.get(name)))]
    return {name: _shown(old.get(name), new.get(name)) for name in names}


def _told(detail: dict[str, Any]) -> dict[str, Any]:
    # What RELEASE says is not all: where it is empty, git says which code runs.
    settings = {name: value for name, value in detail.get("settings", {}).items() if name not in OWN}
    return settings | {"RELEASE": detail.get("release", "")}


def _shown(before: Any, after: Any) -> list[Any]:
    first, second = _plain(before), _plain(after)
    return [first, CHANGED if first == second == HIDDEN else second]


def _plain(value: Any) -> Any:
    if _hidden(value):
        return HIDDEN
    return masked(value) if isinstance(value, str) else value


def _hidden(value: Any) -> bool:
    return isinstance(value, str) and value.startswith("digest ")
