"""Refuses migrations that can't run while the code of before serves: python -m script.migrations

They run for real, on an empty database of their own beside the one of DATABASE_URL. What PostgreSQL is told is read by
squawk; MariaDB is asked itself whether writes go on. What a migration may do all the same it lists with the reasons, as
`accepted`. See docs/decisions/0027-migrations-while-it-serves.md.
"""

import json
import os
import re
import subprocess
import sys
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any, NamedTuple

import django
import sqlparse
from django.apps import apps
from django.conf import settings
from django.db import OperationalError, connection
from django.db.migrations import Migration, RunPython, RunSQL, SeparateDatabaseAndState
from django.db.migrations.executor import MigrationExecutor
from django.db.migrations.operations.base import Operation

# Where squawk says what is wrong and not what to do about it.
INSTEAD = {
    "adding-not-nullable-field": "First AddConstraintNotValid (it is not NULL), then ValidateConstraint, then this.",
    "ban-drop-column": "Release code that doesn't name it, with the column nullable or a db_default; drop it after.",
    "ban-drop-constraint": "First release code that relies on it no more.",
    "ban-drop-default": "Give it a db_default, or null=True: code that doesn't know the column leaves it out.",
    "ban-drop-not-null": "First release code that can read NULL.",
    "ban-drop-table": "Release code that doesn't name it; drop it in the release after.",
    "changing-column-type": "Add a new column, write both, fill it, read it, drop the old one.",
    "constraint-missing-not-valid": "Use jwtpizza.operations: AddConstraintNotValid, then ValidateConstraint.",
    "data-beside-schema": "Data change while the schema's locks are held, for as long as that takes: make two of it.",
    "hidden-schema": "What stands in a DO block nobody reads: say it outside of one.",
    "mariadb-blocks": "Add a new column for one that changes; accept what has no other way, with how long it takes.",
    "no-way-back": "It can't be undone with the release: give it a reverse (noop, where there is nothing to undo).",
    "renaming-column": "Keep its name in the database (db_column), or go by way of a new one.",
    "renaming-table": "Keep its name in the database (db_table).",
    "require-concurrent-index-creation": "Use jwtpizza.operations.AddIndexConcurrently; foreign keys: db_index=False.",
    "require-concurrent-index-deletion": "Use jwtpizza.operations.RemoveIndexConcurrently.",
}


# As Django writes them, and as people do in a RunSQL.
SCHEMA = re.compile(r"\b(?:ALTER|CREATE|DROP|SET\s+CONSTRAINTS)\b", re.IGNORECASE)
# What leaves the data as they are: all else that begins a statement may change them.
NO_DATA = re.compile(r"(?:ALTER|CREATE|DROP|SET)\b", re.IGNORECASE)
# PostgreSQL takes what it is to do there as a text.
BLOCK = re.compile(r"\bDO\b[^;]*\$", re.IGNORECASE)
CHANGE = re.compile(
    r"\s*(?:(?P<table>ALTER\s+TABLE)\b(?!.*\bRENAME\s+TO\b)|CREATE\s+(?:UNIQUE\s+)?INDEX\b)", re.IGNORECASE
)


class Problem(NamedTuple):
    migration: str
    rule: str
    sentence: str


@contextmanager
def scratch_database() -> Iterator[None]:
    """What the connection goes to meanwhile: empty, and gone afterwards."""
    name = f"jwtpizza_migrations_{os.getpid()}"
    with connection._nodb_cursor() as cursor:  # noqa: SLF001
        cursor.execute(f"CREATE DATABASE {name}")
    usual, connection.settings_dict["NAME"] = connection.settings_dict["NAME"], name
    try:
        yield
    finally:
        connection.close()
        if connection.vendor == "postgresql":
            connection.close_pool()  # type: ignore[attr-defined]
        connection.settings_dict["NAME"] = usual
        with connection._nodb_cursor() as cursor:  # noqa: SLF001
            cursor.execute(f"DROP DATABASE {name}")


class Watch:
    """Sees our own migrations run, one after the other. What others' do is not ours to mend."""

    def __init__(self) -> None:
        self.accepted: dict[str, dict[str, str]] = {}
        self.statements: dict[str, list[str]] = {}
        self.problems: list[Problem] = []
        self._name = ""

    def progress(self, action: str, migration: Any = None, fake: bool = False) -> None:
        self._name = ""
        if action == "apply_start" and migration and _ours(migration):
            self._name = f"{migration.app_label}.{migration.name}"
            self.accepted[self._name] = getattr(migration, "accepted", {})
            self.problems += [Problem(self._name, rule, "") for rule in _about_data(migration)]
            # Told to squawk: in a transaction a table that was made in it is nobody else's yet.
            self.statements[self._name] = ["BEGIN;"] if migration.atomic else []

    def statement(self, execute: Callable[..., Any], sql: str, params: Any, many: bool, context: Any) -> Any:
        told = _schema_in(sql) if self._name else ""
        if not told:
            return execute(sql, params, many, context)
        if BLOCK.search(told):
            self.problems.append(Problem(self._name, "hidden-schema", ""))
        self.statements[self._name].append(f"{told};")
        if connection.vendor != "mysql" or self._is_new(told):
            return execute(sql, params, many, context)
        return self._beside_writes(execute, told, params, many, context)

    def _is_new(self, sql: str) -> bool:
        """Whether the statement is about a table that nobody has written to yet."""
        table = re.search(r"\b(?:TABLE|ON) (`\w+`)", sql)
        return bool(table) and any(told.startswith(f"CREATE TABLE {table[1]}") for told in self.statements[self._name])

    def _beside_writes(self, execute: Callable[..., Any], sql: str, *rest: Any) -> Any:
        """MariaDB refuses what would block writes, if it is told not to."""
        change = CHANGE.match(sql)
        if not change:
            return execute(sql, *rest)
        try:
            return execute(f"{sql}{',' if change['table'] else ''} LOCK=NONE", *rest)
        except OperationalError as refused:
            self.problems.append(Problem(self._name, "mariadb-blocks", f'MariaDB says of "{sql}": {refused.args[1]}.'))
            return execute(sql, *rest)


