"""What wrk can't tell: whether each of many connections is served, and what others notice of orders that are stuck."""

import selectors
import socket
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager

from tests.drill.client import request
from tests.drill.crowd import Crowd
from tests.drill.diners import Diner, Shop
from tests.load.calls import MENU
from tests.load.house import House

STUCK = 64
# As many as may are at the factory, and stay there for FACTORY_DEADLINE; the rest were refused after a second.
SETTLE_SECONDS = 1.2


@contextmanager
def idle(port: int, count: int) -> Iterator[None]:
    """That many connections which have had an answer and say nothing more."""
    with ExitStack() as open_ones:
        for _ in range(count):
            connection = open_ones.enter_context(socket.create_connection(("127.0.0.1", port), 10))
            connection.sendall(request("GET", MENU))
            assert connection.recv(64 * 1024).startswith(b"HTTP/1.1 200")
        yield


def served(port: int, connections: int, seconds: float) -> list[int]:
    """How many answers each of so many connections got that all ask for the menu, again and again."""
    answers = dict.fromkeys(range(connections), 0)
    sent, give_up = request("GET", MENU), time.monotonic() + seconds
    with ExitStack() as open_ones, selectors.DefaultSelector() as waiting:
        for number in answers:
            connection = open_ones.enter_context(socket.create_connection(("127.0.0.1", port), 10))
            connection.sendall(sent)
            waiting.register(connection, selectors.EVENT_READ, number)
        while time.monotonic() < give_up:
            for key, _ in waiting.select(0.1):
                connection = key.fileobj  # type: ignore[assignment]
                # The menu's answer is small enough to come in one piece.
                answer = connection.recv(64 * 1024)
                if not answer:
                    waiting.unregister(connection)
                    continue
                answers[key.data] += answer.startswith(b"HTTP/1.1 200")
                connection.sendall(sent)
    return list(answers.values())


@contextmanager
def stuck_orders(house: House) -> Iterator[None]:
    """64 diners order at a factory that takes 32 seconds, and who is refused comes again 5 seconds later."""
    port, town = house.service.port, house.town
    franchise_id, store_id = town.stores[0]
    shop = Shop(port, franchise_id, store_id, dict.fromkeys(town.items, 0), house.factory.api_key)
    house.factory.chaos("throttle")
    crowd = Crowd()
    clients = [Diner(shop, f"diner {number}", town.diners[number], []) for number in range(STUCK)]
    crowd.add("orders", [client.order for client in clients], wait=5)
    time.sleep(SETTLE_SECONDS)
    try:
        yield
    finally:
        crowd.stop()
        house.factory.chaos("none", delay=0)
