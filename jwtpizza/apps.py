from importlib import import_module

from django.apps import AppConfig
from django.conf import settings
from django.contrib.admin import apps


class JwtPizzaConfig(AppConfig):
    name = "jwtpizza"

    def ready(self) -> None:
        from jwtpizza.observability import health, metrics, sql
        from jwtpizza.shared import LINK

        sql.listen()
        if settings.REDIS_URL:
            health.register("redis", lambda: "up" if LINK.up else "gone")
            metrics.register(
                lambda: [
                    metrics.gauge("jwtpizza_redis_up", "Whether the process that answers can ask Redis.", LINK.up)
                ],
                in_database=False,
            )
        # What it counts is 0, and not missing, where nothing is pushed.
        import_module("jwtpizza.observability.loki").dropped()


class AdminConfig(apps.AdminConfig):
    """Django's admin, with a site of our own."""

    default = False
    default_site = "jwtpizza.admin_site.site.Site"
