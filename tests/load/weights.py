"""What an order weighs: what it has the service and the database do, and leaves in the books for ever."""

from collections.abc import Iterator
from typing import NamedTuple

import psutil

from tests.e2e.books import Database
from tests.live import processor_seconds
from tests.load.calls import ORDERS
from tests.load.house import House
from tests.load.wrk import Sent, load

# Bytes: of the database, and of what it has written ahead. The program whose time is the database server's.
KEPT = {
    "sqlite": "SELECT page_count * page_size FROM pragma_page_count(), pragma_page_size()",
    "postgresql": "SELECT pg_database_size(current_database())",
    "mariadb": "SELECT SUM(file_size) FROM information_schema.innodb_sys_tablespaces WHERE name LIKE '{}/%'",
}
AHEAD = {
    "postgresql": "SELECT pg_current_wal_insert_lsn() - '0/0'::pg_lsn",
    "mariadb": "SELECT variable_value FROM information_schema.global_status WHERE variable_name = 'INNODB_LSN_CURRENT'",
}
SERVERS = {"postgresql": "postgres", "mariadb": "mariadbd"}


class Weighed(NamedTuple):
    orders: int
    kept: int
    ahead: int
    logged: int
    service: float
    server: float


def weighed(house: House, database: Database, kind: str) -> Weighed:
    """All that there is by now: orders, bytes in the database, of its log and of ours, seconds of a processor."""
    if kind == "postgresql":
        # What an order was while it was pending is not kept.
        database.query("VACUUM")
    name = database.url.rpartition("/")[2]
    ask = {"orders": "SELECT COUNT(*) FROM orders_order", "kept": KEPT[kind].format(name), "ahead": AHEAD.get(kind)}
    told = {what: int(database.query(sql)[0][0]) if sql else 0 for what, sql in ask.items()}
    servers = [each for each in psutil.process_iter(["name"]) if each.info["name"] == SERVERS.get(kind)]
    return Weighed(
        **told,
        logged=house.service.log.stat().st_size,
        service=house.service.processor_seconds(),
        server=sum(map(processor_seconds, servers)),
    )


def of_an_order(house: House, database: Database, kind: str, seconds: float) -> Iterator[tuple[str, str]]:
    """Of each of three pizzas, at 32 connections; then of those who all order at one store, and change one row."""
    before = weighed(house, database, kind)
    spread = load(house.service.port, ORDERS.sent(house.town), seconds=seconds)
    after = weighed(house, database, kind)
    orders, *more = (now - then for now, then in zip(after, before, strict=True))
    kept, ahead, logged, service, server = (each / orders for each in more)
    ahead_too = f", {ahead / 1000:.1f} kB of its log" if ahead else ""
    yield (
        "an order leaves",
        f"{kept / 1000:.1f} kB in the database{ahead_too}, {logged / 1000:.1f} kB in the service's log",
    )
    server_too = f" and {server * 1000:.1f} ms of the database's" if server else ""
    yield "an order takes", f"{service * 1000:.1f} ms of the service's processor{server_too}"
    body = house.town.order(0)
    at_one = [Sent("POST", "/api/order", token, body) for token in house.town.diners]
    rate = load(house.service.port, at_one, seconds=seconds).rate
    yield (
        "orders at one store, of whose row all change the revenue",
        f"{rate:,.0f}/s, over 500 stores {spread.rate:,.0f}/s",
    )
