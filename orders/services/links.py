"""The factory's support links: kept with each failure, and followed until one is answered well."""

import logging

from django.db import Error, IntegrityError
from django.db.models import Q
from django.db.models.functions import Now

from jwtpizza.accounts.models import User
from jwtpizza.fields import from_now
from orders import selectors
from orders.factory import gateway
from orders.factory.errors import FactoryError
from orders.models import SupportLink, digest_of

log = logging.getLogger("orders")

# A factory that failed is not asked more often, for the worker looks every 5 s; nor, as a rule, by two at once.
AGAIN_SECONDS = 30.0


def keep(link: str) -> None:
    """Keeps the link of a failure for operators, once; an order's answer never fails for want of it."""
    digest = digest_of(link)
    try:
        gateway.support_path(link)
        if not SupportLink.objects.filter(digest=digest).exists():
            SupportLink.objects.create(link=link, digest=digest)
            log.warning("the factory gave a support link", extra={"data": {"type": "factory", "reportUrl": link}})
    except ValueError:
        log.warning("the factory gave a support link that is none")
    except IntegrityError:
        pass  # somebody was quicker with the same link
    except Error:
        log.exception("a support link could not be kept")


def follow(*, link: SupportLink, who: User | None) -> str:
    """What came of asking the factory for its link, which is kept with who asked (nobody: the worker).

    It is followed once the factory has answered 2xx, and what it answers to whoever asks again is not kept: it was the
    first that ended an outage, if any did.
    """
    try:
        status, sentence = gateway.follow(link.link)
        answer, well = f"the factory answered {status} {sentence}".strip(), 200 <= status < 300
    except FactoryError as error:
        answer, well = str(error), False
    unfollowed = SupportLink.objects.filter(pk=link.pk, followed_at=None)
    unfollowed.update(followed_at=Now() if well else None, followed_by=who, answer=answer)
    data = {"type": "factory", "reportUrl": link.link, "answer": answer, "userId": who and who.pk}
    log.warning("a support link was followed", extra={"data": data})
    return answer


def follow_latest() -> None:
    """Follows the latest link for the worker if a circuit has opened and nobody has; of two at once, one does.

    A link that could not be followed, or whose worker was killed at it, is for the first call after half a minute.
    """
    latest = selectors.latest_link()
    if latest is None or all(circuit.state == "closed" for circuit in selectors.CIRCUITS()):
        return
    due = Q(asked_at=None) | Q(asked_at__lt=from_now(-AGAIN_SECONDS))
    if SupportLink.objects.filter(due, pk=latest.pk, followed_at=None).update(asked_at=Now()):
        follow(link=latest, who=None)
