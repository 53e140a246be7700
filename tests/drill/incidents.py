"""What is required of the incidents that came of a drill: each of their figures is what the clients counted."""

from collections import Counter
from collections.abc import Callable, Iterable, Iterator
from datetime import datetime
from typing import Any, NamedTuple

from tests.drill.diners import SATOSHI, Told
from tests.drill.evidence import Evidence, Phase

# What is written down, and answered, on a busy machine of two processors: the support link is kept in between.
LATE = 0.25
# The API tells whole milliseconds, and the clients' clock is read beside that of the database.
SAME = 0.01
SPAN = 10.0
# A circuit opens before the order that opened it is booked.
BOOKED = 1.0
OPENED_BY = {500: "order", 504: "order", 503: "refused", 202: "promised"}
# An answer of a factory that is killed in the middle of it is cut off.
KINDS = {
    "fail": {"server_error"},
    "throttle": {"timeout"},
    "badjwt": {"bad_jwt"},
    "killed": {"unreachable", "bad_response"},
}
CALLS = ("menu", "login", "franchises")
TRANSITION = 'jwtpizza_factory_breaker_transitions_total{{from="{0}",to="{1}"}}'

Found = tuple[str, bool]


class Failure(NamedTuple):
    """Something that was not made: when that was known (seconds since 1970), and what it was."""

    at: float
    what: str


class Outage(NamedTuple):
    """A phase in which the factory failed, what orders were told from then until the next, and its incident."""

    phase: Phase
    told: list[Told]
    failures: list[Failure]
    incident: dict[str, Any]

    def count(self, *statuses: int) -> int:
        return len(self.those(*statuses))

    def those(self, *statuses: int) -> list[Told]:
        return [told for told in self.told if told.status in statuses]

    def time(self, name: str) -> float:
        return seconds(self.incident[name])


def seconds(moment: str) -> float:
    """Since 1970."""
    return datetime.fromisoformat(moment).timestamp()


def outages(evidence: Evidence) -> Iterator[Outage]:
    """Each with its incident, in order; with as many as there are of both."""
    phases = [phase for phase in evidence.phases if phase.is_outage]
    ends = [phase.begun for phase in phases[1:]] + [float("inf")]
    for phase, end, incident in zip(phases, ends, evidence.incidents, strict=False):
        told = [told for told in evidence.told if phase.begun <= told.ended < end]
        flown = [Failure(at, "canary") for at, outcome in evidence.canaries.values() if outcome != "ok"]
        failures = [Failure(each.ended + evidence.epoch, OPENED_BY[each.status]) for each in told if each.status != 200]
        failures += [each for each in flown if phase.begun <= each.at - evidence.epoch < end]
        yield Outage(phase, told, sorted(failures), incident)


def every(finds: Callable[[Evidence, Outage], Iterable[str]], passed: str) -> Callable[[Evidence], Found]:
    """The requirement that nothing is wrong with any outage's incident, and `passed` is said of that."""

    def required(evidence: Evidence) -> Found:
        found = list(outages(evidence))
        wrong = [f"{outage.phase.name}: {what}" for outage in found for what in finds(evidence, outage)]
        return "; ".join(wrong) or passed, bool(found) and not wrong

    return required


def one_each(evidence: Evidence) -> Found:
    """All failures that were seen began in an outage or while a circuit was still open after it."""
    phases = [phase for phase in evidence.phases if phase.is_outage]
    closed = [incident for incident in evidence.incidents if incident["state"] == "closed"]
    found = f"{len(phases)} outages, {len(evidence.incidents)} incidents, {len(closed)} of them closed"
    return found, len(phases) == len(evidence.incidents) == len(closed)


def _differences(found: dict[str, Any], expected: dict[str, Any]) -> Iterator[str]:
    for name, value in expected.items():
        if found.get(name) != value:
            yield f"{name} is {found.get(name)}, not {value}"


def _orders(evidence: Evidence, outage: Outage) -> Iterator[str]:
    promised = [told.order_id for told in outage.those(202)]
    made = sum(order_id in evidence.fulfilled_by_id for order_id in promised)
    expected = {"failed": outage.count(500, 504), "refused": outage.count(503), "broken": 0}
    expected |= {"promised": len(promised), "madeLater": made}
    yield from _differences(outage.incident["orders"], expected)


def _diners(evidence: Evidence, outage: Outage) -> Iterator[str]:
    lost = outage.those(500, 503, 504)
    found = {"diners": outage.incident["diners"], "satoshi": round(outage.incident["notTaken"] * SATOSHI)}
    who = {told.who for told in lost}
    yield from _differences(found, {"diners": len(who), "satoshi": sum(told.worth for told in lost)})


def _kinds(evidence: Evidence, outage: Outage) -> Iterator[str]:
    failures = outage.incident["failures"]
    if set(failures) - KINDS[outage.phase.name] or sum(failures.values()) != outage.count(500, 504) or not failures:
        yield f"{failures} of {outage.count(500, 504)} failed orders"


def bounds(evidence: Evidence) -> Found:
    early = {
        f"{outage.phase.name}'s {name}": seen.at - outage.time(name)
        for outage in outages(evidence)
        for name, seen in (("firstFailure", outage.failures[0]), ("lastFailure", outage.failures[-1]))
    }
    told = ", ".join(f"{name} {seconds:.3f} s" for name, seconds in early.items())
    return told, bool(early) and all(-SAME <= seconds <= LATE for seconds in early.values())


