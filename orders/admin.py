from typing import Any

from django.contrib import admin
from django.http import HttpRequest

from orders.models import FactoryKey, Order, OrderItem


class ReadOnly:
    """The books are written by sales alone."""

    def has_add_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return False

    def has_change_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return False

    def has_delete_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return False


class OrderItemInline(ReadOnly, admin.TabularInline):
    model = OrderItem
    fields = ("description", "price")


@admin.register(Order)
class OrderAdmin(ReadOnly, admin.ModelAdmin):
    list_display = ("id", "diner", "store", "total", "status", "reason", "created_at")
    list_select_related = ("diner", "store")
    list_filter = ("status",)
    fields = (
        "diner",
        "store",
        "total",
        "status",
        "reason",
        "support_link",
        "created_at",
        "settled_at",
        "lease_until",
        "jwt",
    )
    inlines = (OrderItemInline,)


@admin.register(FactoryKey)
class FactoryKeyAdmin(ReadOnly, admin.ModelAdmin):
    list_display = ("kid", "fetched_at")
