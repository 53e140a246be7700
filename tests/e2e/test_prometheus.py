"""A real Prometheus and a real Alertmanager, and a factory that fails: somebody is told in time, and of its end."""

import re
import time
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, contextmanager

import pytest
import requests

from tests.drill.house import house
from tests.e2e.steps import eventually, order
from tests.prometheus import alertmanager, needs_prometheus, prometheus, webhook

pytestmark = [pytest.mark.slow, needs_prometheus]

# The outage of 2 December 2025, and everything that keeps a pace in it, ten times as fast: Prometheus asks each
# second, the canary flies each 6, there is an order in 5, and the factory fails for 17.5.
TENFOLD = {"FACTORY_CANARY_SECONDS": "6"}
MINUTE = 60 / 10
NO_CANARY = {"FACTORY_CANARY_SECONDS": "0"}
BRIEF = {"FACTORY_BREAKER_OPEN_SECONDS": "1", "FACTORY_BREAKER_OPEN_SECONDS_MOST": "2"}


@contextmanager
def watched(directory, environment):
    """A house, who watches it, and who is told of its alerts."""
    with ExitStack() as running:
        address, told = running.enter_context(webhook())
        home = running.enter_context(house(directory, f"sqlite:///{directory / 'house.sqlite3'}", environment))
        manager = running.enter_context(alertmanager(directory, address))
        watch = running.enter_context(prometheus(home, directory, alertmanager=manager))
        eventually(lambda: watch.query("jwtpizza:orders:increase5m"))
        assert watch.targets() == {"jwtpizza": "up", "jwtpizza-worker": "up"}
        yield home, watch, told


def placed(home, token):
    return order(home.service, token, 1).status_code


def follow_the_link(home):
    """As an admin does: the button at the latest of the support links."""
    with requests.Session() as admin:
        pages = f"{home.service.url}/admin"
        admin.get(f"{pages}/login/", timeout=30)
        form = {
            "next": "/admin/",
            "username": "a@jwt.com",
            "password": "admin",
            "csrfmiddlewaretoken": admin.cookies["csrftoken"],
        }
        admin.post(f"{pages}/login/", form, timeout=30).raise_for_status()
        links = admin.get(f"{pages}/orders/supportlink/", timeout=30).text
        latest = re.search(r"/admin/orders/supportlink/(\d+)/change/", links)[1]
        form = {"csrfmiddlewaretoken": admin.cookies["csrftoken"]}
        followed = admin.post(f"{pages}/orders/supportlink/{latest}/follow/", form, timeout=30)
        assert "Problem resolved" in followed.text


def test_an_open_circuit_is_told_within_20_seconds_and_so_is_its_end(tmp_path):
    with watched(tmp_path, NO_CANARY | BRIEF) as (home, _, told), ThreadPoolExecutor(8) as diners:
        token = home.service.log_in("d@jwt.com", "diner")
        assert set(diners.map(lambda _: placed(home, token), range(8))) == {200}
        home.factory.chaos("fail")
        failed = time.monotonic()
        eventually(lambda: 503 in diners.map(lambda _: placed(home, token), range(8)) and told.first("BreakerOpen"), 20)
        page = told.first("BreakerOpen")
        assert page.at - failed < 20
        said = page.annotations["description"]
        assert re.fullmatch(r"A circuit opened\. It is open now in [012] of 2 processes that take orders\.", said)

        follow_the_link(home)
        followed = time.monotonic()
        eventually(lambda: set(diners.map(lambda _: placed(home, token), range(8))) == {200})
        # That it opened is news for 30 s, and it goes on for 12.
        eventually(lambda: told.first("BreakerOpen", "resolved"), 60)
        over = told.first("BreakerOpen", "resolved")
        assert followed < over.at
        print(f"told after {page.at - failed:.1f} s; told of the end {over.at - followed:.1f} s after the link")

        runbook = requests.get(page.annotations["runbook_url"], timeout=30)
        assert runbook.status_code == 200
        assert "## What to do" in runbook.text


def test_the_outage_at_its_real_traffic_is_told_within_a_minute_of_the_first_lost_order(tmp_path):
    with watched(tmp_path, NO_CANARY | BRIEF) as (home, _, told):
        token = home.service.log_in("d@jwt.com", "diner")
        assert placed(home, token) == 200
        home.factory.chaos("fail")
        begun = time.monotonic()
        lost = []
        for number in range(4):
            time.sleep(max(0.0, begun + 5 * number - time.monotonic()))
            assert placed(home, token) in {500, 503}
            lost.append(time.monotonic())
        time.sleep(max(0.0, begun + 17.5 - time.monotonic()))
        home.factory.chaos("none")
        ticket, page = told.first("OrderFailed", receiver="ticket"), told.first("OrdersFailing")
        print(f"after the first lost order: a ticket {ticket.at - lost[0]:.1f} s, a page {page.at - lost[0]:.1f} s")
        assert ticket.at - lost[0] < MINUTE
        assert lost[1] < page.at < lost[1] + MINUTE
        assert placed(home, token) == 200


