"""The one place that turns an exception into an answer: of our own, of Django, of DRF, or one that nobody foresaw."""

import logging
import sys
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from http import HTTPStatus
from typing import Any

from django.core.exceptions import PermissionDenied as DjangoPermissionDenied
from django.core.exceptions import RequestDataTooBig, SuspiciousOperation
from django.db import InterfaceError, OperationalError
from django.http import Http404, HttpRequest, HttpResponse, UnreadablePostError
from django.template.loader import render_to_string
from django.views import defaults
from rest_framework import exceptions
from rest_framework.renderers import JSONRenderer

from jwtpizza.api.errors import DomainError
from jwtpizza.observability import context

log = logging.getLogger("jwtpizza.errors")


@dataclass(frozen=True)
class Problem:
    """An error as the caller reads it: the status, a short fixed title, and a sentence."""

    status: int
    title: str
    message: str
    extra: Mapping[str, Any] = field(default_factory=dict)
    headers: Mapping[str, str] = field(default_factory=dict)

    def body(self) -> dict[str, Any]:
        return {
            "message": self.message,
            "error": self.title,
            "statusCode": self.status,
            "requestId": context.request_id(),
            **self.extra,
        }


UNKNOWN_ENDPOINT = Problem(404, "Not found", "unknown endpoint")
BODY_TOO_LARGE = Problem(413, "Body too large", "The body of the request is larger than 100 kB.")
BAD_REQUEST = Problem(400, "Invalid input", "The request could not be understood.")
FORBIDDEN = Problem(403, "Forbidden", "You may not do this.")
UNAUTHORIZED = Problem(401, "Unauthorized", "unauthorized", headers={"WWW-Authenticate": "Bearer"})
UNEXPECTED = Problem(500, "Internal error", "Something went wrong on our side. Please try again in a minute.")
DATABASE_GONE = Problem(
    503,
    "Service unavailable",
    "We can't reach our books right now. Nothing was ordered or changed; please try again in a few seconds.",
    headers={"Retry-After": "5"},
)
UNREADABLE = Problem(
    400,
    "Invalid input",
    "The body of the request is not readable JSON.",
    extra={"fields": {"body": ["This is not readable JSON."]}},
)
NOT_JSON = Problem(415, "Unsupported media type", "The body has to be JSON, sent as Content-Type: application/json.")

PROBLEMS: tuple[tuple[type[BaseException] | tuple[type[BaseException], ...], Problem], ...] = (
    (Http404, UNKNOWN_ENDPOINT),
    ((exceptions.NotAuthenticated, exceptions.AuthenticationFailed), UNAUTHORIZED),
    (exceptions.ParseError, UNREADABLE),
    (exceptions.UnsupportedMediaType, NOT_JSON),
    (RequestDataTooBig, BODY_TOO_LARGE),
    ((SuspiciousOperation, UnreadablePostError), BAD_REQUEST),
    (DjangoPermissionDenied, FORBIDDEN),
    ((OperationalError, InterfaceError), DATABASE_GONE),
)


def problem_of(error: BaseException) -> Problem:
    """What to tell the caller of `error`; what nobody foresaw is a 500 without details, and logged with them."""
    match error:
        case DomainError():
            return Problem(error.status, error.title, error.message, error.extra, error.headers)
        case exceptions.MethodNotAllowed():
            return Problem(405, "Method not allowed", str(error.detail))
        case exceptions.PermissionDenied():
            return Problem(403, "Forbidden", str(error.detail))
    for kind, problem in PROBLEMS:
        if isinstance(error, kind):
            return problem
    if isinstance(error, exceptions.APIException):
        return Problem(error.status_code, HTTPStatus(error.status_code).phrase, str(error.detail))
    return UNEXPECTED


def report(error: BaseException, problem: Problem) -> None:
    """Logs what is ours to mend, with its traceback."""
    if problem in (UNEXPECTED, DATABASE_GONE):
        log.error("%s: %s", problem.title, type(error).__name__, exc_info=error)


def plain(problem: Problem) -> HttpResponse:
    """The answer itself, whatever a view would render otherwise."""
    body = JSONRenderer().render(problem.body())
    headers = {"Content-Length": str(len(body)), **problem.headers}
    return HttpResponse(body, "application/json", problem.status, headers=headers)


def answer(error: Exception, _: Mapping[str, Any]) -> HttpResponse:
    """DRF's exception handler."""
    problem = problem_of(error)
    report(error, problem)
    return plain(problem)


Fallback = Callable[..., HttpResponse]


def _django_handler(default: Problem, page: Fallback) -> Fallback:
    """An error view for urls.py: JSON, but pages for the people in the admin."""

    def handle(request: HttpRequest, exception: Exception | None = None) -> HttpResponse:
        error = exception or sys.exc_info()[1]
        problem = problem_of(error) if error else default
        if error:
            report(error, problem)
        if not request.path.startswith("/admin/"):
            return plain(problem)
        if problem.status == HTTPStatus.SERVICE_UNAVAILABLE:
            body = render_to_string("503.html", {"problem": problem})
            return HttpResponse(body, status=problem.status, headers=dict(problem.headers))
        return page(request) if exception is None else page(request, exception)

    return handle


bad_request = _django_handler(BAD_REQUEST, defaults.bad_request)
permission_denied = _django_handler(FORBIDDEN, defaults.permission_denied)
page_not_found = _django_handler(UNKNOWN_ENDPOINT, defaults.page_not_found)
server_error = _django_handler(UNEXPECTED, defaults.server_error)
