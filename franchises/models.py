"""Who sells, and where."""

from typing import Any, ClassVar

from django.db import models

from jwtpizza.accounts.models import User
from jwtpizza.fields import BitcoinField, Keyed, KeyField


class Franchise(Keyed):
    """A chain of stores, run by its `admins`. A closed one is in no list; its stores, orders and revenue stay."""

    name = models.CharField(max_length=255)
    name_key = KeyField(of="name", until="closed_at", null=True)
    admins = models.ManyToManyField(User, related_name="franchises", blank=True)
    created_at = models.DateTimeField(auto_now_add=True)
    closed_at = models.DateTimeField(null=True, blank=True)

    class Meta:
        constraints: ClassVar = [models.UniqueConstraint(fields=["name_key"], name="franchise_name_once")]

    def __str__(self) -> str:
        return self.name


class Store(Keyed):
    """Where pizzas are sold. `revenue` (₿) is kept as it is earned, so that no query ever sums a store's orders."""

    franchise = models.ForeignKey(
        Franchise, on_delete=models.PROTECT, related_name="stores", limit_choices_to={"closed_at": None}
    )
    name = models.CharField(max_length=255)
    name_key = KeyField(of="name", until="closed_at", null=True)
    revenue = BitcoinField(default=0, editable=False)
    created_at = models.DateTimeField(auto_now_add=True)
    closed_at = models.DateTimeField(null=True, blank=True)

    class Meta:
        constraints: ClassVar = [
            models.UniqueConstraint(fields=["franchise", "name_key"], name="store_name_once"),
            models.CheckConstraint(condition=models.Q(revenue__gte=0), name="store_revenue_not_negative"),
        ]

    def __str__(self) -> str:
        return self.name

    def save(self, *args: Any, **kwargs: Any) -> None:
        if not self._state.adding:
            # Sales add to the revenue in place: a row that was read before one must not write the old sum back.
            kwargs["update_fields"] = ("franchise", "name", "name_key", "closed_at")
        super().save(*args, **kwargs)
