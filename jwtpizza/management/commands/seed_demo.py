"""The demo data: three people, five pizzas, one store."""

from decimal import Decimal
from typing import Any

from django.conf import settings
from django.core.management.base import BaseCommand, CommandError
from django.db import transaction

from franchises.models import Franchise, Store
from jwtpizza.accounts.models import User
from menu.models import MenuItem

PEOPLE: tuple[dict[str, Any], ...] = (
    {"name": "常用名字", "email": "a@jwt.com", "password": "admin", "is_superuser": True},
    {"name": "pizza diner", "email": "d@jwt.com", "password": "diner"},
    {"name": "pizza franchisee", "email": "f@jwt.com", "password": "franchisee"},
)
PIZZAS = (
    ("Veggie", "pizza1.png", "0.0038", "A garden of delight"),
    ("Pepperoni", "pizza2.png", "0.0042", "Spicy treat"),
    ("Margarita", "pizza3.png", "0.0042", "Essential classic"),
    ("Crusty", "pizza4.png", "0.0028", "A dry mouthed favorite"),
    ("Charred Leopard", "pizza5.png", "0.0099", "For those with a darker side"),
)


class Command(BaseCommand):
    help = "Fills an empty database with demo data; leaves any other as it is. Refused in production."

    def handle(self, *args: Any, **options: Any) -> None:
        if settings.PRODUCTION:
            raise CommandError("There is no demo data in production; manage.py createsuperuser makes the first admin.")
        with transaction.atomic():
            if not User.objects.exists():
                self._seed()

    def _seed(self) -> None:
        *_, franchisee = [User.objects.create_user(**person) for person in PEOPLE]
        for title, image, price, description in PIZZAS:
            MenuItem.objects.create(title=title, image=image, price=Decimal(price), description=description)
        franchise = Franchise.objects.create(name="pizzaPocket")
        franchise.admins.add(franchisee)
        Store.objects.create(franchise=franchise, name="SLC")
