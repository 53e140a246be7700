"""What the telemetry costs: the menu with all of it, as it is run, against the menu with none, side by side."""

import re
import statistics
import subprocess
import sys
import threading
from contextlib import ExitStack, contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest

from tests.drill.house import PracticeFactory, wait_for_workers
from tests.live import Service

pytestmark = pytest.mark.slow

REQUESTS = re.compile(r"Requests/sec:\s+([\d.]+)")
LEAST_SHARE = 0.6
ROUNDS = 5


class Relayed(Service):
    """As production runs it: by the line of the Procfile, whose output is relayed."""

    def start(self):
        programs = f"{Path(sys.executable).parent}:{self.environment['PATH']}"
        self.environment |= {"PORT": str(self.port), "PATH": programs}
        self._run("-m", "script.processes", "web")
        self._wait_until_ready()


@contextmanager
def loki():
    """The address of one that takes whatever is pushed, and how many bytes it took."""
    took = []

    class Sink(BaseHTTPRequestHandler):
        def do_POST(self):
            took.append(len(self.rfile.read(int(self.headers["Content-Length"]))))
            self.send_response(204)
            self.end_headers()

        def log_message(self, *_):
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Sink)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    yield f"http://127.0.0.1:{server.server_port}/loki/api/v1/push", took
    server.shutdown()
    server.server_close()


def throughput(service):
    """Menus a second, to 32 connections."""
    said = subprocess.run(
        ["wrk", "--threads=1", "--connections=32", "--duration=3s", f"{service.url}/api/order/menu"],
        capture_output=True,
        text=True,
        check=True,
        timeout=60,
    ).stdout
    assert "Non-2xx" not in said, said
    return float(REQUESTS.search(said)[1])


@contextmanager
def services(tmp_path, push_url):
    """Both, ready."""
    with ExitStack() as running:
        factory = PracticeFactory(tmp_path)
        running.callback(factory.kill)
        started = {}
        for name, kind, environment in (
            ("observed", Relayed, {"PROMETHEUS_MULTIPROC_DIR": str(tmp_path / "metrics"), "LOKI_URL": push_url}),
            ("unobserved", Service, {"DJANGO_SETTINGS_MODULE": "tests.e2e.unobserved"}),
        ):
            directory = tmp_path / name
            directory.mkdir()
            database = f"sqlite:///{directory}/db.sqlite3"
            started[name] = kind(database, factory, environment, directory=directory)
            running.callback(started[name].stop)
            wait_for_workers(started[name])
        yield started


def test_the_menu_keeps_most_of_its_throughput(tmp_path):
    with loki() as (push_url, took), services(tmp_path, push_url) as both:
        rounds = [{name: throughput(service) for name, service in both.items()} for _ in range(ROUNDS)]
        logged = both["observed"].log.stat().st_size
    shares = [rates["observed"] / rates["unobserved"] for rates in rounds]
    print("; ".join(f"{rates['observed']:.0f} of {rates['unobserved']:.0f} menus a second" for rates in rounds))
    print(f"shares {', '.join(f'{share:.2f}' for share in shares)}: median {statistics.median(shares):.2f}")
    assert logged > 1_000_000
    assert sum(took) > 1_000_000
    assert statistics.median(shares) >= LEAST_SHARE
