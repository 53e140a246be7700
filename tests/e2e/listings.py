"""How long what a franchisee reads takes in a filled database, and what a long export needs: run by test_million.

`python -m tests.e2e.listings` prints for each page or selector the milliseconds (the best of three), the queries and
the orders; `python -m tests.e2e.listings export ORDERS` the lines of a CSV file and the process's highest memory in MB.
"""

import json
import os
import re
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from datetime import timedelta
from itertools import pairwise
from pathlib import Path
from typing import Any

import django

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "jwtpizza.settings")
django.setup()

from django.db import connection  # noqa: E402
from django.test import Client  # noqa: E402
from django.test.utils import CaptureQueriesContext  # noqa: E402
from django.utils import timezone  # noqa: E402

from franchises.selectors import stores_of  # noqa: E402
from jwtpizza.accounts.models import User  # noqa: E402
from orders import selectors  # noqa: E402
from orders.models import Status  # noqa: E402
from orders.serializers import as_csv  # noqa: E402
from tests.e2e.million import SECONDS_BETWEEN  # noqa: E402

PAGE = 100
NOW, DAY = timezone.now(), timedelta(days=1)
MONTH = {"created_at__gte": NOW - 200 * DAY, "created_at__lt": NOW - 170 * DAY}
Read = Callable[[], int]


def listing(stores: Sequence[int], term: str = "", *, last: bool = False, **filters: Any) -> Read:
    """A page of the list: its count, and then the rows of the first or the last page."""

    def read() -> int:
        orders = selectors.orders_of(stores).filter(**filters).select_related("store", "diner")
        newest, _ = selectors.latest(orders, stores=stores)
        shown = selectors.search(term, orders=orders, newest=newest) if term else newest
        count = shown.count()
        start = max(0, count - PAGE) if last else 0
        assert len(shown[start : start + PAGE]) == min(count, PAGE)
        return count

    return read


def lists(stores: Sequence[int]) -> Iterator[tuple[str, Read]]:
    filters: dict[str, dict[str, Any]] = {"all": {}, "one store": {"store": stores[0]}, "month": MONTH}
    filters |= {status.value: {"status": status} for status in Status}
    filters |= {"failed in a month": {"status": "failed", **MONTH}}
    filters |= {"one store, fulfilled": {"status": "fulfilled", "store": stores[0]}}
    for name, chosen in filters.items():
        yield name, listing(stores, **chosen)
        yield f"{name}, last page", listing(stores, last=True, **chosen)
    for term in ("500001", "maria", "rare bird", "nobody at all"):
        yield f"search for {term}", listing(stores, term)
        yield f"search for {term}, fulfilled", listing(stores, term, status="fulfilled")


def home(stores: Sequence[int]) -> Iterator[tuple[str, Read]]:
    days = list(pairwise(NOW - DAY * number for number in range(14, -1, -1)))
    spans = [*days, (NOW - 2 * DAY, NOW - 1.5 * DAY), (NOW - 8 * DAY, NOW - 7.5 * DAY)]
    yield "sales by store", lambda: len(selectors.sales_by_store(stores=stores, spans=spans))
    yield "lately", lambda: len(selectors.lately(stores=stores))


def pages_of(user: User, stores: Sequence[int]) -> Iterator[tuple[str, Read]]:
    """The admin's pages as the browser gets them, rendered, with all that a request costs."""
    browser = Client(SERVER_NAME="localhost")
    browser.force_login(user, backend="franchises.permissions.Roles")
    month = f"{MONTH['created_at__gte']:created_at_from=%Y-%m-%d}&{MONTH['created_at__lt']:created_at_to=%Y-%m-%d}"
    questions = ["", "p=2", f"store={stores[0]}", "status__exact=failed", "status__exact=pending", month, "q=maria"]
    questions += ["q=nobody+at+all", f"q=maria&store={stores[0]}&status__exact=fulfilled&{month}", "q=500001"]
    addresses = [f"/admin/orders/order/?{question}" for question in questions]

    def got(address: str) -> Read:
        def read() -> int:
            answer = browser.get(address)
            assert answer.status_code == 200, address
            changelist = (getattr(answer, "context_data", None) or {}).get("cl")
            return changelist.result_count if changelist else 0

        return read

    for address in (*addresses, "/admin/", "/admin/franchises/store/"):
        yield f"page {address}", got(address)


def measured(read: Read) -> tuple[float, int, int]:
    took = []
    for _ in range(3):
        begun = time.perf_counter()
        read()
        took.append(time.perf_counter() - begun)
    with CaptureQueriesContext(connection) as context:
        orders = read()
    return round(1000 * min(took), 1), len(context), orders


def pages() -> dict[str, tuple[float, int, int]]:
    found = {}
    for email in ("f@jwt.com", "quiet@jwt.com", "closed@jwt.com"):
        user = User.objects.get(email=email)
        stores = list(stores_of(user).values_list("pk", flat=True))
        for name, read in (*lists(stores), *home(stores), *pages_of(user, stores)):
            found[f"{email.partition('@')[0]}: {name}"] = measured(read)
    return found


def export(orders: int) -> tuple[int, float]:
    """About so many of the busy stores' orders."""
    stores = list(stores_of(User.objects.get(email="f@jwt.com")).values_list("pk", flat=True))
    since = NOW - timedelta(seconds=orders / 0.4 * SECONDS_BETWEEN)
    pieces = as_csv(selectors.orders_of(stores).filter(created_at__gte=since), stores=stores)
    lines = sum(piece.count("\r\n") for piece in pieces)
    # Not what getrusage tells: there a process begins with the highest memory of the one that started it.
    highest = re.search(r"VmHWM:\s+(\d+) kB", Path("/proc/self/status").read_text())
    assert highest
    return lines, int(highest[1]) / 1024


if __name__ == "__main__":
    print(json.dumps(export(int(sys.argv[2])) if sys.argv[1:] else pages()))
