"""A line for each statement while LOG_LEVEL is DEBUG, and always for a slow one: its SQL, without parameters."""

import logging
import time
from collections.abc import Callable
from functools import cache
from typing import Any

from django.conf import settings
from django.db.backends.base.base import BaseDatabaseWrapper
from django.db.backends.signals import connection_created

# Its own way to count, a new class of cursors for each statement, costs more than the counting.
from django_prometheus.db import errors_total, execute_total, query_duration_seconds

log = logging.getLogger("jwtpizza.db")

MOST_SQL = 2048


def listen() -> None:
    """From now on, whatever connection is made."""
    connection_created.connect(_watch, dispatch_uid="jwtpizza.db")


def _watch(connection: BaseDatabaseWrapper, **_: object) -> None:
    # A connection that comes back from a pool is made anew, by the same wrapper.
    if _timed not in connection.execute_wrappers:
        connection.execute_wrappers.append(_timed)


@cache
def _series(*whose: str) -> tuple[Any, Any]:
    """To look them up for each statement takes longer than to count it."""
    return execute_total.labels(*whose), query_duration_seconds.labels(*whose)


def _timed(execute: Callable[..., Any], sql: Any, params: Any, many: bool, context: Any) -> Any:
    whose = context["connection"].alias, context["connection"].vendor
    total, duration = _series(*whose)
    total.inc()
    begun = time.perf_counter()
    try:
        return execute(sql, params, many, context)
    except Exception as error:
        errors_total.labels(*whose, type(error).__name__).inc()
        raise
    finally:
        seconds = time.perf_counter() - begun
        duration.observe(seconds)
        slow = seconds >= settings.DB_SLOW_SECONDS
        if slow or log.isEnabledFor(logging.DEBUG):
            _log(sql, seconds, logging.WARNING if slow else logging.DEBUG)


def _log(sql: Any, seconds: float, level: int) -> None:
    # A statement that the driver composes has its values in it.
    text = sql[:MOST_SQL] if isinstance(sql, str) else type(sql).__name__
    data = {"type": "db", "sql": text, "ms": round(seconds * 1000, 1)}
    log.log(level, "a slow statement" if level == logging.WARNING else "a statement", extra={"data": data})
