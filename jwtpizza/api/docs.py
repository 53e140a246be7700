"""/api/docs in the form that existing clients read: a row for each operation of the OpenAPI description."""

import json
import re
from collections.abc import Iterator
from typing import Any

from jwtpizza.api.schema import description


def _colon(match: re.Match[str]) -> str:
    first, *rest = match[1].split("_")
    return ":" + first + "".join(word.capitalize() for word in rest)


def _curl(origin: str, method: str, example: dict[str, Any], *, signed_in: bool) -> str:
    parts = ["curl"] + ([f"-X {method}"] if method != "GET" else []) + [f"'{origin}{example['at']}'"]
    if example["body"] is not None:
        parts.append(f"-d '{json.dumps(example['body'])}' -H 'Content-Type: application/json'")
    if signed_in:
        parts.append("-H 'Authorization: Bearer tttttt'")
    return " ".join(parts)


def _row(origin: str, path: str, method: str, operation: dict[str, Any]) -> dict[str, Any]:
    security = operation.get("security", [])
    needs_token = bool(security) and {} not in security
    example = operation["x-example"]
    _, question_mark, query = example["at"].partition("?")
    return {
        "method": method,
        "path": (example["shown_as"] or re.sub(r"\{(\w+)\}", _colon, path)) + question_mark + query,
        "requiresAuth": needs_token,
        "description": operation["summary"],
        "example": _curl(origin, method, example, signed_in=needs_token),
        "response": example["answer"],
    }


def _rows(origin: str) -> Iterator[dict[str, Any]]:
    for path, operations in description()["paths"].items():
        for method, operation in operations.items():
            if path.startswith("/api/"):
                yield _row(origin, path, method.upper(), operation)


def endpoints(origin: str) -> list[dict[str, Any]]:
    """What can be called, with a curl line to try it at `origin` (http://localhost:3000) and the answer to it."""
    return list(_rows(origin))
