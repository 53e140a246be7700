"""Prometheus and Alertmanager as `ops/` configures them, but each second instead of every ten, watching a house."""

import json
import re
import shutil
import subprocess
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any, NamedTuple

import pytest
import requests
import yaml

from tests.drill.house import House
from tests.live import PATIENCE, PROJECT
from tests.ports import free_port

OPS = PROJECT / "ops"
PACE = "1s"
PROGRAMS = ("prometheus", "promtool", "prometheus-alertmanager", "amtool")
needs_prometheus = pytest.mark.skipif(
    not all(map(shutil.which, PROGRAMS)),
    reason="Prometheus is not installed (Debian: apt install prometheus prometheus-alertmanager)",
)


@contextmanager
def _running(name: str, log: Path, *flags: str) -> Iterator[str]:
    """Debian's program of that name, ready at the address that is given; what it prints is added to `log`."""
    address = f"127.0.0.1:{free_port()}"
    with log.open("ab") as output:
        process = subprocess.Popen(
            [name, f"--web.listen-address={address}", "--log.level=warn", *flags],
            stdout=output,
            stderr=subprocess.STDOUT,
        )
    try:
        _wait_until_ready(f"http://{address}", process, log)
        yield f"http://{address}"
    finally:
        process.terminate()
        process.wait(PATIENCE)


def _wait_until_ready(url: str, process: subprocess.Popen[bytes], log: Path) -> None:
    give_up = time.monotonic() + PATIENCE
    while time.monotonic() < give_up and process.poll() is None:
        with suppress(requests.ConnectionError):
            if requests.get(f"{url}/-/ready", timeout=5).ok:
                return
        time.sleep(0.05)  # a process of its own has no clock that could be faked
    raise AssertionError(f"it did not start:\n{log.read_text()}")


def configured(file: str) -> Any:
    """What a YAML file of `ops/` says."""
    return yaml.safe_load((OPS / file).read_text())


class Prometheus(NamedTuple):
    """One that runs, with the rules of `ops/prometheus/rules/`, those that are off too."""

    url: str

    def query(self, expression: str) -> list[dict[str, Any]]:
        """The series that an expression gives now: `metric` has the labels, `value` the time and the number."""
        return list(self._asked("query", query=expression)["result"])

    def value(self, expression: str) -> float:
        """The number that an expression gives now; raises ValueError unless it is one."""
        [series] = self.query(expression)
        return float(series["value"][1])

    def rules(self) -> list[dict[str, Any]]:
        """Each rule with its `health`, its last error and, if it is an alert, its state."""
        return [rule for group in self._asked("rules")["groups"] for rule in group["rules"]]

    def firing(self) -> set[str]:
        """The names of the alerts that fire."""
        return {alert["labels"]["alertname"] for alert in self._asked("alerts")["alerts"] if alert["state"] == "firing"}

    def targets(self) -> dict[str, str]:
        """The health of each job's target."""
        return {target["labels"]["job"]: target["health"] for target in self._asked("targets")["activeTargets"]}

    def _asked(self, what: str, **how: str) -> Any:
        answer = requests.get(f"{self.url}/api/v1/{what}", params=how, timeout=PATIENCE).json()
        assert answer["status"] == "success", answer
        return answer["data"]


def _quick_rules(directory: Path) -> list[str]:
    """The files of the rules, in which an alert that is over goes on for a tenth of its time."""
    made = []
    for file in sorted((OPS / "prometheus/rules").rglob("*.yml")):
        minutes = re.compile(r"keep_firing_for: (\d+)m")
        made.append(directory / file.name)
        made[-1].write_text(minutes.sub(lambda found: f"keep_firing_for: {int(found[1]) * 6}s", file.read_text()))
    return [str(file) for file in made]


@contextmanager
def prometheus(house: House, directory: Path, *, alertmanager: str = "") -> Iterator[Prometheus]:
    """Scrapes the house each second, its service and its worker; alerts go to the Alertmanager at that address."""
    config = configured("prometheus/prometheus.yml")
    config["global"] |= {"scrape_interval": PACE, "evaluation_interval": PACE}
    config["rule_files"] = _quick_rules(directory)
    ports = {"jwtpizza": house.service.port, "jwtpizza-worker": house.service.environment["WORKER_METRICS_PORT"]}
    for job in config["scrape_configs"]:
        job["static_configs"] = [{"targets": [f"127.0.0.1:{ports[job['job_name']]}"]}]
    [manager] = config["alerting"]["alertmanagers"]
    manager["static_configs"] = [{"targets": [alertmanager.removeprefix("http://")] if alertmanager else []}]
    file = directory / "prometheus.yml"
    file.write_text(yaml.safe_dump(config))
    flags = (f"--config.file={file}", f"--storage.tsdb.path={directory / 'prometheus'}")
    log = directory / "prometheus.log"
    with _running("prometheus", log, *flags, f"--web.user-assets={OPS / 'runbooks'}") as url:
        yield Prometheus(url)


@contextmanager
def alertmanager(directory: Path, webhook: str) -> Iterator[str]:
    """The address of one that tells the webhook of everything, a second after it was told."""
    config = configured("alertmanager/alertmanager.yml")
    for route in (config["route"], *config["route"]["routes"]):
        route |= {"group_wait": "0s", "group_interval": PACE}
    for receiver in config["receivers"]:
        receiver["webhook_configs"] = [{"url": f"{webhook}/{receiver['name']}", "send_resolved": True}]
    file = directory / "alertmanager.yml"
    file.write_text(yaml.safe_dump(config))
    flags = (f"--config.file={file}", f"--storage.path={directory / 'alertmanager'}", "--cluster.listen-address=")
    with _running("prometheus-alertmanager", directory / "alertmanager.log", *flags) as url:
        yield url


class Told(NamedTuple):
    """A word that came to the webhook: when (`time.monotonic()`), for which receiver, of which alert, its state."""

    at: float
    receiver: str
    alert: str
    status: str
    annotations: dict[str, str]


class Webhook:
    """Somebody who is told of alerts; `told` grows."""

    def __init__(self) -> None:
        self.told: list[Told] = []

    def first(self, alert: str, status: str = "firing", *, receiver: str = "page", since: float = 0.0) -> Told | None:
        """The first word of that alert after `since`, None as long as there is none."""
        words = (word for word in self.told if (word.receiver, word.alert, word.status) == (receiver, alert, status))
        return next((word for word in words if word.at > since), None)


@contextmanager
def webhook() -> Iterator[tuple[str, Webhook]]:
    """An address that listens, and who is told what comes there."""
    somebody = Webhook()

    class Listener(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            told = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
            now, receiver = time.monotonic(), self.path.strip("/")
            somebody.told += [
                Told(now, receiver, alert["labels"]["alertname"], alert["status"], alert["annotations"])
                for alert in told["alerts"]
            ]
            self.send_response(200)
            self.end_headers()

        def log_message(self, *args: Any) -> None:
            """Nobody reads it."""

    server = ThreadingHTTPServer(("127.0.0.1", 0), Listener)
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.server_port}", somebody
    finally:
        server.shutdown()
        thread.join()
        server.server_close()
