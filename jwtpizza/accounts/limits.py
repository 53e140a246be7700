"""How many failed logins an account stands from one address, through the API and the admin together.

They are counted in django-axes' table, one row for each account and address, of which nothing else is kept. With Redis
those below the limit are tallied there, and the row has what has to last: that an account is refused. Of a row and a
tally the later one counts.
"""

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from datetime import datetime, timedelta
from ipaddress import IPv4Address, IPv6Address, ip_address, ip_network
from math import ceil
from typing import Any

from axes.handlers.database import AxesDatabaseHandler
from axes.models import AccessAttempt
from django.conf import settings
from django.contrib.admin.forms import AdminAuthenticationForm
from django.core.exceptions import ValidationError
from django.db.models import Case, F, QuerySet, When
from django.http import HttpRequest
from django.utils import timezone
from django.utils.crypto import salted_hmac
from rest_framework.request import Request

from jwtpizza import shared
from jwtpizza.accounts.metrics import auth_attempts
from jwtpizza.accounts.models import User
from jwtpizza.accounts.passwords import TooManyPasswords
from jwtpizza.api.errors import DomainError, NotFound
from jwtpizza.fields import key_of

AT_ONCE = 100
UNKNOWN = "0.0.0.0"  # noqa: S104


class TooManyLogins(DomainError):
    """Refused without a look at the password, whether there is such an account or not; `seconds` is the wait."""

    status = 429
    title = "Too many failed logins"

    def __init__(self, seconds: int) -> None:
        minutes = ceil(seconds / 60)
        wait = "a minute" if minutes == 1 else f"{minutes} minutes"
        sentence = f"There were too many failed logins to this account. Please try again in {wait}."
        super().__init__(sentence, headers={"Retry-After": str(seconds)})


# --- who is calling -------------------------------------------------------------------------------


def account_of(email: str) -> str:
    """What an account is called in the table: the same in any case, no longer than its column, and no address."""
    return salted_hmac(__name__, key_of(email.strip()), algorithm="sha256").hexdigest()


def account_in(_: HttpRequest, credentials: Mapping[str, Any] | None) -> str:
    """The account that somebody logs in to, as django-axes asks for it."""
    return account_of(_email_in(credentials))


def _email_in(credentials: Mapping[str, Any] | None) -> str:
    return (credentials or {}).get("username") or ""


def address_of(request: HttpRequest | Request) -> str:
    """Where a request comes from, by the word of TRUSTED_PROXIES alone; an IPv6 address stands for its whole /64.

    Each proxy adds to the end of X-Forwarded-For whom it has the request from; what stands before is the caller's word.
    """
    caller: IPv4Address | IPv6Address = ip_address(UNKNOWN)
    forwarded = request.META.get("HTTP_X_FORWARDED_FOR", "").split(",")
    for hop in (request.META.get("REMOTE_ADDR", ""), *reversed(forwarded)):
        if (told := _parsed(hop)) is None:
            break
        caller = told
        if not any(caller in proxies for proxies in settings.TRUSTED_PROXIES):
            break
    # Whoever has one IPv6 address has that many.
    return str(caller if caller.version == 4 else ip_network((caller, 64), strict=False).network_address)


def _parsed(hop: str) -> IPv4Address | IPv6Address | None:
    """The address, without its port and its zone; None where there is none."""
    text = hop.strip()
    if text.startswith("["):
        text = text[1:].partition("]")[0]
    elif text.count(":") == 1:
        text = text.partition(":")[0]
    try:
        address = ip_address(text.partition("%")[0])
    except ValueError:
        return None
    return getattr(address, "ipv4_mapped", None) or address


# --- what is counted ------------------------------------------------------------------------------


@contextmanager
def limited(request: HttpRequest | Request, email: str) -> Iterator[None]:
    """Around a login: counts it if it fails, with NotFound, and forgets the failures if it doesn't.

    Raises TooManyLogins before anything is done, and django.db.Error where that can't be told.
    """
    attempts = _attempts(request, email)
    last = attempts.first()
    if refused := _refusal(last):
        raise refused
    try:
        yield
    except NotFound:
        count(request, email)
        raise
    _forget(request, email, last)


def refusal(request: HttpRequest, email: str) -> TooManyLogins | None:
    """Why this login may not even be tried now, if it may not; one that is refused is counted as that."""
    return _refusal(_attempts(request, email).first())


def forgive(*, user: User) -> None:
    """Forgets the user's failed logins, from wherever; but while Redis is gone, not what it has tallied elsewhere."""
    rows = AccessAttempt.objects.filter(username=account_of(user.email))
    if shared.forget(_tallied(user.email)):
        rows.delete()
    else:
        rows.update(failures_since_start=0, attempt_time=timezone.now())


