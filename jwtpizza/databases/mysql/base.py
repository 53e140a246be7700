"""Django's backend for MariaDB and MySQL with a pool of connections, as its backend for PostgreSQL has one.

`OPTIONS["pool"]` is what SQLAlchemy's QueuePool is told: `pool_size`, `max_overflow`, `timeout`. Each process has a
pool for each database; `connection.close()` gives the connection back.
"""

from typing import Any

import MySQLdb
from django.db.backends.mysql import base
from sqlalchemy.dialects.mysql.mysqldb import MySQLDialect_mysqldb
from sqlalchemy.exc import SQLAlchemyError
from sqlalchemy.pool import QueuePool

from jwtpizza.databases.idle import give_up_silence, has_news
from jwtpizza.turns import TURNS

# By host, port and name.
_pools: dict[tuple[Any, ...], QueuePool] = {}


class Dialect(MySQLDialect_mysqldb):
    """What the pool says to the server: this to each connection that it hands out, and that to one that comes back."""

    def do_ping(self, dbapi_connection: Any) -> bool:
        """Whether it can be used, whatever the server's error is: SQLAlchemy knows some of them."""
        try:
            if has_news(dbapi_connection.fileno()):
                dbapi_connection.ping()
        except MySQLdb.Error:
            return False
        return True

    def do_rollback(self, dbapi_connection: Any) -> None:
        """Costs nothing where no transaction can be open, which is nearly always."""
        if not dbapi_connection.get_autocommit():
            dbapi_connection.rollback()


def _connected(**how: Any) -> Any:
    connection = MySQLdb.connect(**how)
    give_up_silence(connection.fileno())
    return connection


class DatabaseWrapper(base.DatabaseWrapper):
    def get_connection_params(self) -> dict[str, Any]:
        params: dict[str, Any] = super().get_connection_params()
        params.pop("pool", None)
        return params

    def get_new_connection(self, conn_params: dict[str, Any]) -> Any:
        """One of the pool's; raises MySQLdb.OperationalError when none is free in time, as when there is no server."""
        try:
            with TURNS.aside():
                return self._pool(conn_params).connect()
        except SQLAlchemyError as error:
            raise MySQLdb.OperationalError(f"no connection of the pool: {error}") from error

    def _pool(self, conn_params: dict[str, Any]) -> QueuePool:
        address = tuple(conn_params.get(part) for part in ("host", "port", "database"))
        if address not in _pools:
            pool = QueuePool(
                lambda: _connected(**conn_params),
                dialect=Dialect(dbapi=MySQLdb),
                pre_ping=True,
                # Those that nobody needed for long are not kept awake.
                use_lifo=True,
                **self.settings_dict["OPTIONS"].get("pool", {}),
            )
            # Of two threads that come here together, the first's is everybody's.
            _pools.setdefault(address, pool)
        return _pools[address]

    def _commit(self) -> Any:
        with TURNS.aside():
            return super()._commit()  # type: ignore[misc]

    def init_connection_state(self) -> None:
        """Once for each connection: what is set for the session stays so in the pool."""
        if "initialized" not in self.connection.info:
            super().init_connection_state()
            self.connection.info["initialized"] = True

    def _close(self) -> None:
        # Of a transaction that was open nothing more may happen in it: it may be somebody else's by now.
        given_back, self.connection = self.connection, None
        if self.errors_occurred:
            # Its socket may be closed, and be somebody else's by its number, which is all that a ping looks at.
            given_back.invalidate()
        given_back.close()
