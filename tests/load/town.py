"""What the service is measured with: 100 franchises of 5 stores, 100 diners, and two of them with a history."""

import json
from typing import Any, NamedTuple

from tests.live import Service

FEW, MANY = 100, 10_000
DINERS = 100
PASSWORD = "diner"

# Written by the service's own models, so that it holds for each database that the service runs on.
FILL = f"""
from django.contrib.auth.hashers import make_password
from django.db.models.functions import Now
from franchises.models import Franchise, Store
from jwtpizza.accounts.models import User
from jwtpizza.accounts.services import open_session
from jwtpizza.fields import key_of
from menu.models import MenuItem
from orders.models import Order, OrderItem
import json
names = [f"franchise {{number:02}}" for number in range(99)]
Franchise.objects.bulk_create(Franchise(name=name, name_key=name) for name in names)
Store.objects.bulk_create(
    Store(franchise=franchise, name=f"store {{number}}", name_key=f"store {{number}}")
    for franchise in Franchise.objects.all() for number in range(5 if franchise.pk > 1 else 4)
)
for franchise in Franchise.objects.exclude(pk=1):
    franchise.admins.add(User.objects.get(email_key="f@jwt.com"))
password = make_password("{PASSWORD}")
addresses = [f"diner{{number}}@bench.com" for number in range({DINERS})]
User.objects.bulk_create(
    User(name="a diner", name_key="a diner", email=each, email_key=each, password=password) for each in addresses
)
diners = list(User.objects.filter(email_key__in=addresses).order_by("pk"))
pizzas = list(MenuItem.objects.order_by("pk")[:3])
total = sum(pizza.price for pizza in pizzas)
def history(diner, count):
    store = Store.objects.first()
    made = dict(status="fulfilled", jwt="x" * 700, settled_at=Now(), total=total, fingerprint="")
    Order.objects.bulk_create((Order(diner=diner, store=store, **made) for _ in range(count)), batch_size=500)
    OrderItem.objects.bulk_create(
        (OrderItem(order_id=order_id, menu_item=pizza, description=pizza.title, price=pizza.price)
         for order_id in Order.objects.filter(diner=diner).values_list("pk", flat=True) for pizza in pizzas),
        batch_size=1000,
    )
history(diners[0], {FEW})
history(diners[1], {MANY})
admin = User.objects.get(email_key="a@jwt.com")
stores = list(Store.objects.values_list("franchise_id", "pk"))
items = [pizza.pk for pizza in pizzas]
tokens = [open_session(diner) for diner in diners]
print(json.dumps(dict(admin=open_session(admin), diners=tokens, stores=stores, items=items)))
"""


class Town(NamedTuple):
    """Tokens of an admin and of the diners (the first has 100 orders, the second 10,000); where and what to order."""

    admin: str
    diners: list[str]
    stores: list[tuple[int, int]]
    items: list[int]
    etag: str = ""

    def order(self, number: int) -> str:
        """The body of an order of three pizzas, at another store for each number."""
        franchise_id, store_id = self.stores[number * 37 % len(self.stores)]
        body: dict[str, Any] = {"franchiseId": franchise_id, "storeId": store_id}
        return json.dumps(body | {"items": [{"menuId": item} for item in self.items]})


def filled(service: Service) -> Town:
    """A town in that service's empty database; half a minute at most."""
    said = service.manage("shell", "--verbosity=0", "--command", FILL).splitlines()
    # Among its log, if a statement was slow.
    [told] = (json.loads(line) for line in said if line.startswith('{"admin"'))
    return Town(**told, etag=service("GET", "/api/order/menu").headers["ETag"])
