"""Reading the menu."""

from collections.abc import Iterable
from typing import Any

from django.db.models import QuerySet

from jwtpizza.api.errors import NotFound
from jwtpizza.databases.prepared import PreparedFor
from jwtpizza.fields import as_number
from menu.models import MenuItem


def on_sale() -> QuerySet[MenuItem]:
    """What can be ordered, as it stands on the menu."""
    return MenuItem.objects.filter(retired_at=None).order_by("position", "pk")


def menu() -> list[dict[str, Any]]:
    """The whole menu as the API shows it."""
    rows = on_sale().values("id", "title", "image", "price", "description")
    return [{**row, "price": as_number(row["price"])} for row in rows]


_ON_SALE = PreparedFor(lambda ids: MenuItem.objects.filter(pk__in=ids, retired_at=None))


def items(menu_ids: Iterable[int], *, lock: bool = False) -> list[MenuItem]:
    """An item for each id, in that order, in one query, locked for the transaction in hand if asked.

    Raises NotFound when one is not on the menu.
    """
    wanted = list(menu_ids)
    rows = on_sale().select_for_update().filter(pk__in=wanted) if lock else _ON_SALE.rows([*set(wanted)])
    found = {item.pk: item for item in rows}
    for menu_id in wanted:
        if menu_id not in found:
            raise NotFound(f"There is no item {menu_id} on the menu.")
    return [found[menu_id] for menu_id in wanted]
