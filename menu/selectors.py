"""Reading the menu."""

from collections.abc import Iterable
from typing import Any

from django.db.models import QuerySet

from jwtpizza.api.errors import NotFound
from jwtpizza.fields import as_number
from menu.models import MenuItem


def on_sale() -> QuerySet[MenuItem]:
    return MenuItem.objects.filter(retired_at=None).order_by("pk")


def menu() -> list[dict[str, Any]]:
    """The whole menu as the API shows it."""
    rows = on_sale().values("id", "title", "image", "price", "description")
    return [{**row, "price": as_number(row["price"])} for row in rows]


def items(menu_ids: Iterable[int]) -> list[MenuItem]:
    """An item for each id, in that order, in one query; raises NotFound when one is not on the menu."""
    wanted = list(menu_ids)
    found = on_sale().in_bulk(set(wanted))
    for menu_id in wanted:
        if menu_id not in found:
            raise NotFound(f"There is no item {menu_id} on the menu.")
    return [found[menu_id] for menu_id in wanted]
