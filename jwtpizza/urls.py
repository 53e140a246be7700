"""Every path of the service."""

from django.contrib import admin
from django.urls import include, path

urlpatterns = [
    # Those that are asked for most come first.
    path("api/", include("menu.urls")),
    path("api/", include("franchises.urls")),
    path("api/", include("orders.urls")),
    path("api/", include("jwtpizza.accounts.urls")),
    path("api/", include("jwtpizza.incidents.urls")),
    path("", include("jwtpizza.api.urls")),
    path("admin/", admin.site.urls),
]

handler400 = "jwtpizza.api.handler.bad_request"
handler403 = "jwtpizza.api.handler.permission_denied"
handler404 = "jwtpizza.api.handler.page_not_found"
handler500 = "jwtpizza.api.handler.server_error"
