from typing import Any

from django.contrib import admin
from django.contrib.auth.admin import UserAdmin
from django.db.models import QuerySet
from django.http import HttpRequest

from jwtpizza.accounts import limits, services
from jwtpizza.accounts.models import Session, User


@admin.register(User)
class PeopleAdmin(UserAdmin):
    ordering = ("pk",)
    list_display = ("email", "name", "is_superuser", "is_active")
    list_filter = ("is_superuser", "is_active")
    search_fields = ("email_key", "name_key")
    filter_horizontal = ()
    fieldsets = ((None, {"fields": ("name", "email", "password", "is_superuser", "is_active")}),)
    add_fieldsets = ((None, {"fields": ("name", "email", "password1", "password2", "is_superuser")}),)
    actions = ("let_in_again", "end_sessions")

    def get_queryset(self, request: HttpRequest) -> QuerySet[User]:
        """What is left of a deleted user is nobody to work on."""
        return super().get_queryset(request).filter(deleted_at=None)

    def has_delete_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        """A user is erased through the API, which keeps the orders and the last admin; here one can be disabled."""
        return False

    @admin.action(description="Let them log in again", permissions=["change"])
    def let_in_again(self, request: HttpRequest, queryset: QuerySet[User]) -> None:
        for user in queryset:
            limits.forgive(user=user)
            self.log_change(request, user, "Failed logins forgotten.")
        self.message_user(request, "Their failed logins are forgotten.")

    @admin.action(description="End their sessions", permissions=["change"])
    def end_sessions(self, request: HttpRequest, queryset: QuerySet[User]) -> None:
        for user in queryset:
            services.end_sessions(user=user)
            self.log_change(request, user, "Sessions ended.")
        self.message_user(request, "Their sessions are ended.")


@admin.register(Session)
class SessionAdmin(admin.ModelAdmin):
    """To look at and to end; a session begins with a login."""

    list_display = ("user", "created_at", "expires_at")
    list_select_related = ("user",)

    def has_add_permission(self, request: HttpRequest) -> bool:
        return False

    def has_change_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return False
