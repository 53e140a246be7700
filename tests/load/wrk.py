"""Loads a server with wrk."""

import json
import subprocess
import tempfile
from collections.abc import Iterable
from pathlib import Path
from typing import NamedTuple

SCRIPT = Path(__file__).with_name("requests.lua")


class Sent(NamedTuple):
    """A request; what isn't sent is empty."""

    method: str
    path: str
    token: str = ""
    body: str = ""
    etag: str = ""


class Load(NamedTuple):
    """What came of it: answers with a status up to 399, `refused` from 400 on, `broken` without an answer; ms."""

    answers: int
    seconds: float
    refused: int
    broken: int
    p50: float
    p99: float

    @property
    def rate(self) -> float:
        """Answers a second that were no refusals."""
        return (self.answers - self.refused) / self.seconds


def load(port: int, sent: Iterable[Sent], *, seconds: float, connections: int = 32) -> Load:
    """That many connections, each of which sends the next request once it has its answer, for so long."""
    return finished(begin(port, sent, seconds=seconds, connections=connections))


def begin(port: int, sent: Iterable[Sent], *, seconds: float, connections: int = 32) -> "subprocess.Popen[str]":
    """A load under way; `finished` waits for its end."""
    with tempfile.NamedTemporaryFile("w", prefix="requests-", delete=False) as file:
        file.writelines("\t".join(each) + "\n" for each in sent)
    threads = min(2, connections)
    argv = ["wrk", f"-t{threads}", f"-c{connections}", f"-d{seconds:.0f}s", "--timeout=60s", f"--script={SCRIPT}"]
    argv += [f"http://127.0.0.1:{port}", "--", file.name]
    return subprocess.Popen(argv, stdout=subprocess.PIPE, text=True)


def finished(running: "subprocess.Popen[str]") -> Load:
    """Raises RuntimeError where wrk failed."""
    told, _ = running.communicate()
    Path(str(running.args[-1])).unlink()  # type: ignore[index]
    if running.returncode:
        raise RuntimeError(f"wrk ended with {running.returncode}: {told}")
    return Load(**json.loads(told.splitlines()[-1]))
