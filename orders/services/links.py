"""The factory's support links: kept with each failure, and followed once."""

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

# Longer than asking takes, FACTORY_DEADLINE and a resolver's time.
CLAIM_SECONDS = 60.0


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
    unanswered = SupportLink.objects.filter(Q(followed_at=None) | Q(answer=""), pk=link.pk)
    unanswered.update(followed_at=Now() if well else None, followed_by=who, answer=answer)
    data = {"type": "factory", "reportUrl": link.link, "answer": answer, "userId": who and who.pk}
    log.warning("a support link was followed", extra={"data": data})
    return answer


def follow_latest() -> None:
    """Follows the latest link for the worker if a circuit has opened and nobody has; of two at once, one does.

    A link that could not be followed is for the next call; one whose worker was killed at it, for the next in a minute.
    """
    latest = selectors.latest_link()
    if latest is None or all(circuit.state == "closed" for circuit in selectors.CIRCUITS()):
        return
    left = Q(answer="", followed_at__lt=from_now(-CLAIM_SECONDS))
    unfollowed = SupportLink.objects.filter(Q(followed_at=None) | left, pk=latest.pk)
    if unfollowed.update(followed_at=Now(), followed_by=None, answer=""):
        follow(link=latest, who=None)
