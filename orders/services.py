"""Placing an order: record it, have it made at the factory, settle it.

    record   one transaction: what is ordered is looked up and priced, and stands in the books as pending
    fulfil   the factory is asked, with no transaction open and no database connection held
    settle   one short transaction, which only a pending order takes part in: fulfilled and paid for, or failed

Whoever dies in between leaves a pending order with a lease; `settle_abandoned` decides it once that runs out.
"""

import json
import logging
import secrets
from collections.abc import Sequence
from datetime import timedelta
from hashlib import sha256
from typing import Any, NamedTuple

from django.db import IntegrityError, connection, transaction
from django.db.models import Exists, F, OuterRef, Value
from django.db.models.functions import Now
from django.utils import timezone

from franchises import selectors as franchises
from franchises.models import Store
from jwtpizza.accounts.models import User
from jwtpizza.fields import BitcoinField, as_number
from menu import selectors as menu
from orders import selectors
from orders.errors import KeyReused, UnderWay, order_failed
from orders.factory import gateway
from orders.factory.errors import FactoryError
from orders.models import Order, OrderItem, Reason, Status, lease_end

log = logging.getLogger("orders")


class Sale(NamedTuple):
    order: Order
    items: list[OrderItem]


IDEMPOTENCY_WINDOW = timedelta(hours=24)


def place_order(
    *, diner: User, franchise_id: int, store_id: int, menu_ids: Sequence[int], idempotency_key: str | None = None
) -> Sale:
    """A fulfilled order with its JWT and its items, made now or, under the same key in the last 24 hours, before.

    Raises NotFound for a store or item that isn't there, OrderFailed when the factory made no pizza,
    KeyReused for a key of another order, UnderWay while the first order of this key is being made.
    """
    fingerprint = sha256(json.dumps([franchise_id, store_id, list(menu_ids)]).encode()).hexdigest()
    sale = _earlier(diner, idempotency_key, fingerprint)
    if sale is None:
        try:
            sale = _record(diner, franchise_id, store_id, menu_ids, idempotency_key, fingerprint)
        except IntegrityError:
            # Somebody was quicker with the same key.
            sale = _earlier(diner, idempotency_key, fingerprint)
            if sale is None:
                raise
        else:
            _fulfil(sale)
    return _told(sale)


def _earlier(diner: User, key: str | None, fingerprint: str) -> Sale | None:
    """The order of this key, if it is not older than the window; an older one gives its key back."""
    if key is None:
        return None
    order = Order.objects.filter(diner=diner, idempotency_key=key).select_related("store", "diner").first()
    if order is None:
        return None
    if order.status != Status.PENDING and order.created_at < timezone.now() - IDEMPOTENCY_WINDOW:
        Order.objects.filter(pk=order.pk).update(idempotency_key=None)
        return None
    if order.fingerprint != fingerprint:
        raise KeyReused
    return _sale(order)


def _record(
    diner: User, franchise_id: int, store_id: int, menu_ids: Sequence[int], key: str | None, fingerprint: str
) -> Sale:
    with transaction.atomic():
        store = franchises.store(franchise_id=franchise_id, store_id=store_id)
        pizzas = menu.items(menu_ids)
        order = Order.objects.create(
            diner=diner,
            store=store,
            total=sum(pizza.price for pizza in pizzas),
            lease_until=lease_end(),
            lease_owner=secrets.token_hex(16),
            idempotency_key=key,
            fingerprint=fingerprint,
        )
        items = [
            OrderItem(order=order, menu_item=pizza, description=pizza.title, price=pizza.price) for pizza in pizzas
        ]
        return Sale(order, OrderItem.objects.bulk_create(items))


def _sale(order: Order) -> Sale:
    return Sale(order, list(order.items.order_by("pk")))


def _fulfil(sale: Sale) -> None:
    """Has the pizzas made and settles the order; afterwards it says what the books say."""
    order, payload = sale.order, _payload(sale)
    _give_connection_back()
    try:
        pizza = gateway.make_pizza(payload)
    except FactoryError as error:
        _settle(order, status=Status.FAILED, reason=error.reason, support_link=error.support_link)
    else:
        _settle(order, status=Status.FULFILLED, jwt=pizza.jwt, support_link=pizza.support_link)
    if order.status == Status.PENDING:
        _settle(order, status=Status.FAILED, reason=Reason.DINER_DELETED)


