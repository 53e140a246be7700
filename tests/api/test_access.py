"""Who may do what: each endpoint, asked for what exists, with what is valid, by each kind of caller."""

from typing import Any, NamedTuple

import pytest
from django.utils import timezone

from franchises.models import Franchise, Store
from jwtpizza.accounts.models import User
from jwtpizza.accounts.services import open_session
from jwtpizza.incidents.models import Incident
from tests.actors import Actor
from tests.api.endpoints import endpoints


class Row(NamedTuple):
    path: str
    body: Any
    anonymous: int
    diner: int  # whose account and order it is
    another_diner: int
    franchisee: int  # who runs the franchise that it is about
    another_franchisee: int
    admin: int


PERSON = {"name": "new", "email": "new@jwt.com", "password": "new"}
LOGIN = {"email": "d@jwt.com", "password": "diner"}
PIZZA = {"title": "Student", "description": "No topping", "image": "pizza9.png", "price": 0.0001}
ORDER = {"franchiseId": 1, "storeId": 1, "items": [{"menuId": 1}]}
FRANCHISE = {"name": "pizzaHeaven", "admins": [{"email": "f@jwt.com"}]}
STORE = {"name": "Provo"}
NAME = {"name": "changed"}

ACCESS = {
    #                                                            nobody, diner, other, owner, rival, admin
    "GET /": Row("/", None, 200, 200, 200, 200, 200, 200),
    "GET /api/docs": Row("/api/docs", None, 200, 200, 200, 200, 200, 200),
    "GET /api/docs/ui": Row("/api/docs/ui", None, 200, 200, 200, 200, 200, 200),
    "GET /api/schema": Row("/api/schema", None, 200, 200, 200, 200, 200, 200),
    "GET /livez": Row("/livez", None, 200, 200, 200, 200, 200, 200),
    "GET /readyz": Row("/readyz", None, 200, 200, 200, 200, 200, 200),
    "GET /metrics": Row("/metrics", None, 200, 200, 200, 200, 200, 200),
    "POST /api/auth": Row("/api/auth", PERSON, 200, 200, 200, 200, 200, 200),
    "PUT /api/auth": Row("/api/auth", LOGIN, 200, 200, 200, 200, 200, 200),
    "DELETE /api/auth": Row("/api/auth", None, 401, 200, 200, 200, 200, 200),
    "GET /api/user": Row("/api/user", None, 401, 403, 403, 403, 403, 200),
    "GET /api/user/me": Row("/api/user/me", None, 401, 200, 200, 200, 200, 200),
    # There is no user by the name of "me"; only an admin may know that.
    "PUT /api/user/me": Row("/api/user/me", NAME, 401, 403, 403, 403, 403, 404),
    "DELETE /api/user/me": Row("/api/user/me", None, 401, 403, 403, 403, 403, 404),
    "PUT /api/user/{id}": Row("/api/user/2", NAME, 401, 200, 403, 403, 403, 200),
    "DELETE /api/user/{id}": Row("/api/user/2", None, 401, 403, 403, 403, 403, 200),
    "GET /api/order/menu": Row("/api/order/menu", None, 200, 200, 200, 200, 200, 200),
    "PUT /api/order/menu": Row("/api/order/menu", PIZZA, 401, 403, 403, 403, 403, 200),
    "GET /api/order": Row("/api/order", None, 401, 200, 200, 200, 200, 200),
    "POST /api/order": Row("/api/order", ORDER, 401, 200, 200, 200, 200, 200),
    "GET /api/order/{id}": Row("/api/order/1", None, 401, 200, 404, 404, 404, 200),
    "PUT /api/order/chaos/{id}": Row("/api/order/chaos/true", None, 401, 403, 403, 403, 403, 200),
    "GET /api/incident/{id}": Row("/api/incident/1", None, 401, 403, 403, 403, 403, 200),
    "GET /api/status": Row("/api/status", None, 200, 200, 200, 200, 200, 200),
    "GET /api/franchise": Row("/api/franchise", None, 200, 200, 200, 200, 200, 200),
    "POST /api/franchise": Row("/api/franchise", FRANCHISE, 401, 403, 403, 403, 403, 200),
    # Of anyone else: an empty list.
    "GET /api/franchise/{id}": Row("/api/franchise/3", None, 401, 200, 200, 200, 200, 200),
    "DELETE /api/franchise/{id}": Row("/api/franchise/1", None, 401, 403, 403, 403, 403, 200),
    "POST /api/franchise/{id}/store": Row("/api/franchise/1/store", STORE, 401, 403, 403, 200, 403, 200),
    "DELETE /api/franchise/{id}/store/{id}": Row("/api/franchise/1/store/1", None, 401, 403, 403, 200, 403, 200),
}
CALLERS = Row._fields[2:]
EMAIL = {"diner": "d@jwt.com", "franchisee": "f@jwt.com", "admin": "a@jwt.com"}


@pytest.fixture
def call(demo, factory):
    """Sends a request as one of the callers."""
    for name in ("another_diner", "another_franchisee"):
        User.objects.create(name=name, email=f"{name}@jwt.com", password="!")
    rivals = Franchise.objects.create(name="rivals")
    rivals.admins.add(User.objects.get(name="another_franchisee"))
    Store.objects.create(franchise=rivals, name="SLC")
    assert _caller("diner").order(1).status_code == 200
    Incident.objects.create(first_at=timezone.now(), last_at=timezone.now())

    return lambda caller, *request: _caller(caller)(*request)


def _caller(name):
    if name == "anonymous":
        return Actor()
    return Actor(open_session(User.objects.get_by_natural_key(EMAIL.get(name, f"{name}@jwt.com"))))


@pytest.mark.parametrize("caller", CALLERS)
@pytest.mark.parametrize("endpoint", ACCESS)
def test_each_endpoint_lets_in_whom_it_should(endpoint, caller, call):
    row = ACCESS[endpoint]

    answer = call(caller, endpoint.split()[0], row.path, row.body)

    assert answer.status_code == getattr(row, caller), answer.content


def test_there_is_a_row_for_each_endpoint_and_for_nothing_else():
    assert set(ACCESS) == set(endpoints())


def test_only_the_admin_and_the_franchisee_see_who_runs_a_franchise(call):
    seen = {caller: call(caller, "GET", "/api/franchise/3").json() for caller in CALLERS if caller != "anonymous"}
    assert [caller for caller, franchises in seen.items() if franchises] == ["franchisee", "admin"]


def test_only_the_admin_sees_what_each_store_earned(call):
    seen = {caller: "totalRevenue" in call(caller, "GET", "/api/franchise").content.decode() for caller in CALLERS}
    assert [caller for caller in CALLERS if seen[caller]] == ["admin"]


def test_a_franchisee_closes_no_store_of_another_through_a_franchise_of_their_own(call):
    assert call("franchisee", "DELETE", "/api/franchise/1/store/2").status_code == 404
