from django.urls import path

from orders.views import OrderViewSet, StatusViewSet

urlpatterns = [
    path("order", OrderViewSet.as_view({"get": "list", "post": "place"})),
    path("order/chaos/<str:state>", OrderViewSet.as_view({"put": "chaos"})),
    path("status", StatusViewSet.as_view({"get": "retrieve"})),
    path("order/<id:order_id>", OrderViewSet.as_view({"get": "retrieve"})),
]
