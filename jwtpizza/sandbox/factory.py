"""What the factory does, whoever asks: makes pizzas, checks them, and breaks down on request."""

import hmac
import secrets
import threading
import time
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from enum import StrEnum
from random import Random
from typing import Any

from jwt import InvalidTokenError

from jwtpizza.sandbox.encoding import from_json, to_json
from jwtpizza.sandbox.keys import SigningKey, forged

ISSUER = "cs329.click"
VENDOR = {"id": "vendor1", "name": "Test Vendor"}
PIZZA_LIFETIME = 24 * 60 * 60
THROTTLE_SECONDS = 32.0
MAX_ITEMS = 20

# What JavaScript, which the real factory is written in, takes for "not given"; {} and [] are given.
NOT_GIVEN = (None, False, 0, "")


class FactoryError(Exception):
    """The factory answers `status` with `message`, and `more` beside it."""

    def __init__(self, status: int, message: str, **more: str) -> None:
        super().__init__(message)
        self.status = status
        self.answer = {"message": message, **more}


class ChaosType(StrEnum):
    """The ways in which the factory fails on purpose."""

    NONE = "none"
    FAIL = "fail"
    THROTTLE = "throttle"
    BADJWT = "badjwt"


@dataclass(frozen=True, kw_only=True)
class Chaos:
    """A spell of chaos: it hits `rate` (0 to 1) of the orders, and each of those waits `delay` seconds."""

    type: ChaosType = ChaosType.NONE
    delay: float = 0.0
    rate: float = 1.0
    fix_code: str = field(default_factory=lambda: secrets.token_hex(16))
    started: str | None = None
    fixed: str | None = None


