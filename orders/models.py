"""Sales: what was ordered, by whom, where, and what became of it."""

from datetime import timedelta
from typing import ClassVar

from django.conf import settings
from django.db import models
from django.db.models.functions import Now

from franchises.models import Store
from jwtpizza.accounts.models import User
from jwtpizza.fields import BitcoinField, KeyField
from menu.models import MenuItem


class Status(models.TextChoices):
    PENDING = "pending"
    FULFILLED = "fulfilled"
    FAILED = "failed"


class Reason(models.TextChoices):
    """Why an order failed: the outcome of its last call to the factory, or that nobody was left to make one."""

    NONE = ""
    SERVER_ERROR = "server_error"
    UNREACHABLE = "unreachable"
    TIMEOUT = "timeout"
    BAD_RESPONSE = "bad_response"
    BAD_JWT = "bad_jwt"
    UNVERIFIED = "unverified"
    REJECTED = "rejected"
    UNAUTHORIZED = "unauthorized"
    ABANDONED = "abandoned"
    DINER_DELETED = "diner_deleted"


def lease_end() -> models.Expression:
    """When a lease taken now runs out, by the database's clock: the clocks of two machines need not agree."""
    lease = models.Value(timedelta(seconds=settings.ORDER_LEASE))
    return models.ExpressionWrapper(Now() + lease, output_field=models.DateTimeField())


class Order(models.Model):
    """An order and its way: pending, then fulfilled with its JWT or failed with its reason, once and for all.

    While it is pending, somebody works on it until `lease_until`; after that anybody may take it over.
    `total` and prices are ₿. A deleted diner's order has an empty JWT: theirs had the name in it.
    """

    diner = models.ForeignKey(User, on_delete=models.PROTECT, related_name="orders")
    store = models.ForeignKey(Store, on_delete=models.PROTECT, related_name="orders")
    created_at = models.DateTimeField(db_default=Now())
    total = BitcoinField()
    status = models.CharField(max_length=9, choices=Status.choices, default=Status.PENDING)
    reason = models.CharField(max_length=16, choices=Reason.choices, default=Reason.NONE, blank=True)
    jwt = models.TextField(null=True)
    support_link = models.TextField(default="", blank=True)
    settled_at = models.DateTimeField(null=True)
    lease_until = models.DateTimeField(null=True)
    idempotency_key = KeyField(max_length=255, null=True)
    fingerprint = models.CharField(max_length=64, default="", blank=True)

    class Meta:
        indexes: ClassVar = [
            models.Index(fields=["diner", "-id"], name="order_history"),
            models.Index(fields=["status", "lease_until"], name="order_leases"),
        ]
        constraints: ClassVar = [
            models.UniqueConstraint(fields=["diner", "idempotency_key"], name="order_idempotency_once"),
            models.CheckConstraint(condition=models.Q(total__gte=0), name="order_total_not_negative"),
            models.CheckConstraint(
                name="order_status_has_what_it_says",
                condition=(
                    models.Q(status=Status.PENDING, jwt=None, reason="", settled_at=None, lease_until__isnull=False)
                    | models.Q(status=Status.FULFILLED, jwt__isnull=False, reason="", settled_at__isnull=False)
                    | (models.Q(status=Status.FAILED, jwt=None, settled_at__isnull=False) & ~models.Q(reason=""))
                ),
            ),
        ]

    def __str__(self) -> str:
        return f"order {self.pk}"


class OrderItem(models.Model):
    """One pizza of an order, at the price (₿) and by the name that the menu had then."""

    order = models.ForeignKey(Order, on_delete=models.CASCADE, related_name="items")
    menu_item = models.ForeignKey(MenuItem, on_delete=models.PROTECT, related_name="+")
    description = models.CharField(max_length=255)
    price = BitcoinField()

    class Meta:
        constraints: ClassVar = [
            models.CheckConstraint(condition=models.Q(price__gte=0), name="order_item_price_not_negative"),
        ]

    def __str__(self) -> str:
        return self.description


class FactoryKey(models.Model):
    """A public key of the factory's, kept so that a start without its JWKS can still verify pizzas."""

    kid = KeyField(max_length=255, primary_key=True)
    jwk = models.JSONField()
    fetched_at = models.DateTimeField(auto_now=True)

    def __str__(self) -> str:
        return self.kid
