"""What our viewsets have in common."""

from typing import Any, ClassVar

from django.urls import register_converter
from rest_framework.authentication import BaseAuthentication
from rest_framework.permissions import AllowAny, BasePermission
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.viewsets import ViewSet

NO_ID = -1  # nobody's and nothing's


class IdConverter:
    """A plain decimal number, or a word, which is read as `NO_ID`; 2.0, 0x2 and 007 are no paths."""

    regex = "0|[1-9][0-9]{0,17}|[^/0-9][^/]*"

    def to_python(self, value: str) -> int:
        return int(value) if value.isascii() and value.isdigit() else NO_ID

    def to_url(self, value: int) -> str:
        return str(value)


register_converter(IdConverter, "id")

EVERYONE = AllowAny()


class ApiViewSet(ViewSet):
    """Checks in the contract's order: method, then caller, then what was sent.

    `access` says who may do each action; `callers` how a caller is known, for the actions where it isn't by the
    token that the rest takes.
    """

    access: ClassVar[dict[str, BasePermission]] = {}
    callers: ClassVar[dict[str, list[type[BaseAuthentication]]]] = {}

    def get_authenticators(self) -> list[BaseAuthentication]:
        action = getattr(self, "action", None) or self.action_map.get(str(self.request.method).lower())
        return [kind() for kind in self.callers.get(str(action), self.authentication_classes)]

    def perform_authentication(self, request: Request) -> None:
        """Where nobody looks who calls, there is nobody to find out."""
        if request.authenticators:
            super().perform_authentication(request)

    def get_permissions(self) -> list[Any]:
        return [EVERYONE if self.action == "metadata" else self.access[self.action]]

    def initial(self, request: Request, *args: Any, **kwargs: Any) -> None:
        if self.action is None:
            self.http_method_not_allowed(request)
        super().initial(request, *args, **kwargs)

    def options(self, request: Request, *args: Any, **kwargs: Any) -> Response:  # type: ignore[override]
        return Response(status=204)
