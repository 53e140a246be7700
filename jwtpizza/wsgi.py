"""What the server runs: granian --interface wsgi jwtpizza.wsgi:application."""

import io
import os
from collections.abc import Callable, Iterable
from threading import Thread
from typing import Any

from django.conf import settings
from django.core.wsgi import get_wsgi_application
from django.db import connection

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "jwtpizza.settings")
_django = get_wsgi_application()


def application(environ: dict[str, Any], start_response: Callable[..., Any]) -> Iterable[bytes]:
    """Django, which takes a body without a length for none: one that comes in chunks is measured first."""
    if "HTTP_TRANSFER_ENCODING" in environ and not environ.get("CONTENT_LENGTH"):
        body = environ["wsgi.input"].read(settings.BODY_LIMIT + 1)
        environ |= {"CONTENT_LENGTH": str(len(body)), "wsgi.input": io.BytesIO(body)}
    return _django(environ, start_response)


def _fetch_keys() -> None:
    """At each start, beside it: a factory that is down delays nothing, and its keys of yesterday are still good."""
    from orders.services import fetch_factory_keys

    try:
        fetch_factory_keys()
    finally:
        connection.close()


Thread(target=_fetch_keys, name="factory-keys", daemon=True).start()
