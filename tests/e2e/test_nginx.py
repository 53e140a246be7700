"""Two copies behind nginx, on one database and Redis: the contract, and a load while one is killed and one rolled."""

import http.client
import itertools
import time
from collections import Counter
from pathlib import Path
from typing import NamedTuple

import pytest

from tests import nginx
from tests.contract.cases import CASES, content
from tests.contract.checks import ALWAYS, compare, statuses
from tests.contract.scene import BEFORE, EMAIL, Answer
from tests.drill.client import Connection, request
from tests.drill.crowd import Crowd, reader
from tests.drill.diners import SATOSHI, Diner, Shop, registered
from tests.e2e import books
from tests.e2e.steps import count, eventually, wait_for_redis, working

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(nginx.missing(), reason="nginx is not installed (apt install nginx-light)"),
]

# A machine that is busy with other things is no outage: nobody is refused or given up for being slow.
ENVIRONMENT = {
    "FACTORY_QUEUE": "50",
    "FACTORY_QUEUE_SECONDS": "8",
    "FACTORY_CONNECT_TIMEOUT": "2",
    "FACTORY_READ_TIMEOUT": "8",
    "FACTORY_DEADLINE": "10",
    "FACTORY_BREAKER_SLOW": "8",
    "FACTORY_CANARY_SECONDS": "0",
    "DB_POOL_TIMEOUT": "8",
    "ORDER_LEASE": "11",
    "TRUSTED_PROXIES": "127.0.0.1",
}
DINERS, READERS, LOGINS = 8, 4, 2
WAIT = 0.01
# What is begun and not answered when a copy is killed is told within this.
AT_ONCE = 0.1
ESTABLISHED = "01"
# What it can't read it passes on to nobody.
NGINX_ANSWERS = "bad percent encoding in path"


@pytest.fixture
def database(tmp_path):
    with books.new_postgresql(tmp_path) as database:
        yield database


@pytest.fixture
def copies(serve, database, redis, tmp_path):
    """Two of them, each of which shares nothing with the other but database and Redis."""
    copies, environment = [], ENVIRONMENT | {"REDIS_URL": redis.url}
    for name in nginx.COPIES:
        (tmp_path / name).mkdir()
        copies.append(serve(database.url, env=environment, directory=tmp_path / name))
    return copies


@pytest.fixture
def proxy(copies, tmp_path):
    proxy = nginx.Nginx(tmp_path, [copy.port for copy in copies])
    yield proxy
    proxy.stop()


# --- the contract ---


class Played(NamedTuple):
    """A case as the checks of the contract look at it, that was sent through nginx; nothing was to change."""

    case: dict
    who: str
    request: dict
    answer: Answer
    before: None = None

    def books(self):
        return None


def changes_nothing(case):
    return case["answer"]["status"] >= 400 or case["request"]["method"] in ("GET", "HEAD", "OPTIONS")


def stands_on_the_demo_data(case):
    return case["to"] == "service" and "given" not in case and case["name"] not in {*BEFORE, NGINX_ANSWERS}


def played(case, port, tokens):
    sent, token = case["request"], tokens[case["as"]]
    headers = {name: text.replace("<token>", token) for name, text in (sent.get("headers") or {}).items()}
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=20)
    connection.request(sent["method"], sent["path"], content(sent.get("body")).encode() or None, headers)
    answer = connection.getresponse()
    told = Answer(answer.status, answer.headers, answer.read())
    connection.close()
    return Played(case, case["as"], sent, told)


def failed(case):
    """What is wrong with the answer to a case."""
    try:
        assert case.answer.status in statuses(case.case), case.answer.content
        if "body" in case.case["answer"]:
            compare(case)
        for check in ALWAYS["service"]:
            check(case)
    except AssertionError as error:
        return f"{case.case['name']}: {error}"
    return None


def check_contract(proxy, copies):
    """The cases that stand on the demo data and leave it as it is."""
    passwords = {"diner": "diner", "franchisee": "franchisee", "admin": "admin"}
    tokens = {who: copies[0].log_in(EMAIL[who], password) for who, password in passwords.items()} | {"anonymous": ""}
    cases = [case for case in CASES.values() if changes_nothing(case) and stands_on_the_demo_data(case)]
    wrong = [problem for case in cases if (problem := failed(played(case, proxy.port, tokens)))]
    print(f"{len(cases)} cases of the contract, through nginx")
    assert len(cases) > 150
    assert wrong == []


# --- the load ---


