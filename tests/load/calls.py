"""What is called, and what each call has to reach."""

import json
from collections.abc import Callable
from typing import NamedTuple

from tests.load.town import DINERS, PASSWORD, Town
from tests.load.wrk import Sent

MENU, LIST = "/api/order/menu", "/api/franchise?page=0&limit=10&name=*"
# Where the numbers of `Call.reach` come from, 5,500 menus were to be 0.4 of what a bare view of Django's answers.
# Another machine has to reach the same shares.
BARE_VIEW = 13_750


class Call(NamedTuple):
    """A call, how it is sent, the requests a second that it has to reach by database, and the Express service's.

    `bare` are those of what is bare, on the machine that they were set on.
    """

    name: str
    sent: Callable[[Town], list[Sent]]
    reach: dict[str, int] = {}
    express: int | None = None
    short: bool = False
    bare: int = BARE_VIEW

    def share(self, database: str) -> float:
        """What it has to reach of what is bare on the same machine; 0 where there is nothing to reach."""
        return self.reach.get(database, 0) / self.bare


def both(sqlite: int, postgresql: int) -> dict[str, int]:
    return {"sqlite": sqlite, "postgresql": postgresql}


def _each(path: str) -> Callable[[Town], list[Sent]]:
    return lambda town: [Sent("GET", path, token) for token in town.diners]


def _orders(town: Town) -> list[Sent]:
    # The first two have their history, which stays as long as it is.
    return [Sent("POST", "/api/order", token, town.order(number)) for number, token in enumerate(town.diners[2:])]


def _logins(_: Town) -> list[Sent]:
    bodies = ({"email": f"diner{number}@bench.com", "password": PASSWORD} for number in range(DINERS))
    return [Sent("PUT", "/api/auth", body=json.dumps(body)) for body in bodies]


# Of a hundred bare hashes.
LOGINS = Call("logins", _logins, dict.fromkeys(("sqlite", "postgresql", "mariadb"), 75), 33, short=True, bare=100)
ORDERS = Call("orders of 3 items", _orders, both(300, 220), 70, short=True)
OWNERS = Call("the same as admin", lambda town: [Sent("GET", LIST, town.admin)], both(740, 600), 74)
HISTORY = Call("history of 100 orders", lambda town: [Sent("GET", "/api/order", town.diners[0])], both(1000, 700), 270)
LONG_HISTORY = Call("history of 10,000 orders", lambda town: [Sent("GET", "/api/order", town.diners[1])])
FAR_PAGE = Call("its 1,000th page", lambda town: [Sent("GET", "/api/order?page=1000", town.diners[1])])
CALLS = (
    Call("menu", lambda _: [Sent("GET", MENU)], both(5500, 5500), 1040, short=True),
    Call("menu, with a token", _each(MENU), both(5500, 5500), 420),
    Call("menu, not modified", lambda town: [Sent("GET", MENU, etag=town.etag)], both(5500, 5500)),
    Call("`user/me`", _each("/api/user/me"), both(2200, 1600), 550, short=True),
    Call("franchises, 10 of 100 × 5", lambda _: [Sent("GET", LIST)], both(4000, 4000), 510, short=True),
    OWNERS,
    HISTORY,
    LONG_HISTORY,
    FAR_PAGE,
    ORDERS,
    LOGINS,
)
