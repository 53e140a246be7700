"""Where franchisees run their shops: they see their own franchises and stores, admins all of them."""

from typing import Any

from django.contrib import admin
from django.db.models import ForeignKey, QuerySet
from django.forms import ModelChoiceField
from django.http import HttpRequest, HttpResponse
from unfold.admin import TabularInline
from unfold.decorators import action, display
from unfold.enums import ActionVariant

from franchises import selectors, services
from franchises.models import Franchise, Store
from jwtpizza.accounts.admin import Ending, PeopleAdmin, worker
from jwtpizza.fields import in_bitcoin


class Closable(Ending):
    until, states = "closed_at", ("open", "closed")
    ordering = ("name", "pk")
    search_fields = ("name_key",)
    actions_detail = ("close",)

    @action(description="Close it", permissions=["change"], icon="storefront", variant=ActionVariant.DANGER)
    def close(self, request: HttpRequest, object_id: str) -> HttpResponse:
        return self.ask_and_end(request, object_id, verb="Close")


@admin.register(Franchise)
class FranchiseAdmin(Closable):
    list_display = ("name", "people", "state", "created_at")
    fields = ("name", "admins", "created_at", "closed_at")
    readonly_fields = ("created_at", "closed_at")
    autocomplete_fields = ("admins",)

    def get_queryset(self, request: HttpRequest) -> QuerySet[Franchise]:
        return selectors.franchises_of(worker(request)).prefetch_related("admins").order_by(*self.ordering)

    @display(description="run by")
    def people(self, franchise: Franchise) -> str:
        return ", ".join(person.name for person in franchise.admins.all()) or "nobody"

    def consequences(self, row: Franchise) -> list[str]:
        stores = row.stores.filter(closed_at=None).count()
        return [
            f"Its open stores, {stores} of them, are closed with it, and diners can't order there any more.",
            "Orders and revenue stay, and who runs it can still look at them.",
            "It can't be opened again. A new one may have its name.",
        ]

    def end(self, row: Franchise) -> None:
        services.close_franchise(franchise_id=row.pk)


@admin.register(Store)
class StoreAdmin(Closable):
    list_display = ("name", "franchise", "earned", "state", "created_at")
    list_select_related = ("franchise",)
    fields = ("franchise", "name", "earned", "created_at", "closed_at")
    autocomplete_fields = ("franchise",)

    def get_queryset(self, request: HttpRequest) -> QuerySet[Store]:
        return selectors.stores_of(worker(request)).order_by(*self.ordering)

    def get_readonly_fields(self, request: HttpRequest, obj: Any = None) -> tuple[str, ...]:
        """A store never moves to another franchise: its orders were sold for this one."""
        return ("earned", "created_at", "closed_at", *(("franchise",) if obj else ()))

    def get_fields(self, request: HttpRequest, obj: Any = None) -> tuple[str, ...]:
        return self.fields if obj else ("franchise", "name")

    def get_autocomplete_fields(self, request: HttpRequest) -> tuple[str, ...]:
        """A franchisee has a few franchises to choose from, an admin hundreds."""
        return ("franchise",) if request.user.is_superuser else ()

    def formfield_for_foreignkey(self, db_field: ForeignKey, request: HttpRequest, **kwargs: Any) -> Any:
        field = super().formfield_for_foreignkey(db_field, request, **kwargs)
        if isinstance(field, ModelChoiceField):
            field.queryset = selectors.franchises_of(worker(request)).filter(closed_at=None)
            field.initial = field.queryset.first()
        return field

    @display(description="revenue", ordering="revenue")
    def earned(self, store: Store) -> str:
        return in_bitcoin(store.revenue)

    def save_model(self, request: HttpRequest, obj: Store, form: Any, change: bool) -> None:
        if change:
            services.rename_store(franchise_id=obj.franchise_id, store_id=obj.pk, name=obj.name)
        else:
            obj.pk = services.open_store(franchise_id=obj.franchise_id, name=obj.name).pk

    def consequences(self, row: Store) -> list[str]:
        return [
            "Diners can't order there any more, from this moment on.",
            f"Its orders and its revenue ({in_bitcoin(row.revenue)}) stay, here and in the diners' histories.",
            "It can't be opened again. A new store may have its name.",
        ]

    def end(self, row: Store) -> None:
        services.close_store(franchise_id=row.franchise_id, store_id=row.pk)


# What the history and a form call the link between a franchise and one of those who run it.
Franchise.admins.through.__str__ = lambda link: str(link.franchise)  # type: ignore[attr-defined, method-assign]


class RunsInline(TabularInline):
    """On the page of a user: the franchises that make them a franchisee."""

    model = Franchise.admins.through
    autocomplete_fields = ("franchise",)
    extra = 0
    verbose_name, verbose_name_plural = "franchise that they run", "franchises that they run"


PeopleAdmin.inlines = (RunsInline,)
