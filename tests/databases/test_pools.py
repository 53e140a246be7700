"""The pools of connections to PostgreSQL and MariaDB, against real ones."""

import gc
import itertools
import os
import socket
import threading
import time
from concurrent.futures import ThreadPoolExecutor

import pytest
from django.db import DEFAULT_DB_ALIAS, ConnectionHandler, OperationalError, ProgrammingError

from jwtpizza.databases.idle import OPTIONS as OF_SOCKETS
from jwtpizza.settings import Environment
from tests.e2e import books
from tests.e2e.steps import cut_off

SIZE, TIMEOUT = 2, 1
ALIAS = "pooled"
OPTIONS = {
    "PostgreSQL": {
        "pool": {"min_size": 1, "max_size": SIZE, "timeout": TIMEOUT, "reconnect_timeout": 1.0},
        "options": "-c lock_timeout=200ms -c application_name=pizza",
        "prepare_threshold": 5,
    },
    "MariaDB": {
        "pool": {"pool_size": SIZE, "max_overflow": 0, "timeout": TIMEOUT},
        "isolation_level": "read committed",
        "init_command": "SET time_zone = '-07:00', innodb_lock_wait_timeout = 1",
    },
}
SESSION = {
    "PostgreSQL": ("current_setting('application_name')", "pizza"),
    "MariaDB": ("CONCAT(@@time_zone, @@tx_isolation)", "-07:00READ-COMMITTED"),
}
NUMBER = {"PostgreSQL": "pg_backend_pid()", "MariaDB": "CONNECTION_ID()"}


@pytest.fixture(params=OPTIONS)
def kind(request):
    return request.param


@pytest.fixture
def database(kind, tmp_path):
    with books.NEW[kind](tmp_path) as database:
        database.query("CREATE TABLE pizza (eaten INT)")
        database.query("INSERT INTO pizza VALUES (0)")
        yield database


@pytest.fixture
def connections(kind, database):
    """Each thread's own connection to it, out of a pool of two."""
    address = Environment().db("", default=database.url)
    handler = ConnectionHandler({DEFAULT_DB_ALIAS: {}, ALIAS: address | {"OPTIONS": OPTIONS[kind]}})
    yield handler
    handler[ALIAS].close()
    if kind == "PostgreSQL":
        handler[ALIAS].close_pool()


@pytest.fixture
def ask(connections):
    """The one value that a statement finds, on this thread's connection, which is kept."""

    def ask(sql):
        with connections[ALIAS].cursor() as cursor:
            cursor.execute(sql)
            return cursor.fetchone()[0]

    return ask


@pytest.fixture
def number(kind, ask):
    """Of this thread's connection."""
    return lambda: ask(f"SELECT {NUMBER[kind]}")


@pytest.fixture
def give_back(connections):
    return lambda: connections[ALIAS].close()  # noqa: PLW0108  (each thread has its own)


class Holders:
    """Threads that hold all connections until they are told."""

    def __init__(self, number, give_back):
        self._number, self._give_back = number, give_back
        self._over, held = threading.Event(), threading.Barrier(SIZE + 1)
        self._threads = [threading.Thread(target=self._hold, args=[held]) for _ in range(SIZE)]
        for thread in self._threads:
            thread.start()
        held.wait(10)

    def _hold(self, held):
        self._number()
        held.wait(10)
        self._over.wait(10)
        self._give_back()

    def let_go(self):
        self._over.set()
        for thread in self._threads:
            thread.join()


@pytest.fixture
def holders(number, give_back):
    holders = Holders(number, give_back)
    yield holders
    holders.let_go()


@pytest.mark.parametrize("kind", ["PostgreSQL"], indirect=True)
def test_what_was_asked_often_is_prepared_in_its_connection_whoever_asks_next(connections, ask, give_back):
    counts = []
    for eaten in range(12 * SIZE):
        for prepares, column, number in ((True, "eaten", eaten), (False, "eaten + 1", 9)):
            connections[ALIAS].prepares = prepares
            with connections[ALIAS].cursor() as cursor:
                cursor.execute(f"SELECT {column} FROM pizza WHERE eaten < %s", [number])
        counts.append(ask("SELECT count(*) FROM pg_prepared_statements WHERE statement LIKE 'SELECT eaten %'"))
        give_back()
    assert (counts[:5], counts[-1]) == ([0] * 5, 1)


