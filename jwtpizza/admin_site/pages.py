"""What holds for each page of the admin: times in the viewer's zone, and what the page may load."""

from collections.abc import Callable, Iterable
from datetime import tzinfo
from functools import cache
from typing import Any
from zoneinfo import ZoneInfo, available_timezones

from django.conf import settings
from django.http import HttpRequest
from django.http.response import HttpResponseBase
from django.utils import timezone
from django.utils.module_loading import import_string

ZONE_COOKIE = "zone"
# The theme's scripts are Alpine's, which makes functions of attributes ('unsafe-eval') and sets styles; none is inline.
POLICY = (
    "default-src 'self'; script-src 'self' 'unsafe-eval'; style-src 'self' 'unsafe-inline'; "
    f"img-src 'self' data: {settings.MENU_IMAGES_URL if '//' in settings.MENU_IMAGES_URL else ''}; "
    "object-src 'none'; base-uri 'self'; form-action 'self'; frame-ancestors 'none'"
)


class BrowserPages:
    """What only pages for people need, `settings.BROWSER_MIDDLEWARE`, for all paths but the API's.

    To pass by seven of them that have nothing to do costs a request of the API more than its view does.
    """

    def __init__(self, get_response: Callable[[HttpRequest], HttpResponseBase]) -> None:
        self.get_response = self._pages = get_response
        chain: list[Any] = []
        for path in reversed(settings.BROWSER_MIDDLEWARE):
            self._pages = import_string(path)(self._pages)
            chain.insert(0, self._pages)
        self._before_views = [each.process_view for each in chain if hasattr(each, "process_view")]

    def __call__(self, request: HttpRequest) -> HttpResponseBase:
        return (self._pages if _is_page(request) else self.get_response)(request)

    def process_view(self, request: HttpRequest, *view: Any) -> HttpResponseBase | None:
        """Django asks the middleware that it knows, which is this one."""
        if not _is_page(request):
            return None
        answers: Iterable[HttpResponseBase | None] = (before(request, *view) for before in self._before_views)
        return next((answer for answer in answers if answer), None)


def _is_page(request: HttpRequest) -> bool:
    path = request.path_info
    return path.startswith("/api/docs") or not path.startswith("/api/")


class AdminPages:
    """Has each page of the admin show its times in the zone that the browser told of (`admin.js`), else in UTC."""

    def __init__(self, get_response: Callable[[HttpRequest], HttpResponseBase]) -> None:
        self.get_response = get_response

    def __call__(self, request: HttpRequest) -> HttpResponseBase:
        if not request.path_info.startswith("/admin/"):
            return self.get_response(request)
        with timezone.override(_zone(request)):
            answer = self.get_response(request)
        answer.headers["Content-Security-Policy"] = POLICY
        return answer


def _zone(request: HttpRequest) -> tzinfo:
    name = request.COOKIES.get(ZONE_COOKIE, "")
    return ZoneInfo(name) if name in _names() else timezone.get_default_timezone()


@cache
def _names() -> frozenset[str]:
    return frozenset(available_timezones())
