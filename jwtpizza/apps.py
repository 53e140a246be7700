from importlib import import_module

from django.apps import AppConfig
from django.contrib.admin import apps


class JwtPizzaConfig(AppConfig):
    name = "jwtpizza"

    def ready(self) -> None:
        from jwtpizza.observability import sql

        sql.listen()
        # What it counts is 0, and not missing, where nothing is pushed.
        import_module("jwtpizza.observability.loki")


class AdminConfig(apps.AdminConfig):
    """Django's admin, with a site of our own."""

    default = False
    default_site = "jwtpizza.admin_site.site.Site"
