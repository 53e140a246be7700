"""What to do about it: only what the facts call for, each with its figure."""

from collections.abc import Iterator
from datetime import timedelta

from django.conf import settings

from jwtpizza.incidents.selectors.facts import Facts
from jwtpizza.incidents.selectors.troubles import UNDECIDED
from jwtpizza.incidents.services.reports.causes import (
    changed,
    changes_before,
    factory_failed,
    failed_by,
    own_errors,
    refused_as,
    what_ended,
)
from jwtpizza.incidents.services.reports.detection import first_page
from jwtpizza.incidents.services.reports.parts import Action, Alert
from jwtpizza.incidents.services.reports.words import clock, lasting, listed, many
from orders.models import Reason

# Later than that, an alert or somebody who follows a link is late.
SOON = timedelta(minutes=1)
MENDED = {
    "Check FACTORY_API_KEY": (Reason.UNAUTHORIZED,),
    "Find out what the factory did not accept": (Reason.REJECTED,),
    "Ask the factory about pizzas that do not verify": (Reason.BAD_JWT, Reason.UNVERIFIED),
    "Switch chaos on only while nobody orders": (Reason.CHAOS,),
}


def actions(facts: Facts, alerts: list[Alert]) -> list[Action]:
    """None, if nothing is to be learnt."""
    return [*_noticing(facts, alerts), *_guarding(facts), *_mending(facts), *_ending(facts)]


def _noticing(facts: Facts, alerts: list[Alert]) -> Iterator[Action]:
    page = first_page(alerts)
    if page and page.at - facts.first_failure > SOON:
        figure = f"{page.name} paged {lasting(page.at - facts.first_failure)} after the first failure"
        yield Action("Have somebody woken sooner", figure)
    period = timedelta(seconds=settings.FACTORY_CANARY_SECONDS)
    known = facts.until - facts.first_failure
    if not facts.canaries and known > 2 * (period or SOON):
        what = "Run the worker (manage.py fulfil_orders) with FACTORY_CANARY_SECONDS above 0"
        yield Action(what, f"no canary is known to have flown in {lasting(known)}")


def _guarding(facts: Facts) -> Iterator[Action]:
    if facts.retries_denied:
        what = "See whether failures that pass need a larger FACTORY_RETRY_RATE or FACTORY_RETRY_SAVED"
        times = "once" if facts.retries_denied == 1 else f"{facts.retries_denied:,} times"
        yield Action(what, f"the retry budget had run dry {times}; where all calls fail, it is meant to run dry")
    if count := refused_as(facts, ("bulkhead",)):
        what = "See whether FACTORY_PLACES and FACTORY_QUEUE are too small for the traffic"
        yield Action(what, f"{many(count, 'order')} refused by the bulkhead")
    if count := refused_as(facts, ("deadline",)):
        what = "See whether FACTORY_QUEUE_SECONDS leaves enough of FACTORY_DEADLINE"
        yield Action(what, f"{many(count, 'order')} waited until no time was left")


def _mending(facts: Facts) -> Iterator[Action]:
    of_database, others = own_errors(facts)
    of_database |= {UNDECIDED: facts.undecided} if facts.undecided else {}
    failed = {what: failed_by(facts, *reasons) for what, reasons in MENDED.items()}
    wrong = facts.incident.stores_wrong or 0
    found = (
        (of_database, "Find out why the database failed", listed(of_database)),
        (others, "Mend the error of ours", listed(others)),
        *((count, what, f"{count} failed") for what, count in failed.items()),
        (facts.cut_off, "Find out what ended our processes", f"{many(facts.cut_off, 'order')} failed"),
        (wrong, "Set the books right", f"the revenue of {many(wrong, 'store')} is not what the orders cost"),
    )
    yield from (Action(what, figure) for calls_for, what, figure in found if calls_for)
    for start in changes_before(facts)[-1:]:
        ago = lasting(facts.first_failure - start.at)
        yield Action("Look at the change that came before it", f"{changed(start)}, {ago} before the first failure")


def _ending(facts: Facts) -> Iterator[Action]:
    yield from _unfollowed(facts)
    open_period = timedelta(seconds=settings.FACTORY_BREAKER_OPEN_SECONDS_MOST * (1 + settings.FACTORY_BREAKER_JITTER))
    ended = what_ended(facts)
    over = max(facts.last_failure, ended[0]) if ended else facts.last_failure
    if facts.success and factory_failed(facts) and facts.success.at - over > open_period:
        what = "Have it known sooner that the factory is back: fly canaries more often (FACTORY_CANARY_SECONDS)"
        since = ended[1] if ended and over == ended[0] else "the last failure"
        yield Action(what, f"the first success came {lasting(facts.success.at - over)} after {since}")
    if facts.still_pending and facts.success:
        figure = f"{many(facts.still_pending, 'promised order')} still pending"
        yield Action("See why the worker has not made all promised orders", figure)


def _unfollowed(facts: Facts) -> Iterator[Action]:
    if not facts.first_link_at:
        return
    over = facts.success.at if facts.success else facts.until
    # Whoever presses the button once it is over ended nothing.
    end = min(facts.first_followed_at or over, over)
    if end - facts.first_link_at <= SOON:
        return
    waited = lasting(end - facts.first_link_at)
    late = settings.FACTORY_FOLLOW_SUPPORT_LINK
    what = "Find out why the worker was late to follow" if late else "Have the worker follow"
    figure = (
        _followed(facts, waited)
        if end == facts.first_followed_at
        else f"{many(facts.links_seen, 'link')}, none followed in {waited}"
    )
    yield Action(f"{what} the support link (FACTORY_FOLLOW_SUPPORT_LINK)", figure)


def _followed(facts: Facts, waited: str) -> str:
    if facts.links_seen == 1 or facts.first_link_at is None:
        return f"the link was followed {waited} after it came"
    came = clock(facts.first_link_at, facts.first_failure)
    return f"the first of {facts.links_seen:,} links came at {came}, and one was followed first {waited} later"
