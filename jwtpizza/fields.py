"""What columns hold that every database must treat alike: amounts of money, addresses, keys compared byte by byte."""

import re
import unicodedata
from datetime import date, datetime, time, timedelta
from decimal import Decimal
from typing import Any, cast

from django import forms
from django.core.exceptions import ValidationError
from django.core.validators import DecimalValidator, MinValueValidator
from django.db import connection, models
from django.db.backends.base.base import BaseDatabaseWrapper
from django.db.models.expressions import Combinable
from django.db.models.functions import Now
from django.db.models.sql import Query
from django.utils import timezone
from django.utils.functional import cached_property

DECIMALS = 8
# There will never be more ₿ than this; it also keeps the sum of any order far inside 64 bits.
MOST_BITCOIN = 21_000_000
DIGITS = 16

# What may not stand in each part: of what may, every letter of every script, a table is made at each start, in 36 ms.
_LETTER, _INSIDE = r"[^\x00-/:-@\[-`{-\x7f]", r"[^\x00-,./:-@\[-`{-\x7f]"
_LABEL = rf"{_LETTER}(?:{_INSIDE}{{0,61}}{_LETTER})?"
ADDRESS = re.compile(rf"[^\x00- \"(),:;<>@\[\\\]\x7f]+@{_LABEL}(?:\.{_LABEL})*")

# MariaDB's, which takes no space at the end for padding.
BYTEWISE_COLLATION = {"sqlite": "BINARY", "postgresql": "C", "mysql": "utf8mb4_nopad_bin"}


def as_number(amount: Decimal) -> int | float:
    """The amount (₿) as the JSON number a JavaScript client would write: 0.0038, and 0 rather than 0.0."""
    return int(amount) if amount == amount.to_integral_value() else float(amount)


def as_satoshi(amount: Decimal | int) -> int:
    """The amount (₿) as columns have it."""
    return int(Decimal(str(amount)).scaleb(DECIMALS))


def in_bitcoin(amount: Decimal) -> str:
    """The amount as people read it, in one word: ₿ 1,234.0038, with no more decimals than it has."""
    return f"₿\N{NO-BREAK SPACE}{amount:,.{DECIMALS}f}".rstrip("0").rstrip(".")


def key_of(text: str) -> str:
    """The form of a name or an e-mail address in which two that differ in case alone are equal."""
    return text.casefold()


def validate_address(text: str) -> None:
    """Raises ValidationError unless it is what a browser's e-mail field takes, plus letters of any script."""
    letters = all(sign.isascii() or unicodedata.category(sign)[0] in "LMN" for sign in text)
    if not (letters and ADDRESS.fullmatch(text)):
        raise ValidationError("This is not an e-mail address.")


class KeyField(models.CharField):
    """Text that is compared byte by byte, whatever a database's own collation would take for equal.

    With `of` it is made from that field at each save (see `key_of`; three characters of one at most, hence the length),
    and NULL, so that it clashes with no other, once the field `until` has a value.
    """

    def __init__(self, *args: Any, of: str = "", until: str = "", **kwargs: Any) -> None:
        super().__init__(*args, **{"max_length": 3 * 255, "editable": False, **kwargs})
        self.of, self.until = of, until

    def deconstruct(self) -> Any:
        name, path, args, kwargs = super().deconstruct()
        return name, path, args, kwargs | {"of": self.of, "until": self.until}

    def db_parameters(self, connection: BaseDatabaseWrapper) -> dict[str, Any]:
        parameters: dict[str, Any] = super().db_parameters(connection)
        return parameters | {"collation": BYTEWISE_COLLATION[connection.vendor]}

    def pre_save(self, model_instance: models.Model, add: bool) -> Any:
        if self.of:
            over = self.until and getattr(model_instance, self.until) is not None
            setattr(model_instance, self.attname, None if over else key_of(getattr(model_instance, self.of)))
        return super().pre_save(model_instance, add)


def like(pattern: str) -> str:
    """What `matches` makes of a pattern, as a `Prepared` query is given it."""
    return re.sub(r"[!%_]", r"!\g<0>", pattern).replace("*", "%")


@KeyField.register_lookup
class Matches(models.Lookup):
    """`key__matches="piz*a"`: SQL's LIKE, in which * alone is special."""

    lookup_name = "matches"

    def get_prep_lookup(self) -> str:
        return like(str(self.rhs))

    def as_sql(self, compiler: Any, connection: Any) -> tuple[str, tuple[Any, ...]]:
        column, column_params = self.process_lhs(compiler, connection)
        pattern, pattern_params = self.process_rhs(compiler, connection)
        return f"{column} LIKE {pattern} ESCAPE '!'", (*column_params, *pattern_params)


class Keyed(models.Model):
    """A model with key fields, whose forms say which value is taken."""

    class Meta:
        abstract = True

    def clean(self) -> None:
        super().clean()
        for key in self._meta.get_fields():
            if isinstance(key, KeyField) and key.of:
                key.pre_save(self, add=self._state.adding)
                self._refuse_taken(key)

    def _refuse_taken(self, key: KeyField) -> None:
        for constraint in self._meta.constraints:
            if key.name in getattr(constraint, "fields", ()):
                try:
                    constraint.validate(type(self), self)
                except ValidationError as error:
                    raise ValidationError({key.of: "This is in use already."}) from error


class BitcoinField(models.BigIntegerField):
    """An amount of ₿ from 0, with up to 8 decimals: a Decimal in Python, whole satoshi in the database.

    SQLite keeps decimals as floats, whose sums drift; integers add up exactly everywhere.
    """

    _pyi_private_set_type: Decimal | int | Combinable  # type: ignore[assignment]
    _pyi_private_get_type: Decimal  # type: ignore[assignment]

    @cached_property
    def validators(self) -> list[Any]:
        """Not IntegerField's, which are about the satoshi in the column."""
        given = self._validators  # type: ignore[attr-defined]
        return [*given, DecimalValidator(DIGITS, DECIMALS), MinValueValidator(0)]

    def to_python(self, value: Any) -> Decimal | None:
        return None if value is None else Decimal(str(value))

    def get_prep_value(self, value: Any) -> Any:
        if value is None or hasattr(value, "resolve_expression"):
            return value
        return as_satoshi(value)

    def from_db_value(self, value: int | None, *_: object) -> Decimal | None:
        return None if value is None else Decimal(value).scaleb(-DECIMALS)

    def formfield(self, **kwargs: Any) -> forms.Field | None:
        decimal = {"form_class": forms.DecimalField, "max_digits": DIGITS, "decimal_places": DECIMALS}
        return models.Field.formfield(self, **{**decimal, **kwargs})


def midnight(day: date) -> datetime:
    """When that day begins in the current time zone, which in the admin is the viewer's."""
    return datetime.combine(day, time(), timezone.get_current_timezone())


def database_now() -> datetime:
    """The database's clock, by which rows are dated; one query."""
    sql, parameters = Query(None).get_compiler(connection=connection).compile(Now())
    with connection.cursor() as cursor:
        cursor.execute(f"SELECT {sql}", parameters)
        (value,) = cursor.fetchone()
    for convert in connection.ops.get_db_converters(Now()):
        value = convert(value, Now(), connection)
    return cast(datetime, value)


def from_now(seconds: float) -> models.Expression:
    """That many seconds from now by the database's clock: the clocks of two machines need not agree."""
    later = Now() + models.Value(timedelta(seconds=seconds))
    return models.ExpressionWrapper(later, output_field=models.DateTimeField())
