"""The admin itself."""

from typing import Any, cast

from django.contrib import messages
from django.contrib.admin import site
from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect
from django.template.response import TemplateResponse
from django.urls import reverse
from unfold.sites import UnfoldAdminSite

from jwtpizza.accounts import limits
from jwtpizza.accounts.models import User
from jwtpizza.accounts.services import saw
from jwtpizza.admin_site import homes
from jwtpizza.admin_site.login import LoginForm

ICONS = {
    "Order": "receipt_long",
    "Store": "storefront",
    "Franchise": "corporate_fare",
    "MenuItem": "local_pizza",
    "User": "group",
    "Session": "key",
    "SupportLink": "support",
    "WorkerCircuit": "electric_bolt",
    "FactoryKey": "verified",
    "Incident": "warning",
}


def navigation(request: HttpRequest) -> list[dict[str, Any]]:
    """The sidebar: the home, and each list that the user may see."""
    home = {"title": "Home", "link": reverse("admin:index"), "icon": "home"}
    lists = [
        {"title": model["name"], "link": model["admin_url"], "icon": ICONS.get(model["object_name"], "table_rows")}
        for app in site.get_app_list(request)
        for model in app["models"]
    ]
    return [{"items": [home, *lists]}]


def _form_in(answer: HttpResponse) -> Any:
    """The form that the page shows again; None where it leads on."""
    return (getattr(answer, "context_data", None) or {}).get("form")


class Site(UnfoldAdminSite):
    """The theme's, with our homes."""

    login_form = LoginForm
    index_template = "admin/home.html"
    index_title = "Home"

    def has_permission(self, request: HttpRequest) -> bool:
        """Whether they may work here; whoever may is an active user."""
        permitted = super().has_permission(request)
        if permitted and request.user.pk:
            saw(request.user.pk)
        return permitted

    def login(self, request: HttpRequest, extra_context: dict[str, Any] | None = None) -> HttpResponse:
        """The form, or the way in; 429 with Retry-After for who failed too often, 503 while too many log in."""
        answer = super().login(request, extra_context)
        if refused := getattr(_form_in(answer), "refused", None):
            answer.status_code = refused.status
            for name, value in refused.headers.items():
                answer[name] = value
        return answer

    def password_change(self, request: HttpRequest, extra_context: dict[str, Any] | None = None) -> HttpResponse:
        """The form for a password of one's own; guesses at the old one count as failed logins do."""
        email = cast(User, request.user).email
        if request.method == "POST" and (refused := limits.refusal(request, email)):
            messages.error(request, refused.message)
            return redirect("admin:index")
        answer = super().password_change(request, extra_context)
        form = _form_in(answer)
        if form and "old_password" in form.errors:
            limits.count(request, email)
        return answer

    def index(self, request: HttpRequest, extra_context: dict[str, Any] | None = None) -> TemplateResponse:
        return super().index(request, {"home": homes.of(cast(User, request.user)), **(extra_context or {})})
