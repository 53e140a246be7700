"""Incidents, and what happened in them that stands in no other book."""

from typing import ClassVar

from django.db import models
from django.db.models.functions import Now

from jwtpizza.accounts.models import User
from jwtpizza.fields import BitcoinField, KeyField


class Kind(models.TextChoices):
    """What an event is; in brackets what its `outcome` says."""

    REFUSED = (
        "refused"  # an order, before it was written (Refused.why); `count` of a diner's within a tenth of a second
    )
    BROKEN = "broken"  # an order, by an error of ours (the error's name)
    PROMISED = "promised"  # an order that could not be made at once
    CANARY = "canary"  # a pizza for nobody, in `seconds` ("ok", or why it is `trouble`: Reason)
    CIRCUIT = "circuit"  # a circuit changed (the new state; `detail` has the old one)
    RETRY = "retry"  # one that was due and not made ("no_budget")
    CHAOS = "chaos"  # the switch ("on" or "off")
    START = "start"  # a process began ("web" or "worker"; `detail` has release and settings)
    DROPPED = "dropped"  # `count` events that could not be noted
    TRAFFIC = "traffic"  # `count` calls in 10 s from `at` on (menu, login, franchises); `failed` of them with 5xx


class Event(models.Model):
    """Something that happened. `key` is its name in the journal, so that it is kept once; `at` is the database's time.

    `trouble` opens an incident and keeps it open, as an order that failed does. `total` is what refused orders would
    have cost, in ₿ at the menu's prices.
    """

    key = KeyField(max_length=64)
    kind = models.CharField(max_length=16, choices=Kind.choices)
    at = models.DateTimeField()
    trouble = models.BooleanField(default=False)
    outcome = models.CharField(max_length=40, default="")
    count = models.PositiveIntegerField(default=1)
    failed = models.PositiveIntegerField(default=0)
    total = BitcoinField(default=0)
    seconds = models.FloatField(null=True)
    diner = models.ForeignKey(User, null=True, on_delete=models.PROTECT, related_name="+", db_index=False)
    detail = models.JSONField(default=dict)

    class Meta:
        indexes: ClassVar = [
            models.Index(fields=["kind", "at"], name="event_kind_at"),
            models.Index(fields=["trouble", "at"], name="event_trouble_at"),
        ]
        constraints: ClassVar = [models.UniqueConstraint(fields=["key"], name="event_once")]

    def __str__(self) -> str:
        return f"{self.kind} {self.outcome}".strip()


class Incident(models.Model):
    """From the first failure until the service had been well for `INCIDENT_HEALTHY_SECONDS`; one at a time.

    `opened_at` is when it was noticed, `last_at` the last failure that is known. `is_open` is True or NULL, so that
    there is one that is open at most. `wrong_before` are the stores whose revenue was not what their orders had cost
    when it opened, `stores_wrong` how many more were when it closed; None: not looked at yet. `notes` are people's.
    """

    first_at = models.DateTimeField("first failure")
    last_at = models.DateTimeField("last failure")
    opened_at = models.DateTimeField("noticed", db_default=Now())
    closed_at = models.DateTimeField("closed", null=True, blank=True)
    is_open = models.BooleanField(null=True, default=True, editable=False)
    wrong_before = models.JSONField(default=list, editable=False)
    stores_wrong = models.PositiveIntegerField(null=True, editable=False)
    notes = models.TextField(default="", blank=True)

    class Meta:
        constraints: ClassVar = [
            models.UniqueConstraint(fields=["is_open"], name="incident_one_open"),
            models.CheckConstraint(
                name="incident_is_open_until_closed",
                # What compares NULL with anything is refused by no constraint.
                condition=models.Q(is_open=True, is_open__isnull=False, closed_at=None)
                | models.Q(is_open=None, closed_at__isnull=False),
            ),
            models.CheckConstraint(condition=models.Q(last_at__gte=models.F("first_at")), name="incident_in_order"),
        ]

    def __str__(self) -> str:
        return f"incident {self.pk}"


class Notice(models.Model):
    """An outbox: what is to be said of an incident to the webhook, due at `due_at` unless it is sent."""

    class Word(models.TextChoices):
        OPENED = "opened"
        CLOSED = "closed"

    incident = models.ForeignKey(Incident, on_delete=models.CASCADE, related_name="notices", db_index=False)
    word = models.CharField(max_length=6, choices=Word.choices)
    due_at = models.DateTimeField(db_default=Now())
    tries = models.PositiveIntegerField(default=0)
    sent_at = models.DateTimeField(null=True)
    answer = models.TextField(default="", blank=True)

    class Meta:
        constraints: ClassVar = [models.UniqueConstraint(fields=["incident", "word"], name="notice_once")]

    def __str__(self) -> str:
        return f"{self.incident} {self.word}"
