"""How many queries each endpoint costs: the same whether there is one row of each kind or 200.

BEGIN, COMMIT and savepoints are not counted. One query is the session with its user, for everyone who sends a token.
Time stands still: what is remembered for a second was asked for by the first order, or the first request that needs it.
"""

import re
from itertools import product
from types import SimpleNamespace
from typing import NamedTuple

import pytest
from django.db import connection
from django.test.utils import CaptureQueriesContext
from django.urls import URLPattern, get_resolver
from django.utils import timezone

from franchises.models import Franchise, Store
from franchises.services import FRANCHISES
from jwtpizza.accounts.models import User
from jwtpizza.incidents.models import Event, Incident, Kind
from menu.models import MenuItem
from menu.services import MENU
from orders import selectors
from orders.models import Order, OrderItem, Status

EVERYTHING = 1000  # the longest page
KEY = {"Idempotency-Key": "k"}
NEWCOMER = {"name": "n", "email": "n@jwt.com", "password": "p"}
STUDENT = {"title": "Student", "description": "Just carbs", "image": "pizza9.png", "price": 0.0001}


class Cost(NamedTuple):
    queries: int
    endpoint: str
    who: str = "anonymous"
    at: str = ""
    body: object = None
    headers: dict = {}
    warm: bool = True  # whether the same request came before
    status: int = 200


def an_order(pizzas):
    return {"franchiseId": 1, "storeId": 1, "items": [{"menuId": 1}] * pizzas}


def a_franchise(admins):
    return {"name": "new", "admins": [{"email": f"{n}@jwt.com"} for n in range(admins)]}


COSTS = [
    Cost(0, "GET "),
    Cost(0, "GET livez"),
    Cost(2, "GET readyz"),
    Cost(5, "GET metrics", warm=False),
    Cost(3, "GET metrics"),
    Cost(0, "GET api/docs"),
    Cost(0, "GET api/schema"),
    Cost(0, "GET api/docs/ui"),
    Cost(0, "GET api/order/menu"),
    Cost(1, "GET api/order/menu", warm=False),
    Cost(0, "OPTIONS api/order/menu/<id>", at="api/order/menu/1", status=204),
    Cost(0, "GET api/franchise", at=f"api/franchise?limit={EVERYTHING}"),
    Cost(2, "GET api/franchise", at=f"api/franchise?limit={EVERYTHING}", warm=False),
    Cost(1, "GET api/franchise", "diner", at=f"api/franchise?limit={EVERYTHING}"),
    Cost(4, "GET api/franchise", "admin", at=f"api/franchise?limit={EVERYTHING}"),
    Cost(3, "POST api/auth", body=NEWCOMER, warm=False),
    Cost(5, "PUT api/auth", body={"email": "f@jwt.com", "password": "franchisee"}),
    Cost(5, "PUT api/auth", body={"email": "f@jwt.com", "password": "wrong"}, status=404),
    Cost(2, "DELETE api/auth", "diner", warm=False),
    Cost(1, "GET api/user/me", "franchisee"),
    Cost(1, "GET api/user/me", "admin"),
    Cost(6, "PUT api/user/<id>", "diner", at="api/user/2", body={"name": "x"}),
    Cost(8, "PUT api/user/<id>", "diner", at="api/user/2", body={"password": "x"}, warm=False),
    Cost(1, "PUT api/user/me", "diner", status=403),
    Cost(1, "DELETE api/user/me", "diner", status=403),
    Cost(3, "GET api/user", "admin", at=f"api/user?limit={EVERYTHING}"),
    Cost(11, "DELETE api/user/<id>", "admin", at="api/user/3", warm=False),
    Cost(3, "PUT api/order/menu", "admin", body=STUDENT, warm=False),
    Cost(4, "GET api/order", "diner", at="api/order?status=all"),
    Cost(3, "GET api/order/<id>", "diner", at="api/order/1"),
    Cost(7, "POST api/order", "diner", body=an_order(1)),
    Cost(7, "POST api/order", "diner", body=an_order(20)),
    Cost(8, "POST api/order", "diner", body=an_order(1), headers=KEY, warm=False),
    Cost(3, "POST api/order", "diner", body=an_order(1), headers=KEY),
    Cost(3, "PUT api/order/chaos/<str:state>", "admin", at="api/order/chaos/true"),
    Cost(3, "PUT api/order/chaos/<str:state>", "admin", at="api/order/chaos/true", warm=False),
    Cost(30, "GET api/incident/<id>", "admin", at="api/incident/1"),
    Cost(0, "GET api/status"),
    Cost(2, "GET api/status", warm=False),
    Cost(4, "GET api/franchise/<id>", "franchisee", at="api/franchise/3"),
    Cost(4, "POST api/franchise", "admin", body=a_franchise(1), warm=False),
    Cost(4, "POST api/franchise", "admin", body=a_franchise(100), warm=False),
    Cost(4, "DELETE api/franchise/<id>", "admin", at="api/franchise/1", warm=False),
    Cost(3, "POST api/franchise/<id>/store", "admin", "api/franchise/1/store", {"name": "x"}, warm=False),
    Cost(
        4,
        "POST api/franchise/<id>/store",
        "franchisee",
        "api/franchise/1/store",
        {"name": "x"},
        warm=False,
    ),
    Cost(4, "DELETE api/franchise/<id>/store/<id>", "admin", "api/franchise/1/store/1", warm=False),
]


