"""Who may do what to a franchise, in the API and in the admin."""

from typing import Any

from django.contrib.auth.backends import ModelBackend
from rest_framework.request import Request

from franchises import selectors
from jwtpizza.accounts.permissions import Admin


class RunsIt(Admin):
    """One of the admins of the franchise in the path, or an admin."""

    def has_permission(self, request: Request, view: Any) -> bool:
        return super().has_permission(request, view) or (
            request.user.is_authenticated and selectors.runs(request.user, view.kwargs["franchise_id"])
        )


# What who runs a franchise may do in the admin; to which rows, its pages say.
FRANCHISEE = frozenset(
    {
        "franchises.view_franchise",
        "franchises.view_store",
        "franchises.add_store",
        "franchises.change_store",
        "orders.view_order",
    }
)


class Roles(ModelBackend):
    """Django's permissions by the roles that ours have: an admin may do anything, a franchisee what is above.

    Who is named among the admins of a franchise, open or closed, is in at once; who no longer is, is out with the next
    request. One query for each.
    """

    def get_all_permissions(self, user_obj: Any, obj: Any = None) -> set[str]:
        if not user_obj.is_active or obj is not None:
            return set()
        if not hasattr(user_obj, "runs_any"):
            user_obj.runs_any = selectors.franchises_of(user_obj).exists()
        return set(FRANCHISEE) if user_obj.runs_any else set()
