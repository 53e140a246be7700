"""What the database itself refuses, whoever writes: a shell, a migration, a bug of ours."""

from datetime import timedelta

import pytest
from django.apps import apps
from django.db import IntegrityError, connection, transaction
from django.db.models import ProtectedError
from django.utils import timezone

from franchises.models import Franchise, Store
from jwtpizza.accounts.models import Session, User
from jwtpizza.incidents.models import Event, Incident, Notice
from menu.models import MenuItem
from orders.models import Order, OrderItem, SupportLink

NOW = timezone.now()
LATER = NOW + timedelta(seconds=30)
PENDING = {"status": "pending", "jwt": None, "reason": "", "settled_at": None, "lease_until": LATER}
FULFILLED = {"status": "fulfilled", "jwt": "x.y.z", "reason": "", "settled_at": NOW, "lease_until": None}
FAILED = {"status": "failed", "jwt": None, "reason": "timeout", "settled_at": NOW, "lease_until": None}


@pytest.fixture
def order(demo):
    """A fulfilled order of the diner's, with one pizza."""
    order = Order.objects.create(diner_id=2, store_id=1, total=1, **FULFILLED)
    OrderItem.objects.create(order=order, menu_item_id=1, description="Veggie", price=1)
    Incident.objects.create(first_at=NOW, last_at=NOW)
    return order


def refused(write, *args, **kwargs):
    with pytest.raises(IntegrityError), transaction.atomic():
        write(*args, **kwargs)


def user(**fields):
    return User(**{"name": "n", "email": "n@jwt.com", "password": "p", **fields})


TWICE = {
    "an address": (User, lambda: user(email="D@jwt.com"), "user_email_once"),
    "a session": (Session, lambda: Session(jti="j", user_id=2, expires_at=LATER), "jti"),
    "a title": (MenuItem, lambda: MenuItem(title="VEGGIE", price=1), "menu_title_once"),
    "a franchise's name": (Franchise, lambda: Franchise(name="PIZZAPOCKET"), "franchise_name_once"),
    "a store's name": (Store, lambda: Store(franchise_id=1, name="slc"), "store_name_once"),
    "an Idempotency-Key of a diner's": (
        Order,
        lambda: Order(diner_id=2, store_id=1, total=1, idempotency_key="k", **PENDING),
        "order_idempotency_once",
    ),
    "a support link": (SupportLink, lambda: SupportLink(link="x", digest="d"), "support_link_once"),
    "an event": (Event, lambda: Event(key="k", kind="promised", at=NOW), "event_once"),
    "an open incident": (Incident, lambda: Incident(first_at=NOW, last_at=NOW), "incident_one_open"),
    "a notice": (Notice, lambda: Notice(incident_id=1, word="opened"), "notice_once"),
}


@pytest.mark.parametrize("what", TWICE)
def test_the_database_refuses_what_there_is_already(demo, what):
    model, make, _ = TWICE[what]
    if model is Notice:
        Incident.objects.create(pk=1, first_at=NOW, last_at=NOW)
    if model in (Session, Order, SupportLink, Event, Incident, Notice):
        model.objects.bulk_create([make()])
    refused(model.objects.bulk_create, [make()])


