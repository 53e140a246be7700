"""A year of a chain that sold a million pizzas, written by the database itself.

Everybody is seeded as ever: `f@jwt.com` runs the three stores that sell 40 % of all. Two more franchisees have three
stores each and the password "franchisee": `quiet@jwt.com`, whose stores sell next to nothing, and `closed@jwt.com`,
whose stores sold 12,000 in the first month and are closed. One order in a hundred failed, the newest are pending, and
one in five of the busy stores' has its items. Every fourth diner is a Maria, and one is the Rare Bird.
"""

import os
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from tests.e2e.books import Database
from tests.live import PROJECT

ORDERS, SECONDS_BETWEEN = 1_000_000, 31.5
BUSY, QUIET, CLOSED = (1, 2, 3), (4, 5, 6), (7, 8, 9)

FRANCHISEES = """
from franchises.models import Franchise
from jwtpizza.accounts.models import User
for name in ("quiet", "closed"):
    franchisee = User.objects.create_user(name=name, email=f"{name}@jwt.com", password="franchisee")
    Franchise.objects.create(name=name).admins.add(franchisee)
"""
AGO = {
    "sqlite": "strftime('%Y-%m-%d %H:%M:%f', 'now', -({}) || ' seconds')",
    "postgres": "now() - interval '1 second' * ({})",
}
NUMBERED = "WITH RECURSIVE n(i) AS (SELECT CAST(1 AS BIGINT) UNION ALL SELECT i + 1 FROM n WHERE i < {})"
ROWS = {
    97: """
INSERT INTO franchises_franchise (name, name_key, created_at)
SELECT 'franchise ' || i, 'franchise ' || i, {now} FROM n""",
    494: """
INSERT INTO franchises_store (franchise_id, name, name_key, revenue, created_at, closed_at)
SELECT CASE WHEN i < 10 THEN (i + 2) / 3 ELSE (i + 10) / 5 END, 'store ' || i,
  CASE WHEN i NOT BETWEEN 7 AND 9 THEN 'store ' || i END, 0, {now}, CASE WHEN i BETWEEN 7 AND 9 THEN {now} END
FROM n WHERE i > 1""",
    20_000: """
INSERT INTO accounts_user (password, name, name_key, email, email_key, is_superuser, is_active, created_at)
SELECT '!', name, lower(name), i || '@diners.com', i || '@diners.com', FALSE, TRUE, {now}
FROM (SELECT i, CASE WHEN i = 77 THEN 'Rare Bird' WHEN i % 4 = 0 THEN 'Maria ' || i ELSE 'Diner ' || i END AS name
  FROM n) AS named""",
    ORDERS: """
INSERT INTO orders_order (diner_id, store_id, created_at, total, status, reason, jwt, support_link, settled_at,
  lease_until, promised, fingerprint)
SELECT 6 + (i * 7 + i / 20000 * 13) % 20000,
  CASE WHEN dice < 400 THEN 1 + i % 3
    WHEN dice < 550 AND i <= 80000 THEN 7 + i % 3
    WHEN dice = 999 AND i / 1000 % 25 = 0 THEN 4 + i % 3
    ELSE 10 + (i * 31 + i / 977) % 485 END,
  placed, 380000 + i % 7 * 10000, status, CASE status WHEN 'failed' THEN 'timeout' ELSE '' END,
  CASE status WHEN 'fulfilled' THEN '{jwt}' END, '', CASE WHEN status <> 'pending' THEN placed END,
  CASE status WHEN 'pending' THEN {now} END, FALSE, ''
FROM (SELECT i, i * 7919 % 1000 AS dice, {placed} AS placed, CASE WHEN i > 999980 THEN 'pending'
  WHEN (i * 613 + i / 1000) % 100 = 0 THEN 'failed' ELSE 'fulfilled' END AS status FROM n) AS decided""",
}
ITEMS = """
INSERT INTO orders_orderitem (order_id, menu_item_id, description, price)
SELECT placed.id, menu_menuitem.id, title, price FROM orders_order AS placed JOIN menu_menuitem
ON menu_menuitem.id IN (1, 1 + placed.id % 3) WHERE store_id <= 3 AND placed.id % 5 = 0"""


def command(database: Database, directory: Path, *argv: str) -> str:
    """What a program of this project's prints that uses the database."""
    environment = os.environ | {"DATABASE_URL": database.url, "RUN_DIR": str(directory)}
    done = subprocess.run([sys.executable, *argv], env=environment, cwd=PROJECT, capture_output=True, text=True)
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


def fill(database: Database, directory: Path) -> None:
    """Makes it of an empty database; half a minute."""
    for argv in (["migrate"], ["seed_demo"], ["shell", "--command", FRANCHISEES]):
        command(database, directory, "manage.py", *argv, "--verbosity=0")
    ago = AGO[database.url.partition(":")[0]]
    words = {"now": ago.format(0), "placed": ago.format(f"({ORDERS} - i) * {SECONDS_BETWEEN}"), "jwt": "x" * 700}
    with _unhindered(database):
        for count, sql in ROWS.items():
            into, _, selected = sql.format(**words).partition("SELECT")
            database.query(f"{into} {NUMBERED.format(count)} SELECT {selected}")
        database.query(ITEMS)
    database.query("ANALYZE")


INDEXES = {
    "sqlite": "SELECT name, sql FROM sqlite_master WHERE tbl_name = 'orders_order' AND sql LIKE 'CREATE INDEX%'",
    "postgres": "SELECT indexname, indexdef FROM pg_indexes "
    "WHERE tablename = 'orders_order' AND indexdef LIKE 'CREATE INDEX%'",
}


@contextmanager
def _unhindered(database: Database) -> Iterator[None]:
    """A million orders are not held against their foreign keys, and indexes are made when all of them are there."""
    kind = database.url.partition(":")[0]
    indexes = dict(database.query(INDEXES[kind]))
    for name in indexes:
        database.query(f'DROP INDEX "{name}"')
    if kind == "postgres":
        name = database.url.rpartition("/")[2]
        database.query(f"ALTER DATABASE {name} SET session_replication_role = replica")
    yield
    for definition in indexes.values():
        database.query(definition)
    if kind == "postgres":
        database.query(f"ALTER DATABASE {name} RESET session_replication_role")
