"""Registering, logging in and out, changing and erasing users."""

from datetime import UTC, datetime

from django.contrib.admin.models import LogEntry
from django.contrib.auth import user_logged_in
from django.contrib.auth.hashers import make_password
from django.contrib.auth.password_validation import validate_password
from django.core.exceptions import ValidationError
from django.db import IntegrityError, transaction
from django.db.models import Exists, OuterRef
from django.db.models.functions import Now
from django.dispatch import Signal
from django.utils import timezone
from rest_framework_simplejwt.tokens import AccessToken

from jwtpizza.accounts import selectors
from jwtpizza.accounts.metrics import auth_attempts
from jwtpizza.accounts.models import Session, User
from jwtpizza.api.errors import Conflict, Invalid, NotFound, Unauthorized
from jwtpizza.databases.prepared import Prepared
from jwtpizza.fields import from_now

SEEN_SECONDS = 60.0
AT_ONCE = 500

# Sent with `user`, inside the transaction in which one is deleted, for each app to erase its part.
user_erased = Signal()


def register(*, name: str, email: str, password: str) -> tuple[User, str]:
    """A new user and a token; raises Conflict when the address is taken, Invalid when the password is too weak."""
    user = User(name=name, email=email)
    user.password = _hashed(password, user)
    try:
        with transaction.atomic():
            user.save()
            return user, open_session(user)
    except IntegrityError as error:
        raise _taken() from error


def log_in(*, email: str, password: str) -> tuple[User, str]:
    """The user and a new token; raises one NotFound, after the same work, for unknown user and wrong password."""
    try:
        user, token = _logged_in(email, password)
    except NotFound:
        auth_attempts.labels("failure").inc()
        raise
    auth_attempts.labels("success").inc()
    return user, token


def _logged_in(email: str, password: str) -> tuple[User, str]:
    user = selectors.of_address(email)
    if user is None:
        User().set_password(password)
        raise _unknown_user()
    if not user.check_password(password):
        raise _unknown_user()
    with transaction.atomic():
        # Checking took a while: the password may be another by now, or the user disabled.
        still = _STILL.first(pk=user.pk, password=user.password)
        if still is None:
            raise _unknown_user()
        [has_expired] = still
        if has_expired:
            user.sessions.filter(expires_at__lt=Now()).delete()
        return user, open_session(user)


_EXPIRED = Session.objects.filter(user=OuterRef("pk"), expires_at__lt=Now())
_STILL = Prepared(
    lambda pk, password: (
        User.objects.select_for_update()
        .filter(pk=pk, password=password, is_active=True)
        .annotate(has_expired=Exists(_EXPIRED))
        .values_list("has_expired")
    ),
    pk=int,
    password=str,
)


def open_session(user: User) -> str:
    """A token good for `ACCESS_TOKEN_LIFETIME` seconds or until its session is ended."""
    token = AccessToken.for_user(user)
    Session.objects.create(jti=token["jti"], user=user, expires_at=datetime.fromtimestamp(token["exp"], UTC))
    return str(token)


# Whom this process has seen, and not written down yet.
_seen: set[int] = set()


def saw(user_id: int) -> None:
    """The user is there just now; `write_seen` writes it down, so that no request has to."""
    _seen.add(user_id)


def write_seen() -> None:
    """Writes down whom this process has seen, each user once a minute at most; raises django.db.Error."""
    while seen := [_seen.pop() for _ in range(min(AT_ONCE, len(_seen)))]:
        User.objects.filter(pk__in=seen).exclude(seen_at__gte=from_now(-SEEN_SECONDS)).update(seen_at=Now())


def count_admin_login(*, signal: Signal, **_: object) -> None:
    """A signal receiver for logins to the admin."""
    auth_attempts.labels("success" if signal is user_logged_in else "failure").inc()


def log_out(session: Session) -> None:
    """Ends this session and no other."""
    Session.objects.filter(pk=session.pk).delete()


def update(
    *, caller: User, session: Session, user_id: int, name: str = "", email: str = "", password: str = ""
) -> tuple[User, str]:
    """Changes what is not empty; the user, and a fresh token of the caller's.

    A new password ends each session that the user had. Raises NotFound, Conflict when the address is taken, Invalid
    when there is nothing to change or the password is too weak, Unauthorized when the caller's session ended meanwhile.
    """
    if not (name or email or password):
        raise Invalid("There is nothing to change.", fields={"body": ["Give a name, an email or a password."]})
    hashed = _hashed(password, selectors.user(user_id)) if password else ""
    try:
        with transaction.atomic():
            user = selectors.locked(caller.pk, user_id)[-1]
            if not Session.objects.filter(pk=session.pk).exists():
                raise Unauthorized
            _change(user, name=name, email=email, hashed=hashed)
            return user, open_session(caller)
    except IntegrityError as error:
        raise _taken() from error


def _change(user: User, *, name: str, email: str, hashed: str) -> None:
    user.name, user.email = name or user.name, email or user.email
    user.password = hashed or user.password
    user.save()
    if hashed:
        user.sessions.all().delete()


def delete(*, user_id: int) -> None:
    """Erases name and address everywhere, ends the sessions and frees the address; the orders stay in the books.

    Raises NotFound, and Conflict for the last admin.
    """
    with transaction.atomic():
        last_admin = [admin.pk for admin in selectors.locked_admins()] == [user_id]
        (user,) = selectors.locked(user_id)
        if last_admin:
            raise Conflict("The last admin can't be deleted.")
        _erase(user)


def _erase(user: User) -> None:
    user.name = user.email = ""
    user.is_active = user.is_superuser = False
    user.deleted_at = timezone.now()
    user.set_unusable_password()
    user.save()
    # The admin's history names what was changed by what it was called then.
    LogEntry.objects.filter(content_type__model="user", object_id=user.pk).update(object_repr=str(user))
    user_erased.send(User, user=user)


def _hashed(password: str, user: User) -> str:
    """Takes milliseconds of CPU, so never call it inside a transaction: SQLite lets nobody else write."""
    try:
        validate_password(password, user)
    except ValidationError as error:
        raise Invalid(error.messages[0], fields={"password": error.messages}) from error
    return make_password(password)


def _taken() -> Conflict:
    return Conflict("This e-mail address belongs to somebody already.", fields={"email": ["This address is taken."]})


def _unknown_user() -> NotFound:
    return NotFound("unknown user")
