"""Placing an order, in four steps:

    admit    a place at the factory's guard; who is refused is told so, and nothing was written
    record   what is ordered is looked up and priced, and in one short transaction it stands in the books as pending
    fulfil   the factory is asked, with no transaction open and no database connection held
    settle   one short transaction, which only a pending order takes part in: fulfilled and paid for, or failed

Who asked for it (`later`) is promised what can't be made now, and `orders.services.later` makes it. Whoever dies in
between leaves a pending order with a lease; `decide` decides it once that runs out.
"""

import json
import logging
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from functools import lru_cache
from hashlib import sha256
from random import uniform
from typing import Any, NamedTuple

from django.conf import settings
from django.db import IntegrityError, InterfaceError, OperationalError, connection, transaction
from django.db.models import BigIntegerField, BooleanField, Exists, ExpressionWrapper, F, OuterRef, Q, QuerySet, Value
from django.db.models.functions import Now

from franchises import selectors as franchises
from franchises.models import Store
from jwtpizza.accounts.models import User
from jwtpizza.databases.connections import give_connection_back
from jwtpizza.databases.prepared import PreparedInsert, PreparedUpdate
from jwtpizza.fields import as_number, as_satoshi, from_now
from jwtpizza.observability import journal
from jwtpizza.resilience.guard import Admission
from jwtpizza.resilience.refused import Refused
from menu import selectors as menu
from orders import metrics, selectors
from orders.errors import KeyReused, Undecided, UnderWay, order_failed, order_refused
from orders.factory import gateway
from orders.factory.errors import FactoryError
from orders.models import Order, OrderItem, Reason, Status, lease_end
from orders.selectors import Pizza
from orders.services import links

log = logging.getLogger("orders")

SETTLE_AGAIN = 2
# Between two tries of a promised order: as long as it has waited already, within these seconds.
BACKOFF_LEAST, BACKOFF_MOST = 5.0, 300.0


class Wanted(NamedTuple):
    """What a diner asks for, the Idempotency-Key that it came with, if any, and whether it may be made `later`."""

    diner: User
    franchise_id: int
    store_id: int
    menu_ids: tuple[int, ...]
    key: str | None
    later: bool

    def fingerprint(self) -> str:
        """The same for two that want the same of the same store."""
        return sha256(json.dumps([self.franchise_id, self.store_id, self.menu_ids]).encode()).hexdigest()


class Sale(NamedTuple):
    """An order with what was ordered."""

    order: Order
    pizzas: list[Pizza]


class Outcome(NamedTuple):
    """What a call to the factory came to: a JWT, or the reason why there is none.

    `hopeless` is what no later try can mend; `wait` is how many seconds the factory asks for until then.
    """

    jwt: str | None = None
    reason: str = Reason.NONE
    support_link: str = ""
    hopeless: bool = False
    wait: float = 0.0

    @property
    def status(self) -> Status:
        return Status.FAILED if self.jwt is None else Status.FULFILLED

    def columns(self) -> dict[str, Any]:
        """What it makes of a pending order."""
        decided = {"status": self.status, "settled_at": Now(), "lease_until": None}
        return {**decided, "jwt": self.jwt, "reason": self.reason, "support_link": self.support_link}


def place_order(
    *,
    diner: User,
    franchise_id: int,
    store_id: int,
    menu_ids: Sequence[int],
    idempotency_key: str | None = None,
    later: bool = False,
) -> Sale:
    """A fulfilled order with its JWT and its items, made now or, under the same key in the last 24 hours, before.

    With `later` it may be pending: then it is promised, and made when the factory is back. Raises NotFound for a store
    or item that isn't there, OrderFailed when the factory made no pizza, OrderRefused when it can't be asked now,
    KeyReused for a key of another order, UnderWay while the first order of this key is being made, Undecided when
    the order is in the books and what became of it is not.
    """
    wanted = Wanted(diner, franchise_id, store_id, tuple(menu_ids), idempotency_key, later)
    with metrics.order_seconds.time():
        if earlier := _earlier(wanted):
            return _told(_resumed(earlier, later=later))
        try:
            return _told(_placed(wanted))
        except IntegrityError:
            # Somebody was quicker with the same key.
            if earlier := _earlier(wanted):
                return _told(earlier)
            raise