def _ours(migration: Migration) -> bool:
    path = Path(apps.get_app_config(migration.app_label).path)
    return path.is_relative_to(settings.BASE_DIR) and "site-packages" not in path.parts


def _about_data(migration: Migration) -> Iterator[str]:
    operations = list(_done(migration.operations))
    data = [operation for operation in operations if isinstance(operation, RunPython | RunSQL)]
    if not all(operation.reversible for operation in data):
        yield "no-way-back"
    if any(map(_changes_data, operations)) and any(map(_changes_schema, operations)):
        yield "data-beside-schema"


def _done(operations: Iterable[Operation]) -> Iterator[Operation]:
    """What is done to the database, wherever it stands."""
    for operation in operations:
        if isinstance(operation, SeparateDatabaseAndState):
            yield from _done(operation.database_operations)
        else:
            yield operation


def _changes_data(operation: Operation) -> bool:
    if isinstance(operation, RunSQL):
        return not all(NO_DATA.match(statement) for statement in _statements(operation))
    return isinstance(operation, RunPython)


def _changes_schema(operation: Operation) -> bool:
    if isinstance(operation, RunSQL):
        return any(SCHEMA.match(statement) for statement in _statements(operation))
    return not isinstance(operation, RunPython)


def _statements(operation: RunSQL) -> Iterator[str]:
    """What a RunSQL says: a text, or texts that may have their parameters beside them."""
    texts = [operation.sql] if isinstance(operation.sql, str) else operation.sql
    for text in texts:
        yield from filter(None, map(_bare, sqlparse.split(text if isinstance(text, str) else text[0])))


def _schema_in(sql: str) -> str:
    """A text without comments, if it may change the schema anywhere: PostgreSQL is told several statements at once."""
    # Most texts have none of these words, and need not be read.
    bare = _bare(sql) if SCHEMA.search(sql) else ""
    return bare if SCHEMA.search(bare) else ""


def _bare(sql: str) -> str:
    """Without comments, and the semicolon at its end."""
    return sqlparse.format(sql, strip_comments=True).strip().rstrip(";")


def squawk(statements: dict[str, list[str]]) -> list[Problem]:
    """What it finds in what PostgreSQL was told by each migration."""
    with TemporaryDirectory() as folder:
        for name, told in statements.items():
            Path(folder, name).write_text("\n".join(told))
        command = ["squawk", f"--config={settings.BASE_DIR / 'script/squawk.toml'}", "--reporter=json", *statements]
        done = subprocess.run(command, cwd=folder, capture_output=True, text=True, check=False)  # noqa: S603
    return [
        Problem(found["file"], found["rule_name"], " ".join(filter(None, (found["message"], found["help"]))))
        for found in json.loads(done.stdout)
    ]


def watched() -> Watch:
    watch = Watch()
    with scratch_database(), connection.execute_wrapper(watch.statement):
        executor = MigrationExecutor(connection, progress_callback=watch.progress)
        executor.migrate(executor.loader.graph.leaf_nodes())
    if connection.vendor == "postgresql":
        watch.problems += squawk(watch.statements)
    return watch


def complaints(watch: Watch) -> Iterator[str]:
    """A sentence for each thing that a migration does and may not, and for what it need not be allowed."""
    for name, rule, sentence in dict.fromkeys(watch.problems):
        if rule not in watch.accepted[name]:
            yield " ".join(filter(None, (f"{name}:", sentence, INSTEAD.get(rule, ""), f"({rule})")))
    found = {(problem.migration, problem.rule) for problem in watch.problems}
    for name, accepted in watch.accepted.items():
        for rule in accepted:
            elsewhere = (rule == "mariadb-blocks") == (connection.vendor == "postgresql")
            if (name, rule) not in found and not elsewhere:
                yield f"{name}: accepts {rule}, which it doesn't do."


def main() -> None:
    os.environ.setdefault("DJANGO_SETTINGS_MODULE", "jwtpizza.settings")
    django.setup()
    told = list(complaints(watched()))
    if told:
        told.append("docs/decisions/0027-migrations-while-it-serves.md has the steps that do without.")
    sys.exit("\n".join(told) or None)


if __name__ == "__main__":
    main()
