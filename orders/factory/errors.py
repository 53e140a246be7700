"""Every way in which a call to the factory can go wrong."""

from typing import Any, ClassVar

from orders.models import Reason


class FactoryError(Exception):
    """No pizza. `support_link` is the factory's `reportUrl`, if it gave one; it has our API key in it.

    `passing`: if it came fast, the same call may well succeed a moment later, and it does no harm to make it twice.
    `ill`: the factory is not well; otherwise the fault is ours and says nothing of it.
    `hopeless`: the same order will fail for ever. `retry_after` is what the factory asks us to wait,
    `seconds` how long the attempt took, and `status` and `answer` what the factory said (0 and None: nothing).
    """

    reason: ClassVar[Reason]
    passing: ClassVar[bool] = False
    ill: ClassVar[bool] = True
    hopeless: ClassVar[bool] = False

    def __init__(self, detail: str, *, support_link: str = "", retry_after: float = 0.0) -> None:
        super().__init__(detail)
        self.support_link = support_link
        self.retry_after = retry_after
        self.seconds = 0.0
        self.status = 0
        self.answer: Any = None


class ServerError(FactoryError):
    """It answered 5xx."""

    reason = Reason.SERVER_ERROR
    passing = True


class Unreachable(FactoryError):
    """No connection, or one that broke before the answer."""

    reason = Reason.UNREACHABLE
    passing = True


class TooSlow(FactoryError):
    """No answer before the timeout of the attempt or the deadline of the call."""

    reason = Reason.TIMEOUT


class BadResponse(FactoryError):
    """An answer that is no pizza: not HTTP, not JSON, too large, cut off, a redirect, without a JWT."""

    reason = Reason.BAD_RESPONSE


class BadJwt(FactoryError):
    """A JWT that does not verify, or is of another order."""

    reason = Reason.BAD_JWT


class Unverified(FactoryError):
    """A JWT, and no key to verify it with, because the factory's JWKS can't be had."""

    reason = Reason.UNVERIFIED
    ill = False


class Rejected(FactoryError):
    """It answered 4xx: ours to mend. With 429, to send less."""

    reason = Reason.REJECTED
    ill = False


class Unacceptable(Rejected):
    """It answered that no such order can be made."""

    hopeless = True


class Unauthorized(FactoryError):
    """It answered 401 or 403: our API key is wrong."""

    reason = Reason.UNAUTHORIZED
    ill = False


class Chaos(FactoryError):
    """Nobody was asked: an admin wants to see what happens when calls fail."""

    reason = Reason.CHAOS
    passing = True
