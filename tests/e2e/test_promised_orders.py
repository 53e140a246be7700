"""Promised orders, their workers and what kills these: each order is made once, and none is lost."""

import random
import threading
import time
from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager, suppress

import pytest
import requests

from tests.e2e import books
from tests.e2e.steps import ENVIRONMENT, count, cut_off, eventually, nobody_writes, order, promise, working

pytestmark = pytest.mark.slow

DINERS, ORDERS_OF_EACH = 10, 50
ORDERS = DINERS * ORDERS_OF_EACH
WORKERS = 3
SERVICE_KILLS = 2
# The next one begins with the next kill; delays are milliseconds.
WEATHERS = (("badjwt", 0), ("throttle", 3000), ("fail", 0))
# How long orders wait for their next try depends on how long the outage was, so nothing in it may take long.
HASTY = {
    "FACTORY_READ_TIMEOUT": "1",
    "FACTORY_DEADLINE": "1.5",
    "FACTORY_QUEUE_SECONDS": "1",
    "FACTORY_RETRY_LEAST": "0.5",
    "FACTORY_BREAKER_SLOW": "1",
    "ORDER_LEASE": "2",
}
SEEDS = {"SQLite": 1, "PostgreSQL": 2, "MariaDB": 3}
EACH_DATABASE = pytest.mark.parametrize("kind", SEEDS, indirect=True)


@pytest.fixture
def service(serve, database):
    return serve(database.url, env=ENVIRONMENT)


@pytest.fixture
def token(service):
    return service.log_in("d@jwt.com", "diner")


def logs(service):
    """All that the service and its workers wrote."""
    return "".join(path.read_text() for path in service.log.parent.glob("*.log"))


class Diners:
    """Each orders until enough was promised; who has a key asks again until told."""

    def __init__(self, service, token):
        self.service, self.token = service, token
        self.over = threading.Event()
        self.told = []

    def promised(self):
        return [answer.json()["order"]["id"] for answer in list(self.told) if answer.status_code == 202]

    def order_on(self, number):
        dice, placed, promised = random.Random(number), 0, 0
        while promised < ORDERS_OF_EACH and not self.over.is_set():
            placed += 1
            key = f"{number}-{placed}" if dice.random() < 0.5 else None
            promised += self.is_promised(key, dice.choices(range(1, 6), k=dice.randint(1, 4)))

    def is_promised(self, key, menu_ids):
        while not self.over.is_set():
            with suppress(requests.RequestException):
                answer = order(self.service, self.token, *menu_ids, key=key, later=True, timeout=20)
                if answer.status_code != 409:
                    self.told.append(answer)
                    return answer.status_code == 202
            self.over.wait(0.1)  # the service is down for a while, or was killed at this very order
            if key is None:
                break
        return False


@contextmanager
def ordering(service, token):
    """All of them order meanwhile, and are done afterwards."""
    diners = Diners(service, token)
    with ThreadPoolExecutor(DINERS) as pool:
        busy = [pool.submit(diners.order_on, number) for number in range(DINERS)]
        try:
            yield diners
            for one in busy:
                one.result(60)
        finally:
            diners.over.set()


