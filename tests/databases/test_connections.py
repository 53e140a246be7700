"""What a start says of the database's connections: how many there can be, and whether the server takes so many."""

import logging

import pytest
from django.db import DEFAULT_DB_ALIAS, ConnectionHandler, connection

from jwtpizza.databases import connections
from jwtpizza.settings import Environment
from tests.e2e import books


@pytest.fixture(autouse=True)
def sixteen_a_process(settings):
    settings.COPIES, settings.WEB_CONCURRENCY, settings.DB_POOL_MAX = 1, 2, 16


@pytest.fixture
def told(caplog):
    """What is logged, by its level."""
    caplog.set_level(logging.INFO, connections.log.name)

    def told():
        connections.tell()
        return [
            (record.levelname, record.getMessage()) for record in caplog.records if record.name == connections.log.name
        ]

    return told


@pytest.fixture(params=["PostgreSQL", "MariaDB"])
def server(request, tmp_path, monkeypatch):
    """The database is on a server; how many connections that takes."""
    with books.NEW[request.param](tmp_path) as database:
        ours = ConnectionHandler({DEFAULT_DB_ALIAS: Environment().db("", default=database.url)})[DEFAULT_DB_ALIAS]
        monkeypatch.setattr(connections, "connection", ours)
        if request.param == "MariaDB":
            yield database.query("SELECT @@max_connections")[0][0]
        else:
            [[most]] = database.query("SHOW max_connections")
            [[kept]] = database.query("SHOW superuser_reserved_connections")
            yield int(most) - int(kept)
        ours.close()


def test_a_server_that_has_enough_is_told_of(server, told):
    taken = "COPIES 1 × (WEB_CONCURRENCY 2 + 1 worker) × DB_POOL_MAX 16 = 48 connections at most"
    assert told() == [("INFO", f"{taken}; the database takes {server}")]


def test_one_that_has_too_few_is_a_warning_that_says_what_to_change(server, told, settings):
    settings.COPIES = 10
    [(level, message)] = told()
    assert level == "WARNING"
    assert message.endswith(
        f"= 480 connections at most; the database takes {server}, so some will be refused:"
        f" set DB_POOL_MAX to {server // 30}, or raise its max_connections by {480 - server}"
    )


def test_where_not_even_one_each_is_left_only_the_server_can_help(server, told, settings):
    settings.COPIES = 1000
    [(_, message)] = told()
    assert message.endswith(f"so some will be refused: raise its max_connections by {48_000 - server}")


@pytest.mark.skipif(connection.vendor != "sqlite", reason="the database is on a server")
def test_sqlite_has_no_server_that_could_refuse(told):
    assert told() == []


def test_a_database_that_is_down_costs_a_line(told, monkeypatch):
    nowhere = {"ENGINE": "django.db.backends.postgresql", "HOST": "127.0.0.1", "PORT": "1", "NAME": "nowhere"}
    monkeypatch.setattr(connections, "connection", ConnectionHandler({DEFAULT_DB_ALIAS: nowhere})[DEFAULT_DB_ALIAS])
    assert told() == [("WARNING", "the database does not say how many connections it takes")]
