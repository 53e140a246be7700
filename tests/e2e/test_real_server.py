"""The service as it runs, two workers and the practice factory: its day, its crashes, and its books after both."""

import random
import socket
import threading
import time
from collections import Counter
from concurrent.futures import ThreadPoolExecutor

import pytest
import requests

from tests.e2e import books
from tests.e2e.steps import (
    DEADLINE_SECONDS,
    ENVIRONMENT,
    all_at_once,
    eventually,
    kill_while_eight_orders_wait,
    order,
    settle,
)

pytestmark = pytest.mark.slow

VEGGIE = 380_000  # satoshi


@pytest.fixture
def environment():
    return ENVIRONMENT


@pytest.fixture
def service(serve, environment):
    return serve(env=environment)


@pytest.fixture
def query(service, tmp_path):
    return books.sqlite(tmp_path / "live.sqlite3")


@pytest.fixture
def token(service):
    return service.log_in("d@jwt.com", "diner")


def test_a_day_in_the_life_of_a_diner(service, factory, query):
    newcomer = {"name": "Zoë Ångström", "email": "zoe@jwt.com", "password": "pizza"}
    registered = service("POST", "/api/auth", newcomer).json()
    token = registered["token"]
    sale = order(service, token, 1, 3).json()

    verified = factory("POST", "/api/order/verify", json={"jwt": sale["jwt"]}).json()
    assert verified["message"] == "valid"
    assert verified["payload"]["diner"]["name"] == "Zoë Ångström"
    assert verified["payload"]["order"] == sale["order"]
    history = service("GET", "/api/order", token=token).json()
    assert [listed["id"] for listed in history["orders"]] == [sale["order"]["id"]]

    assert service("DELETE", "/api/auth", token=token).json() == {"message": "logout successful"}
    for path in ("/api/order", "/api/user/me") * 4:  # whichever of the workers answers
        assert service("GET", path, token=token).status_code == 401
    assert order(service, token, 1).status_code == 401
    assert len(books.check(query, factory)) == 1


def test_an_answer_leaves_in_one_piece_that_no_kill_can_cut(service):
    asked = b"GET /api/order/menu HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n"
    with socket.create_connection(("127.0.0.1", service.port), 20) as connection:
        for _ in range(500):
            connection.sendall(asked)
            head, _, body = connection.recv(64 * 1024).partition(b"\r\n\r\n")
            assert f"content-length: {len(body)}".encode() in head


def test_an_answer_without_a_body_tells_no_length(service):
    answer = service("OPTIONS", "/api/order/menu")
    assert (answer.status_code, answer.content) == (204, b"")
    assert "Content-Length" not in answer.headers


def test_fifty_orders_at_once_with_one_key_make_one_pizza(service, factory, query, token):
    factory.chaos("none", delay=300)
    answers = all_at_once(50, lambda _: order(service, token, 1, key="one-key"))

    sales = [answer.json() for answer in answers if answer.status_code == 200]
    waiting = [answer for answer in answers if answer.status_code == 409]
    assert len(sales) + len(waiting) == 50, [answer.text for answer in answers]
    assert sales
    assert all(sale == sales[0] for sale in sales)
    assert all(int(answer.headers["Retry-After"]) >= 1 for answer in waiting)
    assert order(service, token, 1, key="one-key").json() == sales[0]
    [sold] = books.check(query, factory)
    assert (sold["total"], len(books.orders(query))) == (VEGGIE, 1)
    assert factory.books() == {"made": 1, "attempts": 1, "ids": {str(sold["id"]): 1}}


def crash_between_record_and_settle(service, factory, token, *, key):
    """kill -9 of the whole service while the factory makes the pizza; then it is started again."""
    factory.chaos("throttle", delay=1000)
    with ThreadPoolExecutor(1) as pool:
        placing = pool.submit(order, service, token, 1, key=key)
        eventually(lambda: factory.books()["attempts"] == 1)
        service.kill()
    assert isinstance(placing.exception(), requests.ConnectionError)
    eventually(lambda: factory.books()["made"] == 1)
    factory.chaos("none")
    service.start()


def test_an_order_that_a_crash_cut_off_is_not_sold(service, factory, query, token):
    crash_between_record_and_settle(service, factory, token, key=None)

    [pending] = service("GET", "/api/order", token=token).json()["orders"]
    assert pending["status"] == "pending"
    settle(service, query)

    [left] = books.orders(query).values()
    assert (left["status"], left["reason"]) == ("failed", "abandoned")
    assert books.check(query, factory) == []
    assert factory.books()["attempts"] == 1
    assert service("GET", "/api/order", token=token).json()["orders"] == []


