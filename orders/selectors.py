"""Reading orders."""

from typing import Any

from django.db.models import QuerySet
from django.db.models.functions import Now

from jwtpizza.accounts.models import User
from jwtpizza.api.body import iso
from jwtpizza.api.errors import NotFound
from orders.models import Order, Status

HISTORY = {
    "": [Status.FULFILLED, Status.PENDING],
    "failed": [Status.FAILED],
    "pending": [Status.PENDING],
    "fulfilled": [Status.FULFILLED],
    "all": list(Status),
}


def history(*, diner: User, statuses: str) -> QuerySet[Order]:
    """A diner's orders with their items, newest first; `statuses` is a key of `HISTORY`."""
    orders = Order.objects.filter(diner=diner, status__in=HISTORY[statuses])
    return orders.select_related("store").prefetch_related("items").order_by("-pk")


def order(*, order_id: int, reader: User) -> Order:
    """An order with its items, for its diner and for admins; raises NotFound for everybody else."""
    readable = Order.objects.all() if reader.is_superuser else Order.objects.filter(diner=reader)
    found = readable.select_related("store").prefetch_related("items").filter(pk=order_id).first()
    if found is None:
        raise NotFound("There is no such order.")
    return found


def abandoned() -> QuerySet[Order]:
    """Pending orders whose lease has run out, oldest first."""
    return Order.objects.filter(status=Status.PENDING, lease_until__lt=Now()).order_by("pk")


def last_decided() -> dict[str, Any] | None:
    """How the latest decided order ended, as a hint of how the factory is."""
    order = Order.objects.exclude(settled_at=None).only("status", "reason", "settled_at").order_by("-pk").first()
    if order is None or order.settled_at is None:
        return None
    return {"lastOrder": order.status, "reason": order.reason, "at": iso(order.settled_at)}
