"""What is measured, each in processes of its own: the service as it is run, the practice factory, the bare limits."""

import json
import os
import re
import sys
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import NamedTuple

import psutil

from tests import servers
from tests.drill.house import PracticeFactory, wait_for_workers
from tests.e2e import books, million
from tests.e2e.books import Database
from tests.live import PROJECT, Group, Service, Worker, until_ready
from tests.load.town import Town, filled
from tests.ports import free_port


def environment(**more: str) -> dict[str, str]:
    """This process's, with the project's own programs in its PATH."""
    return {**os.environ, **more, "PATH": f"{Path(sys.executable).parent}:{os.environ['PATH']}"}


RECOVERY_SECONDS = 120
# One after the other, whichever worker has them.
ENOUGH = 8


class Running(Service):
    """The service as its Procfile has it."""

    def start(self, page: str = "/readyz") -> None:
        self.environment = environment(**self.environment | {"PORT": str(self.port)})
        self._run("-m", "script.processes", "web")
        until_ready(self, self.url + page)

    def worker_processes(self) -> list[psutil.Process]:
        """Those that answer, which start no others."""
        return [each for each in psutil.Process(self.process.pid).children(recursive=True) if not each.children()]


class Bare(Group):
    """An application of `tests.load.bare` that answers that body, on the service's server with its options."""

    def __init__(self, name: str, body: Path, directory: Path) -> None:
        self.port, self.log = free_port(), directory / f"bare-{name}.log"
        web = re.search("^web: exec (.*) --log-config .*$", (PROJECT / "Procfile").read_text(), re.MULTILINE)
        assert web, "the Procfile starts the service in another way than it did"
        self.environment = environment(PORT=str(self.port), BARE_BODY=str(body))
        self._run("-c", f"exec {web[1]} tests.load.bare:{name}", program="sh")
        until_ready(self, f"http://127.0.0.1:{self.port}/api/order/menu")


class House(NamedTuple):
    service: Running
    factory: PracticeFactory
    town: Town
    django: Bare
    wsgi: Bare

    def recover(self) -> None:
        """Returns once orders are made again: the circuits have closed."""
        give_up = time.monotonic() + RECOVERY_SECONDS
        body, tokens = json.loads(self.town.order(0)), iter(self.town.diners * 100)
        made = 0
        while made < ENOUGH:
            assert time.monotonic() < give_up, "no order is made any more"
            made = made + 1 if self.service("POST", "/api/order", body, token=next(tokens)).ok else 0
            time.sleep(0.1)


def _telemetry(directory: Path) -> dict[str, str]:
    """As it is run: metrics are kept, and each request has its line."""
    metrics = str(directory / "metrics")
    return {"PROMETHEUS_MULTIPROC_DIR": metrics, "LOG_FORMAT": "json", "WORKER_METRICS_PORT": "0"}


@contextmanager
def new(kind: str, directory: Path) -> Iterator[Database]:
    """An empty database: on SQLite a file in the directory, else on a server of its own."""
    if kind == "SQLite":
        with books.new_sqlite(directory) as database:
            yield database
        return
    try:
        with servers.running(kind, durable=True) as server:
            yield Database(server.url, books.asking(kind, server.url))
    except FileNotFoundError as missing:
        sys.exit(f"{kind} is not installed: {missing}")


@contextmanager
def house(directory: Path, database_url: str) -> Iterator[House]:
    """All of it on an empty database; none of it is left at the end."""
    (directory / "metrics").mkdir()
    with ExitStack() as running:
        factory = PracticeFactory(directory)
        running.callback(factory.kill)
        service = Running(database_url, factory, _telemetry(directory), directory=directory)
        running.callback(service.stop)
        wait_for_workers(service)
        factory.chaos("none", delay=0)
        worker = Worker(service, directory / "worker.log")
        running.callback(worker.stop)
        town = filled(service)
        body = directory / "menu.json"
        body.write_bytes(service("GET", "/api/order/menu").content)
        bare = [Bare(name, body, directory) for name in ("django", "wsgi")]
        for each in bare:
            running.callback(each.kill)
        yield House(service, factory, town, *bare)


def settle(database: Database) -> None:
    """What PostgreSQL would else do by itself, while it is measured."""
    if database.url.startswith("postgres"):
        database.query("VACUUM ANALYZE")


@contextmanager
def old(directory: Path, database: Database, house: House) -> Iterator[Running]:
    """A service with a million orders in its books."""
    million.fill(database, directory)
    settle(database)
    (directory / "metrics").mkdir()
    service = Running(database.url, house.factory, _telemetry(directory), directory=directory)
    try:
        yield service
    finally:
        service.kill()
