"""The factory's support links: kept with each failure, and followed once."""

import logging

from django.db import Error, IntegrityError
from django.db.models.functions import Now

from jwtpizza.accounts.models import User
from orders import selectors
from orders.factory import gateway
from orders.factory.errors import FactoryError
from orders.models import SupportLink, digest_of

log = logging.getLogger("orders")


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
    """What came of asking the factory for its link, which is kept with who asked (nobody: the worker)."""
    try:
        answer, followed_at = f"the factory answered {gateway.follow(link.link)}", Now()
    except FactoryError as error:
        answer, followed_at = str(error), None
    SupportLink.objects.filter(pk=link.pk).update(followed_at=followed_at, followed_by=who, answer=answer)
    data = {"type": "factory", "reportUrl": link.link, "answer": answer, "userId": who and who.pk}
    log.warning("a support link was followed", extra={"data": data})
    return answer


def follow_latest() -> None:
    """Follows the latest link for the worker if a circuit has opened and nobody has; of two at once, one does.

    A link that could not be followed is for the next call.
    """
    latest = selectors.latest_link()
    if latest is None or all(circuit.state == "closed" for circuit in selectors.CIRCUITS()):
        return
    unfollowed = SupportLink.objects.filter(pk=latest.pk, followed_at=None)
    if unfollowed.update(followed_at=Now()):
        follow(link=latest, who=None)
