"""Do the books agree, with themselves and with the factory's?"""

import sqlite3
from collections.abc import Callable
from contextlib import closing
from pathlib import Path
from typing import Any

import psycopg

Query = Callable[[str], list[tuple[Any, ...]]]


def sqlite(path: Path) -> Query:
    """Asks a SQLite database that a service may be using."""

    def query(sql: str) -> list[tuple[Any, ...]]:
        with closing(sqlite3.connect(path, timeout=10)) as connection:
            return connection.execute(sql).fetchall()

    return query


def postgresql(url: str) -> Query:
    """Asks a PostgreSQL database."""

    def query(sql: str) -> list[tuple[Any, ...]]:
        with psycopg.connect(url, autocommit=True) as connection:
            return connection.execute(sql).fetchall()

    return query


def orders(query: Query) -> dict[int, dict[str, Any]]:
    """Each order by its id."""
    names = "id, diner_id, store_id, total, status, reason, jwt, lease_until, idempotency_key"
    return {
        row[0]: dict(zip(names.split(", "), row, strict=True)) for row in query(f"SELECT {names} FROM orders_order")
    }


def check(query: Query, factory: Any) -> list[dict[str, Any]]:
    """The fulfilled orders, after all of the books were found to agree."""
    placed = orders(query)
    fulfilled = [order for order in placed.values() if order["status"] == "fulfilled"]
    earned: dict[int, int] = {}
    for order in fulfilled:
        earned[order["store_id"]] = earned.get(order["store_id"], 0) + order["total"]
    revenue = {store: amount for store, amount in query("SELECT id, revenue FROM franchises_store") if amount}
    assert revenue == earned
    priced = dict(query("SELECT order_id, SUM(price) FROM orders_orderitem GROUP BY order_id"))
    assert {order_id: order["total"] for order_id, order in placed.items()} == priced
    assert all((order["jwt"] is None) == (order["status"] != "fulfilled") for order in placed.values())
    for order in fulfilled:
        check_pizza(order, factory)
    assert len({order["jwt"] for order in fulfilled}) == len(fulfilled)
    return fulfilled


def check_pizza(order: dict[str, Any], factory: Any) -> None:
    """The factory made this pizza, for this order and nobody else."""
    answer = factory("POST", "/api/order/verify", json={"jwt": order["jwt"]})
    assert answer.status_code == 200, answer.text
    payload = answer.json()["payload"]
    assert (payload["order"]["id"], payload["diner"]["id"]) == (order["id"], order["diner_id"])
    assert str(order["id"]) in factory.books()["ids"]
