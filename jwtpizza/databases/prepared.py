"""Queries and changes that are compiled once.

To make SQL of a queryset takes Django ten times as long as SQLite takes to answer a small one (µs: 390 and 40), and the
SQL of a hot one is the same each time. What it says, and of which tables, stays a queryset's business.
"""

import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from copy import copy
from functools import cached_property, lru_cache, partial
from typing import Any, Generic, NamedTuple, TypeVar

from django.db import DEFAULT_DB_ALIAS, connection, connections, transaction
from django.db.models import Model, QuerySet
from django.db.models.sql import InsertQuery, UpdateQuery
from django.db.models.sql.compiler import SQLInsertCompiler

Row = TypeVar("Row")

# Values that nobody asks for, to find a parameter's places by; the numbers may be bounds of a slice.
MARKS: dict[type, Callable[[int], Any]] = {
    int: lambda number: 10**15 + 1000 * number,
    str: lambda number: f"\0{number}\0",
}
LIMITS = re.compile(r"(?<=T )\d{16}\b")
MOST_LENGTHS = 64


def _marks(kinds: Mapping[str, type]) -> dict[str, Any]:
    return {name: MARKS[kind](number) for number, (name, kind) in enumerate(kinds.items())}


class _Slot(NamedTuple):
    """A parameter of a statement: the value of that name or, where it has none, always the same."""

    name: str
    value: Any


class _Statement:
    """What a compiler makes of a query with `marks` in place of its parameters."""

    def __init__(self, compiler: Any, marks: Mapping[str, Any]) -> None:
        self.compiler = compiler
        made = compiler.as_sql()
        # Of an INSERT there may be several.
        [(self.sql, params)] = made if isinstance(made, list) else [made]
        names = {mark: name for name, mark in marks.items()}
        self._slots = [_Slot(names.get(value, ""), value) for value in params]
        # The bounds of a slice are no parameters, and stand at the end.
        for mark in LIMITS.findall(self.sql):
            self.sql = self.sql.replace(mark, "%s")
            self._slots.append(_Slot(names[int(mark)], None))
        if missing := marks.keys() - {slot.name for slot in self._slots}:
            raise TypeError(f"{missing}: no parameter of {self.sql}")
        if compiler.select:
            converters = compiler.get_converters([column for column, *_ in compiler.select])
            compiler.get_converters = lambda _: converters

    def params(self, values: Mapping[str, Any]) -> tuple[Any, ...]:
        return tuple(values[slot.name] if slot.name else slot.value for slot in self._slots)


@contextmanager
def _cursor() -> Iterator[Any]:
    """One that PostgreSQL's backend lets prepare its statement."""
    with _preparing(connections[DEFAULT_DB_ALIAS]):
        cursor = connection.cursor()
    with cursor:
        yield cursor


@contextmanager
def _preparing(connection: Any) -> Iterator[None]:
    connection.prepares = True
    try:
        yield
    finally:
        connection.prepares = False


class _Asked:
    """As much of a queryset as Django's iterators ask for: its query is compiled already, with these parameters."""

    def __init__(self, queryset: QuerySet[Any], statement: _Statement, values: Mapping[str, Any]) -> None:
        self.db, self.model = DEFAULT_DB_ALIAS, queryset.model
        self.query, self._query = self, queryset.query
        self._fields = queryset._fields  # type: ignore[attr-defined]
        self._known_related_objects: dict[Any, Any] = {}
        # A connection is a thread's own.
        self._compiler = copy(statement.compiler)
        self._compiler.connection = connections[DEFAULT_DB_ALIAS]
        self._compiler.as_sql = lambda: (statement.sql, statement.params(values))
        self._compiler.execute_sql = self._execute_sql

    def get_compiler(self, *_: object, **__: object) -> Any:
        return self._compiler

    def _execute_sql(self, *how: Any, **more: Any) -> Any:
        compiler = self._compiler
        with _preparing(compiler.connection):
            return type(compiler).execute_sql(compiler, *how, **more)

    def __getattr__(self, name: str) -> Any:
        return getattr(self._query, name)


class Prepared(Generic[Row]):
    """A queryset's rows, by parameters: `Prepared(lambda pk: User.objects.filter(pk=pk), pk=int)` has `first(pk=7)`.

    `build` is called once. Its queryset may not prefetch, and be sliced by `[start : start + 10]` with the parameter
    `start`. Parameters are given as the database has them; KeyError is raised where one is missing.
    """

    def __init__(self, build: Callable[..., QuerySet[Any, Row]], **kinds: type) -> None:
        self._build, self._marks = build, _marks(kinds)

    @cached_property
    def _known(self) -> tuple[QuerySet[Any, Row], _Statement]:
        queryset = self._build(**self._marks)
        return queryset, _Statement(queryset.query.get_compiler(connection=connection), self._marks)

    def rows(self, **values: Any) -> Iterator[Row]:
        """Asks the database; raises django.db.Error."""
        queryset, statement = self._known
        rows: Iterator[Row] = iter(self._iterable(_Asked(queryset, statement, values)))
        return rows

    @cached_property
    def _iterable(self) -> Any:
        """What makes of rows what the queryset is of: instances, tuples."""
        return vars(self._known[0])["_iterable_class"]

    def first(self, **values: Any) -> Row | None:
        """The first of the rows."""
        return next(self.rows(**values), None)


