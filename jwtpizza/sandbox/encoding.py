"""JSON as it goes over the wire, and into a pizza."""

import json
from typing import Any


def to_json(value: object) -> bytes:
    """Compact JSON in plain ASCII. Raises ValueError for a number that JSON cannot write."""
    return json.dumps(value, separators=(",", ":"), allow_nan=False).encode()


def from_json(data: bytes | str) -> Any:
    """What the JSON says. Raises ValueError when it is none, or is nested too deeply to read."""
    try:
        return json.loads(data)
    except RecursionError as error:
        raise ValueError("JSON is nested too deeply") from error
