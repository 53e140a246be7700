"""What runs in a drill, each in processes of its own: the service, the practice factory, the worker."""

import json
import os
import time
from collections import Counter
from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager, suppress
from pathlib import Path
from typing import Any, NamedTuple

import requests

from tests.live import PATIENCE, Group, Service, Worker
from tests.ports import free_port

WORKERS = 2
# What every order takes while nothing is wrong.
LATENCY_MS = 50


class PracticeFactory(Group):
    """The practice factory, which can be killed and started again under the same address, with the same keys.

    Its books are lost when it is killed; `ids` keeps how often each order was asked for.
    """

    api_key = "key-of-the-drill"

    def __init__(self, directory: Path) -> None:
        port = free_port()
        self.url = f"http://127.0.0.1:{port}"
        self.ids: Counter[str] = Counter()
        self.log = directory / "factory.log"
        self.environment = os.environ | {
            "FACTORY_PORT": str(port),
            "FACTORY_API_KEY": self.api_key,
            "SANDBOX_DIR": str(directory / "factory"),
        }
        self.start()

    def start(self) -> None:
        """Returns once it answers, healthy and as quick as always."""
        self._run("-m", "jwtpizza.sandbox")
        give_up = time.monotonic() + PATIENCE
        while time.monotonic() < give_up:
            with suppress(requests.ConnectionError):
                return self.chaos("none")
            time.sleep(0.02)
        self.kill()
        raise AssertionError(f"the practice factory did not start:\n{self.log.read_text()}")

    def __call__(self, method: str, path: str, **more: Any) -> Any:
        headers = {"Authorization": f"Bearer {self.api_key}"}
        answer = requests.request(method, self.url + path, headers=headers, timeout=PATIENCE, **more)
        answer.raise_for_status()
        return answer.json()

    def chaos(self, kind: str, **how: float) -> None:
        """That kind of chaos from now on; "none" is health, at the usual latency."""
        self("PUT", f"/api/vendor/chaos/{kind}", params={"delay": LATENCY_MS} | how if kind == "none" else how)

    def note_ids(self) -> None:
        """Adds what this life of it was asked for to `ids`; once for each life."""
        self.ids += Counter(self("GET", "/api/sandbox/orders")["ids"])


# Asked through the service's own models, so that it holds for each database that the service runs on.
BOOKS = """
import json
from django.db.models import Count, Max
from jwtpizza.incidents.models import Event, Incident
from franchises.models import Store
from orders.models import Order
orders = Order.objects.filter(pk__gt={since}).annotate(pizzas=Count("items"))
columns = ("id", "status", "total", "jwt", "diner_id", "store_id", "settled_at", "pizzas")
revenue = dict(Store.objects.values_list("pk", "revenue"))
last = Order.objects.aggregate(last=Max("pk"))["last"] or 0
incidents = list(Incident.objects.order_by("first_at").values("id", "closed_at"))
circuits = list(Event.objects.filter(kind="circuit").values("at", "outcome", "detail"))
told = {{"orders": list(orders.values(*columns)), "revenue": revenue, "last": last}}
print(json.dumps(told | {{"incidents": incidents, "circuits": circuits}}, default=str))
"""


class House(NamedTuple):
    """The practice factory, the service with its two workers, and the worker that makes promised orders."""

    factory: PracticeFactory
    service: Service
    worker: Worker

    def books(self, since: int = 0) -> dict[str, Any]:
        """The orders after that one, the id of the last, what each store earned, incidents and circuits' changes."""
        told = self.service.manage("shell", "--verbosity=0", "--command", BOOKS.format(since=since))
        return dict(json.loads(told))


def wait_for_workers(service: Service) -> None:
    """Returns once each of its workers listens (where Linux tells): until then all connections are the first one's."""
    sockets, give_up = Path("/proc/net/tcp"), time.monotonic() + PATIENCE
    port, listens = f":{service.port:04X}", "0A"
    while sockets.exists() and time.monotonic() < give_up:
        rows = [line.split() for line in sockets.read_text().splitlines()]
        if sum(row[1].endswith(port) and row[3] == listens for row in rows) == service.workers:
            return
        time.sleep(0.02)


@contextmanager
def house(directory: Path, database_url: str, environment: Mapping[str, str]) -> Iterator[House]:
    """A house whose processes keep what they share and log in `directory`; none of them is left at the end."""
    metrics = directory / "metrics"
    metrics.mkdir()
    shared = {"PROMETHEUS_MULTIPROC_DIR": str(metrics), "WORKER_METRICS_PORT": str(free_port())}
    with ExitStack() as running:
        factory = PracticeFactory(directory)
        running.callback(factory.kill)
        service = Service(database_url, factory, shared | dict(environment), directory=directory, workers=WORKERS)
        running.callback(service.stop)
        wait_for_workers(service)
        worker = Worker(service, directory / "worker.log")
        running.callback(worker.stop)
        yield House(factory, service, worker)
