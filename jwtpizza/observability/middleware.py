"""The outermost layer: a request's id, its timer, and the one line that is logged of it."""

import logging
import time
from collections.abc import Callable
from typing import Any, NamedTuple

from django.conf import settings
from django.http import HttpRequest, HttpResponse
from django.http.response import HttpResponseBase
from django_prometheus.middleware import Metrics

from jwtpizza.observability import context, logs, redaction, traffic

log = logging.getLogger("jwtpizza.request")

READING = ("GET", "HEAD", "OPTIONS")
METHODS = (*READING, "POST", "PUT", "DELETE", "PATCH", "TRACE", "CONNECT")


# When its body was there, in seconds of `time.perf_counter`: what a request waits for its turn is time that it takes.
BEGUN = "jwtpizza.begun"


def _begun(request: HttpRequest) -> float:
    begun: float = request.META.setdefault(BEGUN, time.perf_counter())
    return begun


class RequestLog:
    def __init__(self, get_response: Callable[[HttpRequest], HttpResponse]) -> None:
        self.get_response = get_response

    def __call__(self, request: HttpRequest) -> HttpResponse:
        started = _begun(request)
        # Not `request.headers`, in which each look-up costs a hundred times as much.
        inbound = request.META
        with context.request(
            request_id=inbound.get("HTTP_X_REQUEST_ID", ""), traceparent=inbound.get("HTTP_TRACEPARENT", "")
        ) as trace:
            response = self.get_response(request)
            response["X-Request-Id"] = trace.request_id
            trace.user_id = trace.user_id or _of_admin(request)
            _log(request, response, (time.perf_counter() - started) * 1000)
        return response


def _log(request: HttpRequest, response: HttpResponseBase, milliseconds: float) -> None:
    level = logging.ERROR if response.status_code >= 500 else logging.INFO
    data = {
        "type": "http",
        "method": request.method,
        "path": request.path,
        "statusCode": response.status_code,
        "ms": round(milliseconds, 1),
        "authorized": "HTTP_AUTHORIZATION" in request.META,
    }
    # A list that was read says nothing that is not in the books, and most requests read one: only changes and failures
    # are worth the time to parse and clean what was said.
    if settings.LOG_BODIES and (request.method not in READING or response.status_code >= 400):
        data |= _bodies(request, response)
    log.log(level, "%s %s %s", request.method, request.path, response.status_code, extra={"data": data})


def _of_admin(request: HttpRequest) -> int | None:
    """The id of who is logged in to the admin, if a view has asked for it: to ask here would be a query."""
    user: Any = vars(request).get("_cached_user")
    return user.pk if user else None


def _bodies(request: HttpRequest, response: HttpResponseBase) -> dict[str, str]:
    # What nobody has read by now is not read for its line: its sender may take as long as they like.
    sent: bytes = vars(request).get("_body", b"")
    answered = b"" if response.streaming else bytes(getattr(response, "content", b""))
    told = {
        "reqBody": (sent, request.headers.get("Content-Type", "")),
        "resBody": (answered, response.get("Content-Type", "")),
    }
    secrets = logs.secrets()
    return {name: redaction.body(body, media_type, secrets) for name, (body, media_type) in told.items() if body}


class _Uncounted:
    """In place of a metric that nobody reads, of which a request would pay for several."""

    def inc(self) -> None: ...

    def observe(self, _: float) -> None: ...


class _Metrics(Metrics):  # type: ignore[misc]
    READ = (
        "django_http_requests_before_middlewares_total",
        "django_http_responses_before_middlewares_total",
        "django_http_requests_latency_seconds_by_view_method",
        "django_http_requests_total_by_method",
        "django_http_responses_total_by_status",
        "django_http_responses_total_by_status_view_method",
        "django_http_exceptions_total_by_type",
        "django_http_exceptions_total_by_view",
    )

    def register_metric(self, metric_cls: Any, name: str, *args: Any, **kwargs: Any) -> Any:
        return super().register_metric(metric_cls, name, *args, **kwargs) if name in self.READ else _Uncounted()


class RequestTimer:
    """Counts, as django-prometheus does, what comes in and goes out, whichever middleware answers."""

    def __init__(self, get_response: Callable[[HttpRequest], HttpResponse]) -> None:
        self.get_response = get_response
        metrics = _Metrics.get_instance()
        self._requests, self._responses = metrics.requests_total, metrics.responses_total

    def __call__(self, request: HttpRequest) -> HttpResponse:
        self._requests.inc()
        response = self.get_response(request)
        self._responses.inc()
        return response


class _Series(NamedTuple):
    requests: Any
    seconds: Any
    by_status: Any
    by_all: Any
    watched: str


class RequestMetrics:
    """Counts as django-prometheus does, but a method that somebody invented is no new time series."""

    def __init__(self, get_response: Callable[[HttpRequest], HttpResponse]) -> None:
        self.get_response = get_response
        self._metrics = _Metrics.get_instance()
        # Looking a series up takes longer than counting in it.
        self._known: dict[tuple[str, str, int], _Series] = {}

    def __call__(self, request: HttpRequest) -> HttpResponse:
        response = self.get_response(request)
        seconds = time.perf_counter() - _begun(request)
        key = (_view(request), _method(request), response.status_code)
        series = self._known.get(key)
        if series is None:
            series = self._known[key] = self._series(*key)
        series.requests.inc()
        series.seconds.observe(seconds)
        series.by_status.inc()
        series.by_all.inc()
        if series.watched:
            traffic.count(series.watched, failed=response.status_code >= 500)
        return response

    def _series(self, view: str, method: str, status: int) -> _Series:
        metrics = self._metrics
        return _Series(
            metrics.requests_by_method.labels(method),
            metrics.requests_latency_by_view_method.labels(view, method),
            metrics.responses_by_status.labels(str(status)),
            metrics.responses_by_status_view_method.labels(str(status), view, method),
            traffic.name_of(view, method),
        )

    def process_exception(self, request: HttpRequest, exception: Exception) -> None:
        self._metrics.exceptions_by_type.labels(type(exception).__name__).inc()
        self._metrics.exceptions_by_view.labels(_view(request)).inc()


def _view(request: HttpRequest) -> str:
    match = request.resolver_match
    return (match and match.view_name) or "<unnamed view>"


def _method(request: HttpRequest) -> str:
    method = request.method or ""
    return method if method in METHODS else "<invalid method>"
