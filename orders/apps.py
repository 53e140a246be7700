from django.apps import AppConfig


class OrdersConfig(AppConfig):
    name = "orders"

    def ready(self) -> None:
        from jwtpizza.accounts.services import user_erased
        from jwtpizza.observability import health
        from orders import selectors, services

        user_erased.connect(services.erase_diner)
        health.register("factory", selectors.last_decided)
