"""Placing an order: record it, have it made at the factory, settle it.

    record   one transaction: what is ordered is looked up and priced, and stands in the books as pending
    fulfil   the factory is asked, with no transaction open and no database connection held
    settle   one short transaction, which only a pending order takes part in: fulfilled and paid for, or failed

Whoever dies in between leaves a pending order with a lease; `settle_abandoned` decides it once that runs out.
"""

import json
import logging
from collections.abc import Callable, Sequence
from datetime import timedelta
from hashlib import sha256
from typing import Any, NamedTuple

from django.db import IntegrityError, InterfaceError, OperationalError, connection, transaction
from django.db.models import Exists, F, OuterRef, QuerySet, Value
from django.db.models.functions import Now
from django.utils import timezone

from franchises import selectors as franchises
from franchises.models import Store
from jwtpizza.accounts.models import User
from jwtpizza.fields import BitcoinField, as_number
from menu import selectors as menu
from orders import selectors
from orders.errors import KeyReused, Undecided, UnderWay, order_failed
from orders.factory import gateway
from orders.factory.errors import FactoryError
from orders.models import Order, OrderItem, Reason, Status, lease_end

log = logging.getLogger("orders")

IDEMPOTENCY_WINDOW = timedelta(hours=24)
SETTLE_AGAIN = 2


class Wanted(NamedTuple):
    """What a diner asks for, and the Idempotency-Key that it came with, if any."""

    diner: User
    franchise_id: int
    store_id: int
    menu_ids: tuple[int, ...]
    key: str | None

    def fingerprint(self) -> str:
        """The same for two that want the same of the same store."""
        return sha256(json.dumps([self.franchise_id, self.store_id, self.menu_ids]).encode()).hexdigest()


class Sale(NamedTuple):
    """An order with its items."""

    order: Order
    items: list[OrderItem]


class Outcome(NamedTuple):
    """What a call to the factory came to: a JWT, or the reason why there is none."""

    jwt: str | None = None
    reason: str = Reason.NONE
    support_link: str = ""

    @property
    def status(self) -> Status:
        return Status.FAILED if self.jwt is None else Status.FULFILLED

    def columns(self) -> dict[str, Any]:
        """What it makes of a pending order."""
        return {"status": self.status, "settled_at": Now(), "lease_until": None, **self._asdict()}


def place_order(
    *, diner: User, franchise_id: int, store_id: int, menu_ids: Sequence[int], idempotency_key: str | None = None
) -> Sale:
    """A fulfilled order with its JWT and its items, made now or, under the same key in the last 24 hours, before.

    Raises NotFound for a store or item that isn't there, OrderFailed when the factory made no pizza,
    KeyReused for a key of another order, UnderWay while the first order of this key is being made, Undecided when
    the order is in the books and what became of it is not.
    """
    wanted = Wanted(diner, franchise_id, store_id, tuple(menu_ids), idempotency_key)
    if earlier := _earlier(wanted):
        return _told(_resumed(earlier))
    try:
        sale = _record(wanted)
    except IntegrityError:
        # Somebody was quicker with the same key.
        if earlier := _earlier(wanted):
            return _told(earlier)
        raise
    try:
        _settle(sale.order, _fulfil(sale))
    except Exception as error:
        # The order is in the books: whatever a caller would be told of this error by itself may turn out untrue.
        raise Undecided from error
    return _told(sale)


def _resumed(sale: Sale) -> Sale:
    """An order that a crash left behind is decided by whoever asks for it once its lease has run out."""
    if sale.order.status == Status.PENDING and _claim(sale.order):
        _decide(sale)
    return sale


def _earlier(wanted: Wanted) -> Sale | None:
    """What the key was used for before; once its window is over, it is free again."""
    if wanted.key is None:
        return None
    orders = Order.objects.filter(diner=wanted.diner, idempotency_key=wanted.key)
    order = orders.select_related("store", "diner").first()
    if order is None:
        return None
    if order.status != Status.PENDING and _out_of_window(order):
        Order.objects.filter(pk=order.pk).update(idempotency_key=None)
        return None
    if order.fingerprint != wanted.fingerprint():
        raise KeyReused
    return _sale(order)


def _sale(order: Order) -> Sale:
    return Sale(order, list(order.items.order_by("pk")))


