from django.apps import AppConfig


class JwtPizzaConfig(AppConfig):
    name = "jwtpizza"
