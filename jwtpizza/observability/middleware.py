"""The outermost layer: a request's id, its timer, and the one line that is logged of it."""

import logging
import time
from collections.abc import Callable
from typing import Any, ClassVar

from django.conf import settings
from django.http import HttpRequest, HttpResponse
from django.http.response import HttpResponseBase
from django_prometheus.middleware import Metrics, PrometheusAfterMiddleware, PrometheusBeforeMiddleware

from jwtpizza.observability import context, logs, redaction

log = logging.getLogger("jwtpizza.request")

READING = ("GET", "HEAD", "OPTIONS")


class RequestLog:
    def __init__(self, get_response: Callable[[HttpRequest], HttpResponse]) -> None:
        self.get_response = get_response

    def __call__(self, request: HttpRequest) -> HttpResponse:
        started = time.perf_counter()
        inbound = request.headers
        with context.request(
            request_id=inbound.get("X-Request-Id", ""), traceparent=inbound.get("traceparent", "")
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
        "authorized": "Authorization" in request.headers,
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

    def labels(self, **_: str) -> "_Uncounted":
        return self

    def inc(self) -> None: ...

    def observe(self, _: float) -> None: ...


class _Metrics(Metrics):  # type: ignore[misc]
    UNREAD = (
        "django_http_ajax_requests_total",
        "django_http_requests_total_by_transport",
        "django_http_requests_body_total_bytes",
        "django_http_responses_total_by_templatename",
        "django_http_responses_total_by_charset",
        "django_http_responses_streaming_total",
        "django_http_responses_body_total_bytes",
    )

    def register_metric(self, metric_cls: Any, name: str, *args: Any, **kwargs: Any) -> Any:
        return _Uncounted() if name in self.UNREAD else super().register_metric(metric_cls, name, *args, **kwargs)


class RequestTimer(PrometheusBeforeMiddleware):  # type: ignore[misc]
    """django-prometheus's, for what the other middleware costs too."""

    metrics_cls = _Metrics


class RequestMetrics(PrometheusAfterMiddleware):  # type: ignore[misc]
    """django-prometheus's, but a method that somebody invented is no new time series."""

    metrics_cls = _Metrics
    _series: ClassVar[dict[tuple[Any, ...], Any]] = {}

    def label_metric(self, metric: Any, request: HttpRequest, response: Any = None, **labels: str) -> Any:
        if not labels:
            return metric
        if "method" in labels:
            labels["method"] = self._method(request)
        # Looking a series up takes longer than counting in it.
        key = (metric, *labels.values())
        series = self._series.get(key)
        if series is None:
            series = self._series[key] = metric.labels(**labels)
        return series
