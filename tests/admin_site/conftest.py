"""What a franchise sells, and another that is none of its business."""

from types import SimpleNamespace

import pytest

from franchises.models import Franchise, Store
from jwtpizza.accounts.models import User
from orders.models import Order, OrderItem, from_now


def sold(store, *, diner_id=2, description="Veggie", **how):
    """An order in the books with one pizza in it; fulfilled unless told otherwise."""
    decided = {"status": "fulfilled", "jwt": "x", "settled_at": from_now(0)}
    order = Order.objects.create(store=store, diner_id=diner_id, **{"total": 1, **decided, **how})
    OrderItem.objects.create(order=order, menu_item_id=1, description=description, price=order.total)
    return order


FAILED = {"status": "failed", "reason": "server_error", "jwt": None}
PENDING = {"status": "pending", "jwt": None, "settled_at": None, "lease_until": from_now(60)}


@pytest.fixture
def rival(demo):
    """Another franchise with all that it has: each of its texts has "rival" in it, its orders have telling numbers."""
    owner = User.objects.create_user(name="rival owner", email="rival@rival.example", password="rival")
    regular = User.objects.create_user(name="rival regular", email="regular@rival.example", password="rival")
    franchise = Franchise.objects.create(name="rival pizza")
    franchise.admins.add(owner)
    store = Store.objects.create(franchise=franchise, name="rival store")
    gone = Store.objects.create(franchise=franchise, name="rival ruin", closed_at=owner.created_at)
    orders = [
        sold(at, pk=7_654_321 + number, diner_id=regular.pk, description="rival pizza", total="7.77777", **how)
        for number, (at, how) in enumerate([(store, {}), (store, FAILED), (store, PENDING), (gone, {})])
    ]
    return SimpleNamespace(owner=owner, regular=regular, franchise=franchise, store=store, gone=gone, orders=orders)
