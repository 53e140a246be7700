"""Why it happened, and what ended it: what the books say, and what they suggest."""

from collections import Counter
from collections.abc import Iterator
from datetime import datetime, timedelta

from django.conf import settings

from jwtpizza.incidents.selectors.facts import Facts, Link, Start
from jwtpizza.incidents.selectors.facts.counts import GIVEN_UP
from jwtpizza.incidents.selectors.facts.happenings import BEFORE
from jwtpizza.incidents.services.reports.parts import Finding
from jwtpizza.incidents.services.reports.words import clock, joined, lasting, listed, many, sentence, were
from orders.models import Reason
from orders.services.outages import CHAOS_SECONDS

EVIDENCE, INFERENCE = "evidence", "inference"
# As large a part of the failures is worth a headline.
WORTH = 0.1
FACTORY = "the pizza factory "
CLAUSES: dict[str, str] = {
    Reason.SERVER_ERROR: "the pizza factory answered with errors of its own (5xx)",
    Reason.UNREACHABLE: "the pizza factory could not be reached",
    Reason.TIMEOUT: "the pizza factory did not answer in time",
    Reason.BAD_RESPONSE: "the pizza factory's answers made no sense",
    Reason.BAD_JWT: "the pizza factory sent pizzas that were not genuine",
    Reason.UNVERIFIED: "the pizza factory's pizzas could not be verified, for its keys could not be had",
    Reason.REJECTED: "the pizza factory did not accept our orders (4xx)",
    Reason.UNAUTHORIZED: "the pizza factory refused our API key (401 or 403)",
    Reason.CHAOS: "calls failed on purpose, for the chaos switch was on",
    GIVEN_UP: "orders that were promised could not be made within 24 hours",
    Reason.ABANDONED: "processes of ours ended in the middle of an order",
}
LEFT = "errors of ours left orders undecided"
OF_DATABASE = {"OperationalError", "InterfaceError", "DatabaseError", "Error"}
OURS = {Reason.ABANDONED, Reason.CHAOS, GIVEN_UP}
UNKNOWN = ("", "unknown")
OPEN, FULL = ("open", "probing"), ("bulkhead", "deadline")


def failures(facts: Facts) -> Counter[str]:
    """By reason, of orders and canaries together."""
    return Counter(facts.failures) + Counter({name: count for name, count in facts.canaries.items() if name != "ok"})


def own_errors(facts: Facts) -> tuple[dict[str, int], dict[str, int]]:
    """What broke orders: the database's errors, and all others."""
    ours = {name: count for name, count in facts.breakages.items() if name not in OF_DATABASE}
    return {name: count for name, count in facts.breakages.items() if name in OF_DATABASE}, ours


def failed_by(facts: Facts, *reasons: str) -> str:
    """How many orders and canaries failed for these reasons, in words; "" for none."""
    orders, canaries = (sum(by.get(reason, 0) for reason in reasons) for by in (facts.failures, facts.canaries))
    told = [many(orders, "order")] if orders else []
    told += [many(canaries, "canary", "canaries")] if canaries else []
    return joined(told) if told else ""


def factory_failed(facts: Facts) -> bool:
    """Whether any call failed that was not to blame on us."""
    return not failures(facts).keys() <= OURS


def refused_as(facts: Facts, why: tuple[str, ...]) -> int:
    """How many orders were refused for one of these."""
    return sum(facts.refusals.get(each, 0) for each in why)


def headline(facts: Facts) -> str:
    """What went wrong above all, as the rest of a sentence that says when."""
    of_database, others = own_errors(facts)
    # What was left undecided is told with our own database.
    of_others = failures(facts) - Counter({str(Reason.ABANDONED): facts.left_undecided})
    found = [(count, CLAUSES[reason]) for reason, count in of_others.items() if reason in CLAUSES]
    found.append((sum(of_database.values()) + facts.undecided, "our own database failed"))
    found.append((sum(others.values()), "we had an error of our own"))
    found.append((refused_as(facts, FULL), "more orders waited for the pizza factory than it had places for"))
    first, second, *_ = sorted(found, reverse=True)
    if not first[0]:
        return "the pizza factory was not asked, for circuits were open" if facts.refused else "orders had to wait"
    worst = [first, second] if second[0] >= WORTH * sum(count for count, _ in found) else [first]
    told = joined([clause for _, clause in worst])
    return told.replace(f" and {FACTORY}", " and ") if told.startswith(FACTORY) else told


def causes(facts: Facts) -> list[Finding]:
    """What the failures were, the most frequent first; then what may have brought them about."""
    return [*_failed(facts), *_broken(facts), *_refused(facts), *_switched(facts), *_changed(facts)]


