"""How bad it was, for whom, and for whom not."""

from collections.abc import Iterator
from datetime import timedelta

from django.conf import settings

from jwtpizza.fields import in_bitcoin
from jwtpizza.incidents.selectors.facts import Facts, Traffic
from jwtpizza.incidents.selectors.facts.counts import ENOUGH, LONG
from jwtpizza.incidents.selectors.facts.examples import MASK
from jwtpizza.incidents.services.reports.causes import headline, what_ended
from jwtpizza.incidents.services.reports.words import clock, joined, lasting, listed, many, sentence, share, utc, were
from orders.models import Reason

ENDPOINT = "POST /api/order"
CALLS = {
    "menu": "the menu (GET /api/order/menu)",
    "login": "login (PUT /api/auth)",
    "franchises": "the franchises (GET /api/franchise)",
}
# Where less is seen to fail, nobody wanted a pizza.
SEEN_EACH = timedelta(minutes=5)
# So much of what diners sent may be refused while it is no outage.
FEW_REFUSED = 0.05


def severity(facts: Facts) -> tuple[str, str]:
    """The severity, and the sentence by which it is."""
    wrong = facts.incident.stores_wrong or 0
    if facts.longest_without >= LONG and facts.failures_without >= facts.longest_without / SEEN_EACH:
        told = f"Nothing that was tried for {lasting(facts.longest_without)} succeeded"
        return "SEV-1", f"{told}: 15 minutes or more are SEV-1."
    if wrong:
        return "SEV-1", f"The revenue of {many(wrong, 'store')} is not what the orders cost: wrong books are SEV-1."
    if lost := _lost(facts):
        return "SEV-2", f"{joined(lost)}: orders that fail are SEV-2."
    if facts.refused:
        return _few_or_many(facts)
    what = f"no order failed or was refused; {many(facts.promised, 'order')} had to wait" if facts.promised else ""
    return "SEV-3", sentence(f"{what or 'no diner was hit, only canaries failed'}: that is SEV-3")


def _few_or_many(facts: Facts) -> tuple[str, str]:
    """Of what was asked in 5 minutes at least: a burst of refusals is all that there is in its own time."""
    asked = facts.asked - facts.made + facts.made_lately
    told = f"{facts.refused:,} of {many(asked, 'order')} {were(facts.refused)} refused ({share(facts.refused, asked)})"
    if facts.duration < ENOUGH:
        told += f" in {ENOUGH // timedelta(minutes=1)} minutes"
    if facts.refused >= FEW_REFUSED * asked:
        return "SEV-2", f"{told}: 5 % or more are SEV-2."
    return "SEV-3", f"{told}, and none failed: under 5 % are SEV-3."


def _lost(facts: Facts) -> list[str]:
    found = [(facts.failed_at_once, "order", "failed"), (facts.given_up, "promised order", "failed later")]
    found += [(facts.broken, "order", "met an error of ours")]
    found += [(facts.undecided, "order", f"{were(facts.undecided)} answered as undecided")]
    return [f"{many(count, whose)} {what}" for count, whose, what in found if count]


def summary(facts: Facts) -> str:
    """One paragraph, in plain words."""
    parts = [f"{_when(facts)} {headline(facts)}.", _hit(facts), *_seen(facts), _not_hit(facts), _end(facts)]
    return " ".join(filter(None, parts)).strip()


def _when(facts: Facts) -> str:
    first, last = facts.first_failure, facts.last_failure
    if facts.incident.closed_at is None:
        return f"Since {utc(first)}, for {lasting(facts.until - first)} by now,"
    if facts.duration < timedelta(seconds=1):
        return f"At {utc(first)}"
    return f"From {utc(first)} to {clock(last, first)}, for {lasting(facts.duration)},"


def _hit(facts: Facts) -> str:
    if not (facts.failed or facts.refused or facts.broken or facts.promised or facts.undecided):
        made = f"{many(facts.made, 'order')} {were(facts.made)} made as usual" if facts.made else "nobody ordered"
        return f"No diner was hit, only canaries failed; {made} meanwhile."
    told = [f"of {many(facts.asked, 'order')} that diners sent, {joined(_fared(facts))}"] if facts.asked else []
    told += [_given_up(facts)] if facts.given_up else []
    told += (
        [f"{many(facts.undecided, 'order')} {were(facts.undecided)} answered as undecided"] if facts.undecided else []
    )
    told += [f"{many(facts.diners, 'diner')} {were(facts.diners)} hit"] if facts.diners else []
    told += [f"orders of {in_bitcoin(facts.not_taken)} were not taken"] if facts.not_taken else []
    told += [_nameless(facts)] if facts.nameless else []
    return " ".join(map(sentence, told))


def _fared(facts: Facts) -> list[str]:
    counts = [
        ("failed", facts.failed_at_once),
        ("refused", facts.refused),
        ("broken by an error of ours", facts.broken),
    ]
    counts += [("promised for later", facts.promised), ("made as usual", facts.made)]
    return [f"{count:,} {_was(what, count)}{what}" for what, count in counts if count]


def _was(what: str, count: int) -> str:
    return "" if what == "failed" else f"{were(count)} "


