"""One JSON object a line, from the standard library's logging."""

import json
import logging
import re
from datetime import UTC, datetime
from typing import Any
from urllib.parse import quote

from django.conf import settings

from jwtpizza.observability import context

# Anything shorter would tear holes into words.
LEAST_SECRET = 6
SUPPORT_KEY = re.compile(r"(/api/support/)[^/\s\"]+")


def masked(text: str) -> str:
    """The text with our API key replaced by ***, and with whatever stands for one in the factory's support links."""
    for key in {settings.FACTORY_API_KEY, quote(settings.FACTORY_API_KEY, safe="")}:
        text = text.replace(key, "***") if len(key) >= LEAST_SECRET else text
    return SUPPORT_KEY.sub(r"\1***", text)


class JsonFormatter(logging.Formatter):
    """What `extra={"data": {…}}` holds stands at the top level of the line, beside ts, level, type and message."""

    def format(self, record: logging.LogRecord) -> str:
        line: dict[str, Any] = {
            "ts": datetime.fromtimestamp(record.created, UTC).isoformat(timespec="milliseconds"),
            "level": record.levelname.lower(),
            "type": "exception" if record.exc_info else "app",
            "source": record.name,
            "message": record.getMessage(),
        }
        if trace := context.current():
            line |= {"requestId": trace.request_id, "traceId": trace.trace_id}
        if record.exc_info:
            line["traceback"] = self.formatException(record.exc_info)
        line |= getattr(record, "data", {})
        # Half a surrogate pair, which anybody may send, can't be printed.
        text = json.dumps(line, ensure_ascii=False, default=str).encode(errors="replace").decode()
        return masked(text)
