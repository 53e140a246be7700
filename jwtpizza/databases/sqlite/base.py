"""Django's backend for SQLite with a line of those who want to write.

SQLite has one writer at a time. Whoever finds another there looks again after 1, 2, 5 ... 100 ms, and who comes just in
time is first: of 32 diners who order at once, some waited for seconds. Here one thread of each process looks every half
a millisecond, and the others of its process wait for it.
"""

import fcntl
import os
import re
import time
from collections.abc import Callable
from contextlib import suppress
from functools import cache
from pathlib import Path
from threading import Lock
from typing import Any

from django.db.backends.sqlite3 import base
from django.db.utils import OperationalError

from jwtpizza.turns import TURNS

LOOK_AGAIN_SECONDS = 0.0005
# Longer than any line of processes that work: who has the lock for so long may have been stopped with it.
LOOK_SECONDS = 0.25
# Then nobody of this process looks for it longer than once, for so long.
STUCK_SECONDS = 2.0
WRITES = re.compile(r"\s*(BEGIN|INSERT|UPDATE|DELETE|REPLACE)\b", re.IGNORECASE)


class Line:
    """Those who want to write to the database: one thread of a process at a time, and of all processes one.

    Of processes a lock on `path` tells, which ends with the one that has it. Without one, or where it can't be had in
    time, the first of each process are left to SQLite, which lets one write in any case.
    """

    def __init__(self, path: Path | None) -> None:
        self._first = Lock()
        self._file: int | None = None
        self._stuck_until = 0.0
        with suppress(OSError):
            # Whoever may read it could lock it.
            self._file = os.open(path, os.O_RDWR | os.O_CREAT, 0o600) if path else None

    def enter(self, seconds: float) -> None:
        """Raises django.db.OperationalError, as SQLite would, when it takes longer."""
        if not self._first.acquire(timeout=seconds):
            raise OperationalError("database is locked")
        try:
            self._look()
        except BaseException:
            self._first.release()
            raise

    def _look(self) -> None:
        begun = time.monotonic()
        patience = 0.0 if begun < self._stuck_until else LOOK_SECONDS
        while not self._is_mine():
            if time.monotonic() >= begun + patience:
                if patience:
                    self._stuck_until = time.monotonic() + STUCK_SECONDS
                return
            time.sleep(LOOK_AGAIN_SECONDS)

    def leave(self) -> None:
        """Somebody else may write."""
        try:
            if self._file is not None:
                fcntl.lockf(self._file, fcntl.LOCK_UN)
        finally:
            self._first.release()

    def _is_mine(self) -> bool:
        try:
            if self._file is not None:
                fcntl.lockf(self._file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except (BlockingIOError, PermissionError):
            return False
        except OSError:
            # A file system without locks.
            self._file = None
        return True


_making = Lock()


def line(name: str) -> Line:
    """This process's for the database of that name."""
    with _making:
        return _line(name)


@cache
def _line(name: str) -> Line:
    in_memory = not name or name.startswith((":memory:", "file:"))
    return Line(None if in_memory else Path(f"{name}-writer"))


class DatabaseWrapper(base.DatabaseWrapper):
    _mine: Line | None = None

    def connect(self) -> None:
        super().connect()
        # The last, for what is waited is the database's time.
        if self._in_line not in self.execute_wrappers:
            self.execute_wrappers.append(self._in_line)

    def _in_line(self, execute: Callable[..., Any], sql: str, *more: Any) -> Any:
        """A transaction has the line until its end, and a change without one while it is made.

        Raises django.db.OperationalError when somebody else writes for too long.
        """
        if self._mine or not WRITES.match(sql):
            return execute(sql, *more)
        try:
            with TURNS.aside(patience=0):
                self._enter()
                return execute(sql, *more)
        finally:
            if not self.connection.in_transaction:
                self._leave()

    def _enter(self) -> None:
        mine = line(str(self.settings_dict["NAME"]))
        mine.enter(self.settings_dict["OPTIONS"]["timeout"])
        self._mine = mine

    def _leave(self) -> None:
        if self._mine:
            mine, self._mine = self._mine, None
            mine.leave()

    def _commit(self) -> Any:
        try:
            return super()._commit()  # type: ignore[misc]
        finally:
            self._leave()

    def _rollback(self) -> Any:
        try:
            return super()._rollback()  # type: ignore[misc]
        finally:
            self._leave()

    def _close(self) -> None:
        try:
            super()._close()  # type: ignore[misc]
        finally:
            self._leave()
