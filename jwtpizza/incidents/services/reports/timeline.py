"""What happened, one after the other; 40 lines at most, however long it lasted."""

from collections.abc import Iterator
from datetime import timedelta

from jwtpizza.incidents.selectors.facts import Facts, Start
from jwtpizza.incidents.services.reports.causes import changed, is_change
from jwtpizza.incidents.services.reports.detection import OPENED_BY
from jwtpizza.incidents.services.reports.parts import Alert, Moment
from jwtpizza.incidents.services.reports.words import lasting, listed, many

SOON = timedelta(minutes=1)
MOST_TRANSITIONS, MOST_FOLLOWED, MOST_SWITCHES, MOST_STARTS = 8, 5, 4, 5


def timeline(facts: Facts, alerts: list[Alert]) -> list[Moment]:
    """Its lines, the first first."""
    told = [*_failures(facts), *_transitions(facts), *_links(facts), *_done(facts), *_end(facts)]
    told += [Moment(alert.at, f"The rule of the alert {alert.name} ({alert.severity}) holds") for alert in alerts]
    return sorted(told, key=lambda moment: moment.at)


def _failures(facts: Facts) -> Iterator[Moment]:
    yield Moment(facts.first_failure, f"First failure: {OPENED_BY[facts.opened_by]}")
    others = {"refused": facts.first_refused_at, "broken": facts.first_broken_at, "canary": facts.canary_failed_at}
    others["promised"] = facts.first_promised_at
    if facts.began:
        others["order"] = min(facts.began.values())
    for kind, at in others.items():
        if at and kind != facts.opened_by:
            yield Moment(at, f"The first {OPENED_BY[kind].partition(' ')[2]}")
    opened, closed = facts.incident.opened_at, facts.incident.closed_at
    late = closed is not None and opened > closed
    yield Moment(opened, "The service is told of it" if late else "The service notices it: the incident is open")
    if facts.last_failure > facts.first_failure:
        yield Moment(facts.last_failure, "Last failure" if facts.incident.closed_at else "Last failure by now")


def _transitions(facts: Facts) -> Iterator[Moment]:
    if not facts.transitions:
        return
    for change in facts.transitions[:MOST_TRANSITIONS]:
        yield Moment(change.at, f"A process's circuit is {change.state} (it was {change.was})")
    left = sum(facts.circuits.values()) - MOST_TRANSITIONS
    if left > 0:
        after = facts.transitions[MOST_TRANSITIONS].at
        told = f"From here on circuits change {many(left, 'time')} more; in all: {listed(dict(facts.circuits))}"
        yield Moment(after, told)


def _links(facts: Facts) -> Iterator[Moment]:
    if facts.first_link_at:
        others = f", the first of {facts.links_seen:,}" if facts.links_seen > 1 else ""
        yield Moment(facts.first_link_at, f"The factory gives a support link{others}")
    followed = sorted((link.followed_at, link) for link in facts.links if link.followed_at)
    for at, link in followed[-MOST_FOLLOWED:]:
        yield Moment(at, f"Support link {link.pk} is followed by {link.by}: {link.answer}")


def _done(facts: Facts) -> Iterator[Moment]:
    for switch in facts.switches[:MOST_SWITCHES]:
        yield Moment(switch.at, f"Chaos is switched {switch.state}")
    # With other settings or another release before those that only began again.
    groups = sorted(_alike(facts.starts), key=lambda alike: not is_change(alike[0]))
    yield from (_started(alike) for alike in groups[:MOST_STARTS])


def _alike(starts: list[Start]) -> list[list[Start]]:
    """Those of a role that began one soon after the other, with the same release and settings."""
    groups: list[list[Start]] = []
    latest: dict[str, list[Start]] = {}
    for start in starts:
        group = latest.get(start.role)
        if group is None or start.changes or start.at - group[-1].at > SOON:
            groups.append(group := [])
            latest[start.role] = group
        group.append(start)
    return groups


def _started(alike: list[Start]) -> Moment:
    first = alike[0]
    began = many(len(alike), f"{first.role} process begins", f"{first.role} processes begin")
    how = f"with {changed(first)}" if is_change(first) else f"with release {first.release}"
    return Moment(first.at, f"{began} {how}")


def _end(facts: Facts) -> Iterator[Moment]:
    if facts.success:
        what = f"order {facts.success.order_id} is made" if facts.success.order_id else "a canary flies well"
        after = lasting(facts.success.at - facts.last_failure)
        yield Moment(facts.success.at, f"First success: {what}, {after} after the last failure")
    if facts.all_made_at:
        which = f"The last of {facts.promised:,} promised orders" if facts.promised > 1 else "The promised order"
        yield Moment(facts.all_made_at, f"{which} is made")
    if facts.incident.closed_at:
        yield Moment(facts.incident.closed_at, "The incident is closed")
