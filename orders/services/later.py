"""What the worker does: it makes the orders that were promised, and decides those that a crash left behind."""

import logging
from collections import Counter
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from threading import Event

from django.conf import settings
from django.db import connection

from jwtpizza.resilience.refused import Refused
from orders import selectors
from orders.factory import gateway
from orders.models import Order
from orders.services import sales

log = logging.getLogger("orders")

BATCH = 100


def decide_due(*, stopped: Callable[[], bool] = lambda: False) -> Counter[str]:
    """Decides some of the orders that are due, several at once; how many, by what became of them.

    Those of which `pending` became wait for their next try. Ends early, after the orders in hand, once `stopped` says
    so or the factory can't be asked; then what needs no factory is decided all the same. One that can't be decided is
    logged, and holds up no other.
    """
    outcomes: Counter[str] = Counter()
    for order in selectors.abandoned().select_related("store", "diner")[:BATCH]:
        if not stopped() and _safely(sales.give_up, order):
            outcomes[order.status] += 1
    if not gateway.circuit().seconds_open:
        outcomes += _make_awaited(stopped)
    return outcomes


def _make_awaited(stopped: Callable[[], bool]) -> Counter[str]:
    refused = Event()

    def decided(order: Order) -> str | None:
        if stopped() or refused.is_set():
            return None
        try:
            return order.status if _safely(sales.decide, order) else None
        except Refused:
            refused.set()
            return None
        finally:
            connection.close()

    due = list(selectors.awaited().select_related("store", "diner")[:BATCH])
    with ThreadPoolExecutor(settings.FACTORY_PLACES, thread_name_prefix="fulfil") as pool:
        return Counter(status for status in pool.map(decided, due) if status)


def _safely(decide: Callable[[Order], bool], order: Order) -> bool:
    try:
        return decide(order)
    except Refused:
        raise
    except Exception:
        log.exception("order %s could not be decided", order.pk)
        return False
