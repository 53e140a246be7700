"""What can be known of an incident."""

from collections.abc import Mapping
from datetime import datetime, timedelta
from decimal import Decimal
from types import MappingProxyType
from typing import Any, NamedTuple

from jwtpizza.incidents.models import Incident
from orders.models import Reason


class Transition(NamedTuple):
    """A process's circuit went from one state to another."""

    at: datetime
    was: str
    state: str


class Link(NamedTuple):
    """A support link of the factory's, masked; `by` is "the worker", "user 1, an admin", or "" while nobody did.

    Who could not follow it is told too; then `followed_at` is None, and `answer` says why.
    """

    pk: int
    masked: str
    seen_at: datetime
    followed_at: datetime | None
    by: str
    answer: str


class Success(NamedTuple):
    """The first pizza after the last failure: of an order, or a canary (None)."""

    at: datetime
    order_id: int | None


class Traffic(NamedTuple):
    """Calls for the menu, logins or franchises meanwhile, and how many of them were answered 5xx."""

    name: str
    calls: int
    failed: int


class Start(NamedTuple):
    """A process began; `changes` is what differs from the one before of that role, as {name: [before, after]}.

    Of the first that is known, RELEASE came after None.
    """

    at: datetime
    role: str
    release: str
    changes: dict[str, list[Any]]


class Switch(NamedTuple):
    """Chaos was switched "on" or "off" by an admin."""

    at: datetime
    state: str


class Span(NamedTuple):
    """Orders that were decided from `start` until the next span's, and how long those took that were decided at once.

    `mean` and `slowest` are seconds, of those that were made and those that failed.
    """

    start: datetime
    made: int
    failed: int
    refused: int
    broken: int
    mean: float | None
    slowest: float | None


class Example(NamedTuple):
    """How a diner was answered: the order (None where no failed one is meant), the status, the body.

    The request's id, and for how many seconds a refused one was to wait, are masked: no book has them.
    """

    order_id: int | None
    status: int
    body: dict[str, Any]


NONE: Mapping[str, Any] = MappingProxyType({})


class Facts(NamedTuple):
    """What is known of an incident.

    `opened_by` is order, refused, broken, promised or canary. `until` is when it closed, or now. `failures`,
    `refusals`, `breakages` and `canaries` count by reason ("ok" for a canary that flew well). `promised` orders are
    those that could not be made at once, `made_later` as many of them as were made by now, `made` all others that were
    made between the first and the last failure, `made_lately` the same in 5 minutes at least. `broken` orders met an
    error of ours; those of which we could not tell what became of them are `undecided`, and are in the books as what
    they are. `diners` is how many different ones failed, were refused or met an error of ours; `not_taken` what their
    orders would have cost (₿, the menu's prices), but for `nameless` broken ones, of which nobody knows.
    `longest_without` is the longest time between failures in which nothing was made, `failures_without` how often
    something failed in it. `retries_denied` were due when the budget had run dry. `dropped` is how many events could
    not be noted, or more.

    Of lists that could be endless the counts are exact: `circuits` is how often a circuit changed to each state, though
    `transitions` are the first 200; `links_seen` and `links_followed` are of all links, `links` 20 of them, those that
    were followed before all others. `given_up` is how many of the failed orders had been promised, maybe in an earlier
    incident, `still_pending` how many of the promised are not decided yet. `began` is when the first order failed for
    each reason, `at_once` how many of them had not been promised. What was promised and could not be made within a day
    failed for the reason "given_up".
    """

    incident: Incident
    first_failure: datetime
    last_failure: datetime
    until: datetime
    opened_by: str
    failed: int
    refused: int
    broken: int
    promised: int
    made_later: int
    made: int
    diners: int
    not_taken: Decimal
    failures: dict[str, int]
    refusals: dict[str, int]
    breakages: dict[str, int]
    canaries: dict[str, int]
    lost_at: list[datetime]  # the first hundred orders that failed or were refused
    canary_failed_at: datetime | None
    transitions: list[Transition]
    retries_denied: int
    links: list[Link]
    success: Success | None
    traffic: list[Traffic]
    starts: list[Start]
    switches: list[Switch]
    spans: list[Span]
    span: timedelta
    examples: list[Example]
    longest_without: timedelta
    failures_without: int = 0
    made_lately: int = 0
    undecided: int = 0
    left_undecided: int = 0  # the failed orders that errors of ours left so, as their diners were told
    nameless: int = 0
    dropped: int = 0
    given_up: int = 0
    still_pending: int = 0
    all_made_at: datetime | None = None  # the last of the promised orders, once all of them were made
    began: Mapping[str, datetime] = NONE
    at_once: Mapping[str, int] = NONE
    last_failed_at: datetime | None = None  # an order or a canary, or an error of ours: no refusal
    first_refused_at: datetime | None = None
    first_broken_at: datetime | None = None
    first_promised_at: datetime | None = None
    circuits: Mapping[str, int] = NONE
    links_seen: int = 0
    links_followed: int = 0
    first_link_at: datetime | None = None
    first_followed_at: datetime | None = None

    @property
    def duration(self) -> timedelta:
        """From the first failure to the last."""
        return self.last_failure - self.first_failure

    @property
    def asked(self) -> int:
        """Orders that diners sent meanwhile; one that was promised, and failed later, is one order."""
        return self.made + self.failed_at_once + self.refused + self.broken + self.promised

    @property
    def failed_at_once(self) -> int:
        """The failed orders that had not been promised: those whose diners were told so, or were told nothing."""
        return self.failed - self.given_up

    @property
    def cut_off(self) -> int:
        """The failed orders that nobody settled and whose diners got no answer: a process ended in the middle."""
        return self.failures.get(Reason.ABANDONED, 0) - self.left_undecided
