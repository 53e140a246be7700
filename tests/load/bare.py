"""The limit: applications that do nothing but answer the menu's bytes, on the service's own server.

granian … tests.load.bare:django    a view of Django's without any middleware
granian … tests.load.bare:wsgi      no framework at all
"""

import os
import sys
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any

from django.conf import settings
from django.core.wsgi import get_wsgi_application
from django.http import HttpRequest, HttpResponse
from django.urls import path

BODY = Path(os.environ["BARE_BODY"]).read_bytes()


def menu(_: HttpRequest) -> HttpResponse:
    return HttpResponse(BODY, content_type="application/json")


urlpatterns = [path("api/order/menu", menu)]
settings.configure(ALLOWED_HOSTS=["127.0.0.1"], ROOT_URLCONF=sys.modules[__name__], MIDDLEWARE=[], USE_I18N=False)
django = get_wsgi_application()


def wsgi(_: dict[str, Any], start_response: Callable[..., Any]) -> Iterable[bytes]:
    start_response("200 OK", [("Content-Type", "application/json"), ("Content-Length", str(len(BODY)))])
    return [BODY]
