"""One JSON object a line, from the standard library's logging; readable text on a terminal."""

import logging
import logging.config
import os
import re
import sys
import threading
from collections.abc import Iterator
from functools import cache
from types import TracebackType
from typing import Any

from django.conf import settings
from django.core.exceptions import ImproperlyConfigured
from django.core.signals import setting_changed
from django.db import DataError, Error
from django.utils.log import configure_logging

from jwtpizza.observability import context, redaction
from jwtpizza.observability.lines import SOURCE, dumped, moment, refuse

log = logging.getLogger("jwtpizza")

DUPLICATE = re.compile("Duplicate entry '.*' for key")
QUOTED = re.compile("\".*\"|'.*'")
CAUSES = 10


@cache
def secrets() -> tuple[str, ...]:
    """What is masked wherever it stands."""
    password = settings.DATABASES["default"].get("PASSWORD") or ""
    tokens = (settings.METRICS_TOKEN, settings.LOKI_TOKEN, settings.INCIDENT_WEBHOOK_URL, settings.REDIS_PASSWORD)
    return (settings.FACTORY_API_KEY, settings.SECRET_KEY, *tokens, str(password))


# Tests change settings.
setting_changed.connect(lambda **_: secrets.cache_clear(), weak=False)


def masked(text: str) -> str:
    """The text without our keys and tokens, without JWTs, and without what stands for our key in a support link."""
    return redaction.masked(text, secrets())


def cleaned(parsed: Any) -> str:
    """What was parsed as JSON, as it may be logged: without secrets, cut at 2 KiB; "" for nothing."""
    try:
        return "" if parsed is None else redaction.cut(parsed, secrets())
    except (ValueError, RecursionError):
        return ""


def kind(record: logging.LogRecord) -> str:
    """A line's type: http, db, factory, exception or app."""
    data: dict[str, str] = getattr(record, "data", {})
    return data.get("type") or ("exception" if record.exc_info else "app")


class Formatter(logging.Formatter):
    """What both formats share: a message whatever was logged, and tracebacks without a row's values."""

    def message(self, record: logging.LogRecord) -> str:
        try:
            return record.getMessage()
        except (TypeError, ValueError, KeyError):
            # Words and values that don't go together: no reason to lose the line, or to print another that is no JSON.
            return str(record.msg)

    def formatException(self, ei: Any) -> str:  # noqa: N802
        return _without_values(super().formatException(ei), ei[1])


class JsonFormatter(Formatter):
    """What `extra={"data": {…}}` holds stands at the top level of the line, beside ts, level, type and message."""

    def __init__(self, source: str = SOURCE) -> None:
        super().__init__()
        self._source = source

    def format(self, record: logging.LogRecord) -> str:
        # stdout and Loki get the same line, and to make it is half of what a line costs.
        made: str = vars(record).get("line") or self._made(record)
        record.line = made
        return made

    def _made(self, record: logging.LogRecord) -> str:
        line: dict[str, Any] = {
            "ts": moment(record.created),
            "level": record.levelname.lower(),
            "type": kind(record),
            "source": self._source,
            "component": self._source,
            "logger": record.name,
            "message": self.message(record),
        }
        if trace := context.current():
            line |= {"requestId": trace.request_id, "traceId": trace.trace_id, "userId": trace.user_id}
        if record.exc_info:
            line["traceback"] = self.formatException(record.exc_info)
        line |= getattr(record, "data", {})
        return masked(dumped(line))


class TextFormatter(Formatter):
    """For people at a terminal: when, how bad, and what; a traceback as Python prints it."""

    def __init__(self) -> None:
        super().__init__("%(asctime)s %(levelname)-7s %(message)s", "%H:%M:%S")

    def format(self, record: logging.LogRecord) -> str:
        line = f"{self.formatTime(record, self.datefmt)} {record.levelname:7} {self.message(record)}"
        if "ms" in (data := getattr(record, "data", {})):
            line += f" ({data['ms']} ms)"
        if record.exc_info:
            line += "\n" + self.formatException(record.exc_info)
        return masked(line)


def _without_values(text: str, error: BaseException | None) -> str:
    """A traceback in which what a database says of a row or a parameter is left out: addresses, names, hashes."""
    for each in _chain(error):
        if isinstance(each, Error):
            text = text.replace(str(each), _said(each))
    return text


def _chain(error: BaseException | None) -> Iterator[BaseException]:
    for _ in range(CAUSES):
        if error is None:
            return
        yield error
        error = error.__cause__ or error.__context__


def _said(error: Error) -> str:
    """PostgreSQL's first line says what, and the rest (DETAIL, CONTEXT) of which row; MariaDB tells both in one."""
    first = str(error).partition("\n")[0]
    return (QUOTED if isinstance(error, DataError) else DUPLICATE).sub("…", first)


def _uncaught(
    kind: type[BaseException], error: BaseException | None, traceback: TracebackType | None, where: str = "the program"
) -> None:
    if error is not None and not issubclass(kind, SystemExit):
        log.critical("%s ended with %s", where, kind.__name__, exc_info=(kind, error, traceback))


def _of_thread(args: threading.ExceptHookArgs) -> None:
    where = f"the thread {args.thread.name}" if args.thread else "a thread"
    _uncaught(args.exc_type, args.exc_value, args.exc_traceback, where)


def configure(config: dict[str, Any]) -> None:
    """Django's LOGGING_CONFIG: besides what goes to loggers, what Python would print is logged too."""
    logging.config.dictConfig(config)
    # No format of ours tells of the line of code, the thread or the process, which cost a third of a record.
    logging._srcfile = None  # noqa: SLF001
    logging.logThreads = logging.logProcesses = logging.logMultiprocessing = False
    logging.captureWarnings(True)
    sys.excepthook = _uncaught
    threading.excepthook = _of_thread
    sys.unraisablehook = lambda args: _uncaught(args.exc_type, args.exc_value, args.exc_traceback, f"{args.object!r}")


def begin() -> logging.Handler:
    """Has granian's own process, which starts Django only in its workers, log as these do; ends it on bad settings."""
    os.environ.setdefault("DJANGO_SETTINGS_MODULE", "jwtpizza.settings")
    try:
        configure_logging(settings.LOGGING_CONFIG, settings.LOGGING)
    except ImproperlyConfigured as problem:
        refuse(problem)
        sys.exit(1)
    return logging.NullHandler()