# The lease has to outlast the start of the service.
@pytest.mark.parametrize("environment", [ENVIRONMENT | {"ORDER_LEASE": "12"}], ids=["long lease"])
def test_an_order_with_a_key_that_a_crash_cut_off_is_sold_once(service, factory, query, token):
    crash_between_record_and_settle(service, factory, token, key="a-key")

    answer = order(service, token, 1, key="a-key")
    assert (answer.status_code, answer.headers["Retry-After"]) == (409, "2")
    settle(service, query)

    [sold] = books.check(query, factory)
    assert sold["total"] == VEGGIE
    assert factory.books() == {"made": 2, "attempts": 2, "ids": {str(sold["id"]): 2}}
    answer = order(service, token, 1, key="a-key")
    assert (answer.status_code, answer.json()["jwt"]) == (200, sold["jwt"])
    assert factory.books()["attempts"] == 2


def test_those_who_settle_at_once_after_a_crash_sell_once(service, factory, query, token):
    kill_while_eight_orders_wait(service, factory, token)

    all_at_once(3, lambda _: settle(service, query))

    assert len(books.check(query, factory)) == 4
    assert sorted(factory.books()["ids"].values()) == [1] * 4


class Crowd:
    """Diners who order all the time, and remember what they were told."""

    def __init__(self, service, tokens):
        self.service, self.tokens = service, tokens
        self.over = threading.Event()
        self.told = []

    def order_on(self, number):
        dice, count = random.Random(number), 0
        while not self.over.is_set():
            count += 1
            key = f"{number}-{count}" if dice.random() < 0.5 else None
            menu_ids = dice.choices(range(1, 6), k=dice.randint(1, 4))
            token = dice.choice(self.tokens)
            try:
                answer = order(self.service, token, *menu_ids, key=key, timeout=20)
            except requests.RequestException:
                self.over.wait(0.05)  # the service is down for a while
            else:
                self.told.append(answer)
                self.over.wait(0.05 if answer.status_code == 503 else 0)


WEATHERS = (
    ("none", {}),
    ("fail", {"rate": 0.5}),
    ("throttle", {"rate": 0.5, "delay": 400}),
    ("badjwt", {"rate": 0.5}),
    ("throttle", {"rate": 0.3, "delay": 1000 * (DEADLINE_SECONDS + 0.5)}),
    ("fail", {}),
)


def storm(service, factory):
    """All weathers, twice, with kills of the whole service in between while the crowd orders; how many kills."""
    dice, kills = random.Random(6), 0
    for kind, how in WEATHERS * 2:
        factory.chaos(kind, **how)
        time.sleep(dice.uniform(0.3, 1))  # the crowd orders meanwhile
        if dice.random() < 0.5:
            kills += 1
            service.kill()
            service.start()
    return kills


def test_after_any_chaos_and_any_crash_the_books_agree(service, factory, query):
    tokens = [service.log_in(*who) for who in (("d@jwt.com", "diner"), ("f@jwt.com", "franchisee"))]
    crowd = Crowd(service, tokens)
    with ThreadPoolExecutor(8) as pool:
        ordering = [pool.submit(crowd.order_on, number) for number in range(8)]
        try:
            kills = storm(service, factory)
        finally:
            crowd.over.set()
        for done in ordering:
            done.result(30)
    factory.chaos("none")
    settle(service, query)

    fulfilled = {order["id"]: order for order in books.check(query, factory)}
    sales = [answer.json() for answer in crowd.told if answer.status_code == 200]
    assert len({sale["order"]["id"] for sale in sales}) == len(sales)
    for sale in sales:
        assert fulfilled[sale["order"]["id"]]["jwt"] == sale["jwt"]
    statuses = [answer.status_code for answer in crowd.told]
    print("told", dict(Counter(statuses)), "killed", kills, "times")
    assert set(statuses) <= {200, 500, 503, 504}
    refused = [answer for answer in crowd.told if answer.status_code == 503]
    assert {answer.json()["error"] for answer in refused} <= {"Factory unavailable"}
    assert all(int(answer.headers["Retry-After"]) >= 1 for answer in refused)
    assert kills >= 3
    assert statuses.count(200) > 20
    failed = [placed for placed in books.orders(query).values() if placed["status"] == "failed"]
    # Of those who were refused nothing is in the books.
    told_failed = len(statuses) - len(sales) - len(refused)
    # Whoever was not answered was cut off by a kill: one for each of the crowd at most.
    assert 0 <= len(fulfilled) - len(sales) <= 8 * kills
    assert told_failed <= len(failed) <= told_failed + 8 * kills
