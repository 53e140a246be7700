"""What the practice factory says: one JSON object a line, or text where LOG_FORMAT or a terminal asks for it."""

import json
import logging.config
import sys
import threading
from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any

SOURCE = "jwt-pizza-factory"
log = logging.getLogger("jwtpizza.sandbox")


class JsonFormatter(logging.Formatter):
    def format(self, record: logging.LogRecord) -> str:
        line = {
            "ts": datetime.fromtimestamp(record.created, UTC).isoformat(timespec="milliseconds"),
            "level": record.levelname.lower(),
            "type": "exception" if record.exc_info else "app",
            "source": SOURCE,
            "component": SOURCE,
            "logger": record.name,
            "message": record.getMessage(),
        }
        if record.exc_info:
            line["traceback"] = self.formatException(record.exc_info)
        return json.dumps(line)


def config(environ: Mapping[str, str]) -> dict[str, Any]:
    """The configuration of logging, granian's included."""
    kind = environ.get("LOG_FORMAT", "text" if sys.stdout.isatty() else "json")
    return {
        "version": 1,
        "disable_existing_loggers": False,
        "formatters": {"json": {"()": JsonFormatter}, "text": {"format": "%(message)s"}},
        "handlers": {
            "stdout": {
                "class": "logging.StreamHandler",
                "stream": "ext://sys.stdout",
                "formatter": "text" if kind == "text" else "json",
            }
        },
        "root": {"handlers": ["stdout"], "level": "INFO"},
        "loggers": {"_granian": {"handlers": [], "propagate": True}},
    }


def begin(environ: Mapping[str, str]) -> None:
    """Has this process log, what it does not survive included."""
    logging.config.dictConfig(config(environ))
    sys.excepthook = lambda kind, error, trace: log.critical("it broke down", exc_info=(kind, error, trace))
    threading.excepthook = lambda args: log.critical("a thread broke down", exc_info=args.exc_value)
