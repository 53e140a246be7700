from django.apps import AppConfig
from django.db.models.signals import post_delete, post_save


class FranchisesConfig(AppConfig):
    name = "franchises"

    def ready(self) -> None:
        from franchises import services
        from franchises.models import Franchise, Store
        from jwtpizza.accounts.selectors import grant
        from jwtpizza.accounts.services import user_erased

        grant("franchisee", "franchises", closed_at=None)
        user_erased.connect(services.erase_owner)
        for signal in (post_save, post_delete):
            signal.connect(services.FRANCHISES.on_change, sender=Franchise)
            signal.connect(services.FRANCHISES.on_change, sender=Store)
