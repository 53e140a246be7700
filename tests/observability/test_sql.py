"""The lines about statements: each at DEBUG, a slow one always, without what stands in a row."""

import logging

import pytest
from django.db import connection

from jwtpizza.accounts.models import User
from jwtpizza.observability.sql import log

pytestmark = pytest.mark.django_db


@pytest.fixture
def statements(caplog):
    return lambda: [(record.levelname, record.data) for record in caplog.records if record.name == log.name]


def test_at_debug_each_statement_is_a_line_without_parameters(statements, caplog):
    caplog.set_level(logging.DEBUG, log.name)
    User.objects.filter(name="zoe-secret").exists()
    ((level, data),) = statements()
    assert (level, data["type"]) == ("DEBUG", "db")
    assert data["ms"] >= 0
    assert "%s" in data["sql"]
    assert "zoe-secret" not in data["sql"]


def test_a_slow_statement_is_a_warning_whatever_the_level(statements, settings):
    settings.DB_SLOW_SECONDS = 1e-9
    User.objects.exists()
    assert [level for level, _ in statements()] == ["WARNING"]


def test_any_other_is_none(statements):
    User.objects.exists()
    assert statements() == []


@pytest.mark.django_db(transaction=True)
def test_a_connection_that_comes_back_is_watched_once():
    connection.close()
    connection.connect()
    assert len(connection.execute_wrappers) == len(set(connection.execute_wrappers))
