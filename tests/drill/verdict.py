"""What is required of a drill, and whether it was so."""

from collections import Counter
from collections.abc import Callable, Iterator
from statistics import median
from typing import NamedTuple

from tests.drill import incidents
from tests.drill.diners import SATOSHI, Told
from tests.drill.evidence import HEALTHY, Evidence, Phase

LEAST_ORDERS = 20
LEAST_SHARE = 0.8
READING = ("menu", "login", "franchises")
ORDERING = ("order", "promise")
ANSWERS = (200, 202, 500, 503, 504)


class Row(NamedTuple):
    """A requirement, what was found, and whether that will do."""

    requirement: str
    found: str
    passed: bool


def load(evidence: Evidence) -> tuple[str, bool]:
    made = [
        sum(told.status == 200 and phase.begun <= told.ended < phase.ended for told in evidence.told)
        / (phase.ended - phase.begun)
        for phase in evidence.phases
        if phase.name == HEALTHY
    ]
    usual = median(made)
    return f"{usual:.1f} a second ({min(made):.1f} to {max(made):.1f})", usual >= LEAST_ORDERS


def all_read(evidence: Evidence) -> tuple[str, bool]:
    calls = [call for kind in READING for call in evidence.calls[kind]]
    failed = sum(call.status != 200 for call in calls)
    return f"{failed} of {len(calls)} failed", bool(calls) and not failed


def throughput(kind: str) -> Callable[[Evidence], tuple[str, bool]]:
    """The requirement that calls of this kind are as quick as ever, whatever the phase."""

    def required(evidence: Evidence) -> tuple[str, bool]:
        calls = evidence.calls[kind]
        healthy = median(phase.throughput(calls) for phase in evidence.phases if phase.name == HEALTHY)
        others = [phase for phase in evidence.phases if phase.name != HEALTHY]
        share, worst = min((phase.throughput(calls) / healthy, phase.name) for phase in others)
        return f"{healthy:.0f} a second; {share:.2f} of it in the worst phase ({worst})", share >= LEAST_SHARE

    return required


def scraped(evidence: Evidence) -> tuple[str, bool]:
    calls = evidence.calls["metrics"]
    rates = [phase.throughput(calls) for phase in evidence.phases]
    failed = sum(call.status != 200 for call in calls)
    return f"{failed} of {len(calls)} failed", not failed and min(rates) > 0


def answered(evidence: Evidence) -> tuple[str, bool]:
    counts = Counter(told.status for told in evidence.told)
    silent = sum(call.status not in ANSWERS for kind in ORDERING for call in evidence.calls[kind])
    rude = sum(not told.polite for told in evidence.told)
    return f"{_listed(counts)}; {silent} other, {rude} without words", not silent and not rude


def secret(evidence: Evidence) -> tuple[str, bool]:
    leaked = sum(told.leaked for told in evidence.told)
    return f"{leaked} of {len(evidence.told)} answers have it", not leaked


def kept(evidence: Evidence) -> tuple[str, bool]:
    """Each pizza and each promise is in the books, made, for what it was sold for."""
    sold = [told for told in evidence.told if told.status == 200]
    promised = [told for told in evidence.told if told.status == 202]
    lost = sum(not _is_booked(told, evidence) for told in (*sold, *promised))
    return f"{len(sold)} sold, {len(promised)} promised, {lost} of them lost", bool(sold and promised) and not lost


def _is_booked(told: Told, evidence: Evidence) -> bool:
    order = evidence.fulfilled_by_id.get(told.order_id or 0)
    if order is None:
        return False
    return told.status == 202 or (order.jwt, order.total) == (told.jwt, told.total)


def once(evidence: Evidence) -> tuple[str, bool]:
    ids = [told.order_id for told in evidence.told if told.order_id is not None]
    written = evidence.count(200, 202, 500, 504)
    found = f"{written} orders taken, {len(evidence.orders)} in the books, {len(ids) - len(set(ids))} told twice"
    return found, len(set(ids)) == len(ids) and written == len(evidence.orders)


def honest(evidence: Evidence) -> tuple[str, bool]:
    failed = sum(order.status == "failed" for order in evidence.orders.values())
    told = evidence.count(500, 504)
    return f"{told} told as failed, {failed} failed in the books", told == failed


def genuine(evidence: Evidence) -> tuple[str, bool]:
    """Each pizza sold verifies with the factory's key and is of this order of this diner, and no two are one."""
    fulfilled = evidence.fulfilled_by_id
    forged = sum(_is_forged(order_id, evidence) for order_id in fulfilled)
    same = len(fulfilled) - len({order.jwt for order in fulfilled.values()})
    return f"{forged} of {len(fulfilled)} forged, {same} the same", bool(fulfilled) and not forged and not same


def _is_forged(order_id: int, evidence: Evidence) -> bool:
    order = evidence.orders[order_id]
    signed = evidence.verified.get(order.jwt or "")
    return signed is None or (signed["order"]["id"], signed["diner"]["id"]) != (order_id, order.diner_id)


def asked(evidence: Evidence) -> tuple[str, bool]:
    begun, ended = evidence.blind
    unknown = [order for order_id, order in evidence.fulfilled_by_id.items() if not evidence.asked[str(order_id)]]
    strange = sum(not begun <= order.settled_at <= ended for order in unknown)
    found = f"{strange} of {len(evidence.fulfilled_by_id)} are not in its books"
    return f"{found} ({len(unknown) - strange} more were lost with it)", not strange


