"""What no log may hold: told by its key in a body, and by its value or its looks in any text. Knows no Django."""

import json
import re
from functools import lru_cache
from typing import Any
from urllib.parse import parse_qs, quote

MASK = "***"
SECRET_KEYS = re.compile(
    "pass.?word|pass.?wd|pass.?phrase|pass(?![a-z])|pwd|token|jwt|authorization|api.?key|secret|cookie|session|report.?url|followlinktoendchaos|e.?mail|username",
    re.IGNORECASE,
)
# Anything shorter would tear holes into words.
LEAST_SECRET = 6
SUPPORT_KEY = re.compile(r"(/api/support/)[^/\s\"\\]+")
JWT = re.compile(r"eyJ[\w-]+\.[\w-]+\.[\w-]*", re.ASCII)
BEARER = re.compile(r"(bearer\s+)[^\s\"'\\,;]+", re.IGNORECASE)

# What isn't ASCII may stand in an address, but for spaces, quotation marks, dashes and the like.
SIGNS = r"\s\xa1\xab\xbb\xbf\u2000-\u206f\u3001-\u3003\u3008-\u3020\uff01-\uff0f\uff1a-\uff20"
LOCAL, LETTERS = rf"[^\x00- \"(),:;<>@\[\\\]\x7f{SIGNS}]", rf"[^\x00-/:-@\[-`{{-\x7f{SIGNS}]++"
# Begun where a word begins, and nothing is given back: a long text without one is read once.
ADDRESS = re.compile(rf"(?<!{LOCAL}){LOCAL}++@{LETTERS}(?:[-.]++{LETTERS})*+")

MOST_BYTES = 2 * 1024
# To clean a body it has to be parsed, and a larger one would cost more than the request that brought it.
MOST_PARSED = 16 * 1024
JSON, FORM = "application/json", "application/x-www-form-urlencoded"


def masked(text: str, secrets: tuple[str, ...]) -> str:
    """The text without these secrets, without JWTs and bearer tokens, and without the key in a support link."""
    for needle in _needles(secrets):
        text = text.replace(needle, MASK)
    # Most lines have none of these, and to look for a word costs a hundredth of a pattern.
    if "/api/support/" in text:
        text = SUPPORT_KEY.sub(rf"\1{MASK}", text)
    if "eyJ" in text:
        text = JWT.sub(MASK, text)
    if "earer" in text or "EARER" in text:
        text = BEARER.sub(rf"\1{MASK}", text)
    return text


def without_addresses(text: str) -> str:
    """The text without addresses of e-mail, as accounts may have them (jwtpizza.fields)."""
    return ADDRESS.sub(MASK, text)


@lru_cache(maxsize=8)
def _needles(secrets: tuple[str, ...]) -> list[str]:
    """Each secret as it may stand in a line: as it is, in an address, and in JSON; the longest first."""
    told = {secret for secret in secrets if len(secret) >= LEAST_SECRET}
    written = {form for secret in told for form in (secret, quote(secret, safe=""), json.dumps(secret)[1:-1])}
    return sorted(written | {json.dumps(secret, ensure_ascii=False)[1:-1] for secret in told}, key=len, reverse=True)


def clean(content: Any) -> Any:
    """What was parsed, at any depth with a mask in place of each value whose key says that it is a secret."""
    if isinstance(content, dict):
        return {key: MASK if SECRET_KEYS.search(str(key)) else clean(value) for key, value in content.items()}
    if isinstance(content, (list, tuple)):
        return [clean(value) for value in content]
    return content


def body(content: bytes, content_type: str, secrets: tuple[str, ...]) -> str:
    """A body as it may be logged: cleaned, then cut at 2 KiB; "<123 bytes>" for one that can't be cleaned.

    Those are bodies of more than 16 KiB, and whatever is neither a JSON object or list nor a urlencoded form.
    """
    try:
        parsed = _parsed(content, content_type.partition(";")[0].strip().lower())
        return cut(parsed, secrets)
    except (ValueError, RecursionError):
        return f"<{len(content)} bytes>"


def _parsed(content: bytes, media_type: str) -> Any:
    if len(content) > MOST_PARSED:
        raise ValueError("too large")
    parsed = json.loads(content) if media_type == JSON else None
    if media_type == FORM:
        parsed = parse_qs(content.decode(), keep_blank_values=True)
    if not isinstance(parsed, (dict, list)):
        raise ValueError("a text or a number has no key to tell whether it is secret")
    return parsed


def cut(parsed: Any, secrets: tuple[str, ...]) -> str:
    """What was parsed, as the JSON of it that may be logged; raises ValueError, RecursionError."""
    text = masked(json.dumps(clean(parsed), ensure_ascii=False, separators=(",", ":"), default=str), secrets)
    return text.encode(errors="replace")[:MOST_BYTES].decode(errors="ignore")
