from django.urls import path

from jwtpizza.api.views import NotAnEndpoint
from menu.views import MenuViewSet

urlpatterns = [
    path("order/menu", MenuViewSet.as_view({"get": "list", "put": "add"})),
    path("order/menu/<id:item_id>", NotAnEndpoint.as_view({"options": "options"})),
]
