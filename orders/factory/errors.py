"""Every way in which a call to the factory can go wrong."""

from typing import ClassVar

from orders.models import Reason


class FactoryError(Exception):
    """No pizza. `support_link` is the factory's `reportUrl`, if it gave one; it has our API key in it."""

    reason: ClassVar[Reason]

    def __init__(self, detail: str, *, support_link: str = "") -> None:
        super().__init__(detail)
        self.support_link = support_link


class ServerError(FactoryError):
    """It answered 5xx."""

    reason = Reason.SERVER_ERROR


class Unreachable(FactoryError):
    """No connection, or one that broke before the answer."""

    reason = Reason.UNREACHABLE


class TooSlow(FactoryError):
    """No answer before the timeout of the attempt or the deadline of the call."""

    reason = Reason.TIMEOUT


class BadResponse(FactoryError):
    """An answer that is no pizza: not JSON, too large, cut off, a redirect, without a JWT."""

    reason = Reason.BAD_RESPONSE


class BadJwt(FactoryError):
    """A JWT that does not verify, or is of another order."""

    reason = Reason.BAD_JWT


class Unverified(FactoryError):
    """A JWT, and no key to verify it with, because the factory's JWKS can't be had."""

    reason = Reason.UNVERIFIED


class Rejected(FactoryError):
    """It answered 4xx: ours to mend."""

    reason = Reason.REJECTED


class Unauthorized(FactoryError):
    """It answered 401 or 403: our API key is wrong."""

    reason = Reason.UNAUTHORIZED
