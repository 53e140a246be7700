"""The books: a franchisee reads the orders of their stores, an admin all of them, with what the factory said."""

from datetime import date, datetime, timedelta
from typing import Any, cast

from django import forms
from django.contrib import admin, messages
from django.contrib.admin.options import IncorrectLookupParameters
from django.core.exceptions import PermissionDenied
from django.db.models import QuerySet
from django.http import HttpRequest, HttpResponse, HttpResponseNotAllowed, StreamingHttpResponse
from django.http.response import HttpResponseBase
from django.shortcuts import get_object_or_404, redirect
from django.urls import URLPattern, path
from django.utils import timezone
from unfold.admin import TabularInline
from unfold.contrib.filters.admin import ChoicesDropdownFilter, DropdownFilter, RangeDateFilter
from unfold.decorators import action, display
from unfold.views import ChangeList
from unfold.widgets import INPUT_CLASSES

from franchises import selectors as franchises
from jwtpizza.accounts.admin import Page, ReadOnly, worker
from jwtpizza.fields import in_bitcoin, midnight
from jwtpizza.observability.logs import masked
from orders import selectors
from orders.models import FactoryKey, Order, OrderItem, Status, SupportLink, WorkerCircuit
from orders.serializers import as_csv, pizzas
from orders.services import links

STATUS_COLOURS = {Status.FULFILLED: "success", Status.PENDING: "warning", Status.FAILED: "danger"}


class Followable(ReadOnly, Page):
    """What has a support link of the factory's shows it with our key masked, and a button that follows it."""

    change_form_template = "admin/orders/with_support_link.html"

    def support_link_of(self, pk: str) -> SupportLink | None:
        raise NotImplementedError

    def changeform_view(
        self, request: HttpRequest, object_id: str | None = None, form_url: str = "", extra_context: Any = None
    ) -> Any:
        may_follow = request.user.has_perm("orders.view_supportlink")
        link = self.support_link_of(object_id) if may_follow and object_id and object_id.isdecimal() else None
        return super().changeform_view(request, object_id, form_url, {**(extra_context or {}), "link": link})


class OrderItemInline(ReadOnly, TabularInline):
    model = OrderItem
    fields = ("description", "costs")
    readonly_fields = ("costs",)

    @display(description="price")
    def costs(self, item: OrderItem) -> str:
        return in_bitcoin(item.price)