def _placed(wanted: Wanted) -> Sale:
    try:
        admission = gateway.admit(before_waiting=give_connection_back)
    except Refused as refused:
        if wanted.later:
            return _record(wanted, promised=True)
        metrics.orders.labels("refused").inc()
        journal.note("refused", outcome=refused.why, diner=wanted.diner.pk, items=wanted.menu_ids)
        raise order_refused(refused.seconds) from refused
    with admission:
        sale = _record(wanted)
        with _undecided(sale.order):
            outcome = _fulfil(sale, admission)
    with _undecided(sale.order):
        _conclude(sale, outcome, later=wanted.later)
    return sale


@contextmanager
def _undecided(order: Order) -> Iterator[None]:
    """The order is in the books: whatever a caller would be told of an error by itself may turn out untrue."""
    try:
        yield
    except Refused:
        raise
    except Exception as error:
        log.exception("an order is in the books, and undecided")
        raise Undecided(order.pk) from error


def _resumed(sale: Sale, *, later: bool) -> Sale:
    """An order that a crash left behind is decided by whoever asks for it once its lease has run out."""
    order = sale.order
    if order.status == Status.PENDING and selectors.due().filter(pk=order.pk).exists():
        try:
            with _undecided(order):
                decide(order)
        except Refused as refused:
            if later and not order.promised:
                _promise(order, BACKOFF_LEAST)
            if not order.promised:
                raise UnderWay(refused.seconds) from refused
    return sale


def _earlier(wanted: Wanted) -> Sale | None:
    """What the key was used for before; once its window is over, it is free again."""
    if wanted.key is None:
        return None
    orders = Order.objects.filter(diner=wanted.diner, idempotency_key=wanted.key)
    forgotten = ExpressionWrapper(selectors.OUT_OF_WINDOW & ~Q(status=Status.PENDING), output_field=BooleanField())
    order = orders.select_related("store", "diner").annotate(forgotten=forgotten).first()
    if order is None:
        return None
    if order.forgotten:
        orders.filter(pk=order.pk).update(idempotency_key=None)
        return None
    if order.fingerprint != wanted.fingerprint():
        raise KeyReused
    return _sale(order)


def _sale(order: Order) -> Sale:
    return Sale(order, selectors.pizzas([order.pk])[order.pk])


def _record(wanted: Wanted, *, promised: bool = False) -> Sale:
    """A pending order in the books, at the menu's prices.

    Raises NotFound, and what `_write` does.
    """
    # What is ordered is looked up before the transaction, which on SQLite keeps everybody else from writing.
    store = franchises.store(franchise_id=wanted.franchise_id, store_id=wanted.store_id)
    items = menu.items(wanted.menu_ids)
    order = Order(diner=wanted.diner, store=store, total=sum(item.price for item in items), promised=promised)
    order.idempotency_key, order.fingerprint = wanted.key, wanted.fingerprint()
    bought = [{"item": item.pk, "name": item.title, "price": as_satoshi(item.price)} for item in items]
    _write(order, bought)
    if promised:
        _count_promise()
    return Sale(order, [Pizza(order.pk, None, item.pk, item.title, item.price) for item in items])


def _write(order: Order, bought: list[dict[str, Any]]) -> None:
    """The order and its items, or neither.

    Raises IntegrityError when its key is taken, and Undecided when it will be made if it is in the books, and the
    database went away while it was to say so.
    """
    lease, written = BACKOFF_LEAST if order.promised else settings.ORDER_LEASE, False
    try:
        with transaction.atomic():
            order.pk = _adding(lease, promised=order.promised).add(
                diner=order.diner_id,
                store=order.store_id,
                total=as_satoshi(order.total),
                idempotency_key=order.idempotency_key,
                fingerprint=order.fingerprint,
            )
            _ADD_ITEMS.add_all([{"order": order.pk, **columns} for columns in bought])
            written = True
    except (OperationalError, InterfaceError) as error:
        if written and (order.promised or order.idempotency_key):
            raise Undecided(order.pk) from error
        raise


def _satoshi(amount: int) -> Value:
    return Value(amount, output_field=BigIntegerField())


