"""Checking what a client sent: strict types, and each fault under its own name."""

import re
from collections.abc import Iterator
from functools import lru_cache
from typing import Any, ClassVar

from django.http import QueryDict
from rest_framework import serializers
from rest_framework.exceptions import ValidationError

from jwtpizza.api.errors import Invalid
from jwtpizza.fields import validate_address

MISSING = {"required", "blank", "null"}


class Text(serializers.CharField):
    """A JSON string and nothing that could be made one, up to 255 characters unless told otherwise.

    `described` joins its JSON schema in the API's description; patterns there are ECMAScript's.
    """

    described: ClassVar = {"minLength": 1, "pattern": r"^[^\u0000]*[^\s\u0000][^\u0000]*$"}

    def __init__(self, **kwargs: Any) -> None:
        super().__init__(**{"max_length": 255, **kwargs})

    def to_internal_value(self, data: Any) -> str:
        if not isinstance(data, str):
            self.fail("invalid")
        return super().to_internal_value(data)


_LETTER = r"\p{L}\p{M}\p{N}"
_HOST = rf"[{_LETTER}](?:[{_LETTER}-]{{0,61}}[{_LETTER}])?"


class EmailAddress(Text):
    """What a browser's e-mail field takes, plus letters of any script; spaces around it are dropped."""

    described: ClassVar = {"minLength": 1, "pattern": rf"^[{_LETTER}.!#$%&'*+/=?^_`{{|}}~-]+@{_HOST}(?:\.{_HOST})*$"}

    def to_internal_value(self, data: Any) -> str:
        address = super().to_internal_value(data)
        validate_address(address)
        return address


class WholeNumber(serializers.IntegerField):
    """A number of up to 18 digits, or those digits in quotes; from 0 unless told otherwise."""

    default_error_messages: ClassVar = {"invalid": "This has to be a whole number."}

    def __init__(self, **kwargs: Any) -> None:
        super().__init__(**{"min_value": 0, "max_value": 10**18 - 1, **kwargs})

    def to_internal_value(self, data: Any) -> int:
        if isinstance(data, str) and re.fullmatch(r"[0-9]{1,18}", data):
            data = int(data)
        if type(data) is float and data.is_integer():
            data = int(data)  # JSON has one kind of number: 1.0 is 1
        if type(data) is not int:
            self.fail("invalid")
        return data


class Several(serializers.ListField):
    """A list of at most `max_length`; a longer one is a fault of its own, and nobody looks into it."""

    default_error_messages: ClassVar = {"not_a_list": "This has to be a list."}

    def __init__(self, *, max_length: int, **kwargs: Any) -> None:
        super().__init__(max_length=max_length, **kwargs)
        self.most = max_length

    def to_internal_value(self, data: Any) -> list[Any]:
        if not isinstance(data, list):
            self.fail("not_a_list")
        if len(data) > self.most:
            self.fail("max_length", max_length=self.most)
        return super().to_internal_value(data)


class Input(serializers.Serializer):
    """What a client sends."""

    # Joins its JSON schema in the API's description.
    described: ClassVar[dict[str, Any]] = {}
    # Said when something required is missing or blank.
    incomplete: ClassVar[str] = ""


def _faults(detail: Any, path: str = "") -> Iterator[tuple[str, list[str]]]:
    """DRF's nested errors as flat pairs of a path such as items[1].menuId and its sentences."""
    if isinstance(detail, dict):
        for name, inner in detail.items():
            if name == "non_field_errors":
                yield from _faults(inner, path)
            else:
                step = f"[{name}]" if isinstance(name, int) else f".{name}"
                yield from _faults(inner, (path + step).removeprefix("."))
    elif any(isinstance(inner, dict) for inner in detail):
        for index, inner in enumerate(detail):
            yield from _faults(inner, f"{path}[{index}]")
    elif detail:
        yield path or "body", [str(sentence) for sentence in detail]


def _codes(detail: Any) -> Iterator[str]:
    for inner in detail.values() if isinstance(detail, dict) else detail:
        yield from [inner.code] if hasattr(inner, "code") else _codes(inner)


def checked(kind: type[Input], data: Any) -> dict[str, Any]:
    """The body as `kind` describes it; raises Invalid with each field at fault."""
    if not isinstance(data, dict):
        raise Invalid("The body has to be a JSON object.", fields={"body": ["This has to be a JSON object."]})
    try:
        return dict(_one_of(kind).run_validation(data))
    except ValidationError as error:
        fields = dict(_faults(error.detail))
        name, sentences = next(iter(fields.items()))
        incomplete = kind.incomplete if MISSING.intersection(_codes(error.detail)) else ""
    raise Invalid(incomplete or f"{name}: {sentences[0]}", fields=fields)


# Each new one copies all of its fields, and none keeps anything of what it checks.
@lru_cache
def _one_of(kind: type[Input]) -> Input:
    return kind()


def checked_query(kind: type[Input], query: str) -> dict[str, Any]:
    """What a query string says of the parameters that `kind` knows, each given at most once. Raises Invalid.

    Others are ignored.
    """
    check = _checked_query if len(query) <= MOST_KEPT else _checked_query.__wrapped__
    return {**check(kind, query)}


MOST_KEPT = 256


# Lists are asked for with few queries, again and again, and to check one takes as long as to answer it.
@lru_cache(maxsize=256)
def _checked_query(kind: type[Input], text: str) -> dict[str, Any]:
    # As WSGI has it.
    query = QueryDict(text.encode("latin-1"))
    known = [name for name in map(str, kind().get_fields()) if name in query]
    for name in known:
        if len(query.getlist(name)) > 1:
            raise Invalid(f"{name} is given more than once.", fields={name: ["Give this once."]})
    return checked(kind, {name: query[name] for name in known})
