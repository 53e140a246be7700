"""Reading users."""

from collections import defaultdict
from collections.abc import Iterable, Iterator
from typing import Any, NamedTuple, cast

from django.db.models import Aggregate, JSONField, OuterRef, QuerySet, Subquery
from prometheus_client.metrics_core import Metric

from jwtpizza.accounts.models import Session, User
from jwtpizza.api.errors import NotFound
from jwtpizza.databases.prepared import Prepared, PreparedFor
from jwtpizza.fields import from_now, key_of
from jwtpizza.observability.metrics import gauge

ACTIVE_SECONDS = 300.0

Role = dict[str, Any]


class Grant(NamedTuple):
    """A role in each row that `path` leads to from a user, and for which `condition` holds."""

    role: str
    path: str
    condition: dict[str, Any]

    def users(self) -> QuerySet[User]:
        """Who has it, once for each row."""
        conditions = {f"{self.path}__{name}": value for name, value in self.condition.items()}
        return User.objects.filter(**{f"{self.path}__isnull": False}, **conditions)

    def to(self, user: User, granted: Iterable[int]) -> list[Role]:
        """The user's roles, with one in each row of these ids; an admin has no other."""
        if user.is_superuser:
            return [{"role": "admin"}]
        return [{"role": "diner"}, *({"objectId": pk, "role": self.role} for pk in sorted(granted))]


class _Listed(Aggregate):
    """The values of a group, as a list."""

    function = "JSON_GROUP_ARRAY"
    output_field = JSONField()

    def as_postgresql(self, compiler: Any, connection: Any, **context: Any) -> Any:
        return super().as_sql(compiler, connection, function="JSONB_AGG", **context)

    def as_mysql(self, compiler: Any, connection: Any, **context: Any) -> Any:
        return super().as_sql(compiler, connection, function="JSON_ARRAYAGG", **context)


_grants: list[Grant] = []


def _sessions(jti: str) -> QuerySet[Session]:
    return Session.objects.select_related("user").filter(jti=jti, user__is_active=True)


_SESSION = Prepared(_sessions, jti=str)


def session(jti: str) -> Session | None:
    """The session that a token stands for, with its user; one query."""
    return _SESSION.first(jti=jti)


def _sessions_with_roles(jti: str) -> QuerySet[Any]:
    [grant] = _grants
    granted = grant.users().filter(pk=OuterRef("user_id")).order_by().values("pk")
    listed = granted.annotate(listed=_Listed(grant.path)).values("listed")
    return _sessions(jti).annotate(granted=Subquery(listed))


_SESSION_WITH_ROLES = Prepared(_sessions_with_roles, jti=str)


def session_with_roles(jti: str) -> Session | None:
    """The session that a token stands for, with its user, who has `roles`; one query."""
    found: Any = _SESSION_WITH_ROLES.first(jti=jti)
    if found is not None:
        [grant] = _grants
        found.user.roles = grant.to(found.user, found.granted or ())
    return cast("Session | None", found)


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


def grant(role: str, path: str, **condition: Any) -> None:
    """Registers the role that users have beside diner: see `Grant`. There is one."""
    _grants[:] = [Grant(role, path, condition)]


def _granted(users: list[int]) -> QuerySet[User, tuple[int, int]]:
    [grant] = _grants
    return grant.users().filter(pk__in=users).values_list("pk", grant.path)


_GRANTED = PreparedFor(_granted)


def roles(users: Iterable[User]) -> dict[int, list[Role]]:
    """The roles of each user by id, as they are now; one query, whatever the number, and none for admins alone."""
    listed = list(users)
    granted = defaultdict[int, list[int]](list)
    for user_id, granted_id in _GRANTED.rows([user.pk for user in listed if not user.is_superuser]):
        granted[user_id].append(granted_id)
    [grant] = _grants
    return {user.pk: grant.to(user, granted[user.pk]) for user in listed}