@lru_cache
def _adding(lease: float, *, promised: bool) -> PreparedInsert:
    """Of a pending order that somebody works on for `lease` seconds."""

    def order(diner: int, store: int, total: int, **more: str) -> Order:
        kept = {"lease_until": from_now(lease), "promised": promised}
        return Order(diner_id=diner, store_id=store, total=_satoshi(total), **kept, **more)

    return PreparedInsert(order, diner=int, store=int, total=int, idempotency_key=str, fingerprint=str)


_ADD_ITEMS = PreparedInsert(
    lambda order, item, name, price: OrderItem(
        order_id=order, menu_item_id=item, description=name, price=_satoshi(price)
    ),
    order=int,
    item=int,
    name=str,
    price=int,
)


def _fulfil(sale: Sale, admission: Admission) -> Outcome:
    """Has the pizzas made; the books know nothing of it yet."""
    payload, chaos = _payload(sale), selectors.chaos_is_on()
    give_connection_back()
    try:
        pizza = gateway.make_pizza(payload, admission=admission, chaos=chaos)
    except FactoryError as error:
        return Outcome(
            reason=error.reason, support_link=error.support_link, hopeless=error.hopeless, wait=error.retry_after
        )
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
                {"menuId": pizza.menu_item_id, "description": pizza.description, "price": as_number(pizza.price)}
                for pizza in sale.pizzas
            ],
            "id": order.pk,
        },
    }


def _conclude(sale: Sale, outcome: Outcome, *, later: bool, waited: float = 0.0) -> None:
    """Settles the order, or has it tried again after `waited` seconds more: afterwards it is what the books say."""
    if later and outcome.status == Status.FAILED and not outcome.hopeless:
        _promise(sale.order, min(BACKOFF_MOST, max(BACKOFF_LEAST, waited)), wait=min(BACKOFF_MOST, outcome.wait))
    else:
        _settle(sale, outcome)
    if outcome.status == Status.FAILED and outcome.support_link:
        links.keep(outcome.support_link)


def _promise(order: Order, seconds: float, *, wait: float = 0.0) -> None:
    """The order is tried again in so many seconds, more or less, for a crowd is not to come back at once.

    `wait` is how long the factory wants to be left alone.
    """
    pause = max(wait, seconds * uniform(0.9, 1.1))  # noqa: S311
    pending = Order.objects.filter(pk=order.pk, status=Status.PENDING)
    promised = _persistently(lambda: bool(pending.update(promised=True, lease_until=from_now(pause))))
    if not promised:
        order.refresh_from_db()
    elif not order.promised:
        order.promised = True
        _count_promise()


def _settle(sale: Sale, outcome: Outcome) -> None:
    """Decides a pending order, and pays the store for a fulfilled one; afterwards `order` is what the books say."""
    order = sale.order
    if _persistently(lambda: _book(order, outcome)):
        order.status, order.jwt, order.reason = outcome.status, outcome.jwt, outcome.reason
        order.support_link = outcome.support_link
        _count(sale)
        return
    order.refresh_from_db(fields=["status", "jwt", "reason", "support_link"])
    if order.status == Status.PENDING:
        _settle(sale, Outcome(reason=Reason.DINER_DELETED))


def _book(order: Order, outcome: Outcome) -> bool:
    with transaction.atomic():
        if outcome.status == Status.FULFILLED:
            decided = _FULFIL.rows(pk=order.pk, jwt=outcome.jwt, support_link=outcome.support_link)
            if decided:
                _EARN.rows(pk=order.store_id, earned=as_satoshi(order.total))
        else:
            decided = _FAIL.rows(pk=order.pk, reason=outcome.reason, support_link=outcome.support_link)
    return bool(decided)


def _pending(pk: int) -> QuerySet[Order]:
    return Order.objects.filter(pk=pk, status=Status.PENDING)


