"""What the telemetry costs: the menu with all of it, as it is run, against the menu with none, side by side.

Counted is the processors' time, which bounds the throughput: on a machine that does something else as well, answers a
second are a matter of luck.
"""

import re
import subprocess
import threading
from contextlib import ExitStack, contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pytest

from tests.drill.house import PracticeFactory, wait_for_workers
from tests.live import Service
from tests.load.house import Running

pytestmark = pytest.mark.slow

REQUESTS = re.compile(r"(\d+) requests in")
# It was 0.68 when all the rest of a menu took twice as long, and the same telemetry is a larger share of less.
LEAST_SHARE = 0.5
ROUNDS = 5


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


def seconds_of_a_menu(service):
    """What one takes of the processors' time in all processes of the service, with 32 connections that ask for it."""
    before = service.processor_seconds()
    said = subprocess.run(
        ["wrk", "--threads=1", "--connections=32", "--duration=3s", f"{service.url}/api/order/menu"],
        capture_output=True,
        text=True,
        check=True,
        timeout=60,
    ).stdout
    assert "Non-2xx" not in said, said
    return (service.processor_seconds() - before) / int(REQUESTS.search(said)[1])


@contextmanager
def services(tmp_path, push_url):
    """Both, ready."""
    with ExitStack() as running:
        factory = PracticeFactory(tmp_path)
        running.callback(factory.kill)
        started = {}
        for name, kind, environment in (
            ("observed", Running, {"PROMETHEUS_MULTIPROC_DIR": str(tmp_path / "metrics"), "LOKI_URL": push_url}),
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
        for service in both.values():
            seconds_of_a_menu(service)
        rounds = [{name: seconds_of_a_menu(service) for name, service in both.items()} for _ in range(ROUNDS)]
        logged = both["observed"].log.stat().st_size
    # The quickest of each: whoever else uses the machine makes them longer, never shorter.
    best = {name: min(seconds[name] for seconds in rounds) for name in both}
    share = best["unobserved"] / best["observed"]
    print("; ".join(f"{1e6 * each['observed']:.0f} µs with, {1e6 * each['unobserved']:.0f} without" for each in rounds))
    print(f"of the quickest {share:.2f}")
    assert logged > 1_000_000
    assert sum(took) > 1_000_000
    assert share >= LEAST_SHARE
