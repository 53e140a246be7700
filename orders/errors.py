"""What a diner is told when there is no pizza."""

import math
from random import randint

from jwtpizza.api.errors import Conflict, DomainError
from orders.models import Reason

NOTHING_CHARGED = "Your order was not placed and nothing was charged."
# Callers must not come back in one wave.
SPREAD_SECONDS = 5


class OrderFailed(DomainError):
    """The factory failed the order."""

    status = 500
    title = "Factory request failed"
    begins = "Failed to fulfill order at factory."


class OrderTimedOut(OrderFailed):
    """The factory did not answer before our deadline."""

    status = 504
    begins = "The pizza factory is taking too long."


class OrderRefused(DomainError):
    """The factory can't be asked now; nothing was written."""

    status = 503
    title = "Factory unavailable"


class UnderWay(Conflict):
    """The first order of an Idempotency-Key is not decided yet, and won't be for so many seconds."""

    def __init__(self, seconds: float = 0.0) -> None:
        wait = max(2, math.ceil(seconds))
        super().__init__(
            f"Your order with this Idempotency-Key is still being made. Please ask again in {wait} seconds.",
            headers={"Retry-After": str(wait)},
        )


class Undecided(DomainError):
    """The order is in the books, by that id if it is known, and what became of it could not be written down."""

    status = 503
    title = "Order undecided"

    def __init__(self, order_id: int | None = None) -> None:
        self.order_id = order_id
        super().__init__(
            "We can't tell yet what became of your order. Please look at your orders in a minute, "
            "or send it again with the same Idempotency-Key.",
            headers={"Retry-After": "30"},
        )


class KeyReused(DomainError):
    """An Idempotency-Key came with another order than its first."""

    status = 422
    title = "Idempotency-Key reused"

    def __init__(self) -> None:
        super().__init__(
            "This Idempotency-Key belongs to another order. Use a new key for a new order.",
            fields={"Idempotency-Key": ["This key was sent with another order before."]},
        )


def order_failed(reason: str, *, support_link: str) -> OrderFailed:
    """The error for an order that failed for `reason`; a link is for an admin's eyes alone (it has our key in it)."""
    kind = OrderTimedOut if reason == Reason.TIMEOUT else OrderFailed
    error = kind(f"{kind.begins} {NOTHING_CHARGED} Please try again in a minute.")
    if support_link:
        error.extra["followLinkToEndChaos"] = support_link
    return error


def order_refused(seconds: float) -> OrderRefused:
    """The error for an order that can be made in so many seconds at the earliest."""
    wait = max(1, math.ceil(seconds)) + randint(0, SPREAD_SECONDS)  # noqa: S311
    when = "in a second" if wait == 1 else f"in {wait} seconds"
    return OrderRefused(
        f"The pizza factory is not taking orders right now. {NOTHING_CHARGED} Please try again {when}.",
        headers={"Retry-After": str(wait)},
    )
