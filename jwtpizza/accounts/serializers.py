"""What clients send about users, and what they read."""

from typing import Any, ClassVar

from rest_framework import serializers
from rest_framework.fields import empty

from jwtpizza.accounts.models import User
from jwtpizza.accounts.selectors import Role
from jwtpizza.api.pagination import MOST_PAGES, Page
from jwtpizza.api.serializers import EmailAddress, Input, Text, WholeNumber

MOST_PASSWORD = 1024


class Name(Text):
    """A person's name as it was typed; one of spaces alone is none."""

    def __init__(self, **kwargs: Any) -> None:
        super().__init__(**{"trim_whitespace": False, **kwargs})

    def run_validation(self, data: Any = empty) -> Any:
        blank = isinstance(data, str) and not data.strip()
        return super().run_validation("" if blank else data)


class Password(Text):
    described: ClassVar = {"minLength": 1, "pattern": r"^[^\u0000]*$"}

    def __init__(self, **kwargs: Any) -> None:
        super().__init__(**{"max_length": MOST_PASSWORD, "trim_whitespace": False, **kwargs})


class RegisterIn(Input):
    incomplete = "name, email, and password are required"
    name = Name()
    email = EmailAddress()
    password = Password()


class LoginIn(Input):
    incomplete = "email and password are required"
    email = Text()
    password = Password()


class UserIn(Input):
    """Each field may be left out, and an empty one stays as it is, but for one at least."""

    described: ClassVar = {
        "anyOf": [
            {"required": [name], "properties": {name: {"minLength": 1}}} for name in ("name", "email", "password")
        ]
    }
    name = Name(required=False, allow_blank=True)
    email = EmailAddress(required=False, allow_blank=True)
    password = Password(required=False, allow_blank=True)


class UserPage(Page):
    """Pages count from 1 here, and 0 reads as 1."""

    page = WholeNumber(default=1, max_value=MOST_PAGES)


class RoleOut(serializers.Serializer):
    role = serializers.ChoiceField(["diner", "franchisee", "admin"])
    objectId = serializers.IntegerField(required=False, help_text="The franchise, where the role is franchisee.")


class UserOut(serializers.Serializer):
    id = serializers.IntegerField()
    name = serializers.CharField()
    email = serializers.CharField()
    roles = RoleOut(many=True)


class SignedInOut(serializers.Serializer):
    user = UserOut()
    token = serializers.CharField()


class UsersOut(serializers.Serializer):
    users = UserOut(many=True)
    more = serializers.BooleanField()


def user_out(user: User, roles: list[Role]) -> dict[str, Any]:
    return {"id": user.pk, "name": user.name, "email": user.email, "roles": roles}
