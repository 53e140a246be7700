"""Opening and closing franchises and stores."""

from collections.abc import Sequence

from django.db import IntegrityError, transaction
from django.utils import timezone

from franchises import selectors
from franchises.models import Franchise, Store
from jwtpizza.accounts import selectors as accounts
from jwtpizza.accounts.models import User
from jwtpizza.api.errors import Conflict, NotFound
from jwtpizza.api.rendered import Rendered

FRANCHISES = Rendered("franchises")


def open_franchise(*, name: str, admin_emails: Sequence[str]) -> tuple[Franchise, list[User]]:
    """A new franchise and who runs it; raises NotFound for an unknown address, Conflict when the name is in use."""
    try:
        with transaction.atomic():
            admins = _people(admin_emails)
            franchise = Franchise.objects.create(name=name)
            # Not add(), which would forget their order.
            runs = Franchise.admins.through
            runs.objects.bulk_create(runs(franchise=franchise, user=admin) for admin in admins)
            return franchise, admins
    except IntegrityError as error:
        raise _name_taken(name) from error


def _people(emails: Sequence[str]) -> list[User]:
    """In the order of their addresses, each once."""
    found = accounts.by_email(emails)
    for email in emails:
        if email not in found:
            raise NotFound(f"unknown user for franchise admin {email} provided")
    return list(dict.fromkeys(found[email] for email in emails))


def close_franchise(*, franchise_id: int) -> None:
    """Closes it and its stores; raises NotFound."""
    with transaction.atomic():
        franchise = selectors.franchise(franchise_id, lock=True)
        franchise.closed_at = timezone.now()
        franchise.save()
        franchise.stores.filter(closed_at=None).update(closed_at=franchise.closed_at, name_key=None)


def open_store(*, franchise_id: int, name: str) -> Store:
    """A new store; raises NotFound for the franchise, Conflict when an open store of it has that name."""
    try:
        with transaction.atomic():
            franchise = selectors.franchise(franchise_id, lock=True)
            return Store.objects.create(franchise=franchise, name=name)
    except IntegrityError as error:
        raise _name_taken(name) from error


def rename_store(*, franchise_id: int, store_id: int, name: str) -> None:
    """Raises NotFound, and Conflict when an open store of that franchise has the name."""
    try:
        with transaction.atomic():
            selectors.franchise(franchise_id, lock=True)
            store = selectors.store(franchise_id=franchise_id, store_id=store_id)
            store.name = name
            store.save()
    except IntegrityError as error:
        raise _name_taken(name) from error


def close_store(*, franchise_id: int, store_id: int) -> None:
    """Closes a store; its orders and revenue stay. Raises NotFound."""
    with transaction.atomic():
        selectors.franchise(franchise_id, lock=True)
        store = selectors.store(franchise_id=franchise_id, store_id=store_id)
        store.closed_at = timezone.now()
        store.save()


def erase_owner(*, user: User, **_: object) -> None:
    """A signal receiver for a deleted user, who runs nothing any more."""
    user.franchises.clear()


def _name_taken(name: str) -> Conflict:
    return Conflict(f"The name {name} is in use.", fields={"name": ["This name is in use."]})
