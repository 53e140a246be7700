"""Pages of lists: a slice, and whether there is more behind it. Nothing is ever counted."""

import re
from typing import Any, ClassVar, TypeVar

from django.db.models import Lookup, Model, QuerySet

from jwtpizza.api.serializers import Input, Text, WholeNumber
from jwtpizza.fields import KeyField, key_of

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


def cut(rows: QuerySet[Row], *, start: int, limit: int) -> tuple[list[Row], bool]:
    """`limit` rows from `start`, and whether there are more."""
    found = list(rows[start : start + limit + 1])
    return found[:limit], len(found) > limit


@KeyField.register_lookup
class Matches(Lookup):
    """`key__matches="piz*a"`: SQL's LIKE, in which * alone is special."""

    lookup_name = "matches"

    def get_prep_lookup(self) -> str:
        return re.sub(r"[!%_]", r"!\g<0>", str(self.rhs)).replace("*", "%")

    def as_sql(self, compiler: Any, connection: Any) -> tuple[str, tuple[Any, ...]]:
        column, column_params = self.process_lhs(compiler, connection)
        pattern, pattern_params = self.process_rhs(compiler, connection)
        return f"{column} LIKE {pattern} ESCAPE '!'", (*column_params, *pattern_params)
