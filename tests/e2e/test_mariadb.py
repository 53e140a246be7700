"""The service on MariaDB: the same books, whatever the server's own time zone and character set are."""

from datetime import UTC, datetime, timedelta

import pytest

from tests.e2e import books
from tests.e2e.steps import ENVIRONMENT, all_at_once, kill_while_eight_orders_wait, order, settle

pytestmark = pytest.mark.slow


@pytest.fixture
def database(tmp_path):
    with books.new_mariadb(tmp_path) as database:
        yield database


@pytest.fixture
def query(database):
    return database.query


@pytest.fixture
def service(serve, database):
    return serve(database.url, env=ENVIRONMENT)


@pytest.fixture
def token(service):
    return service.log_in("d@jwt.com", "diner")


def test_an_order_has_the_time_of_the_world_and_not_of_the_server(service, token):
    order(service, token, 1)
    [placed] = service("GET", "/api/order", token=token).json()["orders"]
    assert abs(datetime.now(UTC) - datetime.fromisoformat(placed["date"])) < timedelta(minutes=1)


def test_thirty_orders_at_once_at_one_store_are_all_paid(service, factory, token, query):
    factory.chaos("none", delay=200)
    answers = all_at_once(30, lambda number: order(service, token, 1, 2, key=f"key-{number}" if number % 2 else None))
    assert [answer.status_code for answer in answers] == [200] * 30, [answer.text for answer in answers]
    assert len(books.check(query, factory)) == 30


def test_fifty_orders_at_once_with_one_key_make_one_pizza(service, factory, token, query):
    factory.chaos("none", delay=200)
    answers = all_at_once(50, lambda _: order(service, token, 1, key="one-key"))
    assert {answer.status_code for answer in answers} <= {200, 409}, [answer.text for answer in answers]
    assert order(service, token, 1, key="one-key").status_code == 200
    assert len(books.check(query, factory)) == len(books.orders(query)) == factory.books()["attempts"] == 1


def test_orders_that_a_crash_cut_off_are_sold_once_or_not_at_all(service, factory, token, query):
    kill_while_eight_orders_wait(service, factory, token)
    settle(service, query)
    assert len(books.check(query, factory)) == 4
    assert sorted(factory.books()["ids"].values()) == [1] * 4