def _payload(sale: Sale) -> dict[str, Any]:
    """What the factory signs."""
    order = sale.order
    return {
        "diner": {"id": order.diner_id, "name": order.diner.name, "email": order.diner.email},
        "order": {
            "franchiseId": order.store.franchise_id,
            "storeId": order.store_id,
            "items": [
                {"menuId": item.menu_item_id, "description": item.description, "price": as_number(item.price)}
                for item in sale.items
            ],
            "id": order.pk,
        },
    }


def _give_connection_back() -> None:
    """Four orders that wait for the factory would starve a pool of four; SQLite's own has no server to starve."""
    if connection.vendor != "sqlite" and not connection.in_atomic_block:
        connection.close()


def _settle(order: Order, *, status: Status, **outcome: Any) -> None:
    """Decides a pending order, and pays the store for a fulfilled one; afterwards `order` is what the books say.

    It may have been decided before; and a deleted diner's is never fulfilled: the name in its JWT is to be nowhere.
    """
    pending = Order.objects.filter(pk=order.pk, status=Status.PENDING)
    if status == Status.FULFILLED:
        pending = pending.filter(Exists(User.objects.filter(pk=OuterRef("diner_id"), deleted_at=None)))
    with transaction.atomic():
        decided = pending.update(status=status, settled_at=Now(), lease_until=None, lease_owner="", **outcome)
        if decided and status == Status.FULFILLED:
            earned = Value(order.total, output_field=BitcoinField())
            Store.objects.filter(pk=order.store_id).update(revenue=F("revenue") + earned)
    if not decided:
        order.refresh_from_db(fields=["status", "reason", "jwt", "support_link"])
    for name, value in {"status": status, **outcome}.items() if decided else ():
        setattr(order, name, value)


def _told(sale: Sale) -> Sale:
    """What the books say is what the diner is told: the sale, or an error."""
    order = sale.order
    if order.status == Status.PENDING:
        raise UnderWay
    if order.status == Status.FAILED:
        raise order_failed(order.reason, support_link=order.support_link if order.diner.is_superuser else "")
    return sale


def settle_abandoned() -> dict[str, int]:
    """Decides each pending order whose lease ran out; how many were taken over, by what became of them.

    The diner who sent an Idempotency-Key was promised the outcome: the same order is posted again (the factory only
    signs, so a second time is harmless). Any other is failed: its diner was told nothing, or that it failed. One that
    can't be decided is logged, and holds up no other.
    """
    outcomes = dict.fromkeys((Status.FULFILLED.value, Status.FAILED.value), 0)
    for order in selectors.abandoned().select_related("store", "diner"):
        if _claim(order):
            try:
                _decide(order)
            except Exception:
                log.exception("order %s could not be decided", order.pk)
            else:
                outcomes[order.status] += 1
    return outcomes


def _decide(order: Order) -> None:
    if order.idempotency_key is None:
        _settle(order, status=Status.FAILED, reason=Reason.ABANDONED)
    else:
        _fulfil(_sale(order))


def _claim(order: Order) -> bool:
    """Takes the lease over, unless somebody else did, or decided the order meanwhile."""
    owner = secrets.token_hex(16)
    return bool(selectors.abandoned().filter(pk=order.pk).update(lease_until=lease_end(), lease_owner=owner))


def fetch_factory_keys() -> None:
    """Fetches the factory's public keys ahead of the first order; without them, that order does."""
    try:
        gateway.fetch_keys()
    except FactoryError as error:
        log.warning("the factory's keys could not be fetched: %s", error)


def forget(user: User) -> None:
    """What the deletion of a user means here: waiting orders are off, and the pizzas that carry the name are gone."""
    orders = Order.objects.filter(diner=user)
    orders.filter(status=Status.PENDING).update(
        status=Status.FAILED, reason=Reason.DINER_DELETED, settled_at=Now(), lease_until=None, lease_owner=""
    )
    orders.filter(status=Status.FULFILLED).update(jwt="")
