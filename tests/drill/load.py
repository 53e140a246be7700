"""Who calls while the drill is played; see the package's own words for the numbers."""

import re
import time
from typing import Any

from tests.drill.client import Answer, Connection, request
from tests.drill.crowd import Crowd, Step, reader
from tests.drill.diners import SATOSHI, Diner, Shop, registered
from tests.drill.evidence import Evidence, Look
from tests.drill.house import House

READERS, FRANCHISE_READERS, LOGINS, WAITING, PROMISED = 16, 4, 8, 16, 14
READ_WAIT, LOGIN_WAIT, ORDER_WAIT = 0.1, 1.0, 1.0
LOOK_WAIT, SCRAPE_WAIT = 0.25, 2.0
DINER = {"email": "d@jwt.com", "password": "diner"}
ADMIN = ("a@jwt.com", "admin")
LINK_PATIENCE = 120.0

CIRCUITS = re.compile(rb'jwtpizza_factory_breaker_workers\{state="([\w-]+)"\} ([1-9]\d*)')


class Load(Crowd):
    """The clients of a drill, who write what they are told into its evidence."""

    def __init__(self, house: House, evidence: Evidence) -> None:
        super().__init__()
        self._port, self._evidence = house.service.port, evidence
        evidence.calls = self.calls
        self._shop = _shop(house)
        self._admin = self._diner("the admin", house.service.log_in(*ADMIN), is_admin=True)
        self.last_scrape = b""

    def begin(self) -> None:
        """They all begin to call."""
        names = [f"diner {number}" for number in range(WAITING + PROMISED)]
        diners = [(name, registered(self._port, name)) for name in names]
        waiting = [self._diner(*diner).order for diner in diners[:WAITING]]
        promised = [self._diner(*diner, takes_promise=True).order for diner in diners[WAITING:]]
        self.add("order", waiting, wait=ORDER_WAIT)
        self.add("promise", promised, wait=ORDER_WAIT)
        self.add("menu", self._readers(READERS, "GET", "/api/order/menu"), wait=READ_WAIT)
        self.add("franchises", self._readers(FRANCHISE_READERS, "GET", "/api/franchise"), wait=READ_WAIT)
        self.add("login", self._readers(LOGINS, "PUT", "/api/auth", DINER), wait=LOGIN_WAIT)
        self.add("status", [self._watcher("/api/status", self._looked)], wait=LOOK_WAIT)
        self.add("metrics", [self._watcher("/metrics", self._scraped)], wait=SCRAPE_WAIT)

    def _diner(self, name: str, token: str, **kind: bool) -> Diner:
        return Diner(self._shop, name, token, self._evidence.told, **kind)

    def _readers(self, count: int, method: str, path: str, body: Any = None) -> list[Step]:
        return [reader(self._port, request(method, path, body)) for _ in range(count)]

    def _watcher(self, path: str, keep: Any) -> Step:
        connection, sent = Connection(self._port), request("GET", path)

        def look() -> int:
            answer = connection.ask(sent)
            keep(answer)
            return answer.status

        return look

    def _looked(self, answer: Answer) -> None:
        ordering = answer.json()["ordering"] if answer.status == 200 else f"answered {answer.status}"
        self._evidence.looks.append(Look(time.monotonic(), ordering))

    def _scraped(self, answer: Answer) -> None:
        self.last_scrape = answer.body

    def circuits(self) -> str:
        """How many workers' circuits are in which state, by the last scrape."""
        return ", ".join(f"{count.decode()} {state.decode()}" for state, count in CIRCUITS.findall(self.last_scrape))

    def support_link(self) -> str:
        """What an admin reads in an order of theirs that the factory failed, once the circuit lets one through."""
        give_up = time.monotonic() + LINK_PATIENCE
        while time.monotonic() < give_up and not self.is_over:
            if link := self._admin.placed().json().get("followLinkToEndChaos"):
                return str(link)
            time.sleep(0.05)
        return ""


def _shop(house: House) -> Shop:
    """The first store that is open, with all of the menu."""
    franchises = house.service("GET", "/api/franchise").json()["franchises"]
    franchise, store = next((each, store) for each in franchises for store in each["stores"])
    menu = house.service("GET", "/api/order/menu").json()
    prices = {item["id"]: round(item["price"] * SATOSHI) for item in menu}
    return Shop(house.service.port, franchise["id"], store["id"], prices, house.factory.api_key)
