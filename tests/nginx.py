"""nginx as ops/nginx/ configures it, on ports of its own, in front of copies on any ports."""

import os
import shutil
import subprocess
import time
from collections.abc import Sequence
from pathlib import Path

from tests.live import PATIENCE, PROJECT
from tests.ports import free_port

CONFIGURATION = PROJECT / "ops/nginx/jwt-pizza.conf"
# The copies' names in it, by which they are taken out, with their addresses there.
COPIES = {"a": "127.0.0.1:3000", "b": "127.0.0.1:3001"}
# Debian's is in a folder that only root has in the PATH.
PROGRAM = shutil.which("nginx", path=f"{os.environ['PATH']}:/usr/sbin")
# As a user of ours: the folders of tests are closed to others.
MAIN = """
user root;
daemon off;
worker_processes 2;
pid {directory}/nginx.pid;
error_log {directory}/nginx.log;
events {{ worker_connections 1024; }}
http {{
    access_log off;
    {paths}
    {site}
}}
"""


def missing() -> bool:
    """Whether nginx is not installed."""
    return PROGRAM is None


class Nginx:
    """It has started, and puts what it writes into `directory`; `log` is what it complains of."""

    def __init__(self, directory: Path, ports: Sequence[int]) -> None:
        self.port = free_port()
        self.log = directory / "nginx.log"
        self._out = directory / "out"
        self._out.mkdir()
        main = directory / "nginx.conf"
        main.write_text(self._configuration(directory, dict(zip(COPIES.values(), ports, strict=True))))
        self._process = subprocess.Popen([str(PROGRAM), "-e", str(self.log), "-c", str(main)])
        self._wait(directory / "nginx.pid")

    def _configuration(self, directory: Path, ports: dict[str, int]) -> str:
        site = CONFIGURATION.read_text()
        replaced = {"listen 80 ": f"listen 127.0.0.1:{self.port} ", "/run/jwt-pizza/": f"{directory}/"}
        for old, new in (replaced | {address: f"127.0.0.1:{port}" for address, port in ports.items()}).items():
            assert old in site, old
            site = site.replace(old, new)
        kinds = ("client_body", "proxy", "fastcgi", "uwsgi", "scgi")
        paths = "\n    ".join(f"{kind}_temp_path {directory}/{kind};" for kind in kinds)
        return MAIN.format(directory=directory, site=site, paths=paths)

    def _wait(self, running: Path) -> None:
        give_up = time.monotonic() + PATIENCE
        while not running.exists():
            assert self._process.poll() is None, self.log.read_text()
            assert time.monotonic() < give_up, "nginx did not start in time"
            time.sleep(0.02)  # a process of its own has no clock that could be faked

    def take_out(self, copy: str) -> None:
        """Requests that begin from now on are sent to the others."""
        (self._out / copy).touch()

    def take_in(self, copy: str) -> None:
        (self._out / copy).unlink()

    def stop(self) -> None:
        self._process.terminate()
        self._process.wait(PATIENCE)
