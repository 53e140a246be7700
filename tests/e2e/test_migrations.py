"""Migrations while the service serves: nobody waits long, and the code of before goes on."""

import threading
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager

import pytest

from tests.e2e import books
from tests.e2e.steps import ENVIRONMENT, eventually, order
from tests.live import PROJECT
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
LAST = sorted(PROJECT.glob("orders/migrations/0*.py"))[-1].stem
WAITS = {"PostgreSQL": "canceling statement due to lock timeout", "MariaDB": "Lock wait timeout exceeded"}


@pytest.fixture
def next_release(tmp_path):
    """A checkout of this code with migrations that it doesn't have."""
    checkout = Checkout(tmp_path / "next")
    checkout.install()
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


@pytest.mark.parametrize("kind", ["SQLite", "PostgreSQL", "MariaDB"], indirect=True)
def test_while_the_next_release_migrates_this_one_takes_orders(serve, database, migrate):
    service = serve(database.url, env=ENVIRONMENT)
    token = service.log_in("d@jwt.com", "diner")
    over, answers = threading.Event(), []

    def diner():
        while not over.is_set():
            answers.append(order(service, token, 1, 2).status_code)

    with ThreadPoolExecutor() as diners:
        ordering = [diners.submit(diner) for _ in range(4)]
        try:
            eventually(lambda: len(answers) >= 20)
            done = migrate()
            after = len(answers) + 20
            eventually(lambda: len(answers) >= after)
        finally:
            over.set()
    for each in ordering:
        each.result()

    assert done.returncode == 0, done.stderr
    assert set(answers) == {200}
    assert database.query("SELECT COUNT(*) FROM orders_order WHERE tip = 0") == [(len(answers),)]


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