def test_a_connection_that_was_given_back_is_taken_again_with_its_session(kind, ask, number, give_back):
    name, value = SESSION[kind]
    seen = set()
    for _ in range(3 * SIZE):
        seen.add(number())
        assert ask(f"SELECT {name}") == value
        give_back()
    assert len(seen) <= SIZE


def test_who_finds_none_free_is_refused_after_the_timeout_and_served_once_there_is_one(number, holders):
    begun = time.monotonic()
    with pytest.raises(OperationalError):
        number()
    assert TIMEOUT <= time.monotonic() - begun < TIMEOUT + 1
    holders.let_go()
    assert number()


def test_many_threads_take_turns_at_few_connections(number, give_back):
    def turn(_):
        try:
            return number()
        finally:
            give_back()

    with ThreadPoolExecutor(8) as pool:
        assert len(set(pool.map(turn, range(200)))) <= SIZE


def test_connections_that_the_server_cut_cost_nobody_anything(number, give_back, database, holders):
    holders.let_go()
    assert cut_off(database) == SIZE
    for _ in range(SIZE):
        begun = time.monotonic()
        assert number()
        give_back()
        assert time.monotonic() - begun < TIMEOUT / 2


def test_one_that_was_cut_in_hand_costs_its_holder_an_error_and_is_replaced(number, connections, database):
    before = number()
    cut_off(database)
    with pytest.raises(OperationalError):
        number()
    connections[ALIAS].close_if_unusable_or_obsolete()
    assert number() != before


def test_a_host_that_went_without_a_word_is_given_up_within_eight_seconds(number, connections):
    """What the system is told: a host that is switched off can't be had here."""
    number()
    with socket.socket(fileno=os.dup(connections[ALIAS].connection.fileno())) as connected:
        told = [connected.getsockopt(socket.IPPROTO_TCP, getattr(socket, name)) for name in OF_SOCKETS]
        assert connected.getsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE) == 1
    assert told == [5, 1, 3, 8000]


def test_one_that_broke_in_hand_is_not_lent_again_whoever_has_its_number_by_now(
    number, connections, database, give_back
):
    number()
    cut_off(database)
    with pytest.raises(OperationalError):
        number()
    # A process opens others all the time, and the system gives the lowest number that is free.
    strangers = [socket.socketpair() for _ in range(4)]
    try:
        give_back()
        assert number()
    finally:
        for stranger in itertools.chain(*strangers):
            stranger.close()


def test_what_was_not_committed_is_undone_when_the_connection_is_given_back(ask, number, give_back, connections):
    number()
    connections[ALIAS].set_autocommit(False)
    with connections[ALIAS].cursor() as cursor:
        cursor.execute("UPDATE pizza SET eaten = 1")
    give_back()
    for _ in range(SIZE):
        assert (ask("SELECT eaten FROM pizza"), connections[ALIAS].get_autocommit()) == (0, True)
        give_back()


def test_nothing_more_can_be_done_in_a_transaction_whose_connection_was_given_back(number, give_back, connections):
    number()
    connections[ALIAS].in_atomic_block = True
    give_back()
    with pytest.raises(ProgrammingError):
        number()


@pytest.mark.parametrize("kind", ["MariaDB"], indirect=True)
def test_a_thread_that_ends_with_a_connection_in_hand_takes_none_away(number):
    for _ in range(2 * SIZE):
        thread = threading.Thread(target=number)
        thread.start()
        thread.join()
        gc.collect()
    assert number()


def test_who_waits_too_long_for_somebodys_lock_is_told_so(kind, connections, database):
    with books.SESSION[kind](database.url) as somebody, connections[ALIAS].cursor() as cursor:
        somebody("BEGIN")
        somebody("UPDATE pizza SET eaten = 1")
        with pytest.raises(OperationalError, match=r"(?i)lock (wait )?timeout"):
            cursor.execute("UPDATE pizza SET eaten = 2")
