"""A line of the log for who has no logging: a start that was refused, and the relay of what programs print.

Knows no Django: the settings may be what is wrong.
"""

import atexit
import io
import json
import os
import re
import sys
import threading
from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any, TextIO
from urllib.parse import unquote

from jwtpizza.observability.redaction import masked

SOURCE = "jwt-pizza-service"
# JSON may have them as they are, and programs that read line by line end a line there.
LINE_ENDS = ("\x85", "\u2028", "\u2029")
SECRETS = ("FACTORY_API_KEY", "SECRET_KEY", "METRICS_TOKEN", "LOKI_TOKEN", "INCIDENT_WEBHOOK_URL")
ADDRESSES = ("DATABASE_URL", "REDIS_URL")
# Found in an address that can't be parsed, too.
PASSWORD = re.compile(r"//[^/:@]*:(.+)@")
_encode = json.JSONEncoder(ensure_ascii=False, default=str).encode


def moment(seconds: float) -> str:
    """Seconds since 1970 as a line has them: ISO 8601, UTC, with milliseconds."""
    return datetime.fromtimestamp(seconds, UTC).isoformat(timespec="milliseconds")


def dumped(line: Mapping[str, Any]) -> str:
    """The JSON of a line, in which secrets are not masked yet."""
    text = _encode(line)
    if text.isascii():
        return text
    for end in LINE_ENDS:
        text = text.replace(end, f"\\u{ord(end):04x}")
    # Half a surrogate pair, which anybody may send, can't be printed.
    return text.encode(errors="replace").decode()


def is_text(stream: TextIO) -> bool:
    """Whether people read what is written there; LOG_FORMAT says so, or else whether it is a terminal."""
    return os.environ.get("LOG_FORMAT", "text" if stream.isatty() else "json") == "text"


def told(message: str, *, level: str, seconds: float, **more: Any) -> str:
    """A line that says this, `seconds` since 1970, as JSON without the secrets that the environment holds."""
    source = os.environ.get("LOG_SOURCE") or SOURCE
    line = {"ts": moment(seconds), "level": level, "type": "app", "source": source, "component": source}
    return masked(dumped(line | more | {"message": message}), _secrets())


def _secrets() -> tuple[str, ...]:
    found = [PASSWORD.search(os.environ.get(name, "")) for name in ADDRESSES]
    passwords = [address[1] for address in found if address]
    return (*(os.environ.get(name, "") for name in SECRETS), *passwords, *map(unquote, passwords))


def is_json(text: str) -> bool:
    """Whether it is a line of the log, by its looks: to parse each would cost more than to write it."""
    return text.startswith('{"') and text.rstrip("\n").endswith("}") and "\n" not in text[:-1]


class Lines(io.TextIOBase):
    """A stream whose lines become lines of the log, at that level; what is such a line already stays as it is."""

    def __init__(self, out: TextIO, level: str, logger: str) -> None:
        super().__init__()
        self._out, self._level, self._logger = out, level, logger
        self._begun = ""
        # Of several threads one alone prints what is no line of the log.
        self._lock = threading.Lock()
        atexit.register(self.write, "\n")

    def write(self, text: str) -> int:
        """Keeps what has no end of line yet."""
        with self._lock:
            if is_json(text):
                self._out.write(text)
            else:
                *whole, self._begun = (self._begun + text).split("\n")
                self._out.writelines(self._told(line) for line in whole if line.strip())
        return len(text)

    def _told(self, line: str) -> str:
        now = datetime.now(UTC).timestamp()
        return told(line, level=self._level, seconds=now, logger=self._logger) + "\n"

    def flush(self) -> None:
        self._out.flush()

    def fileno(self) -> int:
        return self._out.fileno()


def refuse(problem: object) -> None:
    """Says on stderr why nothing starts: a line for each of its sentences."""
    for sentence in str(problem).splitlines():
        now = datetime.now(UTC).timestamp()
        line = told(sentence, level="error", seconds=now, logger="start")
        text = masked(sentence, _secrets()) if is_text(sys.stderr) else line
        sys.stderr.write(f"{text}\n")
