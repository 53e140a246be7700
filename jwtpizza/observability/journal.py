"""What happens and stands in no book: in a file as soon as it happened, and from there, in batches, in the database.

An outbox without the database: to note something takes some microseconds and no connection, and works while the
database is gone. Killed processes lose nothing, for whoever comes next takes over what they left; a machine that loses
its power, or the folder, loses what was not taken yet. Each line has a name of its own, so that a batch that is kept
twice can be told to be the same.
"""

import fcntl
import json
import logging
import os
import secrets
import threading
import time
from collections.abc import Iterator
from contextlib import suppress
from hashlib import sha256
from pathlib import Path
from typing import Any, NamedTuple

from django.conf import settings
from django.db import connection

log = logging.getLogger("jwtpizza.journal")

# Of one process; while its database is gone, this is 10 minutes of 1,000 lines a second.
MOST_BYTES = 64 * 1024 * 1024
SUFFIX = ".journal"


class Line(NamedTuple):
    """Something that happened: a name that no other has, when (seconds since 1970, by this machine), and what."""

    name: str
    at: float
    kind: str
    what: dict[str, Any]


class Batch:
    """A file that nobody writes to any more; its lock is ours for as long as it is open."""

    def __init__(self, path: Path, descriptor: int) -> None:
        self._path, self._descriptor = path, descriptor

    def lines(self) -> Iterator[Line]:
        """All of them, as often as it is asked; without the last, if its writer was killed in the middle of it."""
        with self._path.open("rb") as file:
            for number, text in enumerate(file):
                if line := self._line(number, text):
                    yield line

    def _line(self, number: int, text: bytes) -> Line | None:
        try:
            what = json.loads(text)
            return Line(f"{self._path.stem}:{number}", float(what.pop("at")), str(what.pop("kind")), what)
        except (ValueError, TypeError, LookupError, AttributeError):
            log.warning("a line of the journal can't be read: %d of %s", number, self._path.name)
            return None

    def done(self) -> None:
        """It is kept elsewhere, and can go. Raises OSError where it can't; then somebody will keep it once more."""
        try:
            self._path.unlink(missing_ok=True)
        finally:
            self.leave()

    def leave(self) -> None:
        """Somebody else may take it, now or later."""
        os.close(self._descriptor)


class Journal:
    """One process's. A file is locked for as long as its process lives, so that nobody takes it for a dead one's."""

    def __init__(self) -> None:
        self.process = secrets.token_hex(8)
        self._lock = threading.Lock()
        self._open: tuple[Path, int] | None = None
        self._taken: Batch | None = None
        self._files = self._bytes = self._taken_bytes = self._dropped = 0

    def note(self, kind: str, **what: Any) -> None:
        """Has it written before this returns. Whoever notes something is told of no trouble.

        What can't be written is counted, and that is noted as "dropped" as soon as there is room again.
        """
        line = {"kind": kind, "at": time.time(), **what}
        with self._lock:
            try:
                if self._dropped:
                    self._write({"kind": "dropped", "at": line["at"], "outcome": "", "count": self._dropped})
                    self._dropped = 0
                self._write(line)
            except OSError:
                if not self._dropped:
                    log.exception("the journal can't be written: what happens now is counted, and not kept")
                self._dropped += 1

    def _write(self, line: dict[str, Any]) -> None:
        """Raises OSError where not all of it can be written."""
        text = json.dumps(line).encode() + b"\n"
        if self._bytes + len(text) > MOST_BYTES:
            raise OSError("it is full, for nobody takes what is in it")
        if self._open is None:
            self._open = self._begun()
        written = os.write(self._open[1], text)
        self._bytes += written
        if written < len(text):
            # What came next would be read as one line with the half of this one. Whoever looks next takes the file.
            os.close(self._open[1])
            self._open, self._bytes = None, self._taken_bytes if self._taken else 0
            raise OSError("there is no room for it")

    def _begun(self) -> tuple[Path, int]:
        """A new file, which nobody took for a dead process's before it was locked."""
        folder = _folder()
        folder.mkdir(parents=True, exist_ok=True)
        while True:
            self._files += 1
            path = folder / f"{self.process}-{self._files}{SUFFIX}"
            descriptor = os.open(path, os.O_WRONLY | os.O_APPEND | os.O_CREAT | os.O_EXCL, 0o600)
            if _lock(descriptor):
                return path, descriptor

    def own(self) -> Batch | None:
        """What this process has noted; until that is `kept`, it is the same batch. For one thread."""
        with self._lock:
            if self._taken is None and self._open:
                self._taken, self._open = Batch(*self._open), None
                self._taken_bytes = self._bytes
            return self._taken

    def kept(self) -> None:
        """The batch of `own`, if there is one, is kept elsewhere."""
        if self._taken is None:
            return
        batch, self._taken = self._taken, None
        with self._lock:
            self._bytes -= self._taken_bytes
        batch.done()


def _folder() -> Path:
    """One for each database: what happened to one is not to be told to another that runs on this machine."""
    database = settings.DATABASES["default"]
    # As the engines were called before they were our own: what was not kept yet is to be found.
    engine = "django.db.backends." + {"sqlite": "sqlite3"}.get(connection.vendor, connection.vendor)
    address = "|".join([engine, *(str(database.get(part, "")) for part in ("HOST", "PORT", "NAME"))])
    return Path(settings.RUN_DIR) / "journal" / sha256(address.encode()).hexdigest()[:12]


def left() -> Iterator[Batch]:
    """What processes of this machine have left that live no more; each to be `done`, or left again.

    What this process may not open is left to those who may.
    """
    for path in sorted(_folder().glob(f"*{SUFFIX}")):
        with suppress(OSError):
            # To be written to, for some file systems lock no other.
            descriptor = os.open(path, os.O_RDWR)
            if _lock(descriptor):
                yield Batch(path, descriptor)


def _lock(descriptor: int) -> bool:
    """Makes the file ours, unless somebody has it, or has done with it; then it is closed."""
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        ours = os.fstat(descriptor).st_nlink > 0
    except OSError:
        ours = False
    if not ours:
        os.close(descriptor)
    return ours


JOURNAL = Journal()
note = JOURNAL.note