@pytest.mark.parametrize(("kind", "delay"), [("fail", {}), ("throttle", {"delay": 3200})])
def test_without_traffic_the_canary_tells_within_two_minutes(tmp_path, kind, delay):
    deadline = {"FACTORY_CONNECT_TIMEOUT": "0.5", "FACTORY_READ_TIMEOUT": "1", "FACTORY_DEADLINE": "2"}
    patience = {"FACTORY_RETRY_LEAST": "1", "FACTORY_BREAKER_SLOW": "1"}
    with watched(tmp_path, TENFOLD | deadline | patience) as (home, watch, told):
        eventually(lambda: watch.query("jwtpizza_factory_up == 1"))
        home.factory.chaos(kind, **delay)
        failed = time.monotonic()
        eventually(lambda: told.first("FactoryDown"))
        page = told.first("FactoryDown")
        print(f"{kind}: told after {page.at - failed:.1f} s")
        assert page.at - failed < 2 * MINUTE
        home.factory.chaos("none")
        eventually(lambda: told.first("FactoryDown", "resolved"))


def test_a_slow_factory_is_told_before_diners_are_failed_by_it(tmp_path):
    """Every call takes 2.3 s: slower than the breaker likes, and within what a diner waits for."""
    patient = {"FACTORY_BREAKER_ENABLED": "false"}
    with watched(tmp_path, NO_CANARY | patient) as (home, _, told), ThreadPoolExecutor(8) as diners:
        token = home.service.log_in("d@jwt.com", "diner")
        home.factory.chaos("none", delay=2300)
        slow = time.monotonic()
        assert set(diners.map(lambda _: placed(home, token), range(24))) == {200}
        eventually(lambda: told.first("FactorySlow") and told.first("FactorySlowCalls"))
        for alert in ("FactorySlow", "FactorySlowCalls"):
            print(f"{alert}: told {told.first(alert).at - slow:.1f} s after the first slow call")
        assert told.first("OrderFailed", receiver="ticket") is None


SELECTOR = re.compile(r"\b(?:(?:jwtpizza|django)[a-z0-9_:]*|up)\b(?:\{[^}]*\})?")


def emptied(expression):
    """What an expression is about: all of its sides, without comparisons, and with what it wants to be absent."""
    for condition, instead in (
        (r"(?:[<>]=?|==|!=) *\d[\d.]*(?: \* 0\.001)?", ""),
        (r"\bunless\b", "or"),
        (r"\babsent\(", "group("),
        (r"\boffset \w+", ""),
    ):
        expression = re.sub(condition, instead, expression)
    return expression


def test_every_expression_of_the_rules_returns_data(tmp_path, redis):
    all_of_it = {"FACTORY_CANARY_SECONDS": "1", "REDIS_URL": redis.url}
    with watched(tmp_path, all_of_it) as (home, watch, _), ThreadPoolExecutor(8) as diners:
        token = home.service.log_in("d@jwt.com", "diner")
        home.factory.chaos("fail")
        assert 500 in diners.map(lambda _: placed(home, token), range(4))
        home.factory.chaos("none")
        home.service("GET", "/api/order", token=token).raise_for_status()
        eventually(lambda: watch.query("jwtpizza_factory_up"))
        eventually(lambda: watch.value("jwtpizza:orders:increase5m") >= 4)
        eventually(lambda: watch.query("jwtpizza:order_errors:increase5m"))
        eventually(lambda: watch.query('jwtpizza:own_seconds:p95_5m{view="orders.views.OrderViewSet"}'))
        rules = watch.rules()
        assert "NoOrders" in {rule["name"] for rule in rules}, "what is off is judged, too"
        assert {(rule["name"], rule.get("lastError")) for rule in rules if rule["health"] != "ok"} == set()
        asked = {asked for rule in rules for asked in [emptied(rule["query"]), *SELECTOR.findall(rule["query"])]}
        assert [expression for expression in asked if not watch.query(expression)] == []
        assert [rule["name"] for rule in rules if rule["type"] == "recording" and not watch.query(rule["name"])] == []
