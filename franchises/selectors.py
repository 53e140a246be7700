"""Reading franchises and stores. What is closed is not found, but by those whose books it is in."""

from collections import defaultdict
from collections.abc import Iterable
from functools import lru_cache
from typing import Any

from django.db.models import QuerySet

from franchises.models import Franchise, Store
from jwtpizza.accounts.models import User
from jwtpizza.api.errors import NotFound
from jwtpizza.databases.prepared import Prepared, PreparedFor
from jwtpizza.fields import as_number, like

Row = dict[str, Any]
# The id and the name of a franchise.
Named = tuple[int, str]


@lru_cache
def _pages(limit: int) -> Prepared[Named]:
    """Of that many and one more."""
    return Prepared(
        lambda pattern, start: (
            Franchise.objects.filter(closed_at=None, name_key__matches=pattern)
            .order_by("name_key")
            .values_list("pk", "name")[start : start + limit + 1]
        ),
        pattern=str,
        start=int,
    )


def page(*, name: str, page: int, limit: int) -> tuple[list[Named], bool]:
    """A page, counted from 0, of the open franchises whose name matches (`jwtpizza.api.pagination.NamePattern`), by
    name, and whether there are more.
    """
    found = list(_pages(limit).rows(pattern=like(name), start=page * limit))
    return found[:limit], len(found) > limit


def run_by(user_id: int) -> QuerySet[Franchise, Named]:
    """The open franchises that a user runs, oldest first."""
    return Franchise.objects.filter(closed_at=None, admins=user_id).order_by("pk").values_list("pk", "name")


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


_STORE = Prepared(
    lambda pk, franchise_id: Store.objects.filter(
        pk=pk, franchise_id=franchise_id, closed_at=None, franchise__closed_at=None
    ),
    pk=int,
    franchise_id=int,
)


def store(*, franchise_id: int, store_id: int) -> Store:
    """The open store of that id in that franchise; raises NotFound."""
    found = _STORE.first(pk=store_id, franchise_id=franchise_id)
    if found is None:
        raise NotFound("There is no such store in that franchise.")
    return found


_STORES = PreparedFor(
    lambda franchises: (
        Store.objects.filter(franchise_id__in=franchises, closed_at=None)
        .order_by("pk")
        .values_list("franchise_id", "id", "name", "revenue")
    )
)
_ADMINS = PreparedFor(
    lambda franchises: (
        Franchise.admins.through.objects.filter(franchise_id__in=franchises)
        .order_by("pk")
        .values_list("franchise_id", "user_id", "user__name", "user__email")
    )
)


def public_rows(franchises: Iterable[Named]) -> list[Row]:
    """Each franchise with its stores, as everyone may see them; one query."""
    listed = dict(franchises)
    stores: dict[int, list[Row]] = defaultdict(list)
    for franchise_id, store_id, name, _ in _STORES.rows([*listed]):
        stores[franchise_id].append({"id": store_id, "name": name})
    return [{"id": pk, "name": name, "stores": stores[pk]} for pk, name in listed.items()]


def owner_rows(franchises: Iterable[Named]) -> list[Row]:
    """Each franchise with its admins and what its stores earned (₿), for those who may know; two queries."""
    listed = dict(franchises)
    stores: dict[int, list[Row]] = defaultdict(list)
    for franchise_id, store_id, name, revenue in _STORES.rows([*listed]):
        stores[franchise_id].append({"id": store_id, "name": name, "totalRevenue": as_number(revenue)})
    admins: dict[int, list[Row]] = defaultdict(list)
    for franchise_id, user_id, name, email in _ADMINS.rows([*listed]):
        admins[franchise_id].append({"id": user_id, "name": name, "email": email})
    return [{"id": pk, "name": name, "admins": admins[pk], "stores": stores[pk]} for pk, name in listed.items()]
