"""Users, and the sessions that their tokens stand for."""

from contextlib import suppress
from typing import Any, ClassVar

from django.contrib.auth.hashers import make_password, verify_password
from django.contrib.auth.models import AbstractBaseUser, BaseUserManager, PermissionsMixin
from django.core.exceptions import ValidationError
from django.db import IntegrityError, models, transaction
from django.utils import timezone
from django.utils.crypto import salted_hmac

from jwtpizza.api.errors import DomainError
from jwtpizza.fields import Keyed, KeyField, key_of, validate_address


class UserManager(BaseUserManager["User"]):
    def create_user(self, *, name: str, email: str, password: str | None, **fields: Any) -> "User":
        """Stores a user; raises IntegrityError when the address, in any case, is somebody's already."""
        user = self.model(name=name, email=email, **fields)
        user.set_password(password)
        user.save(using=self._db)
        return user

    def create_superuser(self, email: str, password: str | None = None, **fields: Any) -> "User":
        """For `manage.py createsuperuser`, which shows its ValidationError: the address is somebody's already."""
        try:
            return self.create_user(email=email, password=password, is_superuser=True, **fields)
        except IntegrityError as error:
            raise ValidationError("This e-mail address belongs to somebody already.") from error

    def get_by_natural_key(self, username: str | None) -> "User":
        return self.get(email_key=key_of((username or "").strip()))


class User(Keyed, AbstractBaseUser, PermissionsMixin):
    """A person with a password. An admin is a superuser; who runs a franchise stands in that franchise's `admins`.

    A deleted user keeps the row that the orders point to, without name, address or key.
    """

    name = models.CharField(max_length=255)
    name_key = KeyField(of="name")
    email = models.CharField("e-mail address", max_length=255, validators=[validate_address])
    email_key = KeyField(of="email", until="deleted_at", null=True)
    is_active = models.BooleanField(default=True)
    created_at = models.DateTimeField(auto_now_add=True)
    deleted_at = models.DateTimeField(null=True, editable=False)
    # To within a minute.
    seen_at = models.DateTimeField(null=True, editable=False, db_index=True)
    # Logins to the admin from before then are over.
    sessions_ended_at = models.DateTimeField(null=True, editable=False)

    # Where a selector says so.
    roles: list[dict[str, Any]]

    USERNAME_FIELD = "email"
    EMAIL_FIELD = "email"
    REQUIRED_FIELDS: ClassVar = ["name"]
    objects: ClassVar[UserManager] = UserManager()

    class Meta:
        constraints: ClassVar = [
            models.UniqueConstraint(fields=["email_key"], name="user_email_once"),
            models.CheckConstraint(
                condition=models.Q(deleted_at=None) | models.Q(email_key=None, is_active=False),
                name="user_deleted_is_erased",
            ),
        ]

    def __str__(self) -> str:
        return self.email or f"deleted user {self.pk}"

    def get_full_name(self) -> str:
        return self.name

    def check_password(self, raw_password: str | None) -> bool:
        """Whether it is the password; an older kind of hash is upgraded, unless the password was changed meanwhile."""
        verified = self.password
        correct, outdated = verify_password(raw_password, verified)
        if correct and outdated:
            # Where others wait to log in it can wait as well.
            with suppress(DomainError):
                self.password = make_password(raw_password)
                User.objects.filter(pk=self.pk, password=verified).update(password=self.password)
        return correct

    def get_session_auth_hash(self) -> str:
        """What a login to the admin is good with: Django's own, until an admin has ended somebody's sessions."""
        usual = super().get_session_auth_hash()
        ended = self.sessions_ended_at
        return salted_hmac(usual, ended.isoformat(), algorithm="sha256").hexdigest() if ended else usual

    def clean(self) -> None:
        """Raises ValidationError when it would leave no admin."""
        super().clean()
        admins = User.objects.filter(is_superuser=True, is_active=True)
        admin = self.is_superuser and self.is_active
        if not admin and [user.pk for user in admins] == [self.pk]:
            raise ValidationError("This is the last admin, who has to stay one.")

    def save(self, *args: Any, **kwargs: Any) -> None:
        super().save(*args, **kwargs)
        if not self.is_active:
            self.end_sessions()

    def end_sessions(self) -> None:
        """Ends each session that they have by now, those in the admin at their next request."""
        self.sessions_ended_at = timezone.now()
        with transaction.atomic():
            # First, for it waits for a login that is just being written.
            User.objects.filter(pk=self.pk).update(sessions_ended_at=self.sessions_ended_at)
            self.sessions.all().delete()

    @property
    def is_staff(self) -> bool:
        """Whether they may work in the admin: admins, and who runs a franchise."""
        return self.is_superuser or bool(self.get_all_permissions())


class Session(models.Model):
    """What makes a token good: its `jti`. The token ends when this row goes."""

    jti = models.CharField(max_length=32, primary_key=True)
    user = models.ForeignKey(User, on_delete=models.CASCADE, related_name="sessions", db_index=False)
    created_at = models.DateTimeField(auto_now_add=True)
    expires_at = models.DateTimeField()

    class Meta:
        indexes: ClassVar = [models.Index(fields=["user", "expires_at"], name="session_of_user")]

    def __str__(self) -> str:
        return f"session of {self.user_id} until {self.expires_at:%Y-%m-%d}"
