"""The service as it runs: granian, worker processes, a database of its own, the practice factory behind it."""

import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path
from typing import Any

import psutil
import pytest
import requests
from redis import Redis, RedisError

from tests.ports import free_port

PROJECT = Path(__file__).parent.parent
PATIENCE = 30


def processor_seconds(process: psutil.Process) -> float:
    """What it has taken of the processors so far; 0 if it is gone."""
    try:
        times = process.cpu_times()
    except psutil.NoSuchProcess:
        return 0.0
    return float(times.user + times.system)


class Group:
    """A program of this project and the processes that it starts; what they print is added to `log`."""

    environment: Mapping[str, str]
    log: Path
    folder = PROJECT
    process: subprocess.Popen[bytes]

    def _run(self, *argv: str, program: str = sys.executable) -> None:
        with self.log.open("ab") as log:
            self.process = subprocess.Popen(
                [program, *argv],
                env=self.environment,
                cwd=self.folder,
                stdout=log,
                stderr=subprocess.STDOUT,
                start_new_session=True,  # a group of its own, which kill() ends whole
            )

    def kill(self) -> None:
        """kill -9 of all its processes at once; nothing of it is left, not even what is in a session of its own."""
        all_of_it: list[psutil.Process] = []
        with suppress(psutil.NoSuchProcess):
            all_of_it = self.processes()
        with suppress(ProcessLookupError):
            os.killpg(self.process.pid, signal.SIGKILL)
        for each in all_of_it:
            with suppress(psutil.NoSuchProcess):
                each.kill()
        self.process.wait(PATIENCE)

    def processes(self) -> list[psutil.Process]:
        """The program and all below it; raises psutil.NoSuchProcess when it is gone."""
        first = psutil.Process(self.process.pid)
        return [first, *first.children(recursive=True)]

    def processor_seconds(self) -> float:
        """What all of them have taken of the processors so far."""
        return sum(map(processor_seconds, self.processes()))

    def stop(self) -> int:
        """Ends it as an operator would; its exit code."""
        self.process.terminate()
        try:
            return self.process.wait(PATIENCE)
        finally:
            self.kill()

    def pause(self) -> None:
        """All its processes stand still, from when this returns until `resume`, as on a machine that sleeps."""
        os.killpg(self.process.pid, signal.SIGSTOP)
        give_up = time.monotonic() + PATIENCE
        while not self._states() <= {"T", "Z"}:
            assert time.monotonic() < give_up, "it did not stand still in time"
            time.sleep(0.01)  # a signal is on its way for a while

    def resume(self) -> None:
        os.killpg(self.process.pid, signal.SIGCONT)

    def _states(self) -> set[str]:
        """The states that its threads are in, in Linux's letters."""
        found = set()
        for thread in Path("/proc").glob("[0-9]*/task/[0-9]*/stat"):
            with suppress(OSError):  # it is gone meanwhile
                state, _, group, *_ = thread.read_text().rpartition(")")[2].split()
                found |= {state} if int(group) == self.process.pid else set()
        return found


def until_ready(group: Group, url: str) -> None:
    """Returns once the page of that program is there; ends it where it isn't in time."""
    give_up = time.monotonic() + PATIENCE
    while time.monotonic() < give_up and group.process.poll() is None:
        try:
            if requests.get(url, timeout=5).ok:
                return
        except requests.RequestException:
            time.sleep(0.05)  # a process of its own has no clock that could be faked
    group.kill()
    raise AssertionError(f"it did not start:\n{group.log.read_text()}")


class Service(Group):
    """The service in processes of its own, migrated, seeded and ready.

    What it shares between its workers and what it logs (`log`) lies in `directory`. It can be killed or stopped
    and started again: port, database and directory stay.
    """

    def __init__(
        self,
        database_url: str,
        factory: Any,
        env: Mapping[str, str] | None = None,
        *,
        directory: Path,
        workers: int = 2,
        threads: int = 64,
    ) -> None:
        self.port = free_port()
        self.url = f"http://127.0.0.1:{self.port}"
        self.log = directory / "service.log"
        self.workers, self.threads = workers, threads
        self.environment = os.environ | {
            "DATABASE_URL": database_url,
            "RUN_DIR": str(directory / "run"),
            "FACTORY_URL": factory.url,
            "FACTORY_API_KEY": factory.api_key,
            **(env or {}),
        }
        self.manage("migrate", "--verbosity=0")
        self.manage("seed_demo")
        self.start()

    def manage(self, *command: str) -> str:
        """What `manage.py` prints, as the service's own environment makes it run; raises where it fails."""
        argv = [sys.executable, "manage.py", *command]
        done = subprocess.run(argv, env=self.environment, cwd=PROJECT, capture_output=True, text=True, timeout=60)
        assert done.returncode == 0, done.stdout + done.stderr
        return done.stdout

    def start(self) -> None:
        options = {"interface": "wsgi", "http": "1", "port": self.port, "workers": self.workers}
        options |= {"blocking-threads": self.threads, "backpressure": 1024, "workers-kill-timeout": 5}
        options |= {"log-level": "warning", "log-config": "ops/granian/logging.json"}
        flags = [f"--{name}={value}" for name, value in options.items()]
        self._run("-m", "granian", *flags, "--respawn-failed-workers", "jwtpizza.wsgi:application")
        self._wait_until_ready()

    def _wait_until_ready(self) -> None:
        until_ready(self, self.url + "/readyz")

    def __call__(self, method: str, path: str, body: Any = None, *, token: str = "", **more: Any) -> requests.Response:
        """Sends JSON as the owner of `token`, or as nobody."""
        headers = {"Authorization": f"Bearer {token}"} if token else {}
        headers |= more.pop("headers", {})
        return requests.request(method, self.url + path, json=body, headers=headers, **({"timeout": 60} | more))

    def log_in(self, email: str, password: str) -> str:
        """A token."""
        answer = self("PUT", "/api/auth", {"email": email, "password": password})
        answer.raise_for_status()
        return str(answer.json()["token"])


class Worker(Group):
    """`manage.py fulfil_orders` beside a service, with its database and its settings."""

    def __init__(self, service: Service, log: Path) -> None:
        self.environment, self.log = dict(service.environment), log
        if metrics := self.environment.get("PROMETHEUS_MULTIPROC_DIR"):
            self.environment["PROMETHEUS_MULTIPROC_DIR"] = f"{metrics}/worker"
        self.metrics_url = f"http://127.0.0.1:{self.environment.get('WORKER_METRICS_PORT')}"
        self.start()

    def start(self) -> None:
        self._run("manage.py", "fulfil_orders")


class RedisServer(Group):
    """A Redis of a test's own, which keeps nothing on a disk; skips the test where there is none installed.

    Started again after `kill` it has its port, and has forgotten everything.
    """

    def __init__(self, directory: Path) -> None:
        if not shutil.which("redis-server"):
            pytest.skip("redis-server is not installed")
        self.environment, self.log = os.environ, directory / "redis.log"
        self.port = free_port()
        self.url = f"redis://127.0.0.1:{self.port}/0"
        self.client = Redis.from_url(self.url, decode_responses=True)
        self.start()

    def start(self) -> None:
        options = ("--port", str(self.port), "--bind", "127.0.0.1", "--save", "", "--appendonly", "no")
        self._run(*options, program="redis-server")
        give_up = time.monotonic() + PATIENCE
        while True:
            try:
                self.client.ping()
            except RedisError:
                assert time.monotonic() < give_up, self.log.read_text()
                time.sleep(0.01)  # a process of its own has no clock that could be faked
            else:
                return
