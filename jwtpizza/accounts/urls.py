from typing import Any

from django.urls import path

from jwtpizza.accounts.views import AuthViewSet, UserViewSet
from jwtpizza.api.viewsets import NO_ID

ONE_USER: dict[str, Any] = {"put": "update", "delete": "destroy"}

urlpatterns = [
    path("api/auth", AuthViewSet.as_view({"post": "register", "put": "log_in", "delete": "log_out"})),
    path("api/user/me", UserViewSet.as_view({"get": "me", **ONE_USER}), {"user_id": NO_ID}),
    path("api/user/<id:user_id>", UserViewSet.as_view(ONE_USER)),
    path("api/user", UserViewSet.as_view({"get": "list"})),
]