def _given_up(facts: Facts) -> str:
    return f"{many(facts.given_up, 'promised order')} failed later"


def _nameless(facts: Facts) -> str:
    if facts.nameless == 1:
        return "of 1 broken order it is not known whose it was, or what it would have cost"
    return f"of {facts.nameless:,} broken orders it is not known whose they were, or what they would have cost"


def _seen(facts: Facts) -> Iterator[str]:
    for example in facts.examples:
        if MASK not in example.body["message"]:
            yield f'Diners read (status {example.status}): "{example.body["message"]}"'
            return


def _not_hit(facts: Facts) -> str:
    called = [traffic for traffic in facts.traffic if traffic.calls]
    if not called:
        return ""
    if any(traffic.failed for traffic in called):
        hit = joined([_errors(traffic) for traffic in called if traffic.failed])
        return f"Not only orders were hit: {hit}."
    names = joined([CALLS[traffic.name].partition(" (")[0] for traffic in called])
    calls = sum(traffic.calls for traffic in called)
    none = "the one call that was recorded did not fail"
    if calls > 1:
        none = f"none of the {calls:,} calls that were recorded failed"
    return sentence(f"{names} {'was' if len(called) == 1 else 'were'} not hit: {none}")


def _end(facts: Facts) -> str:
    still = "It is still open." if facts.incident.closed_at is None else ""
    if facts.success is None:
        return f"No pizza has been made since the last failure. {still}"
    what = f"order {facts.success.order_id}" if facts.success.order_id else "a canary"
    first = f"the first pizza after it was made at {clock(facts.success.at, facts.first_failure)} ({what})"
    ended = what_ended(facts)
    how = f"It ended, as it seems, because {ended[1]}" if ended else "It ended by itself, as far as the books know"
    return f"{how}; {first}. {still}"


def symptoms(facts: Facts) -> list[str]:
    """What diners and canaries met."""
    return [sentence(told) for told in _symptoms(facts)]


def _symptoms(facts: Facts) -> Iterator[str]:
    late, left = facts.at_once.get(Reason.TIMEOUT, 0), facts.left_undecided
    rates = [(facts.failed_at_once - late - facts.cut_off - left, "failed (500)"), (late, "took too long (504)")]
    rates += [(facts.cut_off, "got no answer"), (left, "were answered that we could not tell (503)")]
    rates += [(facts.refused, "were refused at once (503, with Retry-After)")]
    rates += [(facts.broken, f"met an error of ours ({listed(facts.breakages)})")]
    rates += [(facts.promised, "were promised for later (202)")]
    for count, what in rates:
        if count:
            told = what.replace("were", were(count), 1)
            yield f"{count:,} of {many(facts.asked, 'order')} {told}: {share(count, facts.asked)}"
    if others := facts.undecided - left:
        them = "it" if others == 1 else "them"
        told = f"{many(others, 'order')} {were(others)} answered that we could not tell (503)"
        yield f"{told}, and counted as what became of {them}"
    if facts.given_up:
        yield _given_up(facts)
    if facts.dropped:
        what = f"{many(facts.dropped, 'thing')} or more that happened could not be noted"
        yield f"{what}: the figures of refused orders are at least these"
    slowest = _slowest(facts)
    if slowest > settings.FACTORY_BREAKER_SLOW:
        yield f"orders took up to {slowest:.1f} s"
    flown, well = sum(facts.canaries.values()), facts.canaries.get("ok", 0)
    if flown > well:
        until = "until it was over" if facts.incident.closed_at else "by now"
        yield f"{flown - well:,} of the {many(flown, 'canary', 'canaries')} that flew {until} failed"
    yield from (_errors(traffic) for traffic in facts.traffic if traffic.failed)


def _slowest(facts: Facts) -> float:
    """How many seconds an order took at most from the first failure to the last; the spans reach further."""
    during = (span for span in facts.spans if span.start <= facts.last_failure)
    took = (span.slowest for span in during if span.start + facts.span > facts.first_failure)
    return max(filter(None, took), default=0.0)


def unaffected(facts: Facts) -> list[str]:
    """What went on as usual, and what nobody can tell because nobody asked."""
    return [sentence(told) for told in _unaffected(facts)]


def _unaffected(facts: Facts) -> Iterator[str]:
    for traffic in facts.traffic:
        if not traffic.calls:
            yield f"{CALLS[traffic.name]}: no calls recorded"
        elif not traffic.failed:
            yield f"{CALLS[traffic.name]}: {many(traffic.calls, 'call')}, all of which succeeded (100 %)"
    if facts.made:
        told = f"{facts.made:,} of {many(facts.asked, 'order')} {were(facts.made)} made as usual"
        yield f"{told}: {share(facts.made, facts.asked)}"
    if facts.incident.stores_wrong == 0:
        yield "the books: each store's revenue is what its orders cost"


def _errors(traffic: Traffic) -> str:
    told = f"{traffic.failed:,} of {many(traffic.calls, 'call')} failed (5xx), {share(traffic.failed, traffic.calls)}"
    return f"{CALLS[traffic.name]}: {told}"
