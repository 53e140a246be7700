"""Connections to the database, of which there are not as many as requests."""

import logging

from django.conf import settings
from django.db import Error, connection

log = logging.getLogger("jwtpizza.databases")

# How many the server lets in who is no superuser; SQLite has no server.
MOST = {
    "postgresql": "SELECT SUM(CASE name WHEN 'max_connections' THEN 1 ELSE -1 END * setting::int) FROM pg_settings"
    " WHERE name IN ('max_connections', 'superuser_reserved_connections', 'reserved_connections')",
    "mysql": "SELECT @@max_connections",
}


def give_connection_back() -> None:
    """To be called before waiting for somebody: the next query takes another.

    Four orders that wait for the factory would starve a pool of four; SQLite's own has no server to starve.
    """
    if connection.vendor != "sqlite" and not connection.in_atomic_block:
        connection.close()


def tell() -> None:
    """Logs what the service may take of them at most, and of how many; a warning where that is too much.

    Nothing on SQLite, nor where the database does not answer.
    """
    if statement := MOST.get(connection.vendor):
        try:
            with connection.cursor() as cursor:
                cursor.execute(statement)
                [most] = cursor.fetchone()
        except Error:
            log.warning("the database does not say how many connections it takes", exc_info=True)
        else:
            log.log(*_told(int(most)))


def _told(most: int) -> tuple[int, str]:
    copies, workers, pool = settings.COPIES, settings.WEB_CONCURRENCY, settings.DB_POOL_MAX
    processes = copies * (workers + 1)
    missing = processes * pool - most
    told = f"COPIES {copies} × (WEB_CONCURRENCY {workers} + 1 worker) × DB_POOL_MAX {pool} = {processes * pool}"
    told += f" connections at most; the database takes {most}"
    if missing <= 0:
        return logging.INFO, told
    fewer = f"set DB_POOL_MAX to {most // processes}, or " if processes <= most else ""
    return logging.WARNING, f"{told}, so some will be refused: {fewer}raise its max_connections by {missing}"
