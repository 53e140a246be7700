"""Who may do what to a franchise."""

from typing import Any

from rest_framework.request import Request

from franchises import selectors
from jwtpizza.accounts.permissions import Admin


class RunsIt(Admin):
    """One of the admins of the franchise in the path, or an admin."""

    def has_permission(self, request: Request, view: Any) -> bool:
        return super().has_permission(request, view) or (
            request.user.is_authenticated and selectors.runs(request.user, view.kwargs["franchise_id"])
        )
