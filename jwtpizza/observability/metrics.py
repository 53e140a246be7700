"""The page that Prometheus reads: what all processes counted, what the database knows, how the machine is."""

import io
import logging
import os
import threading
import time
from collections.abc import Callable, Iterable, Iterator
from hmac import compare_digest
from http import HTTPStatus
from pathlib import Path
from socketserver import ThreadingMixIn
from typing import Any
from wsgiref.simple_server import WSGIRequestHandler, WSGIServer, make_server

import psutil
from django.conf import settings
from django.db import DatabaseError, InterfaceError, connection
from prometheus_client import CONTENT_TYPE_LATEST, REGISTRY, CollectorRegistry, generate_latest
from prometheus_client.core import GaugeMetricFamily
from prometheus_client.metrics_core import Metric

from jwtpizza.observability import multiprocess

log = logging.getLogger("jwtpizza.metrics")

TAKEN_SECONDS = 10.0

Source = Callable[[], Iterable[Metric]]
_of_database: list[Source] = []
_of_process: list[Source] = []

# The first answer would be about no time at all.
psutil.cpu_percent()


def register(source: Source, *, in_database: bool = True) -> None:
    """Adds what `source` reads to each page of the service: in the database, unless the process knows it by itself."""
    (_of_database if in_database else _of_process).append(source)


def gauge(name: str, meaning: str, value: float) -> GaugeMetricFamily:
    """A metric that is known when the page is asked for."""
    return GaugeMetricFamily(name, meaning, value=value)


def tidy() -> None:
    """For the start of a process: puts together what those before it counted, so that no scrape has to."""
    if folder := os.environ.get("PROMETHEUS_MULTIPROC_DIR"):
        multiprocess.bury(Path(folder))


class Page:
    """What stands on the page; `service` is whether it has what was registered, which is of the service alone."""

    def __init__(self, *, service: bool) -> None:
        self._service = service

    def collect(self) -> Iterator[Metric]:
        folder = os.environ.get("PROMETHEUS_MULTIPROC_DIR")
        yield from multiprocess.collected(Path(folder)) if folder else REGISTRY.collect()
        yield gauge("jwtpizza_machine_cpu_ratio", "How busy the processors are.", psutil.cpu_percent() / 100)
        memory = psutil.virtual_memory().percent / 100
        yield gauge("jwtpizza_machine_memory_ratio", "How much of the memory is in use.", memory)
        if self._service:
            yield from (metric for source in _of_process for metric in source())
            yield from _asked()

    def text(self) -> bytes:
        """In Prometheus's own format, `CONTENT_TYPE_LATEST`."""
        registry = CollectorRegistry()
        registry.register(self)
        return generate_latest(registry)


def _asked() -> Iterator[Metric]:
    """A database that is gone costs the page these metrics and no other."""
    up, known = True, list[Metric]()
    try:
        with connection.cursor() as cursor:
            cursor.execute("SELECT 1")
        known = [metric for source in _of_database for metric in source()]
    except (DatabaseError, InterfaceError):
        log.exception("the database could not be asked for metrics")
        up = False
    yield gauge("jwtpizza_database_up", "Whether the database answered just now.", up)
    yield from known


def admitted(authorization: str) -> HTTPStatus:
    """Whether who sends this header may read the page: 200; 401; or 404, in production without METRICS_TOKEN."""
    if settings.PRODUCTION and not settings.METRICS_TOKEN:
        return HTTPStatus.NOT_FOUND
    scheme, _, token = authorization.partition(" ")
    given = token.strip().encode() if scheme.lower() == "bearer" else b""
    if settings.METRICS_TOKEN and not compare_digest(given, settings.METRICS_TOKEN.encode()):
        return HTTPStatus.UNAUTHORIZED
    return HTTPStatus.OK


def _application(environ: dict[str, Any], start_response: Callable[..., Any]) -> Iterable[bytes]:
    status, body = admitted(environ.get("HTTP_AUTHORIZATION", "")), b""
    if status == HTTPStatus.OK and environ["PATH_INFO"] != "/metrics":
        status = HTTPStatus.NOT_FOUND
    try:
        body = Page(service=False).text() if status == HTTPStatus.OK else b""
    except Exception:
        log.exception("the page could not be made")
        status = HTTPStatus.INTERNAL_SERVER_ERROR
    start_response(f"{status.value} {status.phrase}", [("Content-Type", CONTENT_TYPE_LATEST)])
    return [body]


class _Server(ThreadingMixIn, WSGIServer):
    daemon_threads = True

    def handle_error(self, *_: Any) -> None:
        """What is wrong with the page is logged where it is made; all else is a client that was silent, or left."""
        log.debug("a client left the metrics' page", exc_info=True)


class _Silent(WSGIRequestHandler):
    timeout = 10

    def log_message(self, *_: Any) -> None:
        """A scrape is no news."""

    def get_stderr(self) -> io.StringIO:
        """Where wsgiref prints the traceback of a client that left: nowhere."""
        return io.StringIO()


def serve(host: str, port: int) -> None:
    """Serves the page of a process that is no web server's, without what the database knows, in a thread of its own.

    Of several such processes on a machine one serves the page, which has what all of them counted; when it is gone,
    another does.
    """
    threading.Thread(target=serve_in_turn, args=[host, port], name="metrics", daemon=True).start()


def serve_in_turn(host: str, port: int) -> None:
    """Serves the page once nobody else has the port, for ever."""
    tell = log.warning
    while True:
        try:
            with make_server(host, port, _application, _Server, _Silent) as server:
                server.serve_forever()
        except OSError as error:
            tell("the metrics' port %d can't be had now: %s", port, error)
            tell = log.debug
            time.sleep(TAKEN_SECONDS)