class PreparedFor(Generic[Row]):
    """A queryset's rows for a list of ids, of which `build` is called with one for each length of the list."""

    def __init__(self, build: Callable[[list[int]], QuerySet[Any, Row]]) -> None:
        self._prepared = lru_cache(MOST_LENGTHS)(
            lambda count: Prepared(lambda **ids: build([*ids.values()]), **dict.fromkeys(map(str, range(count)), int))
        )

    def rows(self, ids: Sequence[int]) -> Iterator[Row]:
        """Asks the database, but for an empty list; raises django.db.Error."""
        values = {str(number): each for number, each in enumerate(ids)}
        return self._prepared(len(ids)).rows(**values) if ids else iter(())


class PreparedUpdate:
    """An UPDATE of a queryset's rows, by parameters; `build` returns the queryset and what becomes of its columns."""

    def __init__(self, build: Callable[..., tuple[QuerySet[Any], dict[str, Any]]], **kinds: type) -> None:
        self._build, self._marks = build, _marks(kinds)

    @cached_property
    def _statement(self) -> _Statement:
        queryset, columns = self._build(**self._marks)
        query: Any = queryset.query.chain(UpdateQuery)
        query.add_update_values(columns)
        return _Statement(query.get_compiler(connection=connection), self._marks)

    def rows(self, **values: Any) -> int:
        """How many there were; raises django.db.Error."""
        # As of Django's own changes, half of a transaction is not to be committed by who hides the error.
        with transaction.mark_for_rollback_on_error(DEFAULT_DB_ALIAS), _cursor() as cursor:
            cursor.execute(self._statement.sql, self._statement.params(values))
            count: int = cursor.rowcount
        return count


class PreparedInsert:
    """An INSERT of what `build` returns, a new instance, by parameters; no signals are sent.

    An amount of ₿ is given as an expression of satoshi, for as a number it would be converted.
    """

    def __init__(self, build: Callable[..., Model], **kinds: type) -> None:
        self._build, self._kinds = build, kinds
        self._statement = lru_cache(MOST_LENGTHS)(self._compiled)

    def _compiled(self, count: int, *, returning: bool) -> _Statement:
        marks = _marks({f"{name} {row}": kind for row in range(count) for name, kind in self._kinds.items()})
        instances = [self._build(**{name: marks[f"{name} {row}"] for name in self._kinds}) for row in range(count)]
        options = instances[0]._meta  # noqa: SLF001
        query = InsertQuery(type(instances[0]))
        query.insert_values([field for field in options.concrete_fields if field is not options.pk], instances)
        compiler: Any = query.get_compiler(connection=connection)
        # PostgreSQL's makes one parameter of all of a column's.
        compiler.assemble_as_sql = partial(SQLInsertCompiler.assemble_as_sql, compiler)
        compiler.returning_fields = [options.pk] if returning else None
        return _Statement(compiler, marks)

    def add(self, **values: Any) -> int:
        """One row, whose id it returns; raises django.db.Error."""
        return self._executed([values], self._returned, returning=True)

    def add_all(self, rows: Sequence[Mapping[str, Any]]) -> None:
        """Several rows, in one statement; raises django.db.Error."""
        self._executed(rows, lambda *_: 0, returning=False)

    def _executed(self, rows: Sequence[Mapping[str, Any]], told: Callable[[Any, Any], int], *, returning: bool) -> int:
        statement = self._statement(len(rows), returning=returning)
        values = {f"{name} {row}": value for row, columns in enumerate(rows) for name, value in columns.items()}
        with transaction.mark_for_rollback_on_error(DEFAULT_DB_ALIAS), _cursor() as cursor:
            cursor.execute(statement.sql, statement.params(values))
            return told(cursor, statement.compiler)

    @staticmethod
    def _returned(cursor: Any, compiler: Any) -> int:
        operations: Any = connection.ops
        if connection.features.can_return_columns_from_insert:
            [number] = operations.fetch_returned_insert_columns(cursor, compiler.returning_params)
        else:
            options = compiler.query.get_meta()
            number = operations.last_insert_id(cursor, options.db_table, options.pk.column)
        return int(number)
