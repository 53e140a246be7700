"""What holds for each path before a view is chosen."""

import re
from collections.abc import Callable

from django.conf import settings
from django.http import HttpRequest, HttpResponse

from jwtpizza.api.handler import BODY_TOO_LARGE, plain

NOT_API = ("/admin/", "/static/")
LAST_SLASH = re.compile(r"(?<=[^/])/\Z")


class ApiRules:
    """Refuses bodies over the limit unread, and takes a path with a trailing slash for the same one without."""

    def __init__(self, get_response: Callable[[HttpRequest], HttpResponse]) -> None:
        self.get_response = get_response

    def __call__(self, request: HttpRequest) -> HttpResponse:
        if not request.path_info.startswith(NOT_API):
            if int(request.META.get("CONTENT_LENGTH") or 0) > settings.BODY_LIMIT:
                return plain(BODY_TOO_LARGE)
            # All of it, before anything takes a connection of the pool: a client may send it as slowly as it likes.
            _ = request.body
            request.path_info = LAST_SLASH.sub("", request.path_info)
        return self.get_response(request)
