"""Whatever is killed in the middle of an outage, and whatever is gone: one incident, which has each order once."""

import os
import signal
import threading
import time
from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from datetime import datetime

import pytest
import requests

from tests.e2e import books
from tests.e2e.steps import ENVIRONMENT, count, eventually, order, web_workers, working

pytestmark = pytest.mark.slow

CLIENTS = 8
# Between two orders of a client.
WAIT = 0.03
HEALTHY = 3
OURS = ENVIRONMENT | {"INCIDENT_HEALTHY_SECONDS": str(HEALTHY)}
TITLES = {"Factory request failed": "failed", "Factory unavailable": "refused"}


@pytest.fixture
def service(serve, database):
    return serve(database.url, env=OURS)


class Clients:
    """They order again and again, and keep what they were told: made, failed, refused, broken, or cut off."""

    def __init__(self, service, token):
        self.service, self.token = service, token
        self.over, self.told = threading.Event(), Counter()
        self._lock = threading.Lock()

    def order_on(self):
        while not self.over.wait(WAIT):
            if answer := self.answer():
                with self._lock:
                    self.told[answer] += 1

    def answer(self):
        """Nothing where nobody took the order."""
        try:
            answer = order(self.service, self.token, 1, timeout=20)
        except (requests.ConnectionError, requests.exceptions.ChunkedEncodingError) as error:
            return "" if "refused" in str(error) else "cut off"
        return "made" if answer.status_code == 200 else TITLES.get(answer.json()["error"], "broken")

    def more(self, answer, least):
        """Waits until they were told that so many times more."""
        begun = self.told[answer]
        eventually(lambda: self.told[answer] >= begun + least)


@contextmanager
def ordering(service):
    """They all order meanwhile; at the end each has its answer."""
    clients = Clients(service, service.log_in("d@jwt.com", "diner"))
    with ThreadPoolExecutor(CLIENTS) as pool:
        busy = [pool.submit(clients.order_on) for _ in range(CLIENTS)]
        try:
            yield clients
        finally:
            clients.over.set()
        for one in busy:
            one.result(60)


def recovered(clients, factory, query):
    """Once the factory is well, the orders are made, and the incident is over.

    An order that a kill cut off is trouble when it is decided: after three seconds of health, of another incident.
    """
    eventually(lambda: count(query, "pending") == 0, 60)
    factory.chaos("none")
    clients.more("made", 40)
    eventually(lambda: query("SELECT 1 FROM incidents_incident WHERE is_open") == [])


def events(query, kind):
    """How many orders such events tell of."""
    return int(query(f"SELECT COALESCE(SUM(count), 0) FROM incidents_event WHERE kind = '{kind}'")[0][0])


def strays(query):
    """The failures that the one incident there is does not take in."""
    failures = query("SELECT settled_at FROM orders_order WHERE status = 'failed'")
    failures += query("SELECT at FROM incidents_event WHERE trouble")
    [[first, last]] = query("SELECT first_at, last_at FROM incidents_incident")
    return [at for [at] in failures if not moment(first) <= moment(at) <= moment(last)]


def moment(at):
    """SQLite keeps text, in more or fewer digits."""
    return datetime.fromisoformat(at) if isinstance(at, str) else at


def check_the_books(told, query, service, *, undecided=0):
    """There is one incident, with what clients were told; of an order that was cut off nobody knows."""
    found = {
        "failed": count(query, "failed"),
        "refused": events(query, "refused"),
        "broken": events(query, "broken"),
    }
    print(f"{dict(told)}, in the books {found}")
    assert strays(query) == []
    doubtful = told["cut off"]
    assert told["failed"] <= found["failed"] <= told["failed"] + doubtful + undecided
    assert told["refused"] <= found["refused"] <= told["refused"] + doubtful
    assert told["broken"] <= found["broken"] <= told["broken"] + doubtful
    orders = service("GET", "/api/incident/1", token=service.log_in("a@jwt.com", "admin")).json()["orders"]
    # Of those whose answer was an error of ours, the undecided are in the books.
    orders["broken"] += orders["undecided"]
    assert {name: orders[name] for name in found} == found
    [[rows, keys]] = query("SELECT COUNT(*), COUNT(DISTINCT incidents_event.key) FROM incidents_event")
    assert rows == keys
    eventually(lambda: list((service.log.parent / "run" / "journal").rglob("*.journal")) == [])


@pytest.mark.parametrize("kind", books.NEW, indirect=True)
def test_whatever_is_killed_in_an_outage_it_is_one_incident_that_has_each_order(service, factory, query):
    factory.chaos("fail")
    with working(service, 2) as workers, ordering(service) as clients:
        clients.more("refused", 100)
        os.kill(web_workers(service)[0], signal.SIGKILL)
        clients.more("refused", 100)
        workers[0].kill()
        clients.more("refused", 100)
        for each in (service, *workers):
            each.kill()
        for each in (service, *workers):
            each.start()
        clients.more("refused", 100)
        recovered(clients, factory, query)
    assert clients.told["broken"] == 0
    # Those that were under way, at the kill of one process of the service and at that of all.
    assert clients.told["cut off"] <= 2 * CLIENTS
    check_the_books(clients.told, query, service)


@contextmanager
def gone(server):
    """No connection to it is left, and none is let in."""
    server.stop()
    try:
        yield
    finally:
        server.start()


@pytest.mark.parametrize("kind", ["PostgreSQL", "MariaDB"], indirect=True)
def test_orders_that_the_database_broke_are_told_by_the_journal_of_a_killed_service(kind, serve, factory, server):
    service, query = serve(server.url, env=OURS), books.asking(kind, server.url)
    factory.chaos("fail")
    with working(service) as [worker], ordering(service) as clients:
        clients.more("refused", 50)
        with gone(server):
            clients.more("broken", 50)
            service.kill()
        time.sleep(0.1)
        service.start()
        clients.more("refused", 50)
        recovered(clients, factory, query)
        assert worker.process.poll() is None
    assert clients.told["broken"] >= 50
    check_the_books(clients.told, query, service, undecided=clients.told["broken"])
