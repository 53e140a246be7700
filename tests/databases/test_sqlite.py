"""On SQLite those who want to write wait in line, and whoever has the line leaves it however its transaction ends."""

import errno
import fcntl
import sqlite3
import subprocess
import sys
from contextlib import closing
from threading import Event

import pytest
from django.db import OperationalError, connections
from django.db.backends.utils import CursorWrapper

from jwtpizza.databases.sqlite import base
from jwtpizza.databases.sqlite.base import DatabaseWrapper, Line, line
from jwtpizza.turns import TURNS
from tests.resilience.kit import BOUND, aside, others_first

pytestmark = pytest.mark.django_db
AT_ONCE = 0.0
HOLD = """
import fcntl, sys
file = open(sys.argv[1], "w")
fcntl.lockf(file, fcntl.LOCK_EX)
print("mine", flush=True)
sys.stdin.read()
"""


@pytest.fixture
def path(tmp_path):
    return tmp_path / "books.sqlite3"


@pytest.fixture
def ann(path):
    """A connection to the database, which waits for a moment."""
    told = connections["default"].settings_dict
    options = {"transaction_mode": "IMMEDIATE", "timeout": 0.02}
    ann = DatabaseWrapper({**told, "NAME": str(path), "OPTIONS": options}, alias="books")
    yield ann
    ann.close()


def is_free(path):
    """Whether the next one in this process may write at once."""
    try:
        line(str(path)).enter(AT_ONCE)
    except OperationalError:
        return False
    line(str(path)).leave()
    return True


def test_who_comes_second_writes_once_the_first_is_done():
    books, said, asks = Line(None), [], Event()

    def second():
        asks.set()
        books.enter(BOUND)
        said.append("the second")

    books.enter(AT_ONCE)
    later = aside(second)
    assert asks.wait(BOUND)
    said.append("the first")
    books.leave()
    later.result(BOUND)
    assert said == ["the first", "the second"]


def test_who_waits_for_too_long_is_told_so_and_the_line_goes_on():
    books = Line(None)
    books.enter(AT_ONCE)
    with pytest.raises(OperationalError, match="database is locked"):
        books.enter(0.01)
    books.leave()
    books.enter(AT_ONCE)


@pytest.fixture
def other(path):
    """A process that has the line."""
    argv = [sys.executable, "-c", HOLD, str(path)]
    with subprocess.Popen(argv, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as other:
        assert other.stdout.readline() == "mine\n"
        yield other
        other.kill()


def test_of_processes_one_writes_and_one_that_is_killed_leaves(path, other, monkeypatch):
    monkeypatch.setattr(base, "LOOK_SECONDS", BOUND)
    entering = aside(Line(path).enter, AT_ONCE)
    others_first()
    assert not entering.done()
    other.kill()
    entering.result(BOUND)


def test_one_that_was_stopped_with_the_line_stops_nobody(path, other, monkeypatch):
    monkeypatch.setattr(base, "LOOK_SECONDS", 0.05)
    books, looks = Line(path), []
    monkeypatch.setattr(books, "_is_mine", lambda look=books._is_mine: (looks.append(1), look())[1])
    seen = []
    for _ in range(3):
        looks.clear()
        books.enter(AT_ONCE)
        books.leave()
        seen.append(len(looks))
    # The first of its process waits a little, and those after it don't.
    assert seen[0] > 1
    assert seen[1:] == [1, 1]


def test_a_transaction_has_the_line_until_it_is_committed(ann, path):
    ann.set_autocommit(False, force_begin_transaction_with_broken_autocommit=True)
    assert not is_free(path)
    ann.commit()
    assert is_free(path)


def test_or_rolled_back(ann, path):
    ann.set_autocommit(False, force_begin_transaction_with_broken_autocommit=True)
    ann.rollback()
    assert is_free(path)


def test_or_its_connection_closed(ann, path):
    ann.set_autocommit(False, force_begin_transaction_with_broken_autocommit=True)
    ann.close()
    assert is_free(path)


def test_who_can_t_begin_leaves_the_line(ann, path):
    """Somebody writes who does not wait in line, as the program sqlite3."""
    with closing(sqlite3.connect(path, isolation_level=None)) as other:
        other.execute("BEGIN IMMEDIATE")
        with pytest.raises(OperationalError, match="database is locked"):
            ann.set_autocommit(False, force_begin_transaction_with_broken_autocommit=True)
    assert is_free(path)


def test_a_change_without_a_transaction_has_it_while_it_is_made(ann, path, monkeypatch):
    was_free, execute = [], CursorWrapper._execute

    def watched(self, sql, params, *ignored):
        was_free.append(is_free(path))
        return execute(self, sql, params, *ignored)

    monkeypatch.setattr(CursorWrapper, "_execute", watched)
    for sql in ("CREATE TABLE pizza (name TEXT)", "INSERT INTO pizza VALUES ('Veggie')", "SELECT name FROM pizza"):
        with ann.cursor() as cursor:
            cursor.execute(sql)
    assert was_free == [True, False, True]
    assert is_free(path)


def test_one_that_fails_leaves_the_line(ann, path):
    with pytest.raises(OperationalError, match="no such table"), ann.cursor() as cursor:
        cursor.execute("DELETE FROM toppings")
    assert is_free(path)


def test_where_there_are_no_locks_for_files_it_goes_on_without(path, monkeypatch):
    def lockf(*_):
        raise OSError(errno.ENOLCK, "no locks available")

    books = Line(path)
    monkeypatch.setattr(fcntl, "lockf", lockf)
    books.enter(AT_ONCE)
    books.leave()
    books.enter(AT_ONCE)


def test_nobody_else_may_lock_it(path):
    Line(path)
    assert path.stat().st_mode & 0o077 == 0


def test_who_waits_in_line_lets_others_run(ann, monkeypatch):
    had_a_turn, enter = [], Line.enter

    def watched(self, seconds):
        had_a_turn.append(TURNS.leave())
        enter(self, seconds)

    monkeypatch.setattr(Line, "enter", watched)
    TURNS.take()
    ann.set_autocommit(False, force_begin_transaction_with_broken_autocommit=True)
    assert [*had_a_turn, TURNS.leave()] == [False, True]


def test_where_the_file_can_t_be_had_it_goes_on_without(tmp_path):
    nowhere = Line(tmp_path / "no folder" / "books")
    nowhere.enter(AT_ONCE)
    nowhere.leave()


def test_one_in_memory_is_this_process_s_alone(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    for name in (":memory:", "file:memory?mode=memory&cache=shared"):
        line(name).enter(AT_ONCE)
        line(name).leave()
    assert not list(tmp_path.iterdir())
