from django.contrib import admin

from menu.models import MenuItem


@admin.register(MenuItem)
class MenuItemAdmin(admin.ModelAdmin):
    list_display = ("title", "price", "description", "retired_at")
    search_fields = ("title",)