class Load(Crowd):
    """All through nginx: diners, each with a name of their own, readers, logins, and a shopkeeper."""

    def __init__(self, port, copy, secret):
        super().__init__()
        self.told = []
        admin, diner = copy.log_in("a@jwt.com", "admin"), copy.log_in("d@jwt.com", "diner")
        menu = {item["id"]: round(item["price"] * SATOSHI) for item in copy("GET", "/api/order/menu").json()}
        shop = Shop(port, franchise_id=1, store_id=1, prices=menu, secret=secret)
        for name in (f"diner {number}" for number in range(DINERS)):
            self.add(name, [Diner(shop, name, registered(port, name), self.told).order], wait=WAIT)
        self._read(port, "menu", "GET", "/api/order/menu")
        self._read(port, "franchises", "GET", "/api/franchise")
        self._read(port, "me", "GET", "/api/user/me", token=diner)
        login = request("PUT", "/api/auth", {"email": "d@jwt.com", "password": "diner"})
        self.add("login", [reader(port, login) for _ in range(LOGINS)], wait=10 * WAIT)
        self.add("stores", [shopkeeper(port, admin)], wait=WAIT)

    def _read(self, port, kind, method, path, **how):
        self.add(kind, [reader(port, request(method, path, **how)) for _ in range(READERS)], wait=WAIT)

    def failures(self):
        """Calls that were not answered with 200, by kind."""
        bad = {kind: [call for call in list(calls) if call.status != 200] for kind, calls in self.calls.items()}
        return {kind: calls for kind, calls in bad.items() if calls}

    def orders(self):
        """The diners' calls, by name."""
        return {kind: calls for kind, calls in self.calls.items() if kind.startswith("diner")}


def shopkeeper(port, token):
    """Opens a store and closes it with the next step; a second request for either would be told so."""
    connection, names, opened = Connection(port), itertools.count(), []

    def step():
        if opened:
            return connection.ask(request("DELETE", f"/api/franchise/1/store/{opened.pop()}", token=token)).status
        body = {"name": f"store {next(names)}"}
        answer = connection.ask(request("POST", "/api/franchise/1/store", body, token=token))
        opened.extend([answer.json()["id"]] if answer.status == 200 else [])
        return answer.status

    return step


def total(calls):
    """How many they are, of all kinds."""
    return sum(map(len, calls.values()))


def connected(copy):
    """How many connections there are to a copy."""
    rows = [line.split() for line in Path("/proc/net/tcp").read_text().splitlines()]
    return sum(row[2].endswith(f":{copy.port:04X}") and row[3] == ESTABLISHED for row in rows)


def is_quiet(copy):
    """Whether it ends no request for a second: each that ends is a line in its log."""
    size = copy.log.stat().st_size
    time.sleep(1)
    return copy.log.stat().st_size == size


def killed_and_started(copy, load):
    """kill -9 of a copy, and its new start: how many connections it had, and what failed until it served again."""
    assert load.failures() == {}
    open_then = connected(copy)
    copy.kill()
    at = time.monotonic()
    copy.start()
    eventually(lambda: connected(copy) > 0)
    failures = load.failures()
    assert all(call.begun < at + AT_ONCE for calls in failures.values() for call in calls), (at, failures)
    return open_then, failures


def rolled(proxy, name, copy):
    """Out, stopped, started, in, as README.md says."""
    proxy.take_out(name)
    eventually(lambda: is_quiet(copy))
    assert copy.stop() == 0
    copy.start()
    proxy.take_in(name)
    eventually(lambda: connected(copy) > 0)


def check_books(load, query, factory):
    """Each order that somebody was told of is sold once; of each call that was cut off there is one order at most."""
    sold, placed = {order["id"]: order for order in books.check(query, factory)}, books.orders(query)
    told = [answer for answer in load.told if answer.status == 200]
    for answer in told:
        assert sold[answer.order_id]["jwt"] == answer.jwt
        assert sold[answer.order_id]["total"] == answer.total == answer.worth
    made = factory.books()["ids"]
    assert {made[str(answer.order_id)] for answer in told} == {1}
    cut_off = {who: sum(call.status != 200 for call in calls) for who, calls in load.orders().items()}
    names = dict(query("SELECT id, name FROM accounts_user"))
    written = Counter(names[order["diner_id"]] for order in placed.values())
    answered = Counter(answer.who for answer in told)
    for who, calls in load.orders().items():
        assert answered[who] <= written[who] <= answered[who] + cut_off[who] <= len(calls)
    left = [order for order in placed.values() if order["status"] != "fulfilled"]
    assert {(order["status"], order["reason"]) for order in left} <= {("failed", "abandoned")}
    assert len(left) + len(sold) == len(placed)


def test_one_copy_is_killed_and_the_other_rolled_and_only_what_the_killed_one_was_at_fails(
    proxy, copies, factory, query
):
    wait_for_redis(copies, "up")
    check_contract(proxy, copies)
    factory.forget()
    factory.chaos("none", delay=30)
    (a, b), load = copies, Load(proxy.port, copies[0], factory.api_key)
    with working(a):
        try:
            eventually(lambda: len(load.told) > 200, 60)
            open_then, lost = killed_and_started(a, load)
            rolled(proxy, "b", b)
            enough = len(load.told) + 200
            eventually(lambda: len(load.told) > enough, 60)
        finally:
            load.stop()
        eventually(lambda: count(query, "pending") == 0)
    failures, requests = load.failures(), total(load.calls)
    print(f"{requests} requests, {len(load.told)} orders among them; failed at the kill, which cut {open_then}")
    print(f"connections: {total(lost)}; at the roll: {total(failures) - total(lost)}")
    assert failures == lost
    assert {call.status for calls in lost.values() for call in calls} <= {502}
    assert total(lost) <= open_then
    assert lost.keys().isdisjoint({"menu", "franchises", "me"})
    check_books(load, query, factory)