class Factory:
    """One vendor's view of a pizza factory. All methods may be called from many threads.

    `clock` gives the seconds since 1970, `sleep` waits the given seconds.
    """

    def __init__(
        self,
        *,
        key: SigningKey,
        api_key: str,
        clock: Callable[[], float] = time.time,
        sleep: Callable[[float], object] = time.sleep,
    ) -> None:
        self._key = key
        self._api_key = api_key
        self._clock = clock
        self._sleep = sleep
        self._lock = threading.Lock()
        self._chaos = Chaos()
        self._dice = Random()
        self._latency = 0.0
        self._forget()

    def knows(self, api_key: str) -> bool:
        """Whether this is the vendor's key."""
        return hmac.compare_digest(api_key.encode(), self._api_key.encode())

    @property
    def jwks(self) -> dict[str, Any]:
        """The key that pizzas are verified with, as a JWKS."""
        return self._key.jwks

    def vendor(self) -> dict[str, Any]:
        """What the vendor sees of itself: its key and the chaos it is in, never the code that ends it."""
        with self._lock:
            chaos = self._chaos
        return {
            **VENDOR,
            "email": "vendor1@example.com",
            "apiKey": self._api_key,
            "created": "2024-01-01T00:00:00.000Z",
            "roles": ["vendor"],
            "connections": {},
            **({"chaos": _shown(chaos)} if chaos.started else {}),
        }

    def make(self, *, diner: object, order: object, support_url: str) -> dict[str, str]:
        """A signed pizza as `jwt`, and as `reportUrl` the link that ends the chaos of this moment.

        `support_url` is the link without its fix code. Raises FactoryError.
        """
        if diner in NOT_GIVEN or order in NOT_GIVEN:
            raise FactoryError(400, "Missing required parameters")
        chaos, hit, latency = self._admit(order)
        report_url = f"{support_url}/{chaos.fix_code}"
        self._sleep(chaos.delay if hit else latency)
        if not hit:
            self._check_items(order)
        elif chaos.type is ChaosType.FAIL:
            raise FactoryError(500, "chaos monkey", reportUrl=report_url)
        pizza = self._sign(diner, order)
        if hit and chaos.type is ChaosType.BADJWT:
            return {"jwt": forged(pizza), "reportUrl": report_url}
        with self._lock:
            self._made += 1
        return {"jwt": pizza, "reportUrl": report_url}

    def verify(self, token: object) -> Any:
        """The payload of a pizza that this factory made. Raises FactoryError for anything else."""
        try:
            return from_json(self._key.verify(token if isinstance(token, str) else ""))
        except (InvalidTokenError, ValueError) as error:
            raise FactoryError(403, "invalid") from error

    def start_chaos(
        self, kind: ChaosType, *, delay: float | None = None, rate: float = 1.0, seed: int | None = None
    ) -> None:
        """Fail from now on, in a new spell with a fix code of its own.

        It hits `rate` (0 to 1) of the orders, the same ones each time for the same `seed`. Each of them
        waits `delay` seconds; without it, throttled ones wait 32 s and others not at all.
        NONE ends the chaos, and its `delay` is what every order takes while nothing is wrong.
        """
        if kind is ChaosType.NONE:
            with self._lock:
                self._latency = delay or 0.0
                self._end_chaos()
            return
        if delay is None:
            delay = THROTTLE_SECONDS if kind is ChaosType.THROTTLE else 0.0
        with self._lock:
            self._chaos = Chaos(type=kind, delay=delay, rate=rate, started=self._now())
            self._dice = Random(seed)

    def resolve(self, api_key: str, fix_code: str) -> str:
        """Follow a support link; the sentence it answers with. Raises FactoryError for a wrong code."""
        with self._lock:
            if self._chaos.type is ChaosType.NONE or not self.knows(api_key):
                return "No chaos currently executing"
            if fix_code != self._chaos.fix_code:
                raise FactoryError(400, "Problem unresolved")
            self._end_chaos()
        return "Problem resolved. Pizza is back on the menu!"

    def books(self) -> dict[str, Any]:
        """Good pizzas `made`, orders asked for (`attempts`), and by order id how often it was asked for."""
        with self._lock:
            return {"made": self._made, "attempts": self._attempts, "ids": dict(self._asked)}

    def forget(self) -> None:
        """Begin the books anew."""
        with self._lock:
            self._forget()

    def _admit(self, order: object) -> tuple[Chaos, bool, float]:
        order_id = order.get("id") if isinstance(order, dict) else None
        with self._lock:
            self._attempts += 1
            if isinstance(order_id, int | str):
                self._asked[str(order_id)] += 1
            chaos = self._chaos
            hit = chaos.type is not ChaosType.NONE and self._dice.random() < chaos.rate
            return chaos, hit, self._latency

    def _check_items(self, order: object) -> None:
        items = order.get("items") if isinstance(order, dict) else None
        if not isinstance(items, list):
            raise FactoryError(500, "Cannot read properties of undefined (reading 'length')")
        if not 1 <= len(items) <= MAX_ITEMS:
            self._sleep(THROTTLE_SECONDS)
            raise FactoryError(500, f"an order takes 1 to {MAX_ITEMS} pizzas")

    def _sign(self, diner: object, order: object) -> str:
        now = int(self._clock())
        return self._key.sign(
            to_json({"vendor": VENDOR, "diner": diner, "order": order}),
            {"iat": now, "exp": now + PIZZA_LIFETIME, "iss": ISSUER},
        )

    def _end_chaos(self) -> None:
        if self._chaos.type is not ChaosType.NONE:
            self._chaos = replace(self._chaos, type=ChaosType.NONE, fixed=self._now())

    def _forget(self) -> None:
        self._made = 0
        self._attempts = 0
        self._asked: Counter[str] = Counter()

    def _now(self) -> str:
        moment = datetime.fromtimestamp(self._clock(), UTC)
        return moment.isoformat(timespec="milliseconds").replace("+00:00", "Z")


def _shown(chaos: Chaos) -> dict[str, str | None]:
    shown = {"type": chaos.type.value, "initiatedDate": chaos.started, "startDate": chaos.started}
    return {**shown, "fixDate": chaos.fixed} if chaos.fixed else shown
