"""Django's backend for PostgreSQL, with another look at what comes out of its pool."""

from typing import Any

import psycopg
from django.db.backends.postgresql import base
from django.db.backends.postgresql.operations import DatabaseOperations
from psycopg_pool import ConnectionPool

from jwtpizza.databases.idle import SILENCE, has_news
from jwtpizza.turns import TURNS


class Operations(DatabaseOperations):
    def last_executed_query(self, cursor: Any, sql: str, params: Any) -> str:
        """What tests and Django's debugging see; a statement that may be prepared has its parameters elsewhere."""
        if isinstance(cursor, base.ServerBindingCursor):
            return str(self.compose_sql(sql, params))
        return str(super().last_executed_query(cursor, sql, params))


class DatabaseWrapper(base.DatabaseWrapper):
    ops_class = Operations
    # Whether the next cursor's statement may be prepared by the server, and have a plan for any parameters.
    prepares = False

    def get_connection_params(self) -> dict[str, Any]:
        """None for one out of a pool that is there, whose connections have theirs."""
        pooled = self.settings_dict["OPTIONS"].get("pool")
        there = pooled and self.alias in self._connection_pools  # type: ignore[attr-defined]
        return {} if there else {**SILENCE, **super().get_connection_params()}

    def get_new_connection(self, conn_params: dict[str, Any]) -> Any:
        """One that works: where the first does not, all are looked at, for the server was hardly gone for one alone.

        With Django's CONN_HEALTH_CHECKS the pool waits a second after the second that does not, and then gives up.
        """
        with TURNS.aside():
            connection = super().get_new_connection(conn_params)
            if self.pool and not _works(connection):
                self.pool.putconn(connection)
                self.pool.check()
                connection = super().get_new_connection(conn_params)
        return connection

    def create_cursor(self, name: str | None = None) -> Any:
        if not self.prepares:
            return super().create_cursor(name)
        self.connection.cursor_factory = base.ServerBindingCursor
        try:
            return super().create_cursor(name)
        finally:
            self.connection.cursor_factory = base.Cursor

    def _set_autocommit(self, autocommit: bool) -> None:
        # psycopg would make sure of much before it found that there is nothing to do.
        if self.connection.autocommit != autocommit:
            super()._set_autocommit(autocommit)  # type: ignore[misc]

    def _commit(self) -> Any:
        with TURNS.aside():
            return super()._commit()  # type: ignore[misc]


def _works(connection: Any) -> bool:
    try:
        if not has_news(connection.fileno()):
            return True
        ConnectionPool.check_connection(connection)
    except psycopg.Error:
        return False
    return True
