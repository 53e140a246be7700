"""Django's `migrate`, which waits 2 s for a lock: behind it waits everybody who wants the same table."""

from typing import Any

from django.core.management.commands import migrate
from django.db import connections

LOCK_SECONDS = 2
LIMIT = {
    "postgresql": f"SET lock_timeout = '{LOCK_SECONDS}s'",
    "mysql": f"SET SESSION lock_wait_timeout = {LOCK_SECONDS}",
}


class Command(migrate.Command):
    def handle(self, *args: Any, **options: Any) -> None:
        self._connection = connections[options["database"]]
        super().handle(*args, **options)

    def migration_progress_callback(self, action: str, migration: Any = None, fake: bool = False) -> None:
        super().migration_progress_callback(action, migration, fake)
        limit = LIMIT.get(self._connection.vendor)
        # Before each, for one that builds an index takes it off.
        if limit and action in ("apply_start", "unapply_start"):
            with self._connection.cursor() as cursor:
                cursor.execute(limit)
