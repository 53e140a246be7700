"""What holds for each path before a view is chosen."""

import re
from collections.abc import Callable
from http import HTTPStatus
from typing import Any

from corsheaders.middleware import CorsMiddleware
from django.conf import settings
from django.http import HttpRequest, HttpResponse
from django.utils.cache import patch_vary_headers

from jwtpizza.api.handler import BODY_TOO_LARGE, plain

MOST_HOSTS = 64
NOT_API = ("/admin/", "/static/")
LAST_SLASH = re.compile(r"(?<=[^/])/\Z")


class Cors(CorsMiddleware):
    """django-cors-headers', without its look at each setting for a request that comes from no other origin."""

    def __call__(self, request: HttpRequest) -> Any:
        if "HTTP_ORIGIN" in request.META:
            return super().__call__(request)
        response: Any = self.get_response(request)
        if "Vary" in response.headers:
            patch_vary_headers(response, ("origin",))
        else:
            response.headers["Vary"] = "origin"
        return response


class ApiRules:
    """Refuses a host that isn't ours and bodies over the limit, unread; takes a path with a trailing slash for the same
    one without; tells an answer's length.
    """

    def __init__(self, get_response: Callable[[HttpRequest], HttpResponse]) -> None:
        self.get_response = get_response
        # Names of ours, as clients sent them: to look at one takes as long as a tenth of an answer.
        self._hosts: set[str] = set()

    def __call__(self, request: HttpRequest) -> HttpResponse:
        # No form of the admin is as large, either, and who sends one slowly would hold a turn.
        if int(request.META.get("CONTENT_LENGTH") or 0) > settings.BODY_LIMIT:
            return plain(BODY_TOO_LARGE)
        if request.path_info.startswith(NOT_API):
            return self.get_response(request)
        self._check_host(request)
        if request.META.get("CONTENT_LENGTH"):
            # All of it, before anything takes a connection of the pool: a client may send it as slowly as it likes.
            _ = request.body
        request.path_info = LAST_SLASH.sub("", request.path_info)
        response = self.get_response(request)
        # Of a 304 it would be the length of what the client has already.
        if not (response.streaming or response.status_code == HTTPStatus.NOT_MODIFIED):
            response.headers["Content-Length"] = str(len(response.content))
        return response

    def _check_host(self, request: HttpRequest) -> None:
        host = request.META.get("HTTP_HOST", "")
        if host not in self._hosts:
            request.get_host()
            if len(self._hosts) < MOST_HOSTS:
                self._hosts.add(host)
