"""What a migration does to a table that is being written to, on every database: see docs/decisions/0027."""

from typing import Any

from django.contrib.postgres import operations
from django.db import migrations
from django.db.backends.base.schema import BaseDatabaseSchemaEditor as Editor
from django.db.migrations.operations.base import Operation


class _Nothing(Operation):
    def database_forwards(self, app_label: str, schema_editor: Editor, from_state: Any, to_state: Any) -> None:
        pass

    database_backwards = database_forwards


class _Portable(Operation):
    """Django's own operation on PostgreSQL, which alone has it; on other databases what `elsewhere` does."""

    elsewhere: type[Operation] = _Nothing

    def database_forwards(self, app_label: str, schema_editor: Editor, from_state: Any, to_state: Any) -> None:
        if schema_editor.connection.vendor == "postgresql":
            self.prepare(schema_editor)
            super().database_forwards(app_label, schema_editor, from_state, to_state)
        else:
            self.elsewhere.database_forwards(self, app_label, schema_editor, from_state, to_state)

    def database_backwards(self, app_label: str, schema_editor: Editor, from_state: Any, to_state: Any) -> None:
        if schema_editor.connection.vendor == "postgresql":
            self.prepare(schema_editor)
            super().database_backwards(app_label, schema_editor, from_state, to_state)
        else:
            self.elsewhere.database_backwards(self, app_label, schema_editor, from_state, to_state)

    def prepare(self, schema_editor: Editor) -> None:
        """What PostgreSQL is told before."""


class AddIndexConcurrently(_Portable, operations.AddIndexConcurrently):
    """An index that is built while writes go on. Its migration is `atomic = False`, and does nothing else."""

    elsewhere = migrations.AddIndex

    def prepare(self, schema_editor: Editor) -> None:
        _wait_for_others(schema_editor)
        # Of a try that was killed there may be one that is not valid, or that no migration is recorded for.
        schema_editor.execute(f"DROP INDEX CONCURRENTLY IF EXISTS {schema_editor.quote_name(self.index.name)}")


class RemoveIndexConcurrently(_Portable, operations.RemoveIndexConcurrently):
    """Its migration is `atomic = False`, and does nothing else."""

    elsewhere = migrations.RemoveIndex

    def prepare(self, schema_editor: Editor) -> None:
        _wait_for_others(schema_editor)


class AddConstraintNotValid(_Portable, operations.AddConstraintNotValid):
    """A check of what is written from now on. `ValidateConstraint`, in the migration after it, reads what was there."""

    elsewhere = migrations.AddConstraint


class ValidateConstraint(_Portable, operations.ValidateConstraint):
    pass


def _wait_for_others(schema_editor: Editor) -> None:
    """As long as the transactions take that began before: nobody waits behind what is done concurrently."""
    schema_editor.execute("SET lock_timeout = 0")