def _failed(facts: Facts) -> Iterator[Finding]:
    for reason, count in failures(facts).most_common():
        clause = _left(facts) if reason == Reason.ABANDONED else CLAUSES.get(reason, f"the outcome was {reason}")
        yield Finding(sentence(f"{clause}: {failed_by(facts, reason)} ({_part(count, facts)})"), EVIDENCE)
    if facts.promised:
        promised = f"{many(facts.promised, 'order')} could not be made at once and {were(facts.promised)} promised"
        yield Finding(sentence(promised), EVIDENCE)


def _left(facts: Facts) -> str:
    """Why there were orders that nobody settled."""
    if not facts.left_undecided:
        return CLAUSES[Reason.ABANDONED]
    if not facts.cut_off:
        return LEFT
    return f"{CLAUSES[Reason.ABANDONED]}, or {LEFT} ({facts.left_undecided:,} of them)"


def _part(count: int, facts: Facts) -> str:
    whole = sum(failures(facts).values())
    return "all that failed" if count == whole else f"{count:,} of {whole:,} failures"


def _broken(facts: Facts) -> Iterator[Finding]:
    of_database, others = own_errors(facts)
    if count := sum(of_database.values()):
        told = f"{many(count, 'order')} met our own database failing ({listed(of_database)}), not the factory"
        yield Finding(sentence(told), EVIDENCE)
    if count := sum(others.values()):
        told = f"{many(count, 'order')} met an error in our own code ({listed(others)}), not the factory"
        yield Finding(sentence(told), EVIDENCE)
    if count := facts.undecided:
        them = "it" if count == 1 else "them"
        told = f"{many(count, 'order')} {were(count)} answered that we could not tell what became of {them}"
        yield Finding(sentence(told), EVIDENCE)


def _refused(facts: Facts) -> Iterator[Finding]:
    if count := refused_as(facts, OPEN):
        told = f"{many(count, 'order')} {were(count)} refused while circuits were open or tried whether they can close"
        yield Finding(sentence(told), EVIDENCE)
        if failures(facts):
            yield Finding("The circuits opened because of the failures above.", INFERENCE)
    if count := refused_as(facts, FULL):
        told = f"{many(count, 'order')} {were(count)} refused because too many waited for the factory already"
        room = f"each process has FACTORY_PLACES={settings.FACTORY_PLACES} and FACTORY_QUEUE={settings.FACTORY_QUEUE}"
        yield Finding(sentence(f"{told}: {room} now"), EVIDENCE)


def _switched(facts: Facts) -> Iterator[Finding]:
    if on := _chaos(facts):
        told = f"An admin switched chaos on at {clock(on[0], facts.first_failure)}"
        yield Finding(f"{told}: half of the calls to the factory fail then.", EVIDENCE)


def _chaos(facts: Facts) -> list[datetime]:
    """When chaos was switched on that was on at some time from the first failure to the last."""
    on, off = ([switch.at for switch in facts.switches if switch.state == state] for state in ("on", "off"))
    ends = {at: min([at + timedelta(seconds=CHAOS_SECONDS), *(end for end in off if end >= at)]) for at in on}
    return [at for at, end in ends.items() if at <= facts.last_failure and end >= facts.first_failure]


def changes_before(facts: Facts) -> list[Start]:
    """Processes that began with another release or other settings, in the half hour before the first failure."""
    return [start for start in _started_before(facts) if is_change(start)]


def _started_before(facts: Facts) -> list[Start]:
    first = facts.first_failure
    return [start for start in facts.starts if first - BEFORE <= start.at <= first]


def is_change(start: Start) -> bool:
    """Whether it is known to differ from one before it."""
    return bool(start.changes) and start.changes.get("RELEASE", [""])[0] is not None


def changed(start: Start) -> str:
    """What is different, in words; the values stand in the facts."""
    release = start.changes.get("RELEASE")
    names = [name for name in start.changes if name != "RELEASE"]
    told = [f"release {release[1]} after {release[0]}"] if release else []
    return joined([*told, *([f"other settings ({', '.join(names)})"] if names else [])])


def _changed(facts: Facts) -> Iterator[Finding]:
    if before := changes_before(facts):
        start = before[-1]
        ago = lasting(facts.first_failure - start.at)
        told = f"A {start.role} process began with {changed(start)}, {ago} before the first failure"
        yield Finding(f"{told}: that may have brought it about.", INFERENCE)
    elif unknown := [start for start in _started_before(facts) if start.release in UNKNOWN]:
        began = f"{many(len(unknown), 'process', 'processes')} began in the half hour before it"
        they_run = "it runs" if len(unknown) == 1 else "they run"
        yield Finding(f"{began}; which release {they_run} is not known.", EVIDENCE)
    elif not _ours(facts) and not any(start.changes for start in facts.starts if start.at <= facts.last_failure):
        told = "No process is known to have begun with another release or other settings in the half hour before it"
        yield Finding(f"{told}, or while it lasted: no sign of a change of ours.", INFERENCE)


