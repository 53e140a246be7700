"""What holds for each page of the admin: times in the viewer's zone, and what the page may load."""

from collections.abc import Callable
from datetime import tzinfo
from functools import cache
from zoneinfo import ZoneInfo, available_timezones

from django.conf import settings
from django.http import HttpRequest
from django.http.response import HttpResponseBase
from django.utils import timezone

ZONE_COOKIE = "zone"
# The theme's scripts are Alpine's, which makes functions of attributes ('unsafe-eval') and sets styles; none is inline.
POLICY = (
    "default-src 'self'; script-src 'self' 'unsafe-eval'; style-src 'self' 'unsafe-inline'; "
    f"img-src 'self' data: {settings.MENU_IMAGES_URL if '//' in settings.MENU_IMAGES_URL else ''}; "
    "object-src 'none'; base-uri 'self'; form-action 'self'; frame-ancestors 'none'"
)


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
