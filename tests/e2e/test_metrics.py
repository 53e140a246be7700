"""What two workers, the one that fulfils orders, and their deaths make of the metrics."""

import os
import re
import shutil
import signal
import subprocess
import sys
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
import requests

from tests.drill.house import house, wait_for_workers
from tests.e2e.steps import eventually, order, web_workers
from tests.live import PROJECT

pytestmark = pytest.mark.slow

SERIES = re.compile(r"^(\w+(?:\{[^}]*\})?) (\S+)$", re.MULTILINE)
# Without a breaker, each order's fate is the factory's answer to it.
ENVIRONMENT = {"FACTORY_BREAKER_ENABLED": "0", "FACTORY_ATTEMPTS": "1", "FACTORY_CANARY_SECONDS": "0"}
ROW = re.compile(r"^\| `(\w+)` \| (\w+)", re.MULTILINE)
# Counted for the first time when something goes wrong.
BORN_LATE = {
    "django_http_exceptions_total_by_type_total",
    "django_http_exceptions_total_by_view_total",
    "django_db_errors_total",
}
# Told where there is a REDIS_URL.
OF_REDIS = {"jwtpizza_redis_up"}
KIND = re.compile(r"^# TYPE (\w+) (\w+)$", re.MULTILINE)


@pytest.fixture
def home(tmp_path):
    with house(tmp_path, f"sqlite:///{tmp_path / 'metrics.sqlite3'}", ENVIRONMENT) as home:
        yield home


def page(home):
    answer = requests.get(home.service.url + "/metrics", timeout=10)
    answer.raise_for_status()
    return answer.text


def workers_page(home):
    url = f"http://127.0.0.1:{home.service.environment['WORKER_METRICS_PORT']}/metrics"
    eventually(lambda: listening(url))
    return requests.get(url, timeout=10).text


def listening(url):
    try:
        return requests.get(url, timeout=10).ok
    except requests.ConnectionError:
        return False


def series(text):
    return {name: float(value) for name, value in SERIES.findall(text)}


def asked_again_and_again(home, wanted):
    """Those series as each of ten scrapes, whichever worker answers, has them; there is one answer."""
    answers = [{name: series(page(home)).get(name) for name in wanted} for _ in range(10)]
    assert all(answer == answers[0] for answer in answers)
    return answers[0]


COUNTED = {
    'jwtpizza_orders_total{outcome="fulfilled"}': 30.0,
    'jwtpizza_orders_total{outcome="failed"}': 20.0,
    'jwtpizza_orders_total{outcome="refused"}': 0.0,
    'jwtpizza_factory_attempts_total{outcome="ok"}': 30.0,
    'jwtpizza_factory_attempts_total{outcome="server_error"}': 20.0,
    "jwtpizza_pizzas_sold_total": 60.0,
    'jwtpizza_auth_attempts_total{result="success"}': 9.0,
    'jwtpizza_auth_attempts_total{result="failure"}': 7.0,
    "jwtpizza_factory_in_flight": 0.0,
    "jwtpizza_orders_pending": 0.0,
}


def test_counters_are_exact_through_two_workers_and_the_death_of_one(home):
    token = home.service.log_in("d@jwt.com", "diner")
    with ThreadPoolExecutor(8) as pool:
        sold = list(pool.map(lambda _: order(home.service, token, 1, 5).status_code, range(30)))
        home.factory.chaos("fail")
        failed = list(pool.map(lambda _: order(home.service, token, 1).status_code, range(20)))
        list(pool.map(lambda _: home.service.log_in("d@jwt.com", "diner"), range(8)))
        wrong = {"email": "d@jwt.com", "password": "wrong"}
        list(pool.map(lambda _: home.service("PUT", "/api/auth", wrong), range(7)))
    assert (set(sold), set(failed)) == ({200}, {500})
    assert asked_again_and_again(home, COUNTED) == COUNTED

    before = web_workers(home.service)
    os.kill(before[0], signal.SIGKILL)
    eventually(lambda: len(web_workers(home.service)) == 2 and before[0] not in web_workers(home.service))
    wait_for_workers(home.service)
    assert asked_again_and_again(home, COUNTED) == COUNTED


