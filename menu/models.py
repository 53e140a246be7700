"""What is sold."""

from typing import Any, ClassVar

from django.core.validators import MaxValueValidator
from django.db import models

from jwtpizza.fields import MOST_BITCOIN, BitcoinField, KeyField, key_of


class MenuItem(models.Model):
    """A pizza at a price in ₿. A retired one is off the menu and stays in the orders that have it."""

    title = models.CharField(max_length=255)
    title_key = KeyField(null=True)
    description = models.CharField(max_length=255)
    image = models.CharField(max_length=1024)
    price = BitcoinField(validators=[MaxValueValidator(MOST_BITCOIN)])
    retired_at = models.DateTimeField(null=True, blank=True)

    class Meta:
        constraints: ClassVar = [
            models.UniqueConstraint(fields=["title_key"], name="menu_title_once"),
            models.CheckConstraint(condition=models.Q(price__gte=0), name="menu_price_not_negative"),
        ]

    def __str__(self) -> str:
        return self.title

    def save(self, *args: Any, **kwargs: Any) -> None:
        self.title_key = key_of(self.title) if self.retired_at is None else None
        super().save(*args, **kwargs)
