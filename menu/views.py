"""/api/order/menu."""

from django.http import HttpResponse
from rest_framework.request import Request
from rest_framework.response import Response

from jwtpizza.accounts.permissions import Admin
from jwtpizza.api.schema import IF_NONE_MATCH, operation
from jwtpizza.api.serializers import checked
from jwtpizza.api.viewsets import EVERYONE, ApiViewSet
from menu import selectors, services
from menu.serializers import MenuItemIn, MenuItemOut

VEGGIE = {"id": 1, "title": "Veggie", "image": "pizza1.png", "price": 0.0038, "description": "A garden of delight"}
STUDENT = {
    "title": "Student",
    "description": "No topping, no sauce, just carbs",
    "image": "pizza9.png",
    "price": 0.0001,
}


class MenuViewSet(ApiViewSet):
    access = {"list": EVERYONE, "add": Admin("unable to add menu item")}
    callers = {"list": []}

    @operation(
        "Get the pizza menu",
        at="/api/order/menu",
        response=MenuItemOut(many=True),
        answer=[VEGGIE],
        parameters=[IF_NONE_MATCH],
        others={304: None},
    )
    def list(self, request: Request) -> HttpResponse:
        return services.MENU.answer(request, selectors.menu)

    @operation(
        "Add an item to the menu",
        at="/api/order/menu",
        request=MenuItemIn,
        response=MenuItemOut(many=True),
        example=STUDENT,
        answer=[VEGGIE, {"id": 6, **STUDENT}],
        errors=[409],
    )
    def add(self, request: Request) -> Response:
        services.add_item(**checked(MenuItemIn, request.data))
        return Response(selectors.menu())