def test_a_killed_worker_leaves_no_ghost_in_the_gauges(home):
    token = home.service.log_in("d@jwt.com", "diner")
    home.factory.chaos("throttle", delay=2500)
    with ThreadPoolExecutor(8) as pool:
        placing = [pool.submit(order, home.service, token, 1) for _ in range(8)]
        eventually(lambda: series(page(home))["jwtpizza_factory_in_flight"] == 8)
        home.service.kill()
    assert any(isinstance(placed.exception(), requests.ConnectionError) for placed in placing)
    home.factory.chaos("none")
    home.service.start()

    now = series(page(home))
    assert now["jwtpizza_factory_in_flight"] == 0
    eventually(lambda: series(page(home))['jwtpizza_factory_breaker_workers{state="closed"}'] == 2, seconds=8)


def test_a_scrape_after_200_restarts_takes_20_milliseconds_at_most(home):
    token = home.service.log_in("d@jwt.com", "diner")
    for path in ("/api/order/menu", "/api/order", "/api/user/me", "/api/franchise", "/api/docs", "/nowhere"):
        home.service("GET", path, token=token)
    order(home.service, token, 1)
    before = asked_again_and_again(home, ["jwtpizza_pizzas_sold_total"])
    bury_200(Path(home.service.environment["PROMETHEUS_MULTIPROC_DIR"]), web_workers(home.service)[0])

    seconds = [scraped(home) for _ in range(30)]
    # The quickest: what else the machine does is not the service's.
    assert min(seconds[1:]) <= 0.02, sorted(seconds)
    assert asked_again_and_again(home, before) == {"jwtpizza_pizzas_sold_total": before["jwtpizza_pizzas_sold_total"]}


def bury_200(folder, worker):
    """Gives the folder what 200 killed workers leave, each with the series of a real one and nothing counted."""
    ended = [subprocess.Popen([sys.executable, "-c", ""]) for _ in range(200)]
    for process in ended:
        process.wait()
        for file in folder.glob(f"*_{worker}.db"):
            shutil.copy(file, folder / file.name.replace(str(worker), str(process.pid)))
    zero_out(folder, [process.pid for process in ended])


def zero_out(folder, processes):
    script = (
        "import sys; from prometheus_client.mmap_dict import MmapedDict\n"
        "for name in sys.argv[1:]:\n"
        "    file = MmapedDict(name)\n"
        "    for key, _, _ in list(file.read_all_values()): file.write_value(key, 0.0, 0.0)\n"
    )
    files = [str(file) for process in processes for file in folder.glob(f"*_{process}.db")]
    subprocess.run([sys.executable, "-c", script, *files], check=True, cwd=PROJECT)


def scraped(home):
    begun = time.perf_counter()
    page(home)
    return time.perf_counter() - begun


def test_what_somebody_invents_is_no_new_series(home):
    def ask(method, path, **more):
        requests.request(method, home.service.url + path, timeout=10, **more)

    ask("GET", "/nowhere")
    ask("INVENTED", "/api/order/menu")
    ask("GET", "/api/order/menu", headers={"Host": "invented.example"})
    before = set(series(page(home)))
    for number in range(20):
        ask(f"INVENTED{number}", "/api/order/menu")
        ask(f"INVENTED{number}", f"/nowhere/{number}")
        ask("GET", f"/api/user/{number}000")
        ask("GET", "/api/order/menu", headers={"Host": f"invented-{number}.example"})
        ask("PUT", f"/api/order/chaos/invented{number}")
    assert {name for name in set(series(page(home))) - before if "invented" in name.lower()} == set()
    grown = {name.partition("{")[0] for name in set(series(page(home))) - before}
    assert len(set(series(page(home))) - before) < 120, grown


def test_the_document_lists_each_metric(home):
    token = home.service.log_in("d@jwt.com", "diner")
    order(home.service, token, 1)
    home.service.manage("shell", "--command", "from orders.services.outages import fly_canary; fly_canary()")
    time.sleep(1.1)  # what is remembered for a second
    documented = dict(ROW.findall((PROJECT / "docs/metrics.md").read_text()))
    shown = dict(KIND.findall(page(home))) | dict(KIND.findall(workers_page(home)))
    assert shown.items() <= documented.items()
    assert set(documented) - set(shown) == BORN_LATE | OF_REDIS


def test_the_worker_serves_what_it_counted(home):
    token = home.service.log_in("d@jwt.com", "diner")
    home.factory.chaos("fail")
    order(home.service, token, 1, later=True)
    home.factory.chaos("none")
    eventually(lambda: series(workers_page(home))['jwtpizza_orders_total{outcome="fulfilled"}'] == 1)
    assert series(page(home))['jwtpizza_orders_total{outcome="fulfilled"}'] == 0
