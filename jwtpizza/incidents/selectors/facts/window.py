"""The time that an incident's figures are of."""

from datetime import datetime, timedelta
from typing import Any, NamedTuple

from django.db.models import Q

from jwtpizza.fields import database_now
from jwtpizza.incidents.models import Incident
from jwtpizza.incidents.selectors.troubles import within

# An order that failed was placed so long before, at most, and its support link may be kept a little later.
MARGIN = timedelta(seconds=60)


class Window(NamedTuple):
    """From the first failure that opened it until it closed, or now.

    `orders_after` and `links_after` reach back a little further, to what belongs to this incident and to none before.
    """

    since: datetime
    until: datetime
    orders_after: datetime
    links_after: datetime

    def of(self, column: str, *, before: timedelta = timedelta(0)) -> Q:
        """That a row's date is in it, or that much before."""
        return within(column, since=self.since - before, until=self.until)


def window_of(incident: Incident) -> Window:
    """Two queries at most, one for an incident that is over."""
    since, until = incident.first_at, incident.closed_at or database_now()
    orders_after = links_after = since - MARGIN
    if earlier := _earlier(incident):
        orders_after = max(orders_after, earlier["last_at"])
        links_after = max(links_after, earlier["closed_at"] or earlier["last_at"])
    return Window(since, until, orders_after, links_after)


def _earlier(incident: Incident) -> Any:
    """The incident before it, to which an order that was promised then belongs."""
    earlier = Incident.objects.filter(first_at__lt=incident.first_at).order_by("-first_at")
    return earlier.values("last_at", "closed_at").first()
