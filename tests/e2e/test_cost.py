"""What the telemetry costs: the menu with all of it against the menu with none, side by side."""

import re
import statistics
import subprocess

import pytest

from tests.drill.house import PracticeFactory, wait_for_workers
from tests.live import Service

pytestmark = pytest.mark.slow

REQUESTS = re.compile(r"Requests/sec:\s+([\d.]+)")
LEAST_SHARE = 0.6


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


def test_the_menu_keeps_most_of_its_throughput(tmp_path, monkeypatch):
    services = {}
    factory = PracticeFactory(tmp_path)
    try:
        for name, environment in {
            "observed": {"PROMETHEUS_MULTIPROC_DIR": str(tmp_path / "metrics")},
            "unobserved": {"DJANGO_SETTINGS_MODULE": "tests.e2e.unobserved"},
        }.items():
            directory = tmp_path / name
            directory.mkdir()
            services[name] = Service(f"sqlite:///{directory}/db.sqlite3", factory, environment, directory=directory)
            wait_for_workers(services[name])
        rates = {name: [] for name in services}
        for _ in range(5):
            for name, service in services.items():
                rates[name].append(throughput(service))
    finally:
        for service in [*services.values(), factory]:
            service.kill()
    observed, unobserved = (statistics.median(rates[name]) for name in ("observed", "unobserved"))
    print(f"menu: {observed:.0f}/s with telemetry, {unobserved:.0f}/s without: {observed / unobserved:.2f}")
    assert observed >= LEAST_SHARE * unobserved, rates
