"""Do the books agree, with themselves and with the factory's?"""

import secrets
import sqlite3
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from pathlib import Path
from typing import Any, NamedTuple
from urllib.parse import urlsplit

import psycopg
import pytest

POSTGRESQL = "postgres://postgres@127.0.0.1:5432"
MARIADB = "mysql://root@127.0.0.1:3306"

# The rows that a statement finds; one that changes something has done so when it returns, and finds none.
Query = Callable[[str], list[tuple[Any, ...]]]


class Database(NamedTuple):
    """An empty database, by its `DATABASE_URL`, and a way to ask it."""

    url: str
    query: Query


@contextmanager
def new_sqlite(directory: Path) -> Iterator[Database]:
    path = directory / "live.sqlite3"
    yield Database(f"sqlite:///{path}", sqlite(path))


@contextmanager
def new_postgresql(directory: Path) -> Iterator[Database]:
    """Skips the test where no PostgreSQL answers; gone afterwards, as MariaDB's."""
    try:
        connection = psycopg.connect(f"{POSTGRESQL}/postgres", autocommit=True, connect_timeout=2)
    except psycopg.OperationalError as error:
        pytest.skip(f"no PostgreSQL answers at {POSTGRESQL}: {error}")
    name = f"jwtpizza_{secrets.token_hex(6)}"
    connection.execute(f"CREATE DATABASE {name}")
    yield Database(f"{POSTGRESQL}/{name}", asking("PostgreSQL", f"{POSTGRESQL}/{name}"))
    connection.execute(f"DROP DATABASE {name} WITH (FORCE)")
    connection.close()


@contextmanager
def new_mariadb(directory: Path) -> Iterator[Database]:
    driver = pytest.importorskip("MySQLdb", reason="mysqlclient is not installed (requirements-mariadb.txt)")
    query = asking("MariaDB", f"{MARIADB}/mysql")
    name = f"jwtpizza_{secrets.token_hex(6)}"
    try:
        query(f"CREATE DATABASE {name} CHARACTER SET utf8mb4")
    except driver.OperationalError as error:
        pytest.skip(f"no MariaDB answers at {MARIADB}: {error}")
    yield Database(f"{MARIADB}/{name}", asking("MariaDB", f"{MARIADB}/{name}"))
    query(f"DROP DATABASE {name}")


NEW = {"SQLite": new_sqlite, "PostgreSQL": new_postgresql, "MariaDB": new_mariadb}


def sqlite(path: Path) -> Query:
    """Asks a SQLite database that a service may be using."""

    def query(sql: str) -> list[tuple[Any, ...]]:
        with closing(sqlite3.connect(path, timeout=10, isolation_level=None)) as connection:
            return connection.execute(sql).fetchall()

    return query


@contextmanager
def postgresql_session(url: str) -> Iterator[Query]:
    """Asks a PostgreSQL database over one connection, which keeps its locks and its transaction until the end."""
    with closing(psycopg.connect(url, autocommit=True)) as connection:

        def query(sql: str) -> list[tuple[Any, ...]]:
            cursor = connection.execute(sql)
            return cursor.fetchall() if cursor.description else []

        yield query


@contextmanager
def mariadb_session(url: str) -> Iterator[Query]:
    """The same of a MariaDB database."""
    import MySQLdb

    where = urlsplit(url)
    address = {"host": where.hostname, "port": where.port, "user": where.username, "database": where.path[1:]}
    with closing(MySQLdb.connect(**address, autocommit=True, connect_timeout=2)) as connection:

        def query(sql: str) -> list[tuple[Any, ...]]:
            with connection.cursor() as cursor:
                cursor.execute(sql)
                return list(cursor.fetchall())

        yield query


SESSION = {"PostgreSQL": postgresql_session, "MariaDB": mariadb_session}


def asking(kind: str, url: str) -> Query:
    """Asks a database of such a server, over a new connection each time."""

    def query(sql: str) -> list[tuple[Any, ...]]:
        with SESSION[kind](url) as ask:
            return ask(sql)

    return query


def orders(query: Query) -> dict[int, dict[str, Any]]:
    """Each order by its id."""
    names = "id, diner_id, store_id, total, status, reason, jwt, lease_until, idempotency_key, promised"
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
    asked_for = factory.books()["ids"]
    for order in fulfilled:
        check_pizza(order, factory)
        assert str(order["id"]) in asked_for
    assert len({order["jwt"] for order in fulfilled}) == len(fulfilled)
    return fulfilled


def check_pizza(order: dict[str, Any], factory: Any) -> None:
    """The factory made this pizza, for this order and nobody else."""
    answer = factory("POST", "/api/order/verify", json={"jwt": order["jwt"]})
    assert answer.status_code == 200, answer.text
    payload = answer.json()["payload"]
    assert (payload["order"]["id"], payload["diner"]["id"]) == (order["id"], order["diner_id"])