def _attempts(request: HttpRequest | Request, email: str) -> QuerySet[Any]:
    found: QuerySet[Any] = AccessAttempt.objects.filter(username=account_of(email), ip_address=address_of(request))
    return found


def _wait(last: Any) -> int:
    """The seconds for which nobody is let in after this failure, and those before it."""
    if last is None or last.failures_since_start < settings.AXES_FAILURE_LIMIT:
        return 0
    left: timedelta = last.attempt_time - _over()
    return max(0, ceil(left.total_seconds()))


def _refusal(last: Any) -> TooManyLogins | None:
    if not (seconds := _wait(last)):
        return None
    auth_attempts.labels("refused").inc()
    return TooManyLogins(seconds)


def _over() -> datetime:
    """Failures up to then are forgotten."""
    return timezone.now() - settings.AXES_COOLOFF_TIME


def count(request: HttpRequest | Request, email: str) -> None:
    """One more failure of this account, from where the request comes."""
    counted = _tally(request, email) if shared.LINK.up else None
    if counted is None:
        # Failures at the same time neither lose nor lock out one another.
        more = Case(When(attempt_time__lte=_over(), then=1), default=F("failures_since_start") + 1)
        _keep(request, email, more)
    elif counted >= settings.AXES_FAILURE_LIMIT:
        _keep(request, email, settings.AXES_FAILURE_LIMIT)
        shared.forget(_tallied(email), address_of(request))
    _sweep()


def _tally(request: HttpRequest | Request, email: str) -> int | None:
    """Counts it in Redis, from where its row has come; how many it makes, or None where it can't be counted there."""
    row = _attempts(request, email).first()
    return shared.tally(
        _tallied(email),
        address_of(request),
        now=timezone.now().timestamp(),
        since=row.attempt_time.timestamp() if row else 0.0,
        start=row.failures_since_start if row and row.attempt_time > _over() else 0,
        seconds=settings.AXES_COOLOFF_TIME.total_seconds(),
    )


def _tallied(email: str) -> str:
    return f"failures:{account_of(email)}"


def _keep(request: HttpRequest | Request, email: str, failures: Any) -> None:
    """Has the row say that there were so many by now, in statements that each stand alone."""
    row = {"username": account_of(email), "ip_address": address_of(request), "user_agent": ""}
    AccessAttempt.objects.bulk_create([AccessAttempt(**row, failures_since_start=0)], ignore_conflicts=True)
    # In this order: MariaDB reads the time from the row as it is by then.
    AccessAttempt.objects.filter(**row).update(failures_since_start=failures, attempt_time=timezone.now())


def _forget(request: HttpRequest | Request, email: str, last: Any) -> None:
    """No failure of this account from there counts any more; `last` is its row."""
    if not shared.forget(_tallied(email), address_of(request)):
        # What Redis may have tallied is older than this row, and so it is worth nothing when it is back.
        _keep(request, email, 0)
        _sweep()
    elif last:
        _attempts(request, email).delete()


def _sweep() -> int:
    """Deletes what is over; no more at once than a login can wait for, but more than a login leaves."""
    over = AccessAttempt.objects.filter(attempt_time__lte=_over()).order_by()
    swept = list(over.values_list("pk", flat=True)[:AT_ONCE])
    return int(AccessAttempt.objects.filter(pk__in=swept).delete()[0]) if swept else 0


# --- the admin ------------------------------------------------------------------------------------


class Handler(AxesDatabaseHandler):  # type: ignore[misc]
    """What django-axes does at Django's signals, that is, at logins to the admin: the same that is done for the API.

    Its own would keep what was posted, and a row for each browser.
    """

    def is_locked(self, request: Any, credentials: Mapping[str, Any] | None = None) -> bool:
        return _wait(_attempts(request, _email_in(credentials)).first()) > 0

    def user_login_failed(
        self, sender: object, credentials: Mapping[str, Any], request: Any = None, **_: object
    ) -> None:
        if request is not None and not request.axes_locked_out:
            count(request, _email_in(credentials))

    def user_logged_in(self, sender: object, request: Any, user: User, **_: object) -> None:
        _forget(request, user.email, _attempts(request, user.email).first())

    def clean_expired_user_attempts(self, request: Any = None, credentials: Any = None) -> int:
        return _sweep()


class LimitedLogin(AdminAuthenticationForm):
    """A login form that refuses with the sentence of `refused`, before it looks at the password: this account for too
    many failures, or anybody while too many log in.
    """

    request: HttpRequest
    refused: DomainError | None = None

    def clean(self) -> dict[str, Any]:
        try:
            if refused := refusal(self.request, self.cleaned_data.get("username", "")):
                raise refused
            return super().clean()
        except (TooManyLogins, TooManyPasswords) as error:
            self.refused = error
            raise ValidationError(error.message) from error
