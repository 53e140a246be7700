"""A report of a very long list of lost orders."""

import json
import time

from jwtpizza.incidents.serializers.json import as_json
from jwtpizza.incidents.services.reports import report

MANY = 10_000


def test_ten_thousand_failed_and_as_many_refused_orders_take_less_than_two_seconds(stage):
    diners = [stage.person(f"diner {number}") for number in range(20)]
    stage.many_failed((n / 10 for n in range(MANY)), diner=diners[0])
    stage.many_refused((n / 10 for n in range(MANY)), diner=diners[1])
    for when in range(0, 1000, 10):
        stage.made(when)
    incident = stage.incident(last=1000, closed=1300)

    begun = time.perf_counter()
    told = json.dumps(as_json(report(incident)))
    took = time.perf_counter() - begun

    assert json.loads(told)["orders"]["asked"] == 2 * MANY + 100
    assert took < 2, took
