"""Every path of the service."""

from django.contrib import admin
from django.urls import path

from franchises.urls import urlpatterns as of_franchises
from jwtpizza.accounts.urls import urlpatterns as of_accounts
from jwtpizza.api.urls import urlpatterns as of_platform
from jwtpizza.incidents.urls import urlpatterns as of_incidents
from menu.urls import urlpatterns as of_menu
from orders.urls import urlpatterns as of_orders

urlpatterns = [
    # Those that are asked for most come first, and all in one list: each list within it would cost another match.
    *of_menu,
    *of_franchises,
    *of_orders,
    *of_accounts,
    *of_incidents,
    *of_platform,
    path("admin/", admin.site.urls),
]

handler400 = "jwtpizza.api.handler.bad_request"
handler403 = "jwtpizza.api.handler.permission_denied"
handler404 = "jwtpizza.api.handler.page_not_found"
handler500 = "jwtpizza.api.handler.server_error"
