from django.urls import path

from jwtpizza.api.views import NotAnEndpoint
from menu.views import MenuViewSet

urlpatterns = [
    path("api/order/menu", MenuViewSet.as_view({"get": "list", "put": "add"})),
    path("api/order/menu/<id:item_id>", NotAnEndpoint.as_view({"options": "options"})),
]
