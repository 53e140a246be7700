from django.contrib import admin

from franchises.models import Franchise, Store


@admin.register(Franchise)
class FranchiseAdmin(admin.ModelAdmin):
    list_display = ("name", "created_at", "closed_at")
    search_fields = ("name_key",)
    filter_horizontal = ("admins",)


@admin.register(Store)
class StoreAdmin(admin.ModelAdmin):
    list_display = ("name", "franchise", "revenue", "created_at", "closed_at")
    list_select_related = ("franchise",)
    readonly_fields = ("revenue",)
    search_fields = ("name_key",)
