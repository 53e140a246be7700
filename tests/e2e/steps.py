"""What the tests of a running service do again and again."""

import threading
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import requests

from tests.e2e import books
from tests.live import Service

# Short, so that a lease runs out within a test.
DEADLINE_SECONDS = 3
ENVIRONMENT = {
    "FACTORY_CONNECT_TIMEOUT": "0.5",
    "FACTORY_READ_TIMEOUT": str(DEADLINE_SECONDS),
    "FACTORY_DEADLINE": str(DEADLINE_SECONDS),
    "ORDER_LEASE": str(DEADLINE_SECONDS + 0.5),
}


def order(service: Service, token: str, *menu_ids: int, key: str | None = None, **more: Any) -> requests.Response:
    body = {"franchiseId": 1, "storeId": 1, "items": [{"menuId": menu_id} for menu_id in menu_ids]}
    headers = {} if key is None else {"Idempotency-Key": key}
    return service("POST", "/api/order", body, token=token, headers=headers, **more)


def all_at_once(count: int, call: Callable[[int], Any]) -> list[Any]:
    """What that many calls answer that begin together, each with its number."""
    together = threading.Barrier(count)

    def one_of_many(number: int) -> Any:
        together.wait(20)
        return call(number)

    with ThreadPoolExecutor(count) as pool:
        return list(pool.map(one_of_many, range(count)))


def eventually(condition: Callable[[], Any], seconds: float = 30) -> None:
    """Waits until that is so; other processes have clocks that can't be faked."""
    give_up = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < give_up, "it did not happen in time"
        time.sleep(0.02)


def settle(service: Service, query: books.Query) -> None:
    """Has abandoned orders settled, until none is pending."""

    def none_pending() -> bool:
        service.manage("settle_orders")
        return query("SELECT 1 FROM orders_order WHERE status = 'pending'") == []

    eventually(none_pending)


def kill_while_eight_orders_wait(service: Service, factory: Any, token: str) -> None:
    """kill -9 of the whole service while the factory makes eight pizzas, every other one of an Idempotency-Key."""
    factory.chaos("throttle", delay=1000 * (DEADLINE_SECONDS - 0.5))
    with ThreadPoolExecutor(8) as pool:
        waiting = [
            pool.submit(order, service, token, 1, key=f"key-{number}" if number % 2 else None) for number in range(8)
        ]
        eventually(lambda: factory.books()["attempts"] == 8)
        service.kill()
    assert all(isinstance(placed.exception(), requests.ConnectionError) for placed in waiting)
    factory.forget()
