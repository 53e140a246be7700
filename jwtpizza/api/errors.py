"""What can go wrong in the business, each with its status, its title and a sentence for the person who waits.

Services raise these and know nothing of HTTP beyond the number; `jwtpizza.api.handler` makes the answer.
"""

from typing import Any, ClassVar


class DomainError(Exception):
    """`message` is a sentence for the person in front of the screen; `extra` joins the body, `headers` the answer's."""

    status: ClassVar[int] = 500
    title: ClassVar[str] = "Internal error"

    def __init__(self, message: str, *, headers: dict[str, str] | None = None, **extra: Any) -> None:
        super().__init__(message)
        self.message = message
        self.headers = headers or {}
        self.extra = extra


class Invalid(DomainError):
    """`fields` maps each name at fault to sentences about it, as in {"items[1].menuId": ["..."]}."""

    status = 400
    title = "Invalid input"

    def __init__(self, message: str, *, fields: dict[str, list[str]]) -> None:
        super().__init__(message, fields=fields)


class Unauthorized(DomainError):
    status = 401
    title = "Unauthorized"

    def __init__(self) -> None:
        super().__init__("unauthorized", headers={"WWW-Authenticate": "Bearer"})


class NotFound(DomainError):
    status = 404
    title = "Not found"


class Conflict(DomainError):
    status = 409
    title = "Conflict"
