"""What clients send about orders, and what they read."""

import csv
import logging
import re
from collections import Counter
from collections.abc import Iterator, Sequence
from datetime import tzinfo
from typing import Any

from django.db.models import QuerySet
from django.utils import timezone
from rest_framework import serializers

from jwtpizza.api.body import iso
from jwtpizza.api.pagination import MOST_PAGES
from jwtpizza.api.serializers import Input, Several, WholeNumber
from jwtpizza.databases.connections import give_connection_back
from jwtpizza.fields import as_number
from orders.models import Order, Status
from orders.selectors import HISTORY, ORDERING, Pizza, Receipt, in_chunks
from orders.services.sales import Sale

log = logging.getLogger("orders")

MOST_PIZZAS = 20
PROMISED = (
    "Your order is in our books, and will be made when the pizza factory is back. Nothing was charged yet, "
    "and nothing will be if it is not made within 24 hours."
)


class ItemIn(Input):
    menuId = WholeNumber()


class OrderIn(Input):
    """The menu sets descriptions and prices; what a client sends for them is ignored."""

    franchiseId = WholeNumber()
    storeId = WholeNumber()
    items = Several(child=ItemIn(), min_length=1, max_length=MOST_PIZZAS)


class HistoryPage(Input):
    page = WholeNumber(default=1, min_value=1, max_value=MOST_PAGES)
    status = serializers.ChoiceField([name for name in HISTORY if name], required=False)


class ItemOut(serializers.Serializer):
    id = serializers.IntegerField(required=False)
    menuId = serializers.IntegerField()
    description = serializers.CharField()
    price = serializers.FloatField(help_text="₿")


class OrderOut(serializers.Serializer):
    id = serializers.IntegerField()
    franchiseId = serializers.IntegerField()
    storeId = serializers.IntegerField()
    date = serializers.DateTimeField()
    status = serializers.ChoiceField(Status.choices)
    items = ItemOut(many=True)
    jwt = serializers.CharField(required=False, help_text="Once the order is fulfilled.")


class PlacedOrderOut(serializers.Serializer):
    id = serializers.IntegerField()
    franchiseId = serializers.IntegerField()
    storeId = serializers.IntegerField()
    items = ItemOut(many=True)


class SaleOut(serializers.Serializer):
    order = PlacedOrderOut()
    jwt = serializers.CharField()
    followLinkToEndChaos = serializers.CharField(required=False, help_text="The factory's support link, for admins.")


class HistoryOut(serializers.Serializer):
    dinerId = serializers.IntegerField()
    orders = OrderOut(many=True)
    page = serializers.IntegerField()
    more = serializers.BooleanField()


class PromisedOrderOut(PlacedOrderOut):
    status = serializers.ChoiceField([Status.PENDING.value])


class PromiseOut(serializers.Serializer):
    message = serializers.CharField()
    order = PromisedOrderOut()


class ChaosOut(serializers.Serializer):
    chaos = serializers.BooleanField()


class OrderingOut(serializers.Serializer):
    ordering = serializers.ChoiceField(list(ORDERING))
    message = serializers.CharField()
    since = serializers.DateTimeField(allow_null=True)
    retryAfter = serializers.IntegerField(allow_null=True, help_text="Seconds, while ordering is down.")


def item_out(pizza: Pizza) -> dict[str, Any]:
    return {"menuId": pizza.menu_item_id, "description": pizza.description, "price": as_number(pizza.price)}


def order_out(order: Receipt) -> dict[str, Any]:
    return {
        "id": order.id,
        "franchiseId": order.franchise_id,
        "storeId": order.store_id,
        "date": iso(order.created_at),
        "status": order.status,
        "items": [{"id": pizza.id, **item_out(pizza)} for pizza in order.pizzas],
    }


def sale_out(sale: Sale) -> dict[str, Any]:
    """The answer to an order; the factory's support link has our API key in it and is for admins alone."""
    order = sale.order
    link = {"followLinkToEndChaos": order.support_link} if order.support_link and order.diner.is_superuser else {}
    return {"order": placed_out(sale), "jwt": order.jwt, **link}


def placed_out(sale: Sale) -> dict[str, Any]:
    order = sale.order
    placed = {"franchiseId": order.store.franchise_id, "storeId": order.store_id}
    return {**placed, "items": list(map(item_out, sale.pizzas)), "id": order.pk}


def promise_out(sale: Sale) -> dict[str, Any]:
    """The answer to an order that is made later."""
    return {"message": PROMISED, "order": {**placed_out(sale), "status": sale.order.status}}


CSV_COLUMNS = ("Order", "Placed at", "Store", "Diner", "Items", "Total (₿)", "Status", "Reason")
# The answer has begun, and its status was 200: only the file itself can tell.
BROKEN_OFF = "This export broke off here and is not complete. Please export it again."
# Excel takes a file that does not begin with it for one of the 1990s, and ₿ and 常 for several signs each.
BYTE_ORDER_MARK = "\ufeff"
# Where a formula could begin: with the cell, and after what separates cells in some country's spreadsheet.
FORMULA = re.compile(r"^(?=[\t\r\n])|(?:^|(?<=[;\t\r\n]))(?=\s*[=+\-@＝＋－＠])")


class _Lines:
    """A file for csv.writer, which returns what the file's `write` returns."""

    @staticmethod
    def write(line: str) -> str:
        return line


def as_csv(orders: QuerySet[Order], *, stores: Sequence[int]) -> Iterator[str]:
    """The pieces of a CSV file (RFC 4180, in UTF-8) with those of `orders` that were placed at these stores.

    Times are in the time zone that is current now. A spreadsheet finds no formula in it. A million orders take as much
    memory as some thousands, and no database connection is held between two pieces, when a slow client reads.
    """
    writer, zone = csv.writer(_Lines()), timezone.get_current_timezone()

    def pieces() -> Iterator[str]:
        yield BYTE_ORDER_MARK + writer.writerow(CSV_COLUMNS)
        try:
            for chunk in in_chunks(orders, stores=stores):
                give_connection_back()
                yield "".join(writer.writerow(map(defused, csv_row(order, zone))) for order in chunk)
        except Exception:
            log.exception("an export broke off")
            yield writer.writerow([BROKEN_OFF])

    return pieces()


def pizzas(order: Order) -> str:
    """What was ordered, as people read it."""
    counted = Counter(item.description for item in order.items.all())
    return ", ".join(f"{count} × {pizza}" for pizza, count in counted.items())


def csv_row(order: Order, zone: tzinfo) -> tuple[str, ...]:
    return (
        str(order.pk),
        order.created_at.astimezone(zone).isoformat(timespec="seconds"),
        order.store.name,
        order.diner.name,
        pizzas(order),
        f"{order.total.normalize():f}",
        order.status,
        order.trouble,
    )


def defused(cell: str) -> str:
    """The cell, with an apostrophe wherever a spreadsheet could take what follows for a formula."""
    return FORMULA.sub("'", cell)
