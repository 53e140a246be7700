from django.contrib import admin
from django.contrib.auth.admin import UserAdmin

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


@admin.register(Session)
class SessionAdmin(admin.ModelAdmin):
    list_display = ("user", "created_at", "expires_at")
    list_select_related = ("user",)
    readonly_fields = ("jti", "user", "created_at", "expires_at")
