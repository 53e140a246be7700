"""Database servers of our own, on a free port, which can be stopped and started again. As a rule they never wait for
the disk.

    python -m tests.servers PostgreSQL COMMAND...

runs the command with such a server's DATABASE_URL.
"""

import os
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time
from abc import ABC, abstractmethod
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from tests.ports import free_port

PATIENCE = 30
# A file system in memory, where there is a large one: MariaDB makes a new file for each table that it empties.
MEMORY, ENOUGH = "/dev/shm", 1 << 30


class Server(ABC):
    """A database server in `directory`, which is its user's."""

    # Whom it runs as where we are root, which it refuses to.
    user: str
    # What ends it in good order.
    end: signal.Signals

    def __init__(self, directory: Path, *, durable: bool = False) -> None:
        self.directory, self.port, self.durable = directory, free_port(), durable
        self._user = self.user if os.getuid() == 0 else None
        if self._user:
            shutil.chown(directory, self._user)
        subprocess.run(self.make(), user=self._user, cwd=directory, check=True, stdout=subprocess.DEVNULL)
        self.start()

    @property
    @abstractmethod
    def url(self) -> str:
        """The DATABASE_URL of an empty database."""

    @abstractmethod
    def make(self) -> list[str]: ...

    @abstractmethod
    def serve(self) -> list[str]: ...

    def start(self) -> None:
        """It listens when this returns."""
        with (self.directory / "log").open("ab") as log:
            self._process = subprocess.Popen(
                self.serve(), user=self._user, cwd=self.directory, stdout=log, stderr=subprocess.STDOUT
            )
        give_up = time.monotonic() + PATIENCE
        while not self._listens():
            late = time.monotonic() > give_up or self._process.poll() is not None
            assert not late, (self.directory / "log").read_text()
            time.sleep(0.02)  # a process of its own has no clock that could be faked

    def _listens(self) -> bool:
        with socket.socket() as plug:
            return plug.connect_ex(("127.0.0.1", self.port)) == 0

    def stop(self) -> None:
        self._process.send_signal(self.end)
        self._process.wait(PATIENCE)


class PostgreSQL(Server):
    user, end = "postgres", signal.SIGINT

    @property
    def url(self) -> str:
        return f"postgres://postgres@127.0.0.1:{self.port}/postgres"

    def _listens(self) -> bool:
        """Not while it starts, when it tells each who comes that it does."""
        ready = [self._program("pg_isready"), "--quiet", "--host=127.0.0.1", f"--port={self.port}"]
        return subprocess.run(ready, check=False).returncode == 0

    def _program(self, name: str) -> str:
        told = subprocess.run(["pg_config", "--bindir"], capture_output=True, text=True, check=True)
        return f"{told.stdout.strip()}/{name}"

    def make(self) -> list[str]:
        how = ["--no-sync", "--auth=trust", "--username=postgres", "--encoding=UTF8", "--no-locale"]
        return [self._program("initdb"), f"--pgdata={self.directory}/data", *how]

    def serve(self) -> list[str]:
        where = ["-D", f"{self.directory}/data", "-k", str(self.directory), "-h", "127.0.0.1", "-p", str(self.port)]
        return [self._program("postgres"), *where, *([] if self.durable else ["-F"])]


class MariaDB(Server):
    user, end = "mysql", signal.SIGTERM

    QUICK = (
        "--innodb-flush-log-at-trx-commit=0",
        "--innodb-flush-method=nosync",
        "--innodb-doublewrite=0",
        "--innodb-log-file-size=8M",
        "--sync-frm=0",
    )
    HOW = ("--skip-name-resolve", "--character-set-server=utf8mb4")

    def _how(self) -> tuple[str, ...]:
        return self.HOW if self.durable else (*self.HOW, *self.QUICK)

    @property
    def url(self) -> str:
        return f"mysql://root@127.0.0.1:{self.port}/jwtpizza"

    def make(self) -> list[str]:
        how = ["--auth-root-authentication-method=normal", "--skip-test-db", *self._how()]
        return ["mariadb-install-db", "--no-defaults", f"--datadir={self.directory}/data", *how]

    def serve(self) -> list[str]:
        where = [f"--datadir={self.directory}/data", f"--socket={self.directory}/socket", f"--port={self.port}"]
        first = self.directory / "first.sql"
        first.write_text("CREATE DATABASE IF NOT EXISTS jwtpizza;")
        how = ["--bind-address=127.0.0.1", f"--init-file={first}", *self._how()]
        return ["/usr/sbin/mariadbd", "--no-defaults", *where, *how]


KINDS: dict[str, type[Server]] = {"PostgreSQL": PostgreSQL, "MariaDB": MariaDB}


@contextmanager
def running(kind: str, *, durable: bool = False) -> Iterator[Server]:
    """Such a server, of which nothing is left afterwards; raises FileNotFoundError where it is not installed.

    One that is `durable` is as it comes: it lies on the disk, and waits for it.
    """
    in_memory = not durable and os.path.isdir(MEMORY) and shutil.disk_usage(MEMORY).free >= ENOUGH
    directory = Path(tempfile.mkdtemp(prefix=kind, dir=MEMORY if in_memory else None))
    try:
        server = KINDS[kind](directory, durable=durable)
        try:
            yield server
        finally:
            server.stop()
    finally:
        shutil.rmtree(directory)


if __name__ == "__main__":
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(1))  # that is, stops the server first
    with running(sys.argv[1]) as mine:
        sys.exit(subprocess.run(sys.argv[2:], env=os.environ | {"DATABASE_URL": mine.url}).returncode)
