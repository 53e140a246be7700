"""Pages of lists: a slice, and whether there is more behind it. Nothing is ever counted."""

import re
from typing import Any, ClassVar, TypeVar

from django.db.models import Model, QuerySet

from jwtpizza.api.serializers import Input, Text, WholeNumber
from jwtpizza.fields import key_of

Row = TypeVar("Row", bound=Model)

MOST_PAGES = 2**31
MOST_WILDCARDS = 5


class NamePattern(Text):
    """A name in which * stands for anything, whatever the case."""

    described: ClassVar = {
        "minLength": 1,
        "pattern": rf"^[^*\u0000]*(?:\*+[^*\u0000]*){{0,{MOST_WILDCARDS}}}$",
    }
    default_error_messages: ClassVar = {"wildcards": f"At most {MOST_WILDCARDS} * are understood."}

    def to_internal_value(self, data: Any) -> str:
        pattern = re.sub(r"\*+", "*", super().to_internal_value(data))
        if pattern.count("*") > MOST_WILDCARDS:
            self.fail("wildcards")
        return key_of(pattern)


class Page(Input):
    """Query parameters of a list that counts its pages from 0."""

    page = WholeNumber(default=0, max_value=MOST_PAGES)
    limit = WholeNumber(default=10, min_value=1, max_value=1000)
    name = NamePattern(default="*", allow_blank=True, trim_whitespace=False)


def page_of(rows: QuerySet[Row], *, page: int, limit: int) -> tuple[list[Row], bool]:
    """The rows of a page, counted from 0, of `limit` rows each, and whether there are more."""
    start = page * limit
    found = list(rows[start : start + limit + 1])
    return found[:limit], len(found) > limit
