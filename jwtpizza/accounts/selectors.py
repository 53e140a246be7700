"""Reading users."""

from collections.abc import Iterable
from typing import Any

from django.db.models import QuerySet

from jwtpizza.accounts.models import User
from jwtpizza.api.errors import NotFound
from jwtpizza.fields import key_of

Role = dict[str, Any]


def user(user_id: int, *, lock: bool = False) -> User:
    """The user of that id, locked for the transaction in hand if asked; raises NotFound, for a deleted one too."""
    users = User.objects.select_for_update() if lock else User.objects.all()
    found: User | None = users.filter(pk=user_id, deleted_at=None).first()
    if found is None:
        raise NotFound("There is no such user.")
    return found


def by_email(addresses: Iterable[str]) -> list[User]:
    """The users of these addresses in their order, each once; raises NotFound and names the first unknown one."""
    keys = {key_of(address): address for address in addresses}
    found = {user.email_key: user for user in User.objects.filter(email_key__in=keys)}
    for key, address in keys.items():
        if key not in found:
            raise NotFound(f"unknown user for franchise admin {address} provided")
    return [found[key] for key in keys]


def matching(pattern: str) -> QuerySet[User]:
    """All users but the deleted whose name matches (`jwtpizza.api.pagination.NamePattern`), by id."""
    return User.objects.filter(deleted_at=None, name_key__matches=pattern).order_by("pk")


def roles(users: Iterable[User]) -> dict[int, list[Role]]:
    """The roles of each user by id, as they are now; one query for all who are no admins, and none without such."""
    listed = list(users)
    found: dict[int, list[Role]] = {user.pk: [{"role": "admin" if user.is_superuser else "diner"}] for user in listed}
    diners = [user.pk for user in listed if not user.is_superuser]
    run = User.franchises.through.objects.filter(user__in=diners, franchise__closed_at=None)
    for user_id, franchise_id in run.order_by("pk").values_list("user_id", "franchise_id"):
        found[user_id].append({"objectId": franchise_id, "role": "franchisee"})
    return found
