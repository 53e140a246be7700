"""Those who order, and what they were told."""

import random
import secrets
import time
from typing import Any, NamedTuple

from tests.drill.client import Answer, Connection, request

SATOSHI = 10**8
MOST_PIZZAS = 4


class Told(NamedTuple):
    """What somebody was told of one order: a pizza (200), a promise (202), a failure (500, 504) or a refusal (503).

    `total` is in satoshi, as is `worth`: what `who` asked for, at the menu's prices. `leaked` is whether the answer had
    the factory's key in it, `polite` whether a failure says what happened and, being a refusal, when to come back.
    """

    begun: float
    ended: float
    status: int
    order_id: int | None = None
    jwt: str | None = None
    total: int = 0
    worth: int = 0
    who: str = ""
    leaked: bool = False
    polite: bool = True


class Shop(NamedTuple):
    """Where and what to order (satoshi by menu id), and the key that no diner may see."""

    port: int
    franchise_id: int
    store_id: int
    prices: dict[int, int]
    secret: str


class Diner:
    """Orders one to four pizzas at a time; writes what it was told into `ledger`."""

    def __init__(
        self,
        shop: Shop,
        name: str,
        token: str,
        ledger: list[Told],
        *,
        takes_promise: bool = False,
        is_admin: bool = False,
    ) -> None:
        self._shop, self._name, self._token, self._is_admin = shop, name, token, is_admin
        self._ledger = ledger
        self._headers = {"Prefer": "respond-async"} if takes_promise else {}
        self._connection = Connection(shop.port)
        self._dice = random.Random(token)

    def order(self) -> int:
        """The answer's status; raises OSError when there is none."""
        return self.placed().status

    def placed(self) -> Answer:
        """The answer to an order."""
        pizzas = self._dice.choices(list(self._shop.prices), k=self._dice.randint(1, MOST_PIZZAS))
        worth = sum(self._shop.prices[menu_id] for menu_id in pizzas)
        begun = time.monotonic()
        answer = self._connection.ask(self._request(pizzas))
        leaked = not self._is_admin and self._shop.secret.encode() in answer.body
        self._ledger.append(told(answer, begun)._replace(leaked=leaked, worth=worth, who=self._name))
        return answer

    def _request(self, pizzas: list[int]) -> bytes:
        where = {"franchiseId": self._shop.franchise_id, "storeId": self._shop.store_id}
        body = where | {"items": [{"menuId": menu_id} for menu_id in pizzas]}
        return request("POST", "/api/order", body, token=self._token, **self._headers)


def told(answer: Answer, begun: float) -> Told:
    """What an answer says of an order; it is JSON, whatever the status."""
    said: dict[str, Any] = answer.json()
    basics = Told(begun, time.monotonic(), answer.status)
    match answer.status:
        case 200:
            total = sum(round(item["price"] * SATOSHI) for item in said["order"]["items"])
            return basics._replace(order_id=said["order"]["id"], jwt=said["jwt"], total=total)
        case 202:
            return basics._replace(order_id=int(answer.header("Location").rsplit("/", 1)[1]))
        case 503:
            return basics._replace(polite=bool(said.get("message")) and int(answer.header("Retry-After") or 0) > 0)
    return basics._replace(polite=bool(said.get("message")))


def registered(port: int, name: str) -> str:
    """The token of somebody new, whose address nobody else has."""
    body = {"name": name, "email": f"drill-{secrets.token_hex(8)}@jwt.com", "password": secrets.token_hex(8)}
    answer = Connection(port).ask(request("POST", "/api/auth", body))
    assert answer.status == 200, answer.body
    return str(answer.json()["token"])