def fill(rows):
    """That many more of everything; the franchisee runs all franchises, and all orders are the diner's."""
    franchisee, diner = User.objects.get(email="f@jwt.com"), User.objects.get(email="d@jwt.com")
    User.objects.bulk_create(User(name=f"person {n}", email=f"{n}@jwt.com") for n in range(max(rows, 100)))
    MenuItem.objects.bulk_create(MenuItem(title=f"pizza {n}", price=n) for n in range(rows))
    Franchise.objects.bulk_create(Franchise(name=f"franchise {n}") for n in range(rows))
    opened = list(Franchise.objects.filter(name__startswith="franchise "))
    Store.objects.bulk_create(Store(franchise=each, name="store") for each in opened)
    runs = Franchise.admins.through
    runs.objects.bulk_create(runs(franchise=each, user=franchisee) for each in opened)
    made = {"store_id": 1, "total": 1, "status": Status.FULFILLED, "jwt": "x", "settled_at": timezone.now()}
    Order.objects.bulk_create(Order(diner=diner, **made) for _ in range(rows))
    items = product(Order.objects.all(), MenuItem.objects.all()[:2])
    OrderItem.objects.bulk_create(OrderItem(order=order, menu_item=item, price=1) for order, item in items)
    incident = Incident.objects.create(first_at=timezone.now(), last_at=timezone.now())
    refused = {"kind": Kind.REFUSED, "at": incident.first_at, "trouble": True, "diner": diner}
    Event.objects.bulk_create(Event(key=str(n), **refused) for n in range(rows))
    MENU._generation.renew()
    FRANCHISES._generation.renew()


def counted(context):
    return [query["sql"] for query in context.captured_queries if not TRANSACTION.match(query["sql"])]


TRANSACTION = re.compile(r"BEGIN|COMMIT|ROLLBACK|SAVEPOINT|RELEASE")


@pytest.fixture(autouse=True)
def no_time_passes(monkeypatch):
    remembered = (selectors.CHAOS, selectors.CIRCUITS, selectors.CANARY)
    monkeypatch.setattr(selectors, "time", SimpleNamespace(monotonic=lambda: 1000.0))
    for known in remembered:
        known._known = None
    yield
    for known in remembered:
        known._known = None


@pytest.mark.parametrize("rows", [1, 200])
@pytest.mark.parametrize("cost", COSTS, ids=lambda cost: f"{cost.endpoint} {cost.who}")
def test_an_endpoint_costs_what_the_table_says(cost, rows, request, factory, diner):
    who = request.getfixturevalue(cost.who)
    diner.order(1)  # from here on the factory's keys are known
    fill(rows)
    method, _, template = cost.endpoint.partition(" ")

    def call():
        return who(method, "/" + (cost.at or template), cost.body, **cost.headers)

    if cost.warm:
        call()
    with CaptureQueriesContext(connection) as context:
        answer = call()
    assert answer.status_code == cost.status
    assert len(counted(context)) == cost.queries, "\n".join(counted(context))


def endpoints(patterns, prefix=""):
    for pattern in patterns:
        path = prefix + re.sub(r"<id:\w+>", "<id>", str(pattern.pattern))
        if not isinstance(pattern, URLPattern):
            yield from endpoints(pattern.url_patterns, path)
        elif not path.startswith("admin/"):
            methods = getattr(pattern.callback, "actions", None) or ["get"]
            yield from (f"{method.upper()} {path}" for method in methods if method != "head")  # GET without the body


def test_each_endpoint_is_in_the_table():
    assert {cost.endpoint for cost in COSTS} == set(endpoints(get_resolver().url_patterns))
