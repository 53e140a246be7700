"""The recorded cases."""

import json
import re
from pathlib import Path
from typing import Any

Case = dict[str, Any]

CASES: dict[str, Case] = {case["name"]: case for case in json.loads(Path(__file__).with_name("cases.json").read_text())}
LONG_TEXT = re.compile(r"(.)\1+\.\.\.<(\d+) chars>")


def written_out(sent: Any) -> Any:
    """What was sent, with "xxxx...<110000 chars>" made that long."""
    if isinstance(sent, dict):
        return {name: written_out(value) for name, value in sent.items()}
    if isinstance(sent, list):
        return [written_out(value) for value in sent]
    if isinstance(sent, str) and (long := LONG_TEXT.fullmatch(sent)):
        return long[1] * int(long[2])
    return sent


def content(body: Any) -> str:
    """The body as it goes over the wire; a text in the recording is what was sent, letter by letter."""
    if body is None or isinstance(body, str):
        return body or ""
    return json.dumps(written_out(body), ensure_ascii=False)