def _record(wanted: Wanted) -> Sale:
    """A pending order in the books, at the menu's prices; raises NotFound, and IntegrityError when its key is taken."""
    with transaction.atomic():
        store = franchises.store(franchise_id=wanted.franchise_id, store_id=wanted.store_id)
        pizzas = menu.items(wanted.menu_ids)
        order = Order.objects.create(
            diner=wanted.diner,
            store=store,
            total=sum(pizza.price for pizza in pizzas),
            lease_until=lease_end(),
            idempotency_key=wanted.key,
            fingerprint=wanted.fingerprint(),
        )
        items = [
            OrderItem(order=order, menu_item=pizza, description=pizza.title, price=pizza.price) for pizza in pizzas
        ]
        return Sale(order, OrderItem.objects.bulk_create(items))


def _fulfil(sale: Sale) -> Outcome:
    """Has the pizzas made; the books know nothing of it yet."""
    payload = _payload(sale)
    _give_connection_back()
    try:
        pizza = gateway.make_pizza(payload)
    except FactoryError as error:
        return Outcome(reason=error.reason, support_link=error.support_link)
    return Outcome(jwt=pizza.jwt, support_link=pizza.support_link)


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


def _settle(order: Order, outcome: Outcome) -> None:
    """Decides a pending order, and pays the store for a fulfilled one; afterwards `order` is what the books say."""
    pending = Order.objects.filter(pk=order.pk, status=Status.PENDING)
    if outcome.status == Status.FULFILLED:
        # A deleted diner's name is to be nowhere, so a JWT that has it in it is not kept.
        pending = pending.filter(Exists(User.objects.filter(pk=OuterRef("diner_id"), deleted_at=None)))
    decided = _persistently(lambda: _book(order, pending, outcome))
    if decided:
        order.status, (order.jwt, order.reason, order.support_link) = outcome.status, outcome
        return
    order.refresh_from_db(fields=["status", "jwt", "reason", "support_link"])
    if order.status == Status.PENDING:
        _settle(order, Outcome(reason=Reason.DINER_DELETED))


def _book(order: Order, pending: QuerySet[Order], outcome: Outcome) -> bool:
    with transaction.atomic():
        decided = pending.update(**outcome.columns())
        if decided and outcome.status == Status.FULFILLED:
            earned = Value(order.total, output_field=BitcoinField())
            Store.objects.filter(pk=order.store_id).update(revenue=F("revenue") + earned)
    return bool(decided)


def _persistently(book: Callable[[], bool]) -> bool:
    """A few times, each with a new connection: a pizza was made, and somebody waits for it. Raises django.db.Error."""
    for _ in range(SETTLE_AGAIN):
        try:
            return book()
        except (OperationalError, InterfaceError):
            log.warning("an order could not be settled; once more", exc_info=True)
            connection.close_if_unusable_or_obsolete()
    return book()


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

    The diner who sent an Idempotency-Key in the last 24 hours was promised the outcome: the same order is posted again
    (the factory only signs, so a second time is harmless). Any other is failed: its diner was told nothing that speaks
    against it. One that can't be decided is logged, and holds up no other.
    """
    outcomes = dict.fromkeys((Status.FULFILLED.value, Status.FAILED.value), 0)
    for order in selectors.abandoned().select_related("store", "diner"):
        if _claim(order):
            try:
                _decide(_sale(order))
            except Exception:
                log.exception("order %s could not be decided", order.pk)
            else:
                outcomes[order.status] += 1
    return outcomes


def _decide(sale: Sale) -> None:
    order = sale.order
    promised = order.idempotency_key is not None and not _out_of_window(order)
    _settle(order, _fulfil(sale) if promised else Outcome(reason=Reason.ABANDONED))


def _out_of_window(order: Order) -> bool:
    return order.created_at < timezone.now() - IDEMPOTENCY_WINDOW


def _claim(order: Order) -> bool:
    """Takes the lease over, unless somebody else did, or decided the order meanwhile."""
    return bool(selectors.abandoned().filter(pk=order.pk).update(lease_until=lease_end()))


def fetch_factory_keys() -> None:
    """Fetches the factory's public keys ahead of the first order; without them, that order does."""
    try:
        gateway.fetch_keys()
    except FactoryError as error:
        log.warning("the factory's keys could not be fetched: %s", error)


def erase_diner(*, user: User, **_: object) -> None:
    """A signal receiver for a deleted user: waiting orders are off, and the pizzas that carry the name are gone."""
    Order.objects.filter(diner=user, status=Status.PENDING).update(**Outcome(reason=Reason.DINER_DELETED).columns())
    _erase_pizzas(user)
    # Once more for those that were settled beside this transaction; later ones find the diner deleted.
    transaction.on_commit(lambda: _erase_pizzas(user))


def _erase_pizzas(user: User) -> None:
    Order.objects.filter(diner=user, status=Status.FULFILLED).update(jwt="")
