"""The service on PostgreSQL and MariaDB: a small pool that is never short, connections and servers that go away."""

import json
import socket
import time
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing, contextmanager
from datetime import UTC, datetime, timedelta

import pytest

from tests.e2e import books
from tests.e2e.steps import (
    ENVIRONMENT,
    PATIENT,
    all_at_once,
    cut_off,
    eventually,
    kill_while_eight_orders_wait,
    order,
    settle,
)

pytestmark = [pytest.mark.slow, pytest.mark.parametrize("kind", ["PostgreSQL", "MariaDB"], indirect=True)]

POOL = 2
SMALL_POOL = {"DB_POOL_MAX": str(POOL), "DB_POOL_TIMEOUT": "1.0"}
# What jwtpizza/settings.py calls LOCK_SECONDS.
LOCK_SECONDS = 5


@pytest.fixture
def service(serve, database):
    return serve(database.url, env=ENVIRONMENT)


@pytest.fixture
def small(serve, database):
    """A service with a pool of two."""
    return serve(database.url, workers=1, threads=32, env=PATIENT | SMALL_POOL)


def test_a_start_says_once_whether_the_server_has_enough_connections(serve, database):
    service = serve(database.url, env={"COPIES": "100"})

    def said():
        return [line for line in service.log.read_text().splitlines() if "connections at most" in line]

    eventually(said)
    service.stop()
    [line] = said()
    assert json.loads(line)["level"] == "warning"


def log_in(service):
    return service.log_in("d@jwt.com", "diner")


def seconds(call, times=10):
    """How long each of that many calls took."""
    took = []
    for _ in range(times):
        begun = time.monotonic()
        assert call().status_code == 200
        took.append(time.monotonic() - begun)
    return took


def test_while_eight_orders_wait_for_the_factory_everything_else_answers_at_once(small, factory, query):
    factory.chaos("throttle", delay=2500)
    token = log_in(small)
    calls = {
        "menu": lambda: small("GET", "/api/order/menu"),
        "login": lambda: small("PUT", "/api/auth", {"email": "d@jwt.com", "password": "diner"}),
        "user/me": lambda: small("GET", "/api/user/me", token=token),
        "history": lambda: small("GET", "/api/order", token=token),
        "readyz": lambda: small("GET", "/readyz"),
    }
    with ThreadPoolExecutor(8) as pool:
        waiting = [pool.submit(order, small, token, 1) for _ in range(4 * POOL)]
        eventually(lambda: factory.books()["attempts"] == 4 * POOL)
        took = {name: max(seconds(call)) for name, call in calls.items()}
        assert not any(placed.done() for placed in waiting)
        answers = [placed.result() for placed in waiting]
    print("slowest of ten, in milliseconds:", {name: round(1000 * worst) for name, worst in took.items()})
    assert max(took.values()) < 0.5
    assert [answer.status_code for answer in answers] == [200] * 4 * POOL
    assert len(books.check(query, factory)) == 4 * POOL


def test_thirty_orders_at_once_at_one_store_are_all_paid(service, factory, query):
    factory.chaos("none", delay=200)  # so that they settle together, too
    token = log_in(service)
    answers = all_at_once(
        30, lambda number: order(service, token, 1, 2, 5, key=f"key-{number}" if number % 2 else None)
    )
    assert [answer.status_code for answer in answers] == [200] * 30, [answer.text for answer in answers]
    assert len(books.check(query, factory)) == 30


def test_fifty_orders_at_once_with_one_key_make_one_pizza(service, factory, query):
    factory.chaos("none", delay=200)
    token = log_in(service)
    answers = all_at_once(50, lambda _: order(service, token, 1, key="one-key"))
    assert {answer.status_code for answer in answers} <= {200, 409}, [answer.text for answer in answers]
    sale = order(service, token, 1, key="one-key").json()
    assert all(answer.json() == sale for answer in answers if answer.status_code == 200)
    assert len(books.check(query, factory)) == len(books.orders(query)) == factory.books()["attempts"] == 1


def test_orders_that_a_crash_cut_off_are_sold_once_or_not_at_all(service, factory, query):
    kill_while_eight_orders_wait(service, factory, log_in(service))
    all_at_once(3, lambda _: settle(service, query))
    assert len(books.check(query, factory)) == 4
    assert sorted(factory.books()["ids"].values()) == [1] * 4


