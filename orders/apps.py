from django.apps import AppConfig


class OrdersConfig(AppConfig):
    name = "orders"

    def ready(self) -> None:
        from jwtpizza.accounts.services import user_erased
        from jwtpizza.observability import health, metrics
        from orders import selectors
        from orders.services import sales

        user_erased.connect(sales.erase_diner)
        health.register("factory", selectors.factory_report)
        metrics.register(selectors.gauges)
