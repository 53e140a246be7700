"""What a diner is told when there is no pizza."""

from jwtpizza.api.errors import Conflict, DomainError
from orders.models import Reason

NOTHING_CHARGED = "Your order was not placed and nothing was charged. Please try again in a minute."


class OrderFailed(DomainError):
    """The factory failed the order."""

    status = 500
    title = "Factory request failed"
    begins = "Failed to fulfill order at factory."


class OrderTimedOut(OrderFailed):
    """The factory did not answer before our deadline."""

    status = 504
    begins = "The pizza factory is taking too long."


class UnderWay(Conflict):
    """The first order of an Idempotency-Key is not decided yet."""

    def __init__(self) -> None:
        super().__init__(
            "Your order with this Idempotency-Key is still being made. Please ask again in a few seconds.",
            headers={"Retry-After": "2"},
        )


class Undecided(DomainError):
    """The order is in the books, and what became of it could not be written down."""

    status = 503
    title = "Order undecided"

    def __init__(self) -> None:
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
    error = kind(f"{kind.begins} {NOTHING_CHARGED}")
    if support_link:
        error.extra["followLinkToEndChaos"] = support_link
    return error
