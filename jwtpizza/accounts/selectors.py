"""Reading users."""

from collections.abc import Callable, Iterable, Iterator
from typing import Any

from django.db.models import QuerySet
from prometheus_client.metrics_core import Metric

from jwtpizza.accounts.models import Session, User
from jwtpizza.api.errors import NotFound
from jwtpizza.databases.prepared import Prepared
from jwtpizza.fields import from_now, key_of
from jwtpizza.observability.metrics import gauge

ACTIVE_SECONDS = 300.0

Role = dict[str, Any]
Grants = Callable[[Iterable[User]], Iterable[tuple[int, Role]]]
_grants: list[Grants] = []


_SESSION = Prepared(lambda jti: Session.objects.select_related("user").filter(jti=jti, user__is_active=True), jti=str)


def session(jti: str) -> Session | None:
    """The session that a token stands for, with its user; one query."""
    return _SESSION.first(jti=jti)


_OF_ADDRESS = Prepared(lambda key: User.objects.filter(email_key=key), key=str)


def of_address(email: str) -> User | None:
    """Whose address that is, whatever its case and the spaces around it."""
    return _OF_ADDRESS.first(key=key_of(email.strip()))


def user(user_id: int) -> User:
    """The user of that id; raises NotFound, for a deleted one too."""
    found = User.objects.filter(pk=user_id, deleted_at=None).first()
    if found is None:
        raise NotFound("There is no such user.")
    return found


def locked(*user_ids: int) -> list[User]:
    """The users of these ids, locked for the transaction in hand (in one order for all); raises NotFound."""
    rows = User.objects.select_for_update().filter(pk__in=user_ids, deleted_at=None).order_by("pk")
    found = {user.pk: user for user in rows}
    if not found.keys() >= set(user_ids):
        raise NotFound("There is no such user.")
    return [found[user_id] for user_id in user_ids]


def locked_admins() -> list[User]:
    """Those who can log in, by id, locked for the transaction in hand; nobody is made or ceases to be one meanwhile."""
    return list(User.objects.select_for_update().filter(is_superuser=True, is_active=True).order_by("pk"))


def by_email(addresses: Iterable[str]) -> dict[str, User]:
    """The user of each address that is somebody's, by the address as it was given."""
    keys = {address: key_of(address) for address in addresses}
    found = {user.email_key: user for user in User.objects.filter(email_key__in=keys.values())}
    return {address: found[key] for address, key in keys.items() if key in found}


def matching(pattern: str) -> QuerySet[User]:
    """All users but the deleted whose name matches (`jwtpizza.api.pagination.NamePattern`), by id."""
    return User.objects.filter(deleted_at=None, name_key__matches=pattern).order_by("pk")


def gauges() -> Iterator[Metric]:
    """What Prometheus is told of the users."""
    active = User.objects.filter(seen_at__gte=from_now(-ACTIVE_SECONDS)).count()
    yield gauge("jwtpizza_active_users", "Distinct users seen in the last 5 minutes.", active)


def grant(source: Grants) -> None:
    """Registers who gives users further roles than diner and admin."""
    _grants.append(source)


def roles(users: Iterable[User]) -> dict[int, list[Role]]:
    """The roles of each user by id, as they are now; one query for each source of roles, whatever the number."""
    listed = list(users)
    found: dict[int, list[Role]] = {user.pk: [{"role": "admin" if user.is_superuser else "diner"}] for user in listed}
    diners = [user for user in listed if not user.is_superuser]
    for source in _grants if diners else ():
        for user_id, role in source(diners):
            found[user_id].append(role)
    return found
