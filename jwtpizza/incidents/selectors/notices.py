"""Which notices are to be sent now."""

from django.db.models import Exists, OuterRef, Q, QuerySet
from django.db.models.functions import Now

from jwtpizza.fields import from_now
from jwtpizza.incidents.models import Notice

DAY_SECONDS = 24 * 60 * 60


def due() -> QuerySet[Notice]:
    """Notices that nobody is sending, the oldest first: news is told for a day, and an opening before its closing."""
    unsent = Notice.objects.filter(sent_at=None)
    opening = unsent.filter(incident=OuterRef("incident"), pk__lt=OuterRef("pk"))
    waiting = opening.filter(_news() | Q(due_at__gt=Now()))
    return unsent.filter(_news(), ~Exists(waiting), due_at__lte=Now()).select_related("incident").order_by("pk")


def _news() -> Q:
    a_day_ago = from_now(-DAY_SECONDS)
    opened = Q(word=Notice.Word.OPENED, incident__opened_at__gt=a_day_ago)
    return opened | Q(word=Notice.Word.CLOSED, incident__closed_at__gt=a_day_ago)
