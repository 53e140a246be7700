"""An answer against the recorded one: every name with its JSON type, every value that is not this day's own."""

import re
from typing import Any

DATE = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z")
JWT = re.compile(r"[\w-]+\.[\w-]+\.[\w-]+")
PLACEHOLDERS = {
    "<token>": JWT,
    "<jwt>": JWT,
    "<any>": re.compile(r".+", re.DOTALL),
    "<a message of its own>": re.compile(r".+", re.DOTALL),
}
# Each factory has a key of its own.
OWN_KEY = {"n", "kid"}
ID = {"id", "objectId"}


def json_type(value: Any) -> str:
    if isinstance(value, bool):
        return "boolean"
    if isinstance(value, int | float):
        return "number"
    return {dict: "object", list: "array", str: "string", type(None): "null"}[type(value)]


def assert_like(answered: Any, recorded: Any, *, ids: bool = True, name: str = "", where: str = "body") -> None:
    """Added names are fine. Without `ids` it does not matter which ids the database gave."""
    assert json_type(answered) == json_type(recorded), f"{where}: {answered!r}, recorded was {recorded!r}"
    if isinstance(recorded, dict):
        for key, value in recorded.items():
            assert key in answered, f"{where} has no {key}"
            assert_like(answered[key], value, ids=ids, name=key, where=f"{where}.{key}")
    elif isinstance(recorded, list):
        assert len(answered) == len(recorded), f"{where}: {answered!r}, recorded was {recorded!r}"
        for index, (one, other) in enumerate(zip(answered, recorded, strict=True)):
            assert_like(one, other, ids=ids, name=name, where=f"{where}[{index}]")
    elif name not in OWN_KEY and (ids or name not in ID):
        assert_same(answered, recorded, where)


def assert_same(answered: Any, recorded: Any, where: str) -> None:
    pattern = PLACEHOLDERS.get(recorded) if isinstance(recorded, str) else None
    if isinstance(recorded, str) and DATE.fullmatch(recorded):
        pattern = DATE
    if pattern:
        assert pattern.fullmatch(answered), f"{where}: {answered!r}, recorded was {recorded!r}"
    else:
        assert answered == recorded, where


def assert_documented(answered: dict[str, Any], recorded: dict[str, Any]) -> None:
    """Endpoints may be added; of the config only names and types count."""
    assert answered["version"] == recorded["version"]
    rows = {(row["method"], row["path"]): row for row in answered["endpoints"]}
    for row in recorded["endpoints"]:
        assert_like(rows[row["method"], row["path"]], row)
    for name, value in recorded["config"].items():
        assert json_type(answered["config"][name]) == json_type(value)
