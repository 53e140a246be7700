from django.apps import AppConfig


class IncidentsConfig(AppConfig):
    name = "jwtpizza.incidents"

    def ready(self) -> None:
        from jwtpizza.observability import traffic

        for name, view, method in (
            ("menu", "menu.views.MenuViewSet", "GET"),
            ("login", "jwtpizza.accounts.views.AuthViewSet", "PUT"),
            ("franchises", "franchises.views.FranchiseViewSet", "GET"),
        ):
            traffic.watch(name, view=view, method=method)
