"""Whatever is sent as an order: it is booked at the menu's prices, or refused without a trace."""

import json
from decimal import Decimal

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from franchises.models import Store
from orders.models import Order, OrderItem

PRICES = {1: "0.0038", 2: "0.0042", 3: "0.0042", 4: "0.0028", 5: "0.0099"}
TITLES = {1: "Veggie", 2: "Pepperoni", 3: "Margarita", 4: "Crusty", 5: "Charred Leopard"}
ENVELOPE = {"message", "error", "statusCode", "requestId"}

LEAVES = st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | st.text()
JSON = st.recursive(LEAVES, lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner), max_leaves=6)
ID = st.sampled_from([1, "1", 1.0, 0, -1, 6, 10**18, True, "1 ", "٣", 1.5]) | JSON
SAID = {"price": JSON, "description": JSON}
GOOD_ITEM = st.fixed_dictionaries({"menuId": st.integers(1, 5)}, optional=SAID)
ITEM = st.fixed_dictionaries({"menuId": ID}, optional=SAID)
GOOD_ITEMS = st.lists(GOOD_ITEM, min_size=1, max_size=20)


def order(**parts):
    good = {"franchiseId": st.just(1), "storeId": st.just(1), "items": GOOD_ITEMS}
    return st.fixed_dictionaries(good | parts, optional={"id": JSON})


NEARLY_AN_ORDER = st.one_of(
    order(franchiseId=ID),
    order(storeId=ID),
    order(items=st.lists(ITEM, min_size=1, max_size=3)),
    order(items=st.lists(GOOD_ITEM, min_size=20, max_size=22)),
    order(items=st.lists(GOOD_ITEM | JSON, max_size=3)),
    order(items=JSON),
    JSON,
)

# The database and the factory are the same for each example, and no test looks at what an earlier one left.
examples = settings(
    max_examples=100, derandomize=True, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)


def traces(factory):
    return Order.objects.count(), OrderItem.objects.count(), factory.books()["attempts"]


@examples
@given(sent=NEARLY_AN_ORDER)
def test_any_json_is_one_order_or_is_refused_without_a_trace(diner, factory, sent):
    orders, items, attempts = traces(factory)
    answer = diner.post("/api/order", json.dumps(sent).encode())
    if answer.status_code == 200:
        assert traces(factory) == (orders + 1, items + len(sent["items"]), attempts + 1)
    else:
        assert answer.status_code in (400, 404)
        assert answer.json().keys() >= ENVELOPE
        assert answer.json()["statusCode"] == answer.status_code
        assert traces(factory) == (orders, items, attempts)


@examples
@given(sent=order())
def test_a_valid_order_is_booked_at_the_menus_prices_whatever_the_client_says(diner, factory, sent):
    earned, items = Store.objects.get().revenue, sent["items"]
    answer = diner.post("/api/order", sent)
    assert answer.status_code == 200, answer.content

    wanted = [
        {"menuId": menu_id, "description": TITLES[menu_id], "price": float(PRICES[menu_id])}
        for menu_id in (item["menuId"] for item in items)
    ]
    assert answer.json()["order"]["items"] == wanted

    booked = Order.objects.latest("pk")
    total = sum(Decimal(PRICES[item["menuId"]]) for item in items)
    assert booked.total == total
    assert [(item.menu_item_id, item.price) for item in booked.items.order_by("pk")] == [
        (item["menuId"], Decimal(PRICES[item["menuId"]])) for item in items
    ]
    assert Store.objects.get().revenue == earned + total

    made = factory("POST", "/api/order/verify", json={"jwt": answer.json()["jwt"]}).json()["payload"]
    assert made["order"]["items"] == wanted
