"""/api/franchise."""

from typing import Any

from django.http import HttpResponse
from rest_framework.request import Request
from rest_framework.response import Response

from franchises import selectors, services
from franchises.permissions import RunsIt
from franchises.serializers import (
    FranchiseIn,
    FranchiseOut,
    FranchisesOut,
    OpenedFranchiseOut,
    OpenedStoreOut,
    StoreIn,
)
from jwtpizza.accounts.authentication import PublicAnyway
from jwtpizza.accounts.permissions import SIGNED_IN, Admin
from jwtpizza.api.errors import NotFound
from jwtpizza.api.pagination import Page
from jwtpizza.api.schema import IF_NONE_MATCH, MessageOut, operation
from jwtpizza.api.serializers import checked, checked_query
from jwtpizza.api.viewsets import EVERYONE, NO_ID, ApiViewSet

OWNER = {"id": 3, "name": "pizza franchisee", "email": "f@jwt.com"}
POCKET = {"id": 1, "name": "pizzaPocket", "stores": [{"id": 1, "name": "SLC"}]}
OWN_POCKET = {
    "id": 1,
    "name": "pizzaPocket",
    "admins": [OWNER],
    "stores": [{"id": 1, "name": "SLC", "totalRevenue": 0}],
}


class FranchiseViewSet(ApiViewSet):
    access = {
        "list": EVERYONE,
        "of_user": SIGNED_IN,
        "open": Admin("unable to create a franchise"),
        "close": Admin("unable to delete a franchise"),
    }
    callers = {"list": [PublicAnyway]}

    @operation(
        "List all the franchises",
        at="/api/franchise?page=0&limit=10&name=*",
        query=Page,
        response=FranchisesOut,
        answer={"franchises": [POCKET], "more": False},
        parameters=[IF_NONE_MATCH],
        others={304: None},
    )
    def list(self, request: Request) -> HttpResponse:
        query = checked_query(Page, request.META["QUERY_STRING"])
        if request.user.is_superuser:
            return Response(_page(query, selectors.owner_rows))
        variant = (query["page"], query["limit"], query["name"])
        answer = services.FRANCHISES.answer(request, lambda: _page(query, selectors.public_rows), variant=variant)
        answer.headers["Vary"] = "Authorization"
        return answer

    @operation(
        "List a user's franchises",
        at="/api/franchise/3",
        shown_as="/api/franchise/:userId",
        response=FranchiseOut(many=True),
        answer=[OWN_POCKET],
        errors=[404],
    )
    def of_user(self, request: Request, pk: int) -> Response:
        if pk == NO_ID:
            raise NotFound("There is no such user.")
        may_know = request.user.is_superuser or request.user.pk == pk
        return Response(selectors.owner_rows(selectors.run_by(pk)) if may_know else [])

    @operation(
        "Create a new franchise",
        at="/api/franchise",
        request=FranchiseIn,
        response=OpenedFranchiseOut,
        example={"name": "pizzaHeaven", "admins": [{"email": "f@jwt.com"}]},
        answer={"id": 2, "name": "pizzaHeaven", "admins": [OWNER]},
        errors=[404, 409],
    )
    def open(self, request: Request) -> Response:
        sent = checked(FranchiseIn, request.data)
        emails = [admin["email"] for admin in sent["admins"]]
        franchise, admins = services.open_franchise(name=sent["name"], admin_emails=emails)
        people = [{"email": admin.email, "id": admin.pk, "name": admin.name} for admin in admins]
        return Response({"name": franchise.name, "admins": people, "id": franchise.pk})

    @operation(
        "Close a franchise and its stores",
        at="/api/franchise/1",
        shown_as="/api/franchise/:franchiseId",
        response=MessageOut,
        answer={"message": "franchise deleted"},
        errors=[404],
    )
    def close(self, request: Request, pk: int) -> Response:
        services.close_franchise(franchise_id=pk)
        return Response({"message": "franchise deleted"})


class StoreViewSet(ApiViewSet):
    access = {"open": RunsIt("unable to create a store"), "close": RunsIt("unable to delete a store")}

    @operation(
        "Create a new franchise store",
        at="/api/franchise/1/store",
        request=StoreIn,
        response=OpenedStoreOut,
        example={"name": "Provo"},
        answer={"id": 2, "franchiseId": 1, "name": "Provo"},
        errors=[404, 409],
    )
    def open(self, request: Request, franchise_id: int) -> Response:
        store = services.open_store(franchise_id=franchise_id, **checked(StoreIn, request.data))
        return Response({"id": store.pk, "franchiseId": store.franchise_id, "name": store.name})

    @operation(
        "Close a store",
        at="/api/franchise/1/store/1",
        response=MessageOut,
        answer={"message": "store deleted"},
        errors=[404],
    )
    def close(self, request: Request, franchise_id: int, store_id: int) -> Response:
        services.close_store(franchise_id=franchise_id, store_id=store_id)
        return Response({"message": "store deleted"})


def _page(query: dict[str, Any], rows: Any) -> dict[str, Any]:
    franchises, more = selectors.page(**query)
    return {"franchises": rows(franchises), "more": more}
