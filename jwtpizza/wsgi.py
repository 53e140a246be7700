"""What the server runs: granian --interface wsgi jwtpizza.wsgi:application."""

import io
import multiprocessing
import os
import signal
import sys
from collections.abc import Callable, Iterable
from multiprocessing.process import BaseProcess
from threading import Thread
from typing import Any

from django.conf import settings
from django.core.exceptions import ImproperlyConfigured
from django.core.wsgi import get_wsgi_application
from django.db import connection

from jwtpizza.api.content_type import readable
from jwtpizza.observability.lines import refuse

if server := multiprocessing.parent_process():
    # granian's own handlers, which replace these, hear nothing until its worker serves.
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, signal.SIG_DFL)

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "jwtpizza.settings")
try:
    _django = get_wsgi_application()
except ImproperlyConfigured as problem:
    refuse(problem)
    # granian would start its workers again and again: it takes two that fail in turn for no crash loop.
    if server and server.pid:
        os.kill(server.pid, signal.SIGTERM)
    sys.exit(1)

# What Django's models are in can be imported from here on.
from jwtpizza.observability import metrics
from orders.services.outages import start_reporting
from orders.services.sales import fetch_factory_keys


def application(environ: dict[str, Any], start_response: Callable[..., Any]) -> Iterable[bytes]:
    """Django, which takes a body without a length for none: one that comes in chunks is measured first.

    It also fails, before any handler of ours, on a Content-Type in another charset.
    """
    if not readable(environ.get("CONTENT_TYPE", "")):
        environ["CONTENT_TYPE"] = "application/octet-stream"
    if "HTTP_TRANSFER_ENCODING" in environ and not environ.get("CONTENT_LENGTH"):
        body = environ["wsgi.input"].read(settings.BODY_LIMIT + 1)
        environ |= {"CONTENT_LENGTH": str(len(body)), "wsgi.input": io.BytesIO(body)}
    return _django(environ, start_response)


def _fetch_keys() -> None:
    """At each start, beside it: a factory that is down delays nothing, and its keys of yesterday are still good."""
    try:
        fetch_factory_keys()
    finally:
        connection.close()


def _end_with(server: BaseProcess) -> None:
    """A killed server can't stop its workers, which would keep the port and share it with the next server's."""
    server.join()
    os._exit(1)


metrics.tidy()
Thread(target=_fetch_keys, name="factory-keys", daemon=True).start()
start_reporting()
if server:
    Thread(target=_end_with, args=[server], name="end-with-server", daemon=True).start()
