from django.apps import AppConfig


class AccountsConfig(AppConfig):
    name = "jwtpizza.accounts"

    def ready(self) -> None:
        from django.contrib.auth.signals import user_logged_in, user_login_failed

        from jwtpizza.accounts import selectors, services
        from jwtpizza.observability import metrics

        metrics.register(selectors.gauges)
        for signal in (user_logged_in, user_login_failed):
            signal.connect(services.count_admin_login)
