"""What is sold."""

from typing import ClassVar

from django.core.validators import MaxValueValidator
from django.db import models

from jwtpizza.fields import MOST_BITCOIN, BitcoinField, Keyed, KeyField

# Of who has none yet: those who are all last stand in the order in which they came.
LAST = 999


class MenuItem(Keyed):
    """A pizza at a price in ₿. A retired one is off the menu and stays in the orders that have it."""

    title = models.CharField(max_length=255)
    title_key = KeyField(of="title", until="retired_at", null=True)
    description = models.CharField(max_length=255)
    image = models.CharField(max_length=1024)
    price = BitcoinField(validators=[MaxValueValidator(MOST_BITCOIN)])
    position = models.PositiveIntegerField(default=LAST, help_text="The place on the menu; 0 is the first.")
    retired_at = models.DateTimeField(null=True, blank=True)

    class Meta:
        constraints: ClassVar = [
            models.UniqueConstraint(fields=["title_key"], name="menu_title_once"),
            models.CheckConstraint(condition=models.Q(price__range=(0, MOST_BITCOIN)), name="menu_price_in_range"),
        ]

    def __str__(self) -> str:
        return self.title
