from django.apps import AppConfig


class OrdersConfig(AppConfig):
    name = "orders"

    def ready(self) -> None:
        from jwtpizza.accounts.services import on_erase
        from jwtpizza.observability import health
        from orders import selectors, services

        on_erase(services.forget)
        health.register("factory", selectors.last_decided)
