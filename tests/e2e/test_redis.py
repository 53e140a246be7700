"""Two machines with one database and one Redis, which tells each what the other changed, until it is gone or hangs."""

import time

import pytest

from tests.e2e import books
from tests.e2e.steps import all_at_once, eventually, order, wait_for_redis

pytestmark = pytest.mark.slow

LIMIT = 6
AT_ONCE, BY_CLOCK = 0.3, 1.0
# Eight at once take a part of it.
EIGHT_ORDERS = 0.3
ENVIRONMENT = {
    "LOGIN_FAILURES": str(LIMIT),
    "FACTORY_ATTEMPTS": "1",
    "FACTORY_BREAKER_ENABLED": "false",
    "FACTORY_CANARY_SECONDS": "0",
}


@pytest.fixture
def kind():
    return "PostgreSQL"


@pytest.fixture
def machines(serve, database, redis, tmp_path):
    """Each of them with a folder, and so a memory, of its own."""
    for name in ("one", "other"):
        (tmp_path / name).mkdir()
    return [
        serve(database.url, directory=tmp_path / name, env=ENVIRONMENT | {"REDIS_URL": redis.url})
        for name in ("one", "other")
    ]


@pytest.fixture
def admin(machines):
    wait_for_redis(machines, "up")
    return machines[0].log_in("a@jwt.com", "admin")


def titles(machine):
    answer = machine("GET", "/api/order/menu")
    assert answer.status_code == 200
    return {item["title"] for item in answer.json()}


def add_item(machine, admin, title):
    item = {"title": title, "description": "of the season", "image": "pizza1.png", "price": 0.001}
    machine("PUT", "/api/order/menu", item, token=admin).raise_for_status()


def franchises(machine):
    answer = machine("GET", "/api/franchise?limit=100")
    assert answer.status_code == 200
    return {franchise["name"] for franchise in answer.json()["franchises"]}


def open_franchise(machine, admin, name):
    body = {"name": name, "admins": [{"email": "a@jwt.com"}]}
    machine("POST", "/api/franchise", body, token=admin).raise_for_status()


def seconds_until(condition):
    begun = time.monotonic()
    eventually(condition, 5)
    return time.monotonic() - begun


def seconds_of_news(machines, admin, name, *, listed=titles, add=add_item):
    """How long after a change of a list through one machine anybody asked the other and was served the old one."""
    one, other = machines
    for _ in range(8):
        assert name not in listed(other)
    add(one, admin, name)
    begun, old, in_a_row = time.monotonic(), 0.0, 0
    while in_a_row < 8:
        asked = time.monotonic() - begun
        assert asked < 5
        in_a_row = in_a_row + 1 if name in listed(other) else 0
        old = old if in_a_row else asked
    return old


def seconds_of_chaos(machines, admin):
    """How long after the switch was turned on, and off, through one machine the other went on as before."""
    one, other = machines

    def struck():
        """Chaos strikes half of the orders, and so hardly ever none of eight."""
        return 500 in [answer.status_code for answer in all_at_once(8, lambda _: order(other, admin, 1))]

    assert not struck()
    one("PUT", "/api/order/chaos/true", token=admin).raise_for_status()
    begins = seconds_until(struck)
    one("PUT", "/api/order/chaos/false", token=admin).raise_for_status()
    begun = time.monotonic()
    return begins, max([time.monotonic() - begun for _ in range(8) if struck()], default=0.0)


def guess(machine, email):
    return machine("PUT", "/api/auth", {"email": email, "password": "wrong"}).status_code


def log_in(machine, email, password):
    return machine("PUT", "/api/auth", {"email": email, "password": password}).status_code


def all_kinds_of_calls(machine, admin, name):
    """The status of each, the one that it should have, and how many seconds it took."""
    item = {"title": name, "description": "d", "image": "pizza1.png", "price": 0.001}
    person = {"name": name, "email": f"{name}@jwt.com", "password": "good password"}
    calls = [
        ("GET", "/api/order/menu", None),
        ("GET", "/api/franchise", None),
        ("GET", "/api/user/me", None),
        ("POST", "/api/auth", person),
        ("PUT", "/api/auth", {"email": f"{name}@jwt.com", "password": "wrong"}),
        ("PUT", "/api/auth", {"email": f"{name}@jwt.com", "password": "good password"}),
        ("PUT", "/api/order/menu", item),
        ("POST", "/api/franchise", {"name": name, "admins": [{"email": "a@jwt.com"}]}),
        ("PUT", "/api/order/chaos/false", None),
        ("POST", "/api/order", {"franchiseId": 1, "storeId": 1, "items": [{"menuId": 1}]}),
        ("GET", "/api/order", None),
        ("GET", "/api/status", None),
        ("GET", "/readyz", None),
        ("GET", "/metrics", None),
        ("GET", "/admin/login/", None),
    ]
    for method, path, body in calls:
        answer = machine(method, path, body, token="" if path == "/api/auth" else admin)
        expected = 404 if body and body.get("password") == "wrong" else 200
        yield f"{method} {path}", answer.status_code, expected, answer.elapsed.total_seconds()