def _ours(facts: Facts) -> bool:
    """Whether something of ours is known to have failed, or was made to fail."""
    return bool(_chaos(facts) or facts.broken or facts.undecided) or any(failures(facts)[reason] for reason in OURS)


def resolution(facts: Facts) -> list[Finding]:
    """What was done, what ended it as it seems, and what became of the promised orders."""
    return [*_followed(facts), *_ended(facts), *_well(facts), *_kept(facts), *_closed(facts)]


def _followed(facts: Facts) -> Iterator[Finding]:
    if ending := ending_link(facts):
        when = clock(ending.followed_at or ending.seen_at, facts.first_failure)
        told = f"Support link {ending.pk} was followed at {when} by {ending.by}: {ending.answer}"
        yield Finding(sentence(told), EVIDENCE)


def ending_link(facts: Facts) -> Link | None:
    """The last one that was followed before the first success, or by now."""
    end = facts.success.at if facts.success else facts.until
    followed = [(link.followed_at, link) for link in facts.links if link.followed_at and link.followed_at <= end]
    return max(followed, key=lambda pair: pair[0])[1] if followed else None


def what_ended(facts: Facts) -> tuple[datetime, str] | None:
    """The first thing that was done after which the factory failed no more; None: it ended by itself, or goes on."""
    # Who had called by then may have failed a little later.
    after = (facts.last_failed_at or facts.first_failure) - timedelta(seconds=settings.FACTORY_DEADLINE)
    end = facts.success.at if facts.success else facts.until
    done = (each for each in _done(facts) if max(after, facts.first_failure) < each[0] <= end)
    return min(done, default=None)


def _done(facts: Facts) -> Iterator[tuple[datetime, str]]:
    for link in facts.links:
        if link.followed_at:
            yield link.followed_at, f"the factory's support link was followed by {link.by}"
    for switch in facts.switches:
        if switch.state == "off":
            yield switch.at, "chaos was switched off"
    if facts.switches and facts.switches[-1].state == "on":
        yield facts.switches[-1].at + timedelta(seconds=CHAOS_SECONDS), "chaos was over after 15 minutes"
    for start in facts.starts:
        if is_change(start):
            yield start.at, f"a {start.role} process began with {changed(start)}"


def _ended(facts: Facts) -> Iterator[Finding]:
    if facts.success is None:
        return
    if ended := what_ended(facts):
        after = lasting(facts.success.at - ended[0])
        yield Finding(f"It ended because {ended[1]}, {after} before the first success, as it seems.", INFERENCE)
    else:
        told = "Nothing that was done here is in the books between the first failure and the first success"
        if any(facts.first_failure < at <= facts.success.at for at, _ in _done(facts)):
            told = "Calls to the factory failed after all that was done here"
        yield Finding(f"{told}: it ended by itself, or by what others did.", INFERENCE)


def _well(facts: Facts) -> Iterator[Finding]:
    if facts.success is None:
        yield Finding("No pizza has been made since the last failure.", EVIDENCE)
        return
    what = f"order {facts.success.order_id}" if facts.success.order_id else "a canary"
    when = clock(facts.success.at, facts.first_failure)
    after = lasting(facts.success.at - facts.last_failure)
    yield Finding(f"The first pizza after the last failure was {what}, at {when}, {after} after it.", EVIDENCE)


def _kept(facts: Facts) -> Iterator[Finding]:
    if not facts.promised:
        return
    if facts.all_made_at:
        told = f"all {many(facts.promised, 'promised order')}" if facts.promised > 1 else "the promised order"
        done = f"{were(facts.promised)} made by {clock(facts.all_made_at, facts.first_failure)}"
        yield Finding(sentence(f"{told} {done}"), EVIDENCE)
        return
    lost = facts.promised - facts.made_later - facts.still_pending
    left = [f"{facts.still_pending:,} pending"] if facts.still_pending else []
    left += [f"{lost:,} failed"] if lost else []
    told = f"Of {many(facts.promised, 'promised order')}, {facts.made_later:,} {were(facts.made_later)} made by now"
    yield Finding(f"{told}; {joined(left)}.", EVIDENCE)


def _closed(facts: Facts) -> Iterator[Finding]:
    if closed := facts.incident.closed_at:
        why = "; a failure that was told later came in this time"
        if facts.success and facts.last_failure <= facts.incident.last_at:
            why = f", once all had been well for {lasting(closed - facts.success.at)}"
        yield Finding(f"It closed at {clock(closed, facts.first_failure)}{why}.", EVIDENCE)
    else:
        yield Finding("It is still open.", EVIDENCE)
