"""Reading franchises and stores. What is closed is not found, but by those whose books it is in."""

from collections import defaultdict
from collections.abc import Iterable
from typing import Any

from django.db.models import QuerySet

from franchises.models import Franchise, Store
from jwtpizza.accounts.models import User
from jwtpizza.accounts.selectors import Role
from jwtpizza.api.errors import NotFound
from jwtpizza.fields import as_number

Row = dict[str, Any]


def matching(pattern: str) -> QuerySet[Franchise]:
    """The open franchises whose name matches (`jwtpizza.api.pagination.NamePattern`), by name."""
    return Franchise.objects.filter(closed_at=None, name_key__matches=pattern).order_by("name_key")


def run_by(user_id: int) -> QuerySet[Franchise]:
    """The open franchises that a user runs, oldest first."""
    return Franchise.objects.filter(closed_at=None, admins=user_id).order_by("pk")


def franchisee_roles(users: Iterable[User]) -> Iterable[tuple[int, Role]]:
    """The id of a user and a role, for each open franchise that one of them runs."""
    links = Franchise.admins.through.objects.filter(user__in=users, franchise__closed_at=None).order_by("pk")
    for user_id, franchise_id in links.values_list("user_id", "franchise_id"):
        yield user_id, {"objectId": franchise_id, "role": "franchisee"}


def runs(user: User, franchise_id: int) -> bool:
    """Whether the user is one of the `admins` of that open franchise."""
    return Franchise.objects.filter(pk=franchise_id, closed_at=None, admins=user).exists()


def franchises_of(user: User) -> QuerySet[Franchise]:
    """The franchises whose books the user may read, also the closed ones: those they run, or all for an admin."""
    return Franchise.objects.all() if user.is_superuser else Franchise.objects.filter(admins=user)


def stores_of(user: User) -> QuerySet[Store]:
    """The stores of those franchises, also the closed ones."""
    return Store.objects.all() if user.is_superuser else Store.objects.filter(franchise__admins=user)


def franchise(franchise_id: int, *, lock: bool = False) -> Franchise:
    """The open franchise of that id, locked for the transaction in hand if asked; raises NotFound."""
    franchises = Franchise.objects.select_for_update() if lock else Franchise.objects.all()
    found = franchises.filter(pk=franchise_id, closed_at=None).first()
    if found is None:
        raise NotFound("There is no such franchise.")
    return found


def store(*, franchise_id: int, store_id: int) -> Store:
    """The open store of that id in that franchise; raises NotFound."""
    found = Store.objects.filter(
        pk=store_id, franchise_id=franchise_id, closed_at=None, franchise__closed_at=None
    ).first()
    if found is None:
        raise NotFound("There is no such store in that franchise.")
    return found


def public_rows(franchises: Iterable[Franchise]) -> list[Row]:
    """Each franchise with its stores, as everyone may see them; one query."""
    listed = list(franchises)
    stores: dict[int, list[Row]] = defaultdict(list)
    for franchise_id, store_id, name in _stores(listed).values_list("franchise_id", "id", "name"):
        stores[franchise_id].append({"id": store_id, "name": name})
    return [{"id": each.pk, "name": each.name, "stores": stores[each.pk]} for each in listed]


def owner_rows(franchises: Iterable[Franchise]) -> list[Row]:
    """Each franchise with its admins and what its stores earned (₿), for those who may know; two queries."""
    listed = list(franchises)
    stores: dict[int, list[Row]] = defaultdict(list)
    for franchise_id, store_id, name, revenue in _stores(listed).values_list("franchise_id", "id", "name", "revenue"):
        stores[franchise_id].append({"id": store_id, "name": name, "totalRevenue": as_number(revenue)})
    admins: dict[int, list[Row]] = defaultdict(list)
    for link in Franchise.admins.through.objects.filter(franchise__in=listed).select_related("user").order_by("pk"):
        admins[link.franchise_id].append({"id": link.user.pk, "name": link.user.name, "email": link.user.email})
    return [{"id": each.pk, "name": each.name, "admins": admins[each.pk], "stores": stores[each.pk]} for each in listed]


def _stores(franchises: list[Franchise]) -> QuerySet[Store]:
    return Store.objects.filter(franchise__in=franchises, closed_at=None).order_by("pk")
