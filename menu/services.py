"""Changing the menu."""

from decimal import Decimal

from django.db import IntegrityError, transaction
from django.utils import timezone

from jwtpizza.api.errors import Conflict
from jwtpizza.api.rendered import Rendered
from menu import selectors
from menu.models import MenuItem

MENU = Rendered("menu")


def add_item(*, title: str, description: str, image: str, price: Decimal) -> MenuItem:
    """A new item at `price` ₿; raises Conflict when the title, in any case, is on the menu already."""
    try:
        with transaction.atomic():
            return MenuItem.objects.create(title=title, description=description, image=image, price=price)
    except IntegrityError as error:
        raise Conflict(
            f"{title} is on the menu already.", fields={"title": ["This title is on the menu already."]}
        ) from error


def retire_item(*, item_id: int) -> None:
    """Takes it off the menu; the orders that have it stay as they are. Raises NotFound."""
    with transaction.atomic():
        (item,) = selectors.items([item_id], lock=True)
        item.retired_at = timezone.now()
        item.save()
