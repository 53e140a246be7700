"""The menu, for admins: what is sold in which order, at which price, and how it looks."""

from typing import Any

from django.conf import settings
from django.contrib import admin
from django.db.models import Field
from django.http import HttpRequest, HttpResponse
from django.utils.html import format_html
from unfold.decorators import action, display
from unfold.enums import ActionVariant

from jwtpizza.accounts.admin import Ending
from jwtpizza.fields import in_bitcoin
from menu import services
from menu.models import MenuItem


@admin.register(MenuItem)
class MenuItemAdmin(Ending):
    until, states = "retired_at", ("on the menu", "retired")
    list_display = ("title", "picture", "costs", "description", "state", "position")
    list_editable = ("position",)
    ordering = ("position", "pk")
    # Rows are dragged, or numbered by keyboard.
    ordering_field = "position"
    search_fields = ("title_key",)
    fields = ("title", "description", "price", "image", "picture", "retired_at")
    readonly_fields = ("picture", "retired_at")
    actions_detail = ("retire",)

    def formfield_for_dbfield(self, db_field: Field, request: HttpRequest, **kwargs: Any) -> Any:
        field = super().formfield_for_dbfield(db_field, request, **kwargs)
        if db_field.name == "position":
            field.widget.attrs["aria-label"] = "place on the menu"
        return field

    @display(description="price", ordering="price")
    def costs(self, item: MenuItem) -> str:
        return in_bitcoin(item.price)

    @display(description="picture")
    def picture(self, item: MenuItem) -> str:
        """Of ours: one that is somewhere else is named, and no admin's browser is sent there."""
        if not item.image or "//" in item.image:
            return item.image
        address = settings.MENU_IMAGES_URL + item.image.lstrip("/")
        return format_html('<img src="{}" alt="{}" width="48" height="48" loading="lazy">', address, item.image)

    @action(description="Take it off the menu", permissions=["change"], icon="block", variant=ActionVariant.DANGER)
    def retire(self, request: HttpRequest, object_id: str) -> HttpResponse:
        return self.ask_and_end(request, object_id, verb="Retire")

    def consequences(self, row: MenuItem) -> tuple[str, ...]:
        return (
            "Nobody can order it any more, from this moment on.",
            "What was ordered stays as it is, with the price that it had, and promised orders are still made.",
            "It can't be brought back. A new item may have its title.",
        )

    def end(self, row: MenuItem) -> None:
        services.retire_item(item_id=row.pk)
