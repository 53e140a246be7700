"""What the service, its logs and the factory say of the orders once the drill is over."""

import json
import re
import time
from collections import Counter
from datetime import datetime
from decimal import Decimal
from typing import Any

import jwt
import requests

from tests.drill.diners import SATOSHI
from tests.drill.evidence import Booked, Evidence
from tests.drill.house import House

SAMPLE = re.compile(r"^(jwtpizza_\S+) (\S+)$", re.MULTILINE)


def satoshi(amount: str) -> int:
    return int(Decimal(amount) * SATOSHI)


def gather(house: House, evidence: Evidence, *, before: dict[str, Any], patience: float) -> None:
    """Waits until no promised order is pending, or out of patience (seconds); then adds all of it to the evidence.

    `before` is what the books said when the drill began.
    """
    after = _settled_books(house, before["last"], patience)
    evidence.orders = {row["id"]: _booked(row) for row in after["orders"]}
    evidence.earned = {
        int(store): satoshi(amount) - satoshi(before["revenue"].get(store, "0"))
        for store, amount in after["revenue"].items()
    }
    page = requests.get(f"{house.service.url}/metrics", timeout=30).text
    evidence.metrics = {name: float(value) for name, value in SAMPLE.findall(page)}
    evidence.logged = _logged(house)
    house.factory.note_ids()
    evidence.asked = house.factory.ids
    evidence.verified = _verified(house, evidence)


def _settled_books(house: House, since: int, patience: float) -> dict[str, Any]:
    give_up = time.monotonic() + patience
    while True:
        books = house.books(since)
        pending = any(order["status"] == "pending" for order in books["orders"])
        if not pending or time.monotonic() > give_up:
            return books
        time.sleep(1)


def _booked(row: dict[str, Any]) -> Booked:
    settled = datetime.fromisoformat(row["settled_at"]).timestamp() if row["settled_at"] else 0.0
    columns = (row[name] for name in ("pizzas", "jwt", "diner_id", "store_id"))
    return Booked(row["status"], satoshi(row["total"]), *columns, settled)


def _logged(house: House) -> Counter[int]:
    """The statuses of the request log's lines about new orders."""
    statuses: Counter[int] = Counter()
    with house.service.log.open() as lines:
        for line in lines:
            if '"/api/order"' in line:
                entry = json.loads(line)
                statuses[entry["statusCode"]] += (entry["type"], entry["method"]) == ("http", "POST")
    return +statuses


def _verified(house: House, evidence: Evidence) -> dict[str, dict[str, Any]]:
    """What the factory signed, by JWT; its own keys say so, not the service."""
    keys = {key["kid"]: jwt.PyJWK(key, "RS256") for key in house.factory("GET", "/.well-known/jwks.json")["keys"]}
    signed = {}
    for order in evidence.fulfilled_by_id.values():
        try:
            kid = jwt.get_unverified_header(order.jwt or "")["kid"]
            signed[order.jwt or ""] = json.loads(jwt.PyJWS().decode(order.jwt or "", keys[kid], algorithms=["RS256"]))
        except (jwt.PyJWTError, KeyError):
            continue  # a forged one is verified by nobody
    return signed
