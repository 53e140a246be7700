"""What the tests of a running service do again and again."""

import sqlite3
import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing, contextmanager
from pathlib import Path
from typing import Any

import requests

from tests.e2e import books
from tests.live import Service, Worker

# Nobody is refused because others are at the factory: what is tested is what many do at once.
PATIENT = {"FACTORY_QUEUE": "50", "FACTORY_QUEUE_SECONDS": "3"}
# Short, so that a lease runs out, and a circuit recovers, within a test.
DEADLINE_SECONDS = 3
ENVIRONMENT = PATIENT | {
    "FACTORY_CONNECT_TIMEOUT": "0.5",
    "FACTORY_READ_TIMEOUT": str(DEADLINE_SECONDS),
    "FACTORY_DEADLINE": str(DEADLINE_SECONDS + 0.5),
    "ORDER_LEASE": str(DEADLINE_SECONDS + 1),
    "FACTORY_BREAKER_OPEN_SECONDS": "1",
    "FACTORY_BREAKER_OPEN_SECONDS_MOST": "2",
    "FACTORY_CANARY_SECONDS": "0",
}


def order(
    service: Service, token: str, *menu_ids: int, key: str | None = None, later: bool = False, **more: Any
) -> requests.Response:
    """Places it; with `later`, one that can't be made now is to be promised."""
    body = {"franchiseId": 1, "storeId": 1, "items": [{"menuId": menu_id} for menu_id in menu_ids]}
    headers = {"Prefer": "respond-async"} if later else {}
    headers |= {} if key is None else {"Idempotency-Key": key}
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


def wait_for_redis(services: list[Service], state: str) -> None:
    """Until each process of theirs says that Redis is so; any may answer."""

    def said() -> set[str]:
        return {service("GET", "/readyz").json()["redis"] for service in services for _ in range(8)}

    eventually(lambda: said() == {state})


def settle(service: Service, query: books.Query) -> None:
    """Has abandoned orders settled, until none is pending."""

    def none_pending() -> bool:
        service.manage("fulfil_orders", "--once")
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


def promise(
    service: Service, query: books.Query, factory: Any, token: str, count: int, *, delay: float = 0
) -> list[int]:
    """The ids of that many orders, promised while the factory fails, and now due.

    The factory is well again, has forgotten them, and takes `delay` milliseconds for each.
    """
    factory.chaos("fail")
    with ThreadPoolExecutor(8) as pool:
        answers = list(pool.map(lambda _: order(service, token, 1, 3, later=True), range(count)))
    factory.forget()
    factory.chaos("none", delay=delay)
    assert [answer.status_code for answer in answers] == [202] * count, [answer.text for answer in answers]
    query("UPDATE orders_order SET lease_until = created_at WHERE status = 'pending'")
    return [answer.json()["order"]["id"] for answer in answers]


def web_workers(service: Service) -> list[int]:
    """The processes that granian serves with."""
    children = Path(f"/proc/{service.process.pid}/task/{service.process.pid}/children").read_text()
    names = {int(child): Path(f"/proc/{child}/cmdline").read_text() for child in children.split()}
    return [child for child, name in names.items() if "resource_tracker" not in name]


@contextmanager
def working(service: Service, count: int = 1) -> Iterator[list[Worker]]:
    """That many workers side by side; none of them is left afterwards."""
    directory = service.log.parent
    workers = [Worker(service, directory / f"worker-{number}.log") for number in range(count)]
    try:
        yield workers
    finally:
        for worker in workers:
            worker.kill()


@contextmanager
def nobody_writes(database: books.Database) -> Iterator[None]:
    """To SQLite, where whoever is paused while they write stops everybody else."""
    path = database.url.removeprefix("sqlite:///")
    if path == database.url:
        yield
        return
    with closing(sqlite3.connect(path, timeout=30, isolation_level=None)) as connection:
        connection.execute("BEGIN IMMEDIATE")
        yield
        connection.execute("ROLLBACK")


OTHERS = {
    "postgres": "SELECT pid FROM pg_stat_activity WHERE datname = current_database() AND pid <> pg_backend_pid()",
    "mysql": "SELECT id FROM information_schema.processlist WHERE db = DATABASE() AND id <> CONNECTION_ID()",
}
CUT = {"postgres": "SELECT pg_terminate_backend({})", "mysql": "KILL {}"}


def cut_off(database: books.Database) -> int:
    """Has the server end everybody's connections to that database, until these are gone; how many there were."""
    scheme = database.url.partition(":")[0]
    found = database.query(OTHERS[scheme])
    for [number] in found:
        try:
            database.query(CUT[scheme].format(number))
        except Exception as error:
            # Somebody was quicker to end it; PostgreSQL says nothing of that.
            if "Unknown thread id" not in str(error):
                raise
    eventually(lambda: not {*found} & {*database.query(OTHERS[scheme])})
    return len(found)


def count(query: books.Query, status: str) -> int:
    """How many orders have it."""
    return int(query(f"SELECT COUNT(*) FROM orders_order WHERE status = '{status}'")[0][0])
