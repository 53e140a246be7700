from django.urls import path

from orders.views import OrderViewSet, StatusViewSet

urlpatterns = [
    path("api/order", OrderViewSet.as_view({"get": "list", "post": "place"})),
    path("api/order/chaos/<str:state>", OrderViewSet.as_view({"put": "chaos"})),
    path("api/status", StatusViewSet.as_view({"get": "retrieve"})),
    path("api/order/<id:order_id>", OrderViewSet.as_view({"get": "retrieve"})),
]
