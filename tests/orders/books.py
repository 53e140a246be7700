"""Orders as they stand in the books, for tests of what is read there."""

from datetime import UTC, datetime, timedelta
from decimal import Decimal

from franchises.models import Franchise, Store
from jwtpizza.accounts.models import User
from menu.models import MenuItem
from orders.models import Order, OrderItem, Status

NOON = datetime(2026, 6, 5, 12, tzinfo=UTC)


def store(name, franchise="pizzaPocket"):
    return Store.objects.create(franchise=Franchise.objects.get_or_create(name=franchise)[0], name=name)


def diner(name):
    return User.objects.create(name=name, email=f"{User.objects.count()}@jwt.com")


def placed(*, at, by, minutes=0, when=None, status=Status.FULFILLED, reason="timeout", total="0.0038", pizzas=()):
    """An order in the books, placed so many minutes before noon; a failed one has the reason."""
    when = when or NOON - timedelta(minutes=minutes)
    order = Order(store=at, diner=by, created_at=when, status=status, total=Decimal(total), settled_at=when)
    match status:
        case Status.PENDING:
            order.settled_at, order.lease_until = None, when
        case Status.FAILED:
            order.reason = reason
        case Status.FULFILLED:
            order.jwt = "pizza"
    order.save()
    for pizza in pizzas:
        item = MenuItem.objects.get_or_create(title=pizza, defaults={"price": 1})[0]
        OrderItem.objects.create(order=order, menu_item=item, description=pizza, price=1)
    return order
