"""Who may do what, as values for `ApiViewSet.access`."""

from typing import Any

from rest_framework.permissions import BasePermission, IsAuthenticated
from rest_framework.request import Request

SIGNED_IN = IsAuthenticated()


class Admin(BasePermission):
    """An admin; everybody else reads `message`."""

    def __init__(self, message: str) -> None:
        self.message = message

    def has_permission(self, request: Request, view: Any) -> bool:
        return bool(request.user.is_superuser)


class SelfOrAdmin(Admin):
    """The user that the path names in `user_id`, or an admin."""

    def has_permission(self, request: Request, view: Any) -> bool:
        return super().has_permission(request, view) or (
            request.user.is_authenticated and view.kwargs["user_id"] == request.user.pk
        )
