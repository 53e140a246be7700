"""Whoever is paused past the lease of an order, and wakes after another has decided it, goes by the books."""

import time
from concurrent.futures import ThreadPoolExecutor

import pytest

from tests.e2e import books
from tests.e2e.steps import ENVIRONMENT, count, eventually, nobody_writes, order, promise, working

pytestmark = pytest.mark.slow


@pytest.fixture
def service(serve, database):
    return serve(database.url, env=ENVIRONMENT)


@pytest.fixture
def token(service):
    return service.log_in("d@jwt.com", "diner")


def pause_while_the_factory_makes_it(service, factory, database):
    eventually(lambda: factory.books()["attempts"] == 1)
    with nobody_writes(database):
        service.pause()
    eventually(lambda: factory.books()["made"] == 1)


def pause_with_the_pizza_in_hand(service, factory, database):
    eventually(lambda: factory.books()["attempts"] == 1)
    with nobody_writes(database):
        eventually(lambda: factory.books()["made"] == 1)
        time.sleep(0.5)  # what is in a process's hands can't be seen from outside; its log tells afterwards
        service.pause()


EACH_DATABASE = pytest.mark.parametrize("kind", books.NEW, indirect=True)
MOMENTS = pytest.mark.parametrize("pause", [pause_while_the_factory_makes_it, pause_with_the_pizza_in_hand])


def placed_in_its_sleep(pause, service, factory, database, token, **how):
    """What the diner is told whose order the worker decided while the service that took it stood still."""
    factory.chaos("none", delay=1000)
    with ThreadPoolExecutor(1) as pool:
        placing = pool.submit(order, service, token, 1, **how)
        try:
            pause(service, factory, database)
            with working(service):
                eventually(lambda: count(database.query, "pending") == 0)
            assert not placing.done()
        finally:
            service.resume()
        answer = placing.result()
    if pause is pause_with_the_pizza_in_hand:
        assert "no pizza" not in service.log.read_text()
    return answer


@pytest.mark.parametrize(
    ("kind", "pause"),
    [
        ("SQLite", pause_while_the_factory_makes_it),
        ("SQLite", pause_with_the_pizza_in_hand),
        # Nobody can keep an order from being settled there, without having it in hand themselves.
        ("PostgreSQL", pause_while_the_factory_makes_it),
        ("MariaDB", pause_while_the_factory_makes_it),
    ],
    indirect=["kind"],
)
def test_an_order_with_a_key_wakes_to_the_sale_of_the_worker(pause, service, factory, database, token):
    answer = placed_in_its_sleep(pause, service, factory, database, token, key="a-key")
    [sold] = books.check(database.query, factory)
    assert factory.books()["ids"] == {str(sold["id"]): 2}
    assert (answer.status_code, answer.json()["jwt"]) == (200, sold["jwt"])
    assert answer.json()["order"]["id"] == sold["id"]


@MOMENTS
@pytest.mark.parametrize("later", [False, True], ids=["now or never", "now or later"])
def test_an_order_without_a_key_wakes_to_its_failure(pause, later, service, factory, database, token):
    answer = placed_in_its_sleep(pause, service, factory, database, token, later=later)
    [failed] = books.orders(database.query).values()
    assert (failed["status"], failed["reason"]) == ("failed", "abandoned")
    assert books.check(database.query, factory) == []
    assert factory.books()["ids"] == {str(failed["id"]): 1}
    assert (answer.status_code, answer.json()["error"]) == (500, "Factory request failed")
    assert answer.json()["message"].startswith("Failed to fulfill order at factory")
    assert "jwt" not in answer.json()


@EACH_DATABASE
def test_a_worker_that_sleeps_past_its_leases_sells_nothing_twice(service, factory, database, token):
    ids = promise(service, database.query, factory, token, 8, delay=2000)
    with working(service, 2) as [sleeper, other]:
        other.kill()
        eventually(lambda: factory.books()["attempts"] == 8)
        with nobody_writes(database):
            sleeper.pause()
        other.start()
        eventually(lambda: count(database.query, "fulfilled") == 8)
        sold = books.check(database.query, factory)
        sleeper.resume()
        assert sleeper.stop() == other.stop() == 0
        assert "Traceback" not in sleeper.log.read_text() + other.log.read_text()
    assert books.check(database.query, factory) == sold
    assert factory.books()["ids"] == {str(order_id): 2 for order_id in ids}
