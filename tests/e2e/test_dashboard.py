"""Each panel of the dashboard draws something: a Prometheus that watches a house is asked what Grafana would ask."""

import json
import math
import time

import pytest

from tests.drill.house import house
from tests.e2e.steps import eventually, order
from tests.live import PROJECT
from tests.prometheus import needs_prometheus, prometheus

pytestmark = [pytest.mark.slow, needs_prometheus]

ENVIRONMENT = {"FACTORY_CANARY_SECONDS": "1", "FACTORY_BREAKER_OPEN_SECONDS": "1"}
# What Grafana puts in for an hour's view of a page that is scraped every 10 s.
VARIABLES = {"$__rate_interval": "1m", "$__range": "1h"}
# A dashboard shows 0 where nothing has ever failed; here something has, so that the metric itself has to be there.
ZERO = " or vector(0)"
PATIENCE = 20


def expressions():
    """Whatever the dashboard asks of Prometheus, by where it stands."""
    page = json.loads((PROJECT / "ops/grafana/dashboards/jwt-pizza.json").read_text())
    for panel in page["panels"]:
        for target in panel.get("targets", []):
            if target["datasource"]["type"] == "prometheus":
                yield f"{panel['title']} {target['refId']}", target["expr"]
    for annotation in page["annotations"]["list"]:
        yield annotation["name"], annotation["expr"]


def asked(expression):
    for variable, value in VARIABLES.items():
        expression = expression.replace(variable, value)
    assert "$" not in expression, expression
    return expression.removesuffix(ZERO)


def numbers(monitor, expression):
    return [number for series in monitor.query(asked(expression)) if math.isfinite(number := float(series["value"][1]))]


def visit(house):
    """Logins that succeed and that fail, orders sold and promised, users and menus that are looked at."""
    token = house.service.log_in("d@jwt.com", "diner")
    assert house.service("PUT", "/api/auth", {"email": "d@jwt.com", "password": "wrong"}).status_code == 404
    for _ in range(3):
        assert order(house.service, token, 1).status_code == 200
    for path in ("/api/order/menu", "/api/user/me", "/api/franchise"):
        assert house.service("GET", path, token=token).status_code == 200
    return token


def suffer(house, token):
    """A factory that fails until the circuit is open, with a promised order that has to wait."""
    house.factory.chaos("fail")
    told = {order(house.service, token, 1).status_code for _ in range(30)}
    assert told == {500, 503}
    assert order(house.service, token, 1, later=True).status_code == 202


def break_ourselves(house):
    """From now on an endpoint that has nothing to do with the factory answers 5xx."""
    rename = "ALTER TABLE franchises_franchise RENAME TO gone"
    house.service.manage("shell", "--command", f"from django.db import connection as c; c.cursor().execute('{rename}')")


def list_own_franchises(house, token):
    return house.service("GET", "/api/franchise/2", token=token).status_code


def scraped(monitor):
    """Returns once both pages were read after now."""
    called = time.time()
    eventually(lambda: len(monitor.query(f'timestamp(up{{job=~"jwtpizza.*"}} == 1) > {called}')) == 2)


def test_every_expression_of_the_dashboard_returns_data(tmp_path, redis):
    with (
        house(tmp_path, f"sqlite:///{tmp_path / 'live.sqlite3'}", ENVIRONMENT | {"REDIS_URL": redis.url}) as home,
        prometheus(home, tmp_path) as monitor,
    ):
        scraped(monitor)
        token = visit(home)
        suffer(home, token)
        assert list_own_franchises(home, token) == 200
        break_ourselves(home)
        assert list_own_franchises(home, token) >= 500
        scraped(monitor)

        silent = dict(expressions())
        assert len(silent) > 40
        give_up = time.monotonic() + PATIENCE
        while silent and time.monotonic() < give_up:
            silent = {where: expression for where, expression in silent.items() if not numbers(monitor, expression)}
            time.sleep(0.5)  # for the next scrape
        assert not silent
