"""The outermost layer: a request's id, its timer, and the one line that is logged of it."""

import logging
import time
from collections.abc import Callable

from django.http import HttpRequest, HttpResponse

from jwtpizza.observability import context

log = logging.getLogger("jwtpizza.request")


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
            self._log(request, response, (time.perf_counter() - started) * 1000)
        return response

    def _log(self, request: HttpRequest, response: HttpResponse, milliseconds: float) -> None:
        level = logging.ERROR if response.status_code >= 500 else logging.INFO
        data = {
            "type": "http",
            "method": request.method,
            "path": request.path,
            "statusCode": response.status_code,
            "ms": round(milliseconds, 1),
            "authorized": "Authorization" in request.headers,
        }
        log.log(level, "%s %s %s", request.method, request.path, response.status_code, extra={"data": data})