def revenue(evidence: Evidence) -> tuple[str, bool]:
    totals: Counter[int] = Counter()
    for order in evidence.fulfilled_by_id.values():
        totals[order.store_id] += order.total
    earned = {store: amount for store, amount in evidence.earned.items() if amount}
    return f"₿ {sum(totals.values()) / SATOSHI} sold, ₿ {sum(earned.values()) / SATOSHI} earned", earned == dict(totals)


def counted(evidence: Evidence) -> tuple[str, bool]:
    fulfilled = evidence.fulfilled_by_id.values()
    expected = {
        'jwtpizza_orders_total{outcome="fulfilled"}': len(fulfilled),
        'jwtpizza_orders_total{outcome="failed"}': evidence.count(500, 504),
        'jwtpizza_orders_total{outcome="refused"}': evidence.count(503),
        "jwtpizza_orders_promised_total": evidence.count(202),
        "jwtpizza_pizzas_sold_total": sum(order.pizzas for order in fulfilled),
        "jwtpizza_revenue_total": sum(order.total for order in fulfilled) / SATOSHI,
    }
    wrong = [
        f"{name} is {evidence.metrics.get(name)}, not {value}"
        for name, value in expected.items()
        if round(evidence.metrics.get(name, -1.0), 8) != round(value, 8)
    ]
    return "; ".join(wrong) or f"{len(expected)} metrics are equal to what diners were told", not wrong


def logged(evidence: Evidence) -> tuple[str, bool]:
    counts = Counter(told.status for told in evidence.told)
    return f"{_listed(evidence.logged)}", evidence.logged == counts


def readable(evidence: Evidence) -> tuple[str, bool]:
    first = f", the first: {evidence.unreadable[0]}" if evidence.unreadable else ""
    found = f"{len(evidence.unreadable)} of {evidence.lines} are not{first}"
    return found, evidence.lines > 0 and not evidence.unreadable


def alerted(evidence: Evidence) -> tuple[str, bool]:
    """Orders are in `told`, an admin's too; everything else that anybody called is in `calls`."""
    others = [call for kind, calls in evidence.calls.items() if kind not in ORDERING for call in calls]
    seen = sum(told.status >= 500 for told in evidence.told) + sum(call.status >= 500 for call in others)
    return f"{evidence.failures_logged} logged, {seen} seen by clients", evidence.failures_logged == seen


def opened(evidence: Evidence) -> tuple[str, bool]:
    outages = [phase for phase in evidence.phases if phase.is_outage]
    said = {phase.name: _said(evidence, phase) for phase in outages}
    last = evidence.looks[-1].ordering if evidence.looks else "nothing"
    unnoticed = [name for name, states in said.items() if "down" not in states]
    return f"unnoticed: {', '.join(unnoticed) or 'none'}; at the end {last}", not unnoticed and last == "up"


def _said(evidence: Evidence, phase: Phase) -> set[str]:
    return {look.ordering for look in evidence.looks if phase.begun <= look.at < phase.ended}


def recovered(evidence: Evidence) -> tuple[str, bool]:
    took = dict(_recoveries(evidence))
    found = ", ".join(f"{name} {seconds:.1f} s" for name, seconds in took.items())
    return f"at most {evidence.limit:.1f} s: {found}", max(took.values()) <= evidence.limit


def _recoveries(evidence: Evidence) -> Iterator[tuple[str, float]]:
    """How long after the end of each outage the last order began that could not be made."""
    outages = [phase for phase in evidence.phases if phase.is_outage]
    ends = [phase.begun for phase in outages[1:]] + [evidence.phases[-1].ended]
    missed = [told for told in evidence.told if told.status != 200]
    for outage, until in zip(outages, ends, strict=True):
        late = [told.begun for told in missed if outage.ended <= told.begun and told.ended < until]
        yield outage.name, max(late, default=outage.ended) - outage.ended


def linked(evidence: Evidence) -> tuple[str, bool]:
    return evidence.link_said or "no link was found", evidence.link_said.startswith("Problem resolved")


def _listed(counts: Counter[int]) -> str:
    return ", ".join(f"{status}: {count}" for status, count in sorted(counts.items()))


REQUIREMENTS: dict[str, Callable[[Evidence], tuple[str, bool]]] = {
    f"at least {LEAST_ORDERS} orders are made a second while the factory is healthy": load,
    "each call for the menu, a login or the franchises succeeds": all_read,
    f"the menu is answered at {LEAST_SHARE} of its healthy throughput or more": throughput("menu"),
    f"logins are answered at {LEAST_SHARE} of their healthy throughput or more": throughput("login"),
    f"franchises are answered at {LEAST_SHARE} of their healthy throughput or more": throughput("franchises"),
    "/metrics answers in each phase": scraped,
    "each order is answered, a failure with a sentence, a refusal with when to come back": answered,
    "no diner is shown the factory's key": secret,
    "no order is lost, neither one that was sold nor one that was promised": kept,
    "no order is made twice, and a refused one is written nowhere": once,
    "no order that was told as failed is made later": honest,
    "no pizza is forged": genuine,
    "the factory's books have each pizza": asked,
    "each store's revenue is what its orders cost": revenue,
    "the metrics agree with what diners were told": counted,
    "the request log agrees with what diners were told": logged,
    "each line that a process of the house printed is JSON": readable,
    "lines with a statusCode of 500 or more are as many as the failed answers that clients saw": alerted,
    "/api/status says down in each outage and up at the end": opened,
    "after each outage and the open period each order succeeds": recovered,
    "the support link of an admin's failed order ends the first outage": linked,
    **incidents.REQUIREMENTS,
}


def judged(evidence: Evidence) -> list[Row]:
    """Each requirement with what was found."""
    return [Row(requirement, *required(evidence)) for requirement, required in REQUIREMENTS.items()]
