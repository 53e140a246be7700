"""What a failing factory costs under load: the menu nothing, a refused order little, the factory few attempts."""

import re
import threading
import time
from collections import Counter
from concurrent.futures import ThreadPoolExecutor

import pytest

from tests.drill.client import Connection, request
from tests.drill.crowd import Crowd, percentile, reader
from tests.drill.diners import Diner, Shop
from tests.drill.evidence import Phase
from tests.drill.house import PracticeFactory, wait_for_workers
from tests.e2e import books
from tests.e2e.steps import all_at_once, eventually

pytestmark = pytest.mark.slow

WORKERS = 2
# What a machine that does something else as well makes of a few milliseconds.
QUICK_SECONDS = 0.1
EVERY_PIZZA = (1, 2, 3, 4, 5)
TRANSITION = re.compile(r'^jwtpizza_factory_breaker_transitions_total\{from="(.+)",to="(.+)"\} (.+)$', re.MULTILINE)


@pytest.fixture
def factory(tmp_path):
    """A practice factory of our own: a throttled one is busy for 32 s more."""
    directory = tmp_path / "factory"
    directory.mkdir()
    factory = PracticeFactory(directory)
    yield factory
    factory.kill()


@pytest.fixture
def start(serve, tmp_path):
    """Starts the service with these settings."""

    def start(**settings):
        metrics = tmp_path / "metrics"
        metrics.mkdir()
        service = serve(env={"PROMETHEUS_MULTIPROC_DIR": str(metrics)} | settings)
        wait_for_workers(service)
        return service

    return start


@pytest.fixture
def query(tmp_path):
    return books.sqlite(tmp_path / "live.sqlite3")


def diners(service, count):
    """That many clients who order, and what they will be told."""
    told = []
    token = service.log_in("d@jwt.com", "diner")
    shop = Shop(service.port, franchise_id=1, store_id=1, prices=dict.fromkeys(EVERY_PIZZA, 0), secret=service.url)
    return [Diner(shop, "the diner", token, told) for _ in range(count)], told


def attempts(factory):
    return factory("GET", "/api/sandbox/orders")["attempts"]


def transitions(service):
    """How often the workers' circuits went from one state to another."""
    page = service("GET", "/metrics").text
    return Counter({(before, after): round(float(count)) for before, after, count in TRANSITION.findall(page)})


def watched(name, seconds, crowd, told):
    """The phase that this was, after its numbers were printed."""
    begun = time.monotonic()
    time.sleep(seconds)
    phase, menu = Phase(name, begun, time.monotonic()), crowd.calls["menu"]
    answers = Counter(answer.status for answer in told if begun <= answer.ended < phase.ended)
    p99 = 1000 * phase.steady_p99(menu)
    print(f"{name}: menu {phase.throughput(menu):.0f}/s, p99 {p99:.1f} ms; orders {dict(answers)}")
    return phase


@pytest.mark.parametrize("breaker", ["true", "false"], ids=["as configured", "with the breaker held closed"])
def test_while_64_diners_hang_the_menu_is_as_quick_as_ever(breaker, start, factory):
    service = start(FACTORY_BREAKER_ENABLED=breaker)
    clients, told = diners(service, 64)
    crowd = Crowd()
    crowd.add("menu", [reader(service.port, request("GET", "/api/order/menu")) for _ in range(16)], wait=0.05)
    try:
        time.sleep(2)
        watched("nobody orders", 4, crowd, told)
        factory.chaos("none", delay=100)
        crowd.add("order", [client.order for client in clients], wait=1)
        time.sleep(2)
        healthy = watched("64 order, the factory is healthy", 8, crowd, told)
        factory.chaos("throttle")
        hanging = watched("64 order, the factory hangs", 15, crowd, told)
    finally:
        crowd.stop()

    menu = crowd.calls["menu"]
    assert {call.status for call in menu} == {200}
    assert {answer.status for answer in told if answer.begun > hanging.begun} == {503, 504}
    assert hanging.throughput(menu) >= 0.8 * healthy.throughput(menu)
    assert hanging.steady_p99(menu) <= max(2 * healthy.steady_p99(menu), QUICK_SECONDS)


