"""The service on PostgreSQL: a small pool that is never short, and connections that go away."""

import time
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager

import psycopg
import pytest

from tests.e2e import books
from tests.e2e.steps import (
    ENVIRONMENT,
    PATIENT,
    all_at_once,
    eventually,
    kill_while_eight_orders_wait,
    order,
    settle,
)

pytestmark = pytest.mark.slow

POOL, POOL_TIMEOUT = 4, 2.0
SMALL_POOL = {"DB_POOL_MAX": str(POOL), "DB_POOL_TIMEOUT": str(POOL_TIMEOUT)}


@pytest.fixture
def database_url(tmp_path):
    with books.new_postgresql(tmp_path) as database:
        yield database.url


@pytest.fixture
def query(database_url):
    return books.postgresql(database_url)


@pytest.fixture
def service(serve, database_url):
    return serve(database_url, workers=1, threads=32, env=PATIENT | SMALL_POOL)


@pytest.fixture
def token(service):
    return service.log_in("d@jwt.com", "diner")


def seconds(call, times=10):
    """How long each of that many calls took."""
    took = []
    for _ in range(times):
        begun = time.monotonic()
        assert call().status_code == 200
        took.append(time.monotonic() - begun)
    return took


def test_while_eight_orders_wait_for_the_factory_everything_else_answers_at_once(service, factory, token, query):
    factory.chaos("throttle", delay=2500)
    calls = {
        "menu": lambda: service("GET", "/api/order/menu"),
        "login": lambda: service("PUT", "/api/auth", {"email": "d@jwt.com", "password": "diner"}),
        "user/me": lambda: service("GET", "/api/user/me", token=token),
        "history": lambda: service("GET", "/api/order", token=token),
        "readyz": lambda: service("GET", "/readyz"),
    }
    with ThreadPoolExecutor(8) as pool:
        waiting = [pool.submit(order, service, token, 1) for _ in range(2 * POOL)]
        eventually(lambda: factory.books()["attempts"] == 2 * POOL)
        took = {name: max(seconds(call)) for name, call in calls.items()}
        assert not any(placed.done() for placed in waiting)
        answers = [placed.result() for placed in waiting]
    print("slowest of ten, in milliseconds:", {name: round(1000 * worst) for name, worst in took.items()})
    assert max(took.values()) < 0.5
    assert [answer.status_code for answer in answers] == [200] * 2 * POOL
    assert len(books.check(query, factory)) == 2 * POOL


def test_sixteen_orders_at_once_at_one_store_are_all_paid(service, factory, token, query):
    factory.chaos("none", delay=200)  # so that they settle together, too
    answers = all_at_once(
        16, lambda number: order(service, token, 1, 2, 5, key=f"key-{number}" if number % 2 else None)
    )
    assert [answer.status_code for answer in answers] == [200] * 16, [answer.text for answer in answers]
    assert len(books.check(query, factory)) == 16


def test_fifty_orders_at_once_with_one_key_make_one_pizza(service, factory, token, query):
    factory.chaos("none", delay=200)
    answers = all_at_once(50, lambda _: order(service, token, 1, key="one-key"))
    assert {answer.status_code for answer in answers} <= {200, 409}, [answer.text for answer in answers]
    sale = order(service, token, 1, key="one-key").json()
    assert all(answer.json() == sale for answer in answers if answer.status_code == 200)
    assert len(books.check(query, factory)) == len(books.orders(query)) == factory.books()["attempts"] == 1


def test_orders_that_a_crash_cut_off_are_sold_once_or_not_at_all(serve, database_url, factory, query):
    service = serve(database_url, env=ENVIRONMENT)
    kill_while_eight_orders_wait(service, factory, service.log_in("d@jwt.com", "diner"))
    all_at_once(3, lambda _: settle(service, query))
    assert len(books.check(query, factory)) == 4
    assert sorted(factory.books()["ids"].values()) == [1] * 4


@contextmanager
def sessions_locked(database_url):
    with psycopg.connect(database_url) as connection:
        connection.execute("LOCK TABLE accounts_session IN ACCESS EXCLUSIVE MODE")
        yield


def test_who_finds_the_pool_empty_is_told_so_and_does_not_wait(service, factory, token, query, database_url):
    def me():
        return service("GET", "/api/user/me", token=token)

    blocked = "SELECT count(*) FROM pg_stat_activity WHERE datname = current_database() AND wait_event_type = 'Lock'"
    service("GET", "/api/order/menu")
    with ThreadPoolExecutor(POOL) as pool:
        with sessions_locked(database_url):
            holding = [pool.submit(me) for _ in range(POOL)]
            eventually(lambda: query(blocked) == [(POOL,)])
            begun = time.monotonic()
            refused = [me(), order(service, token, 1)]
            took = (time.monotonic() - begun) / 2
            menu = service("GET", "/api/order/menu")
        assert [held.result().status_code for held in holding] == [200] * POOL
    print(f"refused after {took:.2f} s")
    for answer in refused:
        assert (answer.status_code, answer.json()["statusCode"]) == (503, 503)
        assert answer.json().keys() >= {"message", "error", "statusCode", "requestId"}
        assert int(answer.headers["Retry-After"]) >= 1
    assert POOL_TIMEOUT <= took < POOL_TIMEOUT + 0.4
    assert menu.status_code == 200
    assert [me().status_code for _ in range(8)] == [200] * 8


def test_connections_that_were_cut_are_replaced(service, token, query):
    def me(_=None):
        return service("GET", "/api/user/me", token=token).status_code

    with ThreadPoolExecutor(2 * POOL) as pool:  # until the pool is full of connections
        list(pool.map(me, range(40)))
    others = "FROM pg_stat_activity WHERE datname = current_database() AND pid <> pg_backend_pid()"
    assert len(query(f"SELECT pg_terminate_backend(pid) {others}")) > 1
    statuses = [me() for _ in range(20)]
    assert statuses.count(503) <= 1
    assert set(statuses) <= {200, 503}
    assert statuses[2:] == [200] * 18
