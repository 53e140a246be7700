from django.apps import AppConfig
from django.db.models.signals import post_delete, post_save


class MenuConfig(AppConfig):
    name = "menu"

    def ready(self) -> None:
        from menu.models import MenuItem
        from menu.services import MENU

        for signal in (post_save, post_delete):
            signal.connect(MENU.on_change, sender=MenuItem)
