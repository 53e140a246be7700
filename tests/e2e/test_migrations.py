"""Migrations while the service serves: nobody waits long, and the code of before goes on."""

import threading
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager

import pytest

from tests.e2e import books
from tests.e2e.steps import ENVIRONMENT, eventually, order
from tests.live import PROJECT, Service
from tests.script.checkout import Checkout

pytestmark = pytest.mark.slow

# What a next release might do to the orders: a column that the code of before doesn't know, an index, a check.
NEXT = """
from django.db import migrations, models
from jwtpizza import operations

class Migration(migrations.Migration):
    atomic = {atomic}
    dependencies = [("orders", "{before}")]
    operations = [{operation}]
"""
BY_TOTAL = 'operations.AddIndexConcurrently("order", models.Index(fields=["total", "id"], name="by_total"))'
FEW = 'models.CheckConstraint(condition=models.Q(tip__lt=10**9), name="few")'
STEPS = {
    "9001_tip": 'migrations.AddField("order", "tip", models.BigIntegerField(db_default=0))',
    "9002_index": BY_TOTAL,
    "9003_check": f'operations.AddConstraintNotValid("order", {FEW})',
    "9004_valid": 'operations.ValidateConstraint("order", "few")',
}
TIP = "    promised = ", "    tip = models.BigIntegerField(db_default=0)\n    promised = "
LAST = sorted(PROJECT.glob("orders/migrations/0*.py"))[-1].stem
WAITS = {"PostgreSQL": "canceling statement due to lock timeout", "MariaDB": "Lock wait timeout exceeded"}


@pytest.fixture
def next_release(tmp_path):
    """A checkout of this code with a column that it doesn't have, and its migrations."""
    checkout = Checkout(tmp_path / "next")
    checkout.install()
    models = checkout.folder / "orders/models.py"
    models.write_text(models.read_text().replace(*TIP, 1))
    before = LAST
    for name, operation in STEPS.items():
        text = NEXT.format(atomic="Concurrently" not in operation, before=before, operation=operation)
        (checkout.folder / f"orders/migrations/{name}.py").write_text(text)
        before = name
    return checkout


@pytest.fixture
def migrate(next_release, database):
    """Migrates the database to that release, or as far as one of its migrations."""
    return lambda *target: next_release.manage("migrate", *target, DATABASE_URL=database.url)


@contextmanager
def long_transaction(kind, database):
    """Somebody who may have written orders, and is not done."""
    with books.SESSION[kind](database.url) as somebody:
        somebody("START TRANSACTION")
        somebody("DELETE FROM orders_order WHERE id = 0")
        yield


class Next(Service):
    """The next release, on a database that is migrated as far as its code needs."""

    def __init__(self, folder, *how, **more):
        self.folder = folder
        super().__init__(*how, **more)

    def manage(self, *command):
        pass


@pytest.fixture
def serve_next(next_release, database, factory, tmp_path):
    """Starts it, once."""
    running = []

    def start():
        (tmp_path / "new").mkdir()
        running.append(Next(next_release.folder, database.url, factory, ENVIRONMENT, directory=tmp_path / "new"))
        return running[0]

    yield start
    for service in running:
        service.kill()


@pytest.fixture
def diners():
    """Has diners order at a service for as long as the test takes; returns the statuses that they are told."""
    over, ordering = threading.Event(), []

    def orders(service, token):
        told = []

        def diner():
            while not over.is_set():
                told.append(order(service, token, 1, 2).status_code)

        ordering.extend(pool.submit(diner) for _ in range(2))
        return told

    with ThreadPoolExecutor() as pool:
        yield orders
        over.set()
    for each in ordering:
        each.result()


def twenty_more(told):
    enough = len(told) + 20
    eventually(lambda: len(told) >= enough)


@pytest.mark.parametrize("kind", ["SQLite", "PostgreSQL", "MariaDB"], indirect=True)
def test_while_the_next_release_migrates_both_take_orders(serve, serve_next, database, migrate, diners):
    service = serve(database.url, env=ENVIRONMENT)
    token = service.log_in("d@jwt.com", "diner")
    told = diners(service, token)
    twenty_more(told)
    assert migrate("orders", "9001").returncode == 0
    told_by_next = diners(serve_next(), token)
    for name in (*STEPS, ""):
        done = migrate("orders", name[:4]) if name else migrate()
        assert done.returncode == 0, done.stderr
        twenty_more(told)
        twenty_more(told_by_next)

    assert set(told) == set(told_by_next) == {200}
    ordered = database.query("SELECT COUNT(*) FROM orders_order WHERE tip = 0")[0][0]
    assert ordered >= len(told) + len(told_by_next)


@pytest.mark.parametrize("kind", ["PostgreSQL", "MariaDB"], indirect=True)
def test_a_migration_gives_up_after_two_seconds_in_which_others_wait_behind_it(kind, database, migrate):
    assert migrate("orders", LAST).returncode == 0
    with long_transaction(kind, database):
        refused = migrate("orders", "9001")

    assert refused.returncode == 1
    assert WAITS[kind] in refused.stderr
    assert migrate("orders", "9001").returncode == 0


BUILDING = "FROM pg_stat_activity WHERE query LIKE 'CREATE INDEX CONCURRENTLY%' AND datname = current_database()"


@pytest.mark.parametrize("kind", ["PostgreSQL"], indirect=True)
def test_an_index_waits_for_who_was_there_before_it_and_is_built_anew_after_a_kill(kind, database, migrate):
    assert migrate("orders", "9001").returncode == 0
    with ThreadPoolExecutor() as pool, long_transaction(kind, database):
        building = pool.submit(migrate, "orders", "9002")
        eventually(lambda: database.query(f"SELECT 1 {BUILDING} AND now() - query_start > '3 s'"))
        database.query(f"SELECT pg_terminate_backend(pid) {BUILDING}")
        assert building.result().returncode == 1
        assert begun(database) == [("by_total",)]

    assert migrate().returncode == 0
    assert begun(database) == []


def begun(database):
    """The indexes that nobody can use."""
    return database.query("SELECT indexrelid::regclass::text FROM pg_index WHERE NOT indisvalid")