def attempts(query):
    return query("SELECT failures_since_start FROM axes_accessattempt WHERE failures_since_start > 0")


def told(machine):
    """What its processes said of Redis, each of the two once."""
    lines = machine.log.read_text().splitlines()
    return [said for line in lines for said in ("Redis is gone", "Redis is back") if said in line]


def test_what_one_machine_changes_the_other_serves_at_once(machines, admin):
    took = [seconds_of_news(machines, admin, f"Pizza {number}") for number in range(8)]
    print("milliseconds until the other machine serves no old menu:", [round(1000 * seconds) for seconds in took])
    assert max(took) < AT_ONCE


def test_a_franchise_that_one_machine_opens_the_other_lists_at_once(machines, admin):
    for number in range(3):
        took = seconds_of_news(machines, admin, f"Pizza {number}", listed=franchises, add=open_franchise)
        assert took < AT_ONCE


def test_chaos_begins_and_ends_on_the_other_machine_at_once(machines, admin):
    took = [seconds for _ in range(4) for seconds in seconds_of_chaos(machines, admin)]
    print("seconds until chaos was there, and was over:", took)
    assert max(took) < AT_ONCE + EIGHT_ORDERS


def test_failed_logins_on_both_add_up_and_are_in_the_database_when_they_are_too_many(machines, admin, query):
    for number in range(LIMIT - 1):
        assert guess(machines[number % 2], "d@jwt.com") == 404
    assert attempts(query) == []
    assert guess(machines[1], "d@jwt.com") == 404
    assert attempts(query) == [(LIMIT,)]
    assert {log_in(machine, "d@jwt.com", "diner") for machine in machines for _ in range(4)} == {429}


@pytest.mark.parametrize("end", ["kill", "pause"])
def test_redis_goes_and_nothing_fails_and_it_comes_back_and_is_used(machines, admin, redis, query, factory, end):
    for number in range(LIMIT - 1):
        assert guess(machines[number % 2], "f@jwt.com") == 404

    getattr(redis, end)()
    calls = [call for number in range(4) for call in all_kinds_of_calls(machines[number % 2], admin, f"n{number}")]
    assert [call for call in calls if call[1] != call[2]] == []
    slowest = max(calls, key=lambda call: call[3])
    print("the slowest call while Redis is gone:", slowest)
    assert slowest[3] < 1.0
    wait_for_redis(machines, "gone")
    assert "\njwtpizza_redis_up 0.0\n" in machines[0]("GET", "/metrics").text
    assert seconds_of_news(machines, admin, "Without Redis") < BY_CLOCK
    assert seconds_of_news(machines, admin, "Without Redis", listed=franchises, add=open_franchise) < BY_CLOCK
    assert max(seconds_of_chaos(machines, admin)) < BY_CLOCK + EIGHT_ORDERS
    for number in range(LIMIT):
        assert guess(machines[number % 2], "f@jwt.com") == 404
    assert {log_in(machine, "f@jwt.com", "franchisee") for machine in machines for _ in range(4)} == {429}
    assert (LIMIT,) in attempts(query)

    {"kill": redis.start, "pause": redis.resume}[end]()
    wait_for_redis(machines, "up")
    assert "\njwtpizza_redis_up 1.0\n" in machines[0]("GET", "/metrics").text
    before = len(attempts(query))
    for number in range(LIMIT - 1):
        assert guess(machines[number % 2], "d@jwt.com") == 404
    assert len(attempts(query)) == before
    assert log_in(machines[0], "f@jwt.com", "franchisee") == 429
    assert max(seconds_of_news(machines, admin, f"With it {number}") for number in range(3)) < AT_ONCE
    for machine in machines:
        assert sorted(told(machine)) == ["Redis is back"] * 2 + ["Redis is gone"] * 2
    assert books.check(query, factory)


def test_a_machine_that_starts_without_redis_is_as_quick_and_finds_it_later(serve, database, redis):
    redis.kill()
    service = serve(database.url, env=ENVIRONMENT | {"REDIS_URL": redis.url})
    wait_for_redis([service], "gone")
    assert log_in(service, "d@jwt.com", "diner") == 200
    redis.start()
    wait_for_redis([service], "up")
