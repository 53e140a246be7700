"""Sales: what was ordered, by whom, where, and what became of it."""

from hashlib import sha256
from typing import ClassVar

from django.conf import settings
from django.db import models
from django.db.models.functions import Now

from franchises.models import Store
from jwtpizza.accounts.models import User
from jwtpizza.fields import BitcoinField, KeyField, from_now
from menu.models import MenuItem


class Status(models.TextChoices):
    PENDING = "pending"
    FULFILLED = "fulfilled"
    FAILED = "failed"


class Reason(models.TextChoices):
    """Why an order failed: the outcome of its last call to the factory, or that nobody was left to make one.

    The labels are for those who run a store.
    """

    NONE = "", ""
    SERVER_ERROR = "server_error", "The factory had an error"
    UNREACHABLE = "unreachable", "The factory could not be reached"
    TIMEOUT = "timeout", "The factory took too long"
    BAD_RESPONSE = "bad_response", "The factory's answer made no sense"
    BAD_JWT = "bad_jwt", "The factory's pizza was not genuine"
    UNVERIFIED = "unverified", "The factory's pizza could not be checked"
    REJECTED = "rejected", "The factory did not accept the order"
    UNAUTHORIZED = "unauthorized", "The factory did not accept our key"
    CHAOS = "chaos", "The chaos switch was on"
    ABANDONED = "abandoned", "We were interrupted"
    DINER_DELETED = "diner_deleted", "The diner's account was deleted"


def lease_end() -> models.Expression:
    """When a lease taken now runs out."""
    return from_now(settings.ORDER_LEASE)


class Order(models.Model):
    """An order and its way: pending, then fulfilled with its JWT or failed with its reason, once and for all.

    While it is pending, somebody works on it until `lease_until`; after that anybody may take it over. What was
    `promised` is tried until it succeeds, for a day; then `lease_until` is also when the next try is due.
    `total` and prices are ₿. A deleted diner's order has an empty JWT: theirs had the name in it.
    """

    # Of both, other indexes have the id first.
    diner = models.ForeignKey(User, on_delete=models.PROTECT, related_name="orders", db_index=False)
    store = models.ForeignKey(Store, on_delete=models.PROTECT, related_name="orders", db_index=False)
    created_at = models.DateTimeField(db_default=Now())
    total = BitcoinField()
    status = models.CharField(max_length=9, choices=Status.choices, default=Status.PENDING)
    reason = models.CharField(max_length=16, choices=Reason.choices, default=Reason.NONE, blank=True)
    jwt = models.TextField(null=True)
    support_link = models.TextField(default="", blank=True)
    settled_at = models.DateTimeField(null=True)
    lease_until = models.DateTimeField(null=True)
    promised = models.BooleanField(default=False)
    idempotency_key = KeyField(max_length=255, null=True)
    fingerprint = models.CharField(max_length=64, default="", blank=True)

    class Meta:
        indexes: ClassVar = [
            models.Index(fields=["diner", "-id", "status"], name="order_pages"),
            models.Index(fields=["status", "lease_until"], name="order_leases"),
            models.Index(fields=["status", "created_at", "total"], name="order_sales"),
            models.Index(fields=["status", "settled_at"], name="order_decided"),
            models.Index(fields=["store", "created_at"], name="order_of_store"),
            models.Index(fields=["store", "status", "created_at", "total"], name="order_sales_of_store"),
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

    @property
    def trouble(self) -> str:
        """What is wrong with it, in plain words; nothing with one that was made."""
        return "Waiting for the factory" if self.status == Status.PENDING else str(Reason(self.reason).label)


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


def digest_of(link: str) -> str:
    """What two support links share that are the same; a link itself may be too long for an index."""
    return sha256(link.encode()).hexdigest()


class SupportLink(models.Model):
    """A link that the factory gave with a failure: following it may end the outage. It has our API key in it.

    `followed_at` is when the factory first answered 2xx to who followed it, and `followed_by` who that was: an admin,
    or nobody where the worker did it. `answer` is the factory's, with its status; until it was 2xx, the last.
    `asked_at` is when a worker last began to ask.
    """

    link = models.TextField()
    digest = KeyField(max_length=64)
    seen_at = models.DateTimeField(db_default=Now())
    asked_at = models.DateTimeField(null=True)
    followed_at = models.DateTimeField(null=True)
    followed_by = models.ForeignKey(User, null=True, blank=True, on_delete=models.PROTECT, related_name="+")
    answer = models.TextField(default="", blank=True)

    class Meta:
        constraints: ClassVar = [models.UniqueConstraint(fields=["digest"], name="support_link_once")]

    def __str__(self) -> str:
        return f"support link {self.pk}"


class ChaosSwitch(models.Model):
    """One row: until when calls to the factory fail on purpose."""

    ONLY: ClassVar = 1

    until = models.DateTimeField()

    def __str__(self) -> str:
        return f"chaos until {self.until}"


class Canary(models.Model):
    """One row: what came of the last pizza that was made for nobody, and in how many seconds.

    `well` is that a diner would have got it.
    """

    ONLY: ClassVar = 1

    outcome = models.CharField(max_length=16)
    well = models.BooleanField()
    seconds = models.FloatField()
    flown_at = models.DateTimeField()

    def __str__(self) -> str:
        return f"canary: {self.outcome}"


class WorkerCircuit(models.Model):
    """The circuit breaker of one process that takes orders, as it last told; a process that is gone tells no more.

    `since` is when it last was closed, or ceased to be.
    """

    worker = KeyField(max_length=32, primary_key=True)
    state = models.CharField(max_length=9)
    since = models.DateTimeField(db_default=Now())
    open_until = models.DateTimeField(null=True)
    told_at = models.DateTimeField(db_default=Now())

    def __str__(self) -> str:
        return f"{self.worker}: {self.state}"