# A deleted diner's name is to be nowhere, so a JWT that has it in it is not kept.
_THERE = Exists(User.objects.filter(pk=OuterRef("diner_id"), deleted_at=None))
_FULFIL = PreparedUpdate(
    lambda pk, **made: (_pending(pk).filter(_THERE), Outcome(**made).columns()), pk=int, jwt=str, support_link=str
)
_FAIL = PreparedUpdate(lambda pk, **why: (_pending(pk), Outcome(**why).columns()), pk=int, reason=str, support_link=str)
_EARN = PreparedUpdate(
    lambda pk, earned: (
        Store.objects.filter(pk=pk),
        {"revenue": F("revenue") + _satoshi(earned)},
    ),
    pk=int,
    earned=int,
)


def _count(sale: Sale) -> None:
    metrics.orders.labels(sale.order.status).inc()
    if sale.order.status == Status.FULFILLED:
        metrics.pizzas_sold.inc(len(sale.pizzas))
        metrics.revenue.inc(float(sale.order.total))


def _count_promise() -> None:
    metrics.orders_promised.inc()
    journal.note("promised")


def _persistently(book: Callable[[], bool]) -> bool:
    """A few times, each with a new connection: a pizza was made, and somebody waits for it. Raises django.db.Error.

    Not once that has taken long: it was somebody's lock or a host that is silent, for which one wait is enough.
    """
    begun = time.monotonic()
    for _ in range(SETTLE_AGAIN):
        try:
            return book()
        except (OperationalError, InterfaceError):
            if time.monotonic() - begun >= settings.LOCK_SECONDS / 2:
                raise
            log.warning("an order could not be settled; once more", exc_info=True)
            connection.close_if_unusable_or_obsolete()
    return book()


def _told(sale: Sale) -> Sale:
    """What the books say is what the diner is told: the sale, its promise, or an error."""
    order = sale.order
    if order.status == Status.PENDING and not order.promised:
        raise UnderWay
    if order.status == Status.FAILED:
        raise order_failed(order.reason, support_link=order.support_link if order.diner.is_superuser else "")
    return sale


def decide(order: Order) -> bool:
    """Takes over an order whose lease has run out, and brings it to its end; False where there is nothing to do.

    The diner who was promised the order, or sent an Idempotency-Key, in the last 24 hours is waiting for it: it is
    posted again under the same id (the factory only signs, so a second time is harmless). Any other is failed: its
    diner was told nothing that speaks against it. Raises Refused when the factory can't be asked now, and then
    nothing has changed.
    """
    if give_up(order):
        return True
    with gateway.admit(before_waiting=give_connection_back) as admission:
        if not _claimed(selectors.awaited(), order):
            return False
        sale = _sale(order)
        outcome = _fulfil(sale, admission)
    # Both by the database's clock: how long the order had waited when this try was due.
    waited = (order.lease_until - order.created_at).total_seconds() if order.lease_until else 0.0
    _conclude(sale, outcome, later=order.promised, waited=waited)
    return True


def give_up(order: Order) -> bool:
    """Fails an order whose lease has run out, if nobody waits for it; whether it did."""
    claimed = _claimed(selectors.abandoned(), order)
    if claimed:
        _settle(_sale(order), Outcome(reason=Reason.ABANDONED))
    return claimed


def _claimed(orders: QuerySet[Order], order: Order) -> bool:
    """Takes the lease over, unless somebody else did, or decided the order meanwhile."""
    return bool(orders.filter(pk=order.pk).update(lease_until=lease_end()))


def fetch_factory_keys() -> None:
    """Fetches the factory's public keys ahead of the first order; without them, that order does."""
    try:
        gateway.fetch_keys()
    except FactoryError as error:
        log.warning("the factory's keys could not be fetched: %s", error)


def erase_diner(*, user: User, **_: object) -> None:
    """A signal receiver for a deleted user: waiting orders are off, and the pizzas that carry the name are gone."""
    waiting = Order.objects.filter(diner=user, status=Status.PENDING)
    failed = waiting.update(**Outcome(reason=Reason.DINER_DELETED).columns())
    transaction.on_commit(lambda: metrics.orders.labels(Status.FAILED).inc(failed))
    _erase_pizzas(user)
    # Once more for those that were settled beside this transaction; later ones find the diner deleted.
    transaction.on_commit(lambda: _erase_pizzas(user))


def _erase_pizzas(user: User) -> None:
    Order.objects.filter(diner=user, status=Status.FULFILLED).update(jwt="")
