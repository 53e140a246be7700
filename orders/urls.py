from django.urls import path

from orders.views import OrderViewSet

urlpatterns = [
    path("order", OrderViewSet.as_view({"get": "list", "post": "place"})),
    path("order/<id:order_id>", OrderViewSet.as_view({"get": "retrieve"})),
]
