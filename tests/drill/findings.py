"""What the service, its logs and the factory say of the orders once the drill is over."""

import json
import re
import time
from collections import Counter, defaultdict
from datetime import datetime
from decimal import Decimal
from typing import Any

import jwt
import requests

from tests.drill.diners import SATOSHI
from tests.drill.evidence import Booked, Evidence
from tests.drill.house import House
from tests.drill.load import ADMIN

# Calls are counted in spans of 10 s, and each process keeps them every 10 s.
KEPT_SECONDS = 21.0
# After two attempts, a canary that came too late is flown once more for its support link.
FOR_ITS_LINK = 3
SAMPLE = re.compile(r"^(jwtpizza_\S+) (\S+)$", re.MULTILINE)


def seconds(moment: str) -> float:
    """Since 1970."""
    return datetime.fromisoformat(moment).timestamp()


def satoshi(amount: str) -> int:
    return int(Decimal(amount) * SATOSHI)


def gather(house: House, evidence: Evidence, *, before: dict[str, Any], patience: float) -> None:
    """Waits until no promised order is pending, or out of patience (seconds); then adds all of it to the evidence.

    `before` is what the books said when the drill began.
    """
    failed = max((told.ended for told in evidence.told if told.status != 200), default=0.0)
    after = _settled_books(house, before, time.monotonic() + patience, failed + KEPT_SECONDS)
    evidence.orders = {row["id"]: _booked(row) for row in after["orders"]}
    evidence.earned = {
        int(store): satoshi(amount) - satoshi(before["revenue"].get(store, "0"))
        for store, amount in after["revenue"].items()
    }
    evidence.incidents = _incidents(house, after["incidents"][len(before["incidents"]) :])
    evidence.circuits = Counter(_change(row) for row in after["circuits"][len(before["circuits"]) :])
    evidence.metrics = _metrics(house)
    _read_logs(house, evidence)
    house.factory.note_ids()
    evidence.asked = house.factory.ids
    evidence.verified = _verified(house, evidence)


def _settled_books(house: House, before: dict[str, Any], give_up: float, kept: float) -> dict[str, Any]:
    """Once no order is pending, each incident is over, and what was counted in the last is `kept`."""
    while True:
        books = house.books(before["last"])
        pending = any(order["status"] == "pending" for order in books["orders"])
        is_open = any(incident["closed_at"] is None for incident in books["incidents"])
        now = time.monotonic()
        if now > give_up or not (pending or is_open or now < kept):
            return books
        time.sleep(1)


def _incidents(house: House, rows: list[dict[str, Any]]) -> list[dict[str, Any]]:
    token = house.service.log_in(*ADMIN)
    return [house.service("GET", f"/api/incident/{row['id']}", token=token).json() for row in rows]


def _change(row: dict[str, Any]) -> tuple[float, str, str]:
    return seconds(row["at"]), row["detail"]["was"], row["outcome"]


def _metrics(house: House) -> dict[str, float]:
    """What the service and its worker counted together."""
    added: dict[str, float] = defaultdict(float)
    for url in (house.service.url, house.worker.metrics_url):
        page = requests.get(f"{url}/metrics", timeout=30).text
        for name, value in SAMPLE.findall(page):
            added[name] += float(value)
    return added


def _booked(row: dict[str, Any]) -> Booked:
    settled = seconds(row["settled_at"]) if row["settled_at"] else 0.0
    columns = (row[name] for name in ("pizzas", "jwt", "diner_id", "store_id"))
    return Booked(row["status"], satoshi(row["total"]), *columns, settled)


def _read_logs(house: House, evidence: Evidence) -> None:
    """Everything that the processes of the house have printed."""
    for each in (house.service, house.worker, house.factory):
        for text in each.log.read_text().splitlines():
            evidence.lines += 1
            line = _line(text)
            if line is None:
                evidence.unreadable.append(text)
            else:
                _read_line(line, evidence)


def _line(text: str) -> dict[str, Any] | None:
    try:
        line = json.loads(text)
    except ValueError:
        return None
    return line if isinstance(line, dict) else None


def _read_line(line: dict[str, Any], evidence: Evidence) -> None:
    """Counts failures as an alert does, by `statusCode` alone."""
    status = line.get("statusCode")
    evidence.failures_logged += isinstance(status, int) and status >= 500
    if (line.get("type"), line.get("method"), line.get("path")) == ("http", "POST", "/api/order"):
        evidence.logged[line["statusCode"]] += 1
    name = str(line.get("orderId"))
    if name.startswith("canary-") and line["attempt"] < FOR_ITS_LINK:
        evidence.canaries[name] = (seconds(line["ts"]), line["outcome"])


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