def test_an_order_has_the_time_of_the_world_and_not_of_the_server(service):
    token = log_in(service)
    order(service, token, 1)
    [placed] = service("GET", "/api/order", token=token).json()["orders"]
    assert abs(datetime.now(UTC) - datetime.fromisoformat(placed["date"])) < timedelta(minutes=1)


@contextmanager
def sessions_locked(kind, url):
    """Nobody can read who is logged in."""
    with books.SESSION[kind](url) as somebody:
        for statement in LOCK[kind]:
            somebody(statement)
        yield


LOCK = {
    "PostgreSQL": ("BEGIN", "LOCK TABLE accounts_session IN ACCESS EXCLUSIVE MODE"),
    "MariaDB": ("LOCK TABLES accounts_session WRITE",),
}
BLOCKED = {
    "PostgreSQL": "SELECT COUNT(*) FROM pg_stat_activity"
    " WHERE datname = current_database() AND wait_event_type = 'Lock'",
    "MariaDB": "SELECT COUNT(*) FROM information_schema.processlist"
    " WHERE db = DATABASE() AND state LIKE 'Waiting for table%'",
}


def check_refusal(answer):
    assert (answer.status_code, answer.json()["statusCode"]) == (503, 503)
    assert answer.json().keys() >= {"message", "error", "statusCode", "requestId"}
    assert int(answer.headers["Retry-After"]) >= 1


def test_who_finds_the_pool_empty_is_told_so_and_nobody_waits_for_a_lock_for_ever(kind, small, database, query):
    token = log_in(small)

    def me():
        return small("GET", "/api/user/me", token=token)

    small("GET", "/api/order/menu")
    with sessions_locked(kind, database.url), ThreadPoolExecutor(POOL) as pool:
        begun = time.monotonic()
        holding = [pool.submit(me) for _ in range(POOL)]
        eventually(lambda: query(BLOCKED[kind]) == [(POOL,)])
        refused_from = time.monotonic()
        refused = [me(), order(small, token, 1)]
        took = (time.monotonic() - refused_from) / 2
        menu = small("GET", "/api/order/menu")
        held = [one.result() for one in holding]
        held_for = time.monotonic() - begun
    print(f"refused after {took:.2f} s; who waited for the lock, after {held_for:.2f} s")
    for answer in (*refused, *held):
        check_refusal(answer)
    assert 1 <= took < 1.4
    assert LOCK_SECONDS <= held_for < LOCK_SECONDS + 3
    assert menu.status_code == 200
    assert [me().status_code for _ in range(8)] == [200] * 8


def test_who_hangs_up_before_the_answer_leaves_no_connection_in_use(kind, small):
    token = log_in(small)
    sent = f"GET /api/user/me HTTP/1.1\r\nHost: localhost\r\nAuthorization: Bearer {token}\r\n\r\n".encode()
    for _ in range(8 * POOL):
        with closing(socket.create_connection(("127.0.0.1", small.port), 10)) as impatient:
            impatient.sendall(sent)
    assert [small("GET", "/api/user/me", token=token).status_code for _ in range(POOL)] == [200] * POOL


def test_connections_that_were_cut_are_replaced_and_nobody_notices(service, database):
    token = log_in(service)

    def me(_=None):
        return service("GET", "/api/user/me", token=token).status_code

    with ThreadPoolExecutor(16) as pool:  # until the pools are full of connections
        list(pool.map(me, range(80)))
        assert cut_off(database) > 2
        assert list(pool.map(me, range(80))) == [200] * 80


@pytest.fixture
def on_its_own_server(serve, server):
    return serve(server.url, env=ENVIRONMENT | {"DB_POOL_MAX": "4"})


def test_a_server_that_was_restarted_is_used_again_at_once(kind, on_its_own_server, server, factory):
    service, token = on_its_own_server, log_in(on_its_own_server)

    def answers():
        return [service("GET", "/api/user/me", token=token), order(service, token, 1)]

    with ThreadPoolExecutor(16) as pool:
        list(pool.map(lambda _: answers(), range(32)))
        server.stop()
        while_it_is_down = [answer for both in pool.map(lambda _: answers(), range(4)) for answer in both]
        server.start()
        afterwards = [answer for both in pool.map(lambda _: answers(), range(32)) for answer in both]
    for answer in while_it_is_down:
        check_refusal(answer)
    assert [answer.status_code for answer in afterwards] == [200] * 64
    assert len(books.check(books.asking(kind, server.url), factory)) == 64