def _openers(evidence: Evidence, outage: Outage) -> Iterator[str]:
    openers = {failure.what for failure in outage.failures if failure.at - outage.failures[0].at <= LATE}
    if outage.incident["openedBy"] not in openers:
        yield f"opened by {outage.incident['openedBy']}, not {' or '.join(sorted(openers))}"


def _success(evidence: Evidence, outage: Outage) -> Iterator[str]:
    """Orders that were sold at once: none of them was answered before the first success, and after the last failure."""
    success, last = outage.incident["firstSuccess"], outage.time("lastFailure")
    at = seconds(success["at"])
    later = [told.ended + evidence.epoch for told in outage.those(200) if told.begun + evidence.epoch > last]
    if not last <= at <= min(later) + SAME:
        yield f"at {at - last:.3f} s after the last failure, where clients saw one {min(later) - last:.3f} s after it"
    order = evidence.fulfilled_by_id.get(success["orderId"] or 0)
    if success["orderId"] and (order is None or abs(order.settled_at - at) > SAME):
        yield f"order {success['orderId']} was not made then"


def _traffic(evidence: Evidence, outage: Outage) -> Iterator[str]:
    first, last = (outage.time(name) - evidence.epoch for name in ("firstFailure", "lastFailure"))
    traffic = {row["name"]: row for row in outage.incident["traffic"]}
    for name in CALLS:
        calls, found = evidence.calls[name], traffic.get(name, {"calls": 0, "failed": 0})
        least = sum(first <= call.begun and call.ended <= last for call in calls)
        most = sum(first - SPAN <= call.ended and call.begun <= last + SPAN for call in calls)
        if not least <= found["calls"] <= most or found["failed"]:
            yield f"{name} {found['calls']}, {found['failed']} failed, where clients saw {least} to {most}"


def _canaries(evidence: Evidence, outage: Outage) -> Iterator[str]:
    found = Counter({name: number for name, number in outage.incident["canaries"].items() if name != "ok"})
    first, last = outage.time("firstFailure"), outage.time("lastFailure")
    expected = Counter(
        outcome for at, outcome in evidence.canaries.values() if outcome != "ok" and first - LATE <= at <= last + LATE
    )
    if found != expected:
        yield f"{dict(found)}, where the worker logged {dict(expected)}"


def _circuits(evidence: Evidence, outage: Outage) -> Iterator[str]:
    """Those between the calls that failed first and the incident's end."""
    found = Counter((row["was"], row["state"]) for row in outage.incident["transitions"])
    first, closed = outage.time("firstFailure"), outage.time("closedAt")
    expected: Counter[tuple[str, str]] = Counter()
    for (at, was, state), number in evidence.circuits.items():
        expected[was, state] += number if first - BOOKED <= at <= closed + SAME else 0
    if found != +expected:
        yield f"{dict(found)}, where the events have {dict(expected)}"


def changed(evidence: Evidence) -> Found:
    """Of those that happen in no incident, the promised orders' circuit for one, the metrics know as well."""
    counted: Counter[tuple[str, str]] = Counter()
    for (_, was, state), number in evidence.circuits.items():
        counted[was, state] += number
    wrong = [
        f"{was} to {state}: {number} events, {evidence.metrics.get(TRANSITION.format(was, state))} by the metrics"
        for (was, state), number in counted.items()
        if evidence.metrics.get(TRANSITION.format(was, state)) != number
    ]
    metrics = sum(value for name, value in evidence.metrics.items() if name.startswith(TRANSITION.split("{")[0]))
    found = "; ".join(wrong) or f"{counted.total()} events, {metrics:.0f} by the metrics"
    return found, not wrong and metrics == counted.total() > 0


def _links(evidence: Evidence, outage: Outage) -> Iterator[str]:
    links = outage.incident["links"]
    if outage.phase.name == "fail" and not links:
        yield "no link"
    if any(link["followedAt"] or link["by"] for link in links):
        yield "followed, where nobody had the service follow any"


REQUIREMENTS: dict[str, Callable[[Evidence], Found]] = {
    "each outage is one incident, there is no other, and all are over": one_each,
    "an incident's failed, refused, promised and later made orders are what diners were told": every(
        _orders, "all equal"
    ),
    "an incident's diners, and what their orders would have cost, are what they asked for": every(_diners, "all equal"),
    "an incident's orders failed as the factory did": every(_kinds, "none failed otherwise"),
    f"an incident's first and last failure are at most {LATE} s older than clients saw them": bounds,
    "an incident is opened by what failed first": every(_openers, "all are"),
    "an incident's first success is the first pizza that was made after it": every(_success, "all are"),
    "an incident's calls for the menu, a login or the franchises are what clients saw": every(_traffic, "all are"),
    "an incident's canaries are what the worker logged": every(_canaries, "all are"),
    "an incident's changes of circuits are those of its time": every(_circuits, "all are"),
    "the changes of circuits are as many as the metrics count": changed,
    "the first incident has the support link, and none a link that was followed past the service": every(
        _links, "so it is"
    ),
}