# A row that is there, and values that it must not have.
WRONG = {
    "a deleted user with an address": (User, {"deleted_at": NOW, "is_active": False}, "user_deleted_is_erased"),
    "a deleted user who is active": (User, {"deleted_at": NOW, "email_key": None}, "user_deleted_is_erased"),
    "a negative price": (MenuItem, {"price": -1}, "menu_price_in_range"),
    "a negative price sold at": (OrderItem, {"price": -1}, "order_item_price_not_negative"),
    "a negative revenue": (Store, {"revenue": -1}, "store_revenue_not_negative"),
    "a negative total": (Order, {"total": -1}, "order_total_not_negative"),
    "an unknown status": (Order, {"status": "eaten"}, "order_status_has_what_it_says"),
    "pending with a jwt": (Order, PENDING | {"jwt": "x"}, "order_status_has_what_it_says"),
    "pending with a reason": (Order, PENDING | {"reason": "timeout"}, "order_status_has_what_it_says"),
    "pending and settled": (Order, PENDING | {"settled_at": NOW}, "order_status_has_what_it_says"),
    "pending without a lease": (Order, PENDING | {"lease_until": None}, "order_status_has_what_it_says"),
    "fulfilled without a jwt": (Order, FULFILLED | {"jwt": None}, "order_status_has_what_it_says"),
    "fulfilled with a reason": (Order, FULFILLED | {"reason": "timeout"}, "order_status_has_what_it_says"),
    "fulfilled and not settled": (Order, FULFILLED | {"settled_at": None}, "order_status_has_what_it_says"),
    "failed without a reason": (Order, FAILED | {"reason": ""}, "order_status_has_what_it_says"),
    "failed with a jwt": (Order, FAILED | {"jwt": "x"}, "order_status_has_what_it_says"),
    "an incident that is neither open nor closed": (Incident, {"is_open": None}, "incident_is_open_until_closed"),
    "an incident that is open and closed": (Incident, {"closed_at": NOW}, "incident_is_open_until_closed"),
    "an incident that ends before it begins": (Incident, {"first_at": LATER}, "incident_in_order"),
    "failed and not settled": (Order, FAILED | {"settled_at": None}, "order_status_has_what_it_says"),
}


@pytest.mark.parametrize("what", WRONG)
def test_the_database_refuses(order, what):
    model, values, _ = WRONG[what]
    refused(model.objects.filter(pk=model.objects.first().pk).update, **values)


@pytest.mark.parametrize("state", [PENDING, FULFILLED, FAILED], ids=lambda state: state["status"])
def test_an_order_may_be_each_of_what_its_status_says(order, state):
    assert Order.objects.update(**state) == 1


def test_an_erased_diners_pizza_is_an_empty_one(order):
    assert Order.objects.update(jwt="") == 1


def test_each_constraint_is_tried_here():
    ours = ("accounts", "menu", "franchises", "orders", "incidents")
    named = {
        constraint.name
        for app in ours
        for model in apps.get_app_config(app).get_models()
        for constraint in model._meta.constraints
    }
    assert named == {name for _, _, name in (TWICE | WRONG).values()} - {"jti"}


@pytest.mark.parametrize(
    ("model", "pk"),
    [(User, 2), (Store, 1), (Franchise, 1), (MenuItem, 1)],
    ids=lambda each: getattr(each, "__name__", ""),
)
def test_what_an_order_points_to_is_not_deleted(order, model, pk):
    with pytest.raises(ProtectedError):
        model.objects.get(pk=pk).delete()
    with connection.cursor() as cursor:
        refused(delete_row, cursor, model, pk)
    assert model.objects.filter(pk=pk).exists()


def delete_row(cursor, model, pk):
    cursor.execute(f"DELETE FROM {model._meta.db_table} WHERE id = %s", [pk])


def test_an_order_belongs_to_somebody_and_somewhere(demo):
    refused(Order.objects.bulk_create, [Order(diner_id=9999, store_id=1, total=1, **PENDING)])
    refused(Order.objects.bulk_create, [Order(diner_id=2, store_id=9999, total=1, **PENDING)])
    refused(OrderItem.objects.bulk_create, [OrderItem(order_id=9999, menu_item_id=1, price=1)])


def test_two_diners_may_use_the_same_idempotency_key(demo):
    orders = [Order(diner_id=diner, store_id=1, total=1, idempotency_key="k", **PENDING) for diner in (2, 3)]
    assert len(Order.objects.bulk_create(orders)) == 2


def test_idempotency_keys_are_compared_byte_by_byte(demo):
    orders = [Order(diner_id=2, store_id=1, total=1, idempotency_key=key, **PENDING) for key in ("k", "K")]
    assert len(Order.objects.bulk_create(orders)) == 2


def test_orders_without_a_key_are_any_number(demo):
    orders = [Order(diner_id=2, store_id=1, total=1, **PENDING) for _ in range(3)]
    assert len(Order.objects.bulk_create(orders)) == 3