def test_sixteen_orders_at_once_do_not_wait_for_each_other(start, factory):
    service = start()
    factory.chaos("none", delay=500)
    clients, _ = diners(service, 16)
    took = []
    for _ in range(3):  # the best of them: what else the machine does is not the service's
        begun = time.monotonic()
        assert all_at_once(16, lambda number: clients[number].order()) == [200] * 16
        took.append(time.monotonic() - begun)

    print("16 orders at once, a factory that takes 500 ms:", ", ".join(f"{seconds:.2f} s" for seconds in took))
    assert min(took) < 1.5
    assert attempts(factory) == 3 * 16


def test_a_burst_of_forty_is_all_made_however_it_falls_upon_the_workers(start, factory):
    service = start()
    factory.chaos("none", delay=100)
    refused = []
    for _ in range(20):
        clients, _ = diners(service, 40)
        statuses = all_at_once(40, lambda number, clients=clients: clients[number].order())
        refused.append(40 - statuses.count(200))

    print(f"refused in each burst of 40, a factory that takes 100 ms: {refused}")
    assert refused == [0] * 20
    assert attempts(factory) == 800


def tried_until_open(service, factory, clients):
    """Has them order until the circuits of all workers are open; how often the factory was asked meanwhile."""
    before = attempts(factory)
    with ThreadPoolExecutor(len(clients)) as pool:
        eventually(lambda: list(pool.map(Diner.order, clients)) and opened(service) == WORKERS)
    return attempts(factory) - before


def opened(service):
    return transitions(service)["closed", "open"]


def test_a_refused_order_costs_at_most_two_looks_at_oneself_and_is_written_nowhere(start, factory, query):
    service = start(FACTORY_BREAKER_OPEN_SECONDS="60")
    factory.chaos("fail")
    tried_until_open(service, factory, diners(service, 16)[0])
    written, asked = len(books.orders(query)), attempts(factory)
    sent = request("GET", "/api/user/me", token=service.log_in("d@jwt.com", "diner"))
    clients, told = diners(service, 4)
    looks = []

    def look_and_order(client):
        connection = Connection(service.port)
        for _ in range(500):
            begun = time.monotonic()
            assert connection.ask(sent).status == 200
            looks.append(time.monotonic() - begun)
            assert client.order() == 503

    with ThreadPoolExecutor(len(clients)) as pool:
        list(pool.map(look_and_order, clients))
    me, refused = percentile(looks, 0.99), percentile((answer.ended - answer.begun for answer in told), 0.99)
    print(f"p99 of {len(looks)} each: GET /api/user/me {1000 * me:.1f} ms, a refused order {1000 * refused:.1f} ms")
    assert refused <= 2 * me
    assert (len(books.orders(query)), attempts(factory)) == (written, asked)


def test_a_factory_that_fails_one_in_ten_costs_few_orders_and_few_attempts(start, factory, query):
    service = start()
    factory.chaos("none", delay=0)
    # Of this seed's failures no five come within a dozen orders: five in a row may open a circuit.
    factory.chaos("fail", rate=0.1, seed=104)
    clients, told = diners(service, 12)
    with ThreadPoolExecutor(len(clients)) as pool:
        list(pool.map(lambda client: [client.order() for _ in range(250)], clients))

    statuses, asked = Counter(answer.status for answer in told), attempts(factory)
    print(f"3,000 orders, one attempt in ten fails: {dict(statuses)}, {asked} attempts")
    assert statuses.total() == len(books.orders(query)) == 3000
    assert statuses[200] > 0.97 * 3000
    assert asked <= 1.1 * 3000 + 10 * WORKERS


def test_a_factory_that_is_down_is_asked_until_the_circuits_open_and_then_only_probed(start, factory):
    service = start(FACTORY_BREAKER_OPEN_SECONDS="3", FACTORY_BREAKER_OPEN_SECONDS_MOST="3")
    factory.chaos("fail")
    clients, told = diners(service, 50)
    before_open = tried_until_open(service, factory, clients)
    over = threading.Event()

    def order_on(client):
        while not over.wait(0.05):
            client.order()

    with ThreadPoolExecutor(len(clients)) as pool:
        ordering = [pool.submit(order_on, client) for client in clients]
        eventually(lambda: transitions(service)["half-open", "open"] >= 4 * WORKERS)
        over.set()
        for done in ordering:
            done.result(30)
    probes, periods = attempts(factory) - before_open, transitions(service)["open", "half-open"]
    print(f"down: {before_open} attempts until both circuits were open, {probes} probes in {periods} half-open periods")
    print(f"what {len(told)} callers were told: {dict(Counter(answer.status for answer in told))}")
    assert before_open <= 12 * WORKERS
    assert 0 < probes <= 2 * periods
