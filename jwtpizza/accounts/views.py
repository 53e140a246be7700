"""/api/auth and /api/user."""

from typing import Any

from rest_framework.request import Request
from rest_framework.response import Response

from jwtpizza.accounts import limits, selectors, services
from jwtpizza.accounts.authentication import SignedInRequest, WithRoles
from jwtpizza.accounts.models import User
from jwtpizza.accounts.permissions import SIGNED_IN, Admin, SelfOrAdmin
from jwtpizza.accounts.serializers import (
    LoginIn,
    RegisterIn,
    SignedInOut,
    UserIn,
    UserOut,
    UserPage,
    UsersOut,
    user_out,
)
from jwtpizza.api.pagination import page_of
from jwtpizza.api.schema import MessageOut, operation
from jwtpizza.api.serializers import checked, checked_query
from jwtpizza.api.viewsets import EVERYONE, ApiViewSet

DINER = {"id": 2, "name": "pizza diner", "email": "d@jwt.com", "roles": [{"role": "diner"}]}
FRANCHISEE = {
    "id": 3,
    "name": "pizza franchisee",
    "email": "f@jwt.com",
    "roles": [{"role": "diner"}, {"objectId": 1, "role": "franchisee"}],
}
SIGNED_IN_DINER = {"user": DINER, "token": "tttttt"}


def _outputs(*users: User) -> list[dict[str, Any]]:
    roles = selectors.roles(users)
    return [user_out(user, roles[user.pk]) for user in users]


def _signed_in(user: User, token: str) -> Response:
    return Response({"user": _outputs(user)[0], "token": token})


class AuthViewSet(ApiViewSet):
    access = {"register": EVERYONE, "log_in": EVERYONE, "log_out": SIGNED_IN}
    callers = {"register": [], "log_in": []}

    @operation(
        "Register a new user",
        at="/api/auth",
        request=RegisterIn,
        response=SignedInOut,
        example={"name": "pizza diner", "email": "diner@example.com", "password": "diner"},
        answer=SIGNED_IN_DINER,
        errors=[409],
    )
    def register(self, request: Request) -> Response:
        return _signed_in(*services.register(**checked(RegisterIn, request.data)))

    @operation(
        "Login existing user",
        at="/api/auth",
        request=LoginIn,
        response=SignedInOut,
        example={"email": "d@jwt.com", "password": "diner"},
        answer=SIGNED_IN_DINER,
        errors=[404, 429],
    )
    def log_in(self, request: Request) -> Response:
        login = checked(LoginIn, request.data)
        with limits.limited(request, login["email"]):
            user, token = services.log_in(**login)
        return _signed_in(user, token)

    @operation("Logout a user", at="/api/auth", response=MessageOut, answer={"message": "logout successful"})
    def log_out(self, request: SignedInRequest) -> Response:
        services.log_out(request.auth)
        return Response({"message": "logout successful"})


class UserViewSet(ApiViewSet):
    access = {
        "me": SIGNED_IN,
        "list": Admin("unable to list users"),
        "update": SelfOrAdmin("unauthorized"),
        "destroy": Admin("unable to delete a user"),
    }
    callers = {"me": [WithRoles]}

    @operation("Get authenticated user", at="/api/user/me", response=UserOut, answer=DINER)
    def me(self, request: SignedInRequest, user_id: int) -> Response:
        return Response(user_out(request.user, request.user.roles))

    @operation(
        "List users",
        at="/api/user?page=1&limit=10&name=*",
        query=UserPage,
        response=UsersOut,
        answer={"users": [DINER, FRANCHISEE], "more": False},
    )
    def list(self, request: Request) -> Response:
        query = checked_query(UserPage, request.META["QUERY_STRING"])
        page = max(query["page"] - 1, 0)
        users, more = page_of(selectors.matching(query["name"]), page=page, limit=query["limit"])
        return Response({"users": _outputs(*users), "more": more})

    @operation(
        "Update user",
        at="/api/user/2",
        request=UserIn,
        response=SignedInOut,
        example={"name": "pizza diner", "email": "d@jwt.com", "password": "diner"},
        answer=SIGNED_IN_DINER,
        errors=[404, 409],
    )
    def update(self, request: SignedInRequest, user_id: int) -> Response:
        changes = checked(UserIn, request.data)
        return _signed_in(*services.update(caller=request.user, session=request.auth, user_id=user_id, **changes))

    @operation(
        "Delete user", at="/api/user/2", response=MessageOut, answer={"message": "user deleted"}, errors=[404, 409]
    )
    def destroy(self, request: Request, user_id: int) -> Response:
        services.delete(user_id=user_id)
        return Response({"message": "user deleted"})