class DayRange(forms.Form):
    """Two days, picked as the browser has people pick one."""

    def __init__(self, name: str, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        for end in ("from", "to"):
            attrs = {"type": "date", "class": " ".join(INPUT_CLASSES), "aria-label": f"placed {end}"}
            self.fields[f"{name}_{end}"] = forms.DateField(required=False, widget=forms.DateInput(attrs=attrs))


# Of some zones the year before or after them is out of Python's calendar.
FIRST_YEAR, LAST_YEAR = 1970, 9000


class PlacedOn(RangeDateFilter):
    """Orders of these days, the last one included, by the viewer's calendar."""

    form_class = DayRange

    def queryset(self, request: HttpRequest, queryset: QuerySet) -> QuerySet:
        try:
            first, last = self._day("from"), self._day("to")
        except ValueError:
            messages.warning(request, "A day is written as 2026-06-10. Nothing was found.")
            return queryset.none()
        if first:
            queryset = queryset.filter(created_at__gte=midnight(first))
        if last:
            queryset = queryset.filter(created_at__lt=midnight(last + timedelta(days=1)))
        return queryset

    def _day(self, end: str) -> date | None:
        """None for none; raises ValueError for what is no day on which somebody could have ordered."""
        text = self.used_parameters.get(f"{self.parameter_name}_{end}")
        day = date.fromisoformat(text) if text else None
        if day and not FIRST_YEAR <= day.year <= LAST_YEAR:
            raise ValueError
        return day


class AtStore(DropdownFilter):
    """One of the stores that the user may see."""

    title, parameter_name = "store", "store"

    def lookups(self, request: HttpRequest, model_admin: Any) -> list[tuple[str, str]]:
        stores = franchises.stores_of(worker(request)).order_by("franchise__name", "name")
        rows = stores.values_list("pk", "name", "franchise__name")
        return [(str(pk), f"{name} ({franchise})") for pk, name, franchise in rows]

    def queryset(self, request: HttpRequest, queryset: QuerySet) -> QuerySet:
        if not (asked := self.value()):
            return queryset
        known = asked in {pk for pk, _ in self.lookup_choices}
        return queryset.filter(store=asked) if known else queryset.none()


class Latest(ChangeList):
    """The latest orders that match: neither counting them, nor the last page, nor a name's search reads all of them.

    `since` is None if nothing was cut off by that bound.
    """

    since: datetime | None
    _orders: QuerySet[Order]

    def get_queryset(self, request: HttpRequest, exclude_parameters: Any = None) -> QuerySet[Order]:
        self._orders = super().get_queryset(request, exclude_parameters)
        chosen = request.GET.get(AtStore.parameter_name, "")
        stores = [int(chosen)] if chosen.isdecimal() else _stores(request)
        newest, self.since = selectors.latest(self._orders, stores=stores)
        return self._found(newest)

    def matching(self) -> QuerySet[Order]:
        """All that match, without the bound."""
        return self._found(self._orders)

    def _found(self, among: QuerySet[Order]) -> QuerySet[Order]:
        term = " ".join(self.query.split()).removeprefix("#")
        return selectors.search(term, orders=self._orders, newest=among) if term else among

    def apply_select_related(self, qs: QuerySet) -> QuerySet:
        return qs.select_related("diner", "store").prefetch_related("items")


@admin.register(Order)
class OrderAdmin(Followable):
    list_display = ("id", "placed", "store", "diner_name", "pizzas", "price", "state", "why")
    list_filter = (AtStore, ("status", ChoicesDropdownFilter), ("created_at", PlacedOn))
    list_before_template = "admin/orders/latest.html"
    list_per_page = 50
    list_fullwidth = True
    # By when they were placed alone: any other order would have to look at all of them.
    sortable_by = ()
    ordering = ("-created_at", "-pk")
    search_fields = ("diner__name_key",)
    search_help_text = "An order's number, or a diner's name"
    inlines = (OrderItemInline,)
    actions = None
    actions_list = ("export",)
    FRANCHISEES = ("id", "store", "diner_name", "price", "state", "why", "placed", "settled_at")
    ADMINS = ("promised", "lease_until", "reason", "masked_link", "jwt")

    def get_fields(self, request: HttpRequest, obj: Any = None) -> tuple[str, ...]:
        return (*self.FRANCHISEES, *(self.ADMINS if request.user.is_superuser else ()))

    def get_changelist(self, request: HttpRequest, **kwargs: Any) -> type[ChangeList]:
        return Latest

    def get_queryset(self, request: HttpRequest) -> QuerySet[Order]:
        return selectors.orders_of(_stores(request))

    @display(description="placed")
    def placed(self, order: Order) -> datetime:
        return order.created_at

    @display(description="diner")
    def diner_name(self, order: Order) -> str:
        return order.diner.name or "(deleted)"

    @display(description="pizzas")
    def pizzas(self, order: Order) -> str:
        return pizzas(order)

    @display(description="price")
    def price(self, order: Order) -> str:
        return in_bitcoin(order.total)

    @display(description="status", label=STATUS_COLOURS)
    def state(self, order: Order) -> str:
        return order.status

    @display(description="why")
    def why(self, order: Order) -> str:
        return order.trouble

    @display(description="support link")
    def masked_link(self, order: Order) -> str:
        return masked(order.support_link)

    def support_link_of(self, pk: str) -> SupportLink | None:
        return selectors.link_of(order_id=int(pk))

    def changelist_view(self, request: HttpRequest, extra_context: Any = None) -> Any:
        """The list, with a link to the export of what it is filtered to."""
        answer = super().changelist_view(request, extra_context)
        for link in (getattr(answer, "context_data", None) or {}).get("actions_list", ()):
            link["path"] += f"?{request.GET.urlencode()}"
        return answer

    def get_search_results(self, request: HttpRequest, queryset: QuerySet, search_term: str) -> Any:
        """All: it is the list that searches (`Latest`)."""
        return queryset, False

    @action(description="Export as CSV", permissions=["view"], icon="download", url_path="export")
    def export(self, request: HttpRequest) -> HttpResponseBase:
        """All orders that match the list's filters, also those that are too old for the list."""
        try:
            orders = cast(Latest, self.get_changelist_instance(request)).matching()
        except IncorrectLookupParameters:
            messages.error(request, "These filters could not be understood.")
            return redirect("admin:orders_order_changelist")
        stores = franchises.stores_of(worker(request)).order_by("name").values_list("pk", flat=True)
        headers = {"Content-Disposition": f'attachment; filename="orders-{timezone.localdate()}.csv"'}
        pieces = as_csv(orders, stores=list(stores))
        return StreamingHttpResponse(pieces, content_type="text/csv; charset=utf-8", headers=headers)


def _stores(request: HttpRequest) -> list[int] | None:
    """The stores whose orders the user may see; None: all."""
    if request.user.is_superuser:
        return None
    return list(franchises.stores_of(worker(request)).values_list("pk", flat=True))


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
        if not self.has_view_permission(request):
            raise PermissionDenied
        if request.method != "POST":
            return HttpResponseNotAllowed(["POST"])
        link = get_object_or_404(SupportLink, pk=pk)
        answer = links.follow(link=link, who=worker(request))
        self.log_change(request, link, f"Followed it: {answer}")
        messages.info(request, f"{answer[:1].upper()}{answer[1:]}")
        return redirect("admin:orders_supportlink_change", pk)


@admin.register(WorkerCircuit)
class WorkerCircuitAdmin(ReadOnly, Page):
    """How the circuit breaker of each process that takes orders stands."""

    list_display = ("worker", "state", "since", "open_until", "told_at")


@admin.register(FactoryKey)
class FactoryKeyAdmin(ReadOnly, Page):
    list_display = ("kid", "fetched_at")
