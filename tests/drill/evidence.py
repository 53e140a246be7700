"""What a drill leaves behind, to be judged."""

from collections import Counter
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any, NamedTuple

from tests.drill.crowd import Call, percentile, within
from tests.drill.diners import Told

HEALTHY, RECOVERY = "healthy", "recovery"


class Phase(NamedTuple):
    """A phase that was played: what it is called, when it began and ended (monotonic seconds)."""

    name: str
    begun: float
    ended: float

    @property
    def is_outage(self) -> bool:
        return self.name not in (HEALTHY, RECOVERY)

    def throughput(self, calls: list[Call]) -> float:
        """Answers a second."""
        return len(within(calls, self.begun, self.ended)) / (self.ended - self.begun)

    def p99(self, calls: list[Call]) -> float:
        """Seconds, of the calls that were answered in this phase."""
        return percentile((call.seconds for call in within(calls, self.begun, self.ended)), 0.99)

    def steady_p99(self, calls: list[Call]) -> float:
        """The middle one of its thirds': a hiccup of the machine is in one of them, a slow service in all."""
        third = (self.ended - self.begun) / 3
        begins = [self.begun + third * number for number in range(3)]
        return sorted(Phase(self.name, begun, begun + third).p99(calls) for begun in begins)[1]


class Look(NamedTuple):
    """What `/api/status` said of ordering at that moment."""

    at: float
    ordering: str


class Booked(NamedTuple):
    """An order in the service's books; `total` is in satoshi, `settled_at` in seconds since 1970."""

    status: str
    total: int
    pizzas: int
    jwt: str | None
    diner_id: int
    store_id: int
    settled_at: float


@dataclass
class Evidence:
    """All that was seen.

    `earned` is by store and in satoshi, `metrics` has the last value of each sample, `logged` counts the statuses in
    the request log's lines about orders. `verified` has, by JWT, what the factory signed, for those that it did sign.
    `asked` are the ids of the orders that the factory was asked for; what it was asked in the seconds of `blind`
    (since 1970), between the last look at its books and its death, nobody knows.
    `lines` is how many lines the processes of the house printed, `unreadable` those that are no JSON object, and
    `failures_logged` those with a `statusCode` of 500 or more.
    `incidents` are as the API tells them, the first first; `circuits` counts the changes of circuits in the events, by
    (when, from, to), and `canaries` tells of each by the worker's log when it was decided and what came of it: all in
    seconds since 1970, of which monotonic ones are short by `epoch`.
    `limit` is how many seconds after an outage orders have to succeed again.
    """

    limit: float
    phases: list[Phase] = field(default_factory=list)
    calls: dict[str, list[Call]] = field(default_factory=dict)
    told: list[Told] = field(default_factory=list)
    looks: list[Look] = field(default_factory=list)
    orders: dict[int, Booked] = field(default_factory=dict)
    earned: dict[int, int] = field(default_factory=dict)
    metrics: dict[str, float] = field(default_factory=dict)
    logged: Counter[int] = field(default_factory=Counter)
    failures_logged: int = 0
    lines: int = 0
    unreadable: list[str] = field(default_factory=list)
    verified: dict[str, dict[str, Any]] = field(default_factory=dict)
    asked: Counter[str] = field(default_factory=Counter)
    blind: tuple[float, float] = (0.0, 0.0)
    link_said: str = ""
    incidents: list[dict[str, Any]] = field(default_factory=list)
    circuits: Counter[tuple[float, str, str]] = field(default_factory=Counter)
    canaries: dict[str, tuple[float, str]] = field(default_factory=dict)
    epoch: float = 0.0

    def count(self, *statuses: int) -> int:
        """How many orders were answered with one of these."""
        return sum(told.status in statuses for told in self.told)

    @cached_property
    def fulfilled_by_id(self) -> dict[int, Booked]:
        """The orders that were made, by id."""
        return {order_id: order for order_id, order in self.orders.items() if order.status == "fulfilled"}