def kill_at_random(dice, victims, progress):
    """kill -9 of each of them, and a new start, whenever so many of the orders, by chance, have come so far."""
    points = sorted(dice.sample(range(ORDERS * 9 // 10), len(victims)))
    for point, victim in zip(points, dice.sample(victims, len(victims)), strict=True):
        eventually(lambda point=point: progress() >= point, 60)
        victim.kill()
        victim.start()
        yield


@EACH_DATABASE
def test_of_500_promised_orders_each_is_made_once_whatever_is_killed(kind, serve, database, factory, query):
    dice, service = random.Random(SEEDS[kind]), serve(database.url, env=ENVIRONMENT | HASTY)
    with working(service, WORKERS) as workers:
        factory.chaos("fail")
        with ordering(service, service.log_in("d@jwt.com", "diner")) as diners:
            victims = [*[service] * SERVICE_KILLS, workers[0]]
            kills = kill_at_random(dice, victims, lambda: len(diners.promised()))
            for (weather, delay), _ in zip(WEATHERS, kills, strict=True):
                factory.chaos(weather, delay=delay)
        factory.chaos("none", delay=20)
        already, begun = count(query, "fulfilled"), time.monotonic()
        for _ in kill_at_random(dice, workers, lambda: count(query, "fulfilled")):
            pass
        eventually(lambda: count(query, "pending") == 0, 90)
        took = time.monotonic() - begun
    fulfilled = {placed["id"]: placed for placed in books.check(query, factory)}
    print(f"{kind}: {len(fulfilled) - already} orders made in {took:.1f} s,", end=" ")
    print(f"{factory.books()['made'] - len(fulfilled)} pizzas too many,", check_the_told(diners, fulfilled, query))
    assert "Traceback" not in logs(service)


def check_the_told(diners, fulfilled, query):
    """What they were told is in the books; how many of them were told what, and how many orders failed."""
    promised = diners.promised()
    assert len(set(promised)) == len(promised) >= ORDERS
    assert set(promised) <= fulfilled.keys()
    for sale in (answer.json() for answer in diners.told if answer.status_code == 200):
        assert fulfilled[sale["order"]["id"]]["jwt"] == sale["jwt"]
    told, failed = Counter(answer.status_code for answer in diners.told), count(query, "failed")
    assert told.keys() <= {200, 202, 500, 504}
    # Cut off before they were promised: one order of each diner at each kill, at most. Who has a key is told.
    assert told[500] + told[504] <= failed <= DINERS * SERVICE_KILLS
    return {**told, "failed": failed}


@EACH_DATABASE
def test_three_workers_side_by_side_ask_for_each_order_once(kind, service, factory, database, query, token):
    with working(service, WORKERS) as workers:
        promise(service, query, factory, token, 1)
        eventually(lambda: count(query, "fulfilled") == 1)
        with nobody_writes(database):
            for worker in workers:
                worker.pause()
        ids = promise(service, query, factory, token, 60, delay=100)
        begun = time.monotonic()
        for worker in workers:
            worker.resume()
        eventually(lambda: count(query, "pending") == 0)
        took = time.monotonic() - begun
    print(f"{kind}: 60 orders in {took:.2f} s, {60 / took:.0f} a second")
    assert factory.books()["ids"] == {str(order_id): 1 for order_id in ids}
    assert count(query, "fulfilled") == 61
    assert "Traceback" not in logs(service)


def test_a_worker_that_is_told_to_end_does_so_after_the_orders_in_hand(service, factory, query, token):
    ids = promise(service, query, factory, token, 40, delay=1000)
    with working(service) as [worker]:
        eventually(lambda: factory.books()["attempts"] > 8)
        begun = time.monotonic()
        assert worker.stop() == 0
        took = time.monotonic() - begun
    in_hand = {int(order_id) for order_id in factory.books()["ids"]}
    print(f"ended after {took:.1f} s, with {len(in_hand)} of 40 orders made")
    assert took < 5
    assert {placed["id"] for placed in books.check(query, factory)} == in_hand
    assert count(query, "pending") == 40 - len(in_hand) > 0

    factory.chaos("none")
    with working(service):
        eventually(lambda: count(query, "pending") == 0)
    assert {placed["id"] for placed in books.check(query, factory)} == set(ids)
    assert factory.books()["ids"] == {str(order_id): 1 for order_id in ids}


def open_all_circuits(service, factory, token):
    """Each worker's, for longer than the test."""
    factory.chaos("fail")

    def all_open():
        order(service, token, 1)
        return service("GET", "/api/status").json()["ordering"] == "down"

    eventually(all_open)


# In the service: who has something to say in the log waits while that file is there.
HELD = """
import logging, os, time
say = logging.Logger.handle

def held(logger, record):
    while os.path.exists({file!r}):
        time.sleep(0.01)
    say(logger, record)

logging.Logger.handle = held
"""


def test_an_order_whose_service_is_killed_between_its_promise_and_the_answer_is_made(
    serve, database, factory, query, tmp_path
):
    ever_open = {f"FACTORY_BREAKER_OPEN_SECONDS{most}": "600" for most in ("", "_MOST")}
    # A line of its log is the last that the service has to say before it answers.
    hold = tmp_path / "hold"
    (tmp_path / "sitecustomize.py").write_text(HELD.format(file=str(hold)))
    held = {"FACTORY_BREAKER_FAILURES": "1", "PYTHONPATH": str(tmp_path)}
    with ThreadPoolExecutor(1) as pool:
        service = serve(database.url, env=ENVIRONMENT | ever_open | held)
        token = service.log_in("d@jwt.com", "diner")
        open_all_circuits(service, factory, token)
        hold.touch()
        placing = pool.submit(order, service, token, 1, later=True)
        eventually(lambda: count(query, "pending") == 1)
        service.kill()
        assert isinstance(placing.exception(), requests.ConnectionError)
    hold.unlink()
    factory.forget()
    with working(service):
        eventually(lambda: count(query, "pending") == 0)
    [made] = books.check(query, factory)
    assert made["promised"]
    assert factory.books() == {"made": 1, "attempts": 1, "ids": {str(made["id"]): 1}}


LOCK = {
    "PostgreSQL": ("BEGIN", "LOCK TABLE orders_order IN ACCESS EXCLUSIVE MODE"),
    "MariaDB": ("LOCK TABLES orders_order WRITE",),
}


def trouble(kind, server, felt):
    """All orders are locked; connections are cut, again and again; then there are none at all until that is felt."""
    with books.SESSION[kind](server.url) as somebody:
        for statement in LOCK[kind]:
            somebody(statement)
        time.sleep(2)
    for _ in range(3):
        cut_off(books.Database(server.url, books.asking(kind, server.url)))
        time.sleep(0.3)
    server.stop()
    eventually(felt)
    server.start()


@pytest.mark.parametrize("kind", ["PostgreSQL", "MariaDB"], indirect=True)
def test_the_worker_outlives_its_database(kind, serve, server, factory):
    service, query = serve(server.url, env=ENVIRONMENT), books.asking(kind, server.url)
    ids = promise(service, query, factory, service.log_in("d@jwt.com", "diner"), 48, delay=500)
    with working(service) as [worker]:
        eventually(lambda: count(query, "fulfilled") >= 8)
        trouble(kind, server, felt=lambda: "the worker could not do its work" in worker.log.read_text())
        assert count(query, "pending") > 0
        begun = time.monotonic()
        eventually(lambda: count(query, "pending") == 0)
        print(f"all made {time.monotonic() - begun:.1f} s after the trouble was over")
        assert worker.stop() == 0
    assert {placed["id"] for placed in books.check(query, factory)} == set(ids)
