from typing import Any, cast

from django.contrib import admin, messages
from django.core.exceptions import PermissionDenied
from django.http import HttpRequest, HttpResponse, HttpResponseNotAllowed
from django.shortcuts import get_object_or_404, redirect
from django.urls import URLPattern, path

from jwtpizza.accounts.models import User
from jwtpizza.observability.logs import masked
from orders import selectors
from orders.models import FactoryKey, Order, OrderItem, SupportLink, WorkerCircuit
from orders.services import links


class ReadOnly:
    """The books are written by sales alone."""

    def has_add_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return False

    def has_change_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return False

    def has_delete_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return False


class Followable(ReadOnly, admin.ModelAdmin):
    """What has a support link of the factory's shows it with our key masked, and a button that follows it."""

    change_form_template = "admin/orders/with_support_link.html"

    def support_link_of(self, pk: str) -> SupportLink | None:
        raise NotImplementedError

    def changeform_view(
        self, request: HttpRequest, object_id: str | None = None, form_url: str = "", extra_context: Any = None
    ) -> Any:
        link = self.support_link_of(object_id) if object_id and object_id.isdecimal() else None
        return super().changeform_view(request, object_id, form_url, {**(extra_context or {}), "link": link})


class OrderItemInline(ReadOnly, admin.TabularInline):
    model = OrderItem
    fields = ("description", "price")


@admin.register(Order)
class OrderAdmin(Followable):
    list_display = ("id", "diner", "store", "total", "status", "reason", "promised", "created_at")
    list_select_related = ("diner", "store")
    list_filter = ("status",)
    fields = (
        "diner",
        "store",
        "total",
        "status",
        "reason",
        "promised",
        "masked_link",
        "created_at",
        "settled_at",
        "lease_until",
        "jwt",
    )
    inlines = (OrderItemInline,)

    @admin.display(description="support link")
    def masked_link(self, order: Order) -> str:
        return masked(order.support_link)

    def support_link_of(self, pk: str) -> SupportLink | None:
        return selectors.link_of(order_id=int(pk))


@admin.register(SupportLink)
class SupportLinkAdmin(Followable):
    ordering = ("-pk",)
    list_display = ("seen_at", "masked_link", "followed_at", "followed_by", "answer")
    list_select_related = ("followed_by",)
    fields = ("masked_link", "seen_at", "followed_at", "followed_by", "answer")

    @admin.display(description="link")
    def masked_link(self, link: SupportLink) -> str:
        return masked(link.link)

    def support_link_of(self, pk: str) -> SupportLink | None:
        return SupportLink.objects.filter(pk=pk).first()

    def get_urls(self) -> list[URLPattern]:
        follow = path("<int:pk>/follow/", self.admin_site.admin_view(self.follow), name="orders_supportlink_follow")
        return [follow, *super().get_urls()]

    def follow(self, request: HttpRequest, pk: int) -> HttpResponse:
        """The button: whoever presses it sees what the factory answers, and the history has it."""
        if request.method != "POST":
            return HttpResponseNotAllowed(["POST"])
        if not self.has_view_permission(request):
            raise PermissionDenied
        link = get_object_or_404(SupportLink, pk=pk)
        answer = links.follow(link=link, who=cast(User, request.user))
        self.log_change(request, link, f"Followed it: {answer}")
        messages.info(request, f"{answer[:1].upper()}{answer[1:]}")
        return redirect("admin:orders_supportlink_change", pk)


@admin.register(WorkerCircuit)
class WorkerCircuitAdmin(ReadOnly, admin.ModelAdmin):
    """How the circuit breaker of each process that takes orders stands."""

    list_display = ("worker", "state", "since", "open_until", "told_at")


@admin.register(FactoryKey)
class FactoryKeyAdmin(ReadOnly, admin.ModelAdmin):
    list_display = ("kid", "fetched_at")
