"""What the server runs: granian --interface wsgi jwtpizza.wsgi:application."""

import gc
import io
import logging
import multiprocessing
import os
import signal
import sys
import time
from collections.abc import Callable, Iterable
from multiprocessing.process import BaseProcess
from threading import Thread
from typing import Any

from django.conf import settings
from django.core.cache import close_caches
from django.core.exceptions import ImproperlyConfigured
from django.core.handlers.base import reset_urlconf
from django.core.signals import request_finished, request_started
from django.core.wsgi import get_wsgi_application
from django.db import close_old_connections, connection, reset_queries
from django.db.backends.base.base import BaseDatabaseWrapper
from django.db.backends.signals import connection_created
from django.urls import get_resolver
from prometheus_client import values

from jwtpizza.api.content_type import readable
from jwtpizza.observability.lines import refuse

if server := multiprocessing.parent_process():
    # granian's own handlers, which replace these, hear nothing until its worker serves.
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, signal.SIG_DFL)

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "jwtpizza.settings")
if "PROMETHEUS_MULTIPROC_DIR" in os.environ:
    # It would ask the system for the process's id before each number it adds. granian's workers never fork.
    process = os.getpid()
    values.ValueClass = values.MultiProcessValue(lambda: process)
try:
    # What is imported stays: looking for garbage among it is a tenth of the start.
    gc.disable()
    _django = get_wsgi_application()
    # Else the first request waits for it.
    _ = get_resolver().url_patterns
except ImproperlyConfigured as problem:
    refuse(problem)
    # granian would start its workers again and again: it takes two that fail in turn for no crash loop.
    if server and server.pid:
        os.kill(server.pid, signal.SIGTERM)
    sys.exit(1)

# What Django's models are in can be imported from here on.
from jwtpizza.databases import connections
from jwtpizza.incidents.services.lifecycle import start_keeping
from jwtpizza.observability import metrics, printer
from jwtpizza.observability.middleware import BEGUN
from jwtpizza.shared import start_listening
from jwtpizza.turns import TURNS
from orders.services.outages import start_reporting
from orders.services.sales import fetch_factory_keys

log = logging.getLogger("jwtpizza.request")


def application(environ: dict[str, Any], start_response: Callable[..., Any]) -> Iterable[bytes]:
    """Django, in this thread's turn. It fails, before any handler of ours, on a Content-Type in another charset."""
    if not readable(environ.get("CONTENT_TYPE", "")):
        environ["CONTENT_TYPE"] = "application/octet-stream"
    _read_body(environ)
    environ[BEGUN] = time.perf_counter()
    TURNS.take()
    try:
        return _whole(_django(environ, start_response))
    finally:
        TURNS.leave()


def _whole(response: Any) -> Iterable[bytes]:
    """What granian sends in one piece, unless it is made while it is sent.

    Of what it has to iterate over it may send the head first, and a kill in between would cut the answer: no proxy can
    get it from another copy then. So a request ends before its answer is sent; how that fails is not the client's.
    """
    if response.streaming:
        return response  # type: ignore[no-any-return]
    try:
        response.close()
    except Exception:
        log.exception("A request was answered and could not be finished.")
    return [response.content]


def _read_body(environ: dict[str, Any]) -> None:
    """Before the turn, for who sends it may be slow. What is over the limit is not read.

    Django takes a body without a length for none: one that comes in chunks is measured.
    """
    chunked = "HTTP_TRANSFER_ENCODING" in environ and not environ.get("CONTENT_LENGTH")
    length = environ.get("CONTENT_LENGTH") or "0"
    if chunked or (length.isdecimal() and 0 < int(length) <= settings.BODY_LIMIT):
        body = environ["wsgi.input"].read(settings.BODY_LIMIT + 1 if chunked else int(length))
        environ |= {"wsgi.input": io.BytesIO(body)} | ({"CONTENT_LENGTH": str(len(body))} if chunked else {})


def _watch(connection: BaseDatabaseWrapper, **_: object) -> None:
    # SQLite works in this thread; its backend knows when it waits.
    if connection.vendor != "sqlite" and _asked_aside not in connection.execute_wrappers:
        # The first: what is measured inside is the database's time and not the wait for the next turn.
        connection.execute_wrappers.insert(0, _asked_aside)


def _asked_aside(execute: Callable[..., Any], *statement: Any) -> Any:
    """A server works on a statement, and others run meanwhile. Nobody who has locks waits in line with them."""
    with TURNS.aside(patience=0 if connection.in_atomic_block else None):
        return execute(*statement)


def _look_around() -> None:
    """At each start, beside it: neither a database nor a factory that is down delays anything.

    The factory's keys of yesterday are still good. Of the workers that granian starts together the first one speaks.
    """
    try:
        if not server or multiprocessing.current_process()._identity == (1,):  # noqa: SLF001
            connections.tell()
        fetch_factory_keys()
    finally:
        connection.close()


def _end_with(server: BaseProcess) -> None:
    """A killed server can't stop its workers, which would keep the port and share it with the next server's."""
    server.join()
    os._exit(1)


connection_created.connect(_watch, dispatch_uid="turns")
# At a request's start, what was done at the end of the one before or is done again; at its end, what nobody uses.
request_started.disconnect(close_old_connections)
request_started.disconnect(reset_queries)
request_finished.disconnect(close_caches)
request_finished.disconnect(reset_urlconf)
printer.take_over()
gc.freeze()
gc.enable()
metrics.tidy()
Thread(target=_look_around, name="look-around", daemon=True).start()
start_listening()
start_reporting()
start_keeping("web")
if server:
    Thread(target=_end_with, args=[server], name="end-with-server", daemon=True).start()
