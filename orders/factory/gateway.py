"""The one way to the factory: a call with a deadline, whose JWT is verified before anybody sees it."""

import logging
from typing import Any

from django.conf import settings

from jwtpizza.resilience.deadline import Deadline, DeadlineExceeded
from orders.factory import client, keys
from orders.factory.client import Reply
from orders.factory.errors import BadJwt, FactoryError, TooSlow, Unverified

log = logging.getLogger("orders.factory")


def make_pizza(payload: dict[str, Any]) -> Reply:
    """The verified JWT for the order in `payload`, within `FACTORY_DEADLINE` seconds; raises a FactoryError."""
    try:
        return _make(payload, Deadline(settings.FACTORY_DEADLINE))
    except FactoryError as error:
        data = {"type": "factory", "outcome": error.reason, "orderId": payload["order"]["id"]}
        data["reportUrl"] = error.support_link
        log.warning("no pizza: %s", error, extra={"data": data})
        raise


def _make(payload: dict[str, Any], deadline: Deadline) -> Reply:
    try:
        reply = client.post_order(payload, deadline=deadline)
        order_id, diner_id = payload["order"]["id"], payload["diner"]["id"]
        try:
            keys.verify(reply.jwt, order_id=order_id, diner_id=diner_id, deadline=deadline)
        except (BadJwt, Unverified) as error:
            error.support_link = reply.support_link
            raise
    except DeadlineExceeded as error:
        raise TooSlow("the deadline is over") from error
    return reply


def fetch_keys() -> None:
    """Fetches the factory's public keys, so that the first order need not; raises a FactoryError."""
    keys.RING.fetch(deadline=Deadline(settings.FACTORY_DEADLINE))
