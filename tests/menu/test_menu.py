"""What is sold, and who decides that."""

import threading
from decimal import Decimal

import pytest
from django.db import connection
from django.utils import timezone

from jwtpizza.api.errors import Conflict, NotFound
from menu import selectors, services
from menu.models import MenuItem

STUDENT = {
    "title": "Student",
    "description": "No topping, no sauce, just carbs",
    "image": "pizza9.png",
    "price": 0.0001,
}


def test_the_menu_is_everybodys_in_the_order_it_was_written(anonymous):
    assert [item["title"] for item in anonymous.get("/api/order/menu").json()] == [
        "Veggie",
        "Pepperoni",
        "Margarita",
        "Crusty",
        "Charred Leopard",
    ]


def test_an_item_is_what_a_client_needs_to_show_it(anonymous):
    assert anonymous.get("/api/order/menu").json()[0] == {
        "id": 1,
        "title": "Veggie",
        "image": "pizza1.png",
        "price": 0.0038,
        "description": "A garden of delight",
    }


def test_an_admin_adds_an_item_and_reads_the_whole_menu(admin, anonymous):
    answer = admin.put("/api/order/menu", STUDENT).json()
    assert answer[-1] == {"id": 6, **STUDENT}
    assert answer == anonymous.get("/api/order/menu").json()


def test_nobody_else_adds_anything(anonymous, diner, franchisee):
    assert anonymous.put("/api/order/menu", STUDENT).status_code == 401
    assert diner.put("/api/order/menu", STUDENT).status_code == 403
    assert franchisee.put("/api/order/menu", STUDENT).status_code == 403
    assert MenuItem.objects.count() == 5


@pytest.mark.parametrize("title", ["Veggie", "VEGGIE", " veggie "])
def test_a_title_is_on_the_menu_once_whatever_its_case(admin, title):
    answer = admin.put("/api/order/menu", STUDENT | {"title": title})
    assert answer.status_code == 409
    assert answer.json()["fields"].keys() == {"title"}
    assert MenuItem.objects.count() == 5


@pytest.mark.parametrize(
    ("sent", "shown"),
    [(0, 0), (100, 100), ("0.5", 0.5), (1e-8, 1e-8), (0.12345678, 0.12345678), (21_000_000, 21_000_000), (2.0, 2)],
)
def test_a_price_is_kept_to_its_eighth_decimal(admin, sent, shown):
    assert admin.put("/api/order/menu", STUDENT | {"price": sent}).json()[-1]["price"] == shown


@pytest.mark.parametrize(
    "price", [-1, -1e-8, 21_000_001, 0.123456789, 1e-9, "abc", "", "NaN", "Infinity", None, True, [1], {"amount": 1}]
)
def test_anything_else_is_no_price(admin, price):
    answer = admin.put("/api/order/menu", STUDENT | {"price": price})
    assert answer.status_code == 400
    assert answer.json()["fields"].keys() == {"price"}
    assert MenuItem.objects.count() == 5


@pytest.mark.parametrize("field", ["title", "description", "image", "price"])
def test_each_field_is_needed(admin, field):
    answer = admin.put("/api/order/menu", {name: value for name, value in STUDENT.items() if name != field})
    assert answer.status_code == 400
    assert answer.json()["fields"].keys() == {field}


@pytest.fixture
def without_veggie(demo):
    veggie = MenuItem.objects.get(pk=1)
    veggie.retired_at = timezone.now()
    veggie.save()


def test_a_retired_item_is_off_the_menu(without_veggie, anonymous):
    assert 1 not in [item["id"] for item in anonymous.get("/api/order/menu").json()]


def test_a_retired_item_cannot_be_ordered(without_veggie, diner, factory):
    assert diner.order(1).status_code == 404
    assert factory.books()["attempts"] == 0


def test_a_retired_item_stays_in_the_orders_that_have_it(diner, factory):
    diner.order(1)
    MenuItem.objects.filter(pk=1).update(retired_at=timezone.now(), title_key=None)
    assert diner.get("/api/order").json()["orders"][0]["items"][0]["description"] == "Veggie"


def test_a_retired_items_title_is_free(without_veggie, admin):
    assert admin.put("/api/order/menu", STUDENT | {"title": "Veggie"}).status_code == 200


def test_items_come_in_the_order_asked_for_each_time_they_are(demo):
    assert [item.pk for item in selectors.items([3, 1, 3])] == [3, 1, 3]


def test_an_item_that_is_not_there_is_named(demo):
    with pytest.raises(NotFound, match="9999"):
        selectors.items([1, 9999])


def test_of_two_who_add_a_title_at_once_one_does(demo):
    ready, refused = threading.Barrier(2), []

    def add():
        ready.wait()
        try:
            services.add_item(title="New", description="n", image="n.png", price=Decimal(1))
        except Conflict as error:
            refused.append(error)
        finally:
            connection.close()

    threads = [threading.Thread(target=add) for _ in range(2)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(refused) == 1
    assert MenuItem.objects.filter(title="New").count() == 1
