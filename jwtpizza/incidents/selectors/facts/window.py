"""The time that an incident's figures are of."""

from datetime import datetime, timedelta
from typing import NamedTuple

from django.db.models import Q

from jwtpizza.fields import database_now
from jwtpizza.incidents.models import Incident
from jwtpizza.incidents.selectors.troubles import within

# An order that failed was placed so long before, at most, and its support link may be kept a little later.
MARGIN = timedelta(seconds=60)
# The first that failed or was refused is booked so long after its call ended, at most, where nothing hangs.
BOOKED = timedelta(seconds=1)
# A trouble is noted with microseconds, and its order by a clock that may round to whole milliseconds.
ROUNDED = timedelta(milliseconds=1)


class Window(NamedTuple):
    """From the first failure that opened it until it closed, or now.

    `orders_after` and `links_after` reach back a little further, to what belongs to this incident and to none before;
    `orders_until` ends where the orders of the next one begin.
    """

    since: datetime
    until: datetime
    orders_after: datetime
    orders_until: datetime
    links_after: datetime

    def of_circuits(self) -> Q:
        """Of an event: a circuit opens before the order is booked whose call opened it."""
        return within("at", after=max(self.links_after, self.since - BOOKED), until=self.until)

    def of(self, column: str, *, before: timedelta = timedelta(0)) -> Q:
        """That a row's date is in it, or that much before."""
        return within(column, since=self.since - before, until=self.until)


def window_of(incident: Incident) -> Window:
    """Two queries."""
    since, until = incident.first_at, incident.closed_at or database_now()
    earlier = Incident.objects.filter(first_at__lt=since).order_by("-first_at").first()
    links_after = since - MARGIN
    if earlier:
        links_after = max(links_after, earlier.closed_at or earlier.last_at)
    orders_until = until
    if incident.closed_at and (later := Incident.objects.filter(first_at__gt=since).order_by("first_at").first()):
        orders_until = min(until, _begin_of_orders(later, incident))
    return Window(since, until, _begin_of_orders(incident, earlier), orders_until, links_after)


def _begin_of_orders(incident: Incident, earlier: Incident | None) -> datetime:
    """Whose order was promised in the earlier one had placed it before the last trouble of that."""
    begin = incident.first_at - MARGIN
    return max(begin, earlier.last_at + ROUNDED) if earlier else begin
