"""What Prometheus is told: each order once, each attempt once, and nothing that did not happen."""

import os
import subprocess
import sys
import time
from pathlib import Path
from types import SimpleNamespace

import pytest
from prometheus_client import REGISTRY

from jwtpizza.accounts.models import User
from jwtpizza.fields import from_now
from orders import metrics, selectors
from orders.factory import client, gateway
from orders.factory.errors import (
    BadJwt,
    BadResponse,
    Rejected,
    ServerError,
    TooSlow,
    Unauthorized,
    Unreachable,
    Unverified,
)
from orders.models import Canary, Reason, WorkerCircuit
from orders.services import later, outages, sales
from tests.conftest import fresh_process
from tests.orders.stage import LATER, age, age_lease, apart, half_open_circuit, open_circuit
from tests.resilience.kit import together

KEY = {"Idempotency-Key": "a-key"}
PRINTED = "import orders.metrics, prometheus_client as it; print(it.generate_latest().decode())"


def observed(name):
    return REGISTRY.get_sample_value(f"jwtpizza_{name}_count") or 0


# --- from the start -------------------------------------------------------------------------------


def labelled(name, label, *values):
    return [f'jwtpizza_{name}_total{{{label}="{value}"}} 0.0' for value in values]


AT_START = [
    *labelled("orders", "outcome", "fulfilled", "failed", "refused"),
    *labelled("factory_attempts", "outcome", "ok", "server_error", "unreachable", "timeout", "bad_response", "bad_jwt"),
    *labelled("factory_attempts", "outcome", "unverified", "rejected", "unauthorized", "chaos"),
    *labelled("factory_retries", "result", "ok", "failed", "refused", "no_budget", "no_time"),
    *labelled("factory_refusals", "reason", "open", "probing", "bulkhead", "deadline"),
    *(
        f'jwtpizza_factory_breaker_transitions_total{{from="{old}",to="{new}"}} 0.0'
        for old, new in [("closed", "open"), ("open", "half-open"), ("half-open", "closed"), ("half-open", "open")]
    ),
    *(f"jwtpizza_{name}_total 0.0" for name in ("orders_promised", "pizzas_sold", "revenue")),
]


def test_each_counter_is_there_at_0_with_all_its_labels_before_anything_happened():
    environment = {name: value for name, value in os.environ.items() if name != "PROMETHEUS_MULTIPROC_DIR"}
    argv = [sys.executable, "-c", PRINTED]
    cwd = Path(__file__).parents[2]
    page = subprocess.run(argv, cwd=cwd, env=environment, capture_output=True, text=True, check=True, timeout=60)
    lines = page.stdout.splitlines()
    assert sorted(line for line in lines if line.startswith("jwtpizza_") and "_total" in line) == sorted(AT_START)


def test_each_outcome_of_an_attempt_is_a_reason_that_an_order_may_have():
    decided_without_an_attempt = {"", Reason.ABANDONED, Reason.DINER_DELETED}
    assert set(metrics.ATTEMPTS) == {"ok"} | set(Reason.values) - decided_without_an_attempt


# --- orders ---------------------------------------------------------------------------------------


def test_a_sale_is_counted_with_its_pizzas_and_its_price(diner, kitchen, counted):
    diner.order(1, 5, 1)
    assert counted.grown() == {
        "orders_total fulfilled": 1,
        "pizzas_sold_total": 3,
        "revenue_total": 0.0175,
        "factory_attempts_total ok": 1,
    }


@pytest.mark.parametrize("failure", [TooSlow, BadResponse, BadJwt, Unverified, Rejected, Unauthorized])
def test_a_failure_is_counted_with_its_attempt(diner, kitchen, counted, failure):
    kitchen.does(failure("no"))
    diner.order(1)
    assert counted.grown() == {"orders_total failed": 1, f"factory_attempts_total {failure.reason}": 1}


@pytest.mark.parametrize("failure", [ServerError, Unreachable])
def test_an_order_that_failed_twice_is_one_failed_order(diner, kitchen, counted, failure):
    kitchen.does(failure("no"))
    diner.order(1)
    assert counted.grown() == {
        "orders_total failed": 1,
        f"factory_attempts_total {failure.reason}": 2,
        "factory_retries_total failed": 1,
    }


def test_an_order_that_is_refused_is_counted_and_so_is_why(diner, kitchen, counted):
    open_circuit()
    counted.grown()
    diner.order(1)
    assert counted.grown() == {"orders_total refused": 1, "factory_refusals_total open": 1}


def test_an_order_that_is_promised_is_not_decided_yet(diner, kitchen, counted):
    open_circuit()
    counted.grown()
    diner.order(1, **LATER)
    assert counted.grown() == {"orders_promised_total": 1, "factory_refusals_total open": 1}


def test_one_that_the_factory_failed_first_is_promised_once(diner, kitchen, counted):
    kitchen.does(TooSlow("late"))
    diner.order(1, **LATER)
    assert counted.grown() == {"orders_promised_total": 1, "factory_attempts_total timeout": 1}
    age_lease()
    later.decide_due()
    assert counted.grown() == {"factory_attempts_total timeout": 1}


def test_one_that_is_kept_is_sold_once(diner, kitchen, counted):
    kitchen.does(TooSlow("late"), None)
    diner.order(1, **LATER)
    counted.grown()
    age_lease()
    together(3, apart(lambda _: later.decide_due()))
    sold = {"orders_total fulfilled": 1, "pizzas_sold_total": 1, "revenue_total": 0.0038}
    assert {name: by for name, by in counted.grown().items() if "factory" not in name} == sold


def test_one_that_is_given_up_has_failed(diner, kitchen, counted):
    open_circuit()
    diner.order(1, **LATER)
    counted.grown()
    age(hours=25)
    age_lease()
    later.decide_due()
    assert counted.grown() == {"orders_total failed": 1}


def test_the_waiting_orders_of_a_deleted_diner_have_failed(diner, admin, kitchen, counted):
    open_circuit()
    diner.order(1, **LATER)
    diner.order(2, **LATER)
    counted.grown()
    admin.delete(f"/api/user/{diner.user['id']}")
    assert counted.grown() == {"orders_total failed": 2}


def test_an_order_that_is_told_again_is_not_counted_again(diner, kitchen, counted):
    diner.order(1, **KEY)
    counted.grown()
    diner.order(1, **KEY)
    assert counted.grown() == {}


def test_what_was_never_an_order_is_not_counted(diner, kitchen, counted):
    diner.order(99)
    diner.order()
    assert counted.grown() == {}


def test_an_order_that_another_decided_meanwhile_is_counted_once(diner, kitchen, counted):
    def take_over(_):
        kitchen.does()
        age_lease()
        later.decide_due()

    kitchen.does(take_over)
    diner.order(1, **KEY)
    assert counted.grown() == {
        "orders_total fulfilled": 1,
        "pizzas_sold_total": 1,
        "revenue_total": 0.0038,
        "factory_attempts_total ok": 2,
    }


def test_a_sale_that_could_not_be_booked_is_not_counted(diner, kitchen, counted, monkeypatch):
    def fail(*_):
        raise ZeroDivisionError

    monkeypatch.setattr(sales, "_book", fail)
    diner.order(1)
    assert counted.grown() == {"factory_attempts_total ok": 1}


def test_how_long_an_order_took_is_observed_however_it_ended(diner, kitchen):
    before = observed("order_seconds")
    diner.order(1)
    kitchen.does(TooSlow("late"))
    diner.order(1)
    open_circuit()
    diner.order(1)
    assert observed("order_seconds") - before == 3


# --- attempts -------------------------------------------------------------------------------------


def test_how_long_an_attempt_took_is_observed_each_time(diner, kitchen):
    before = observed("factory_attempt_seconds")
    kitchen.does(ServerError("no"), None)
    diner.order(1)
    assert observed("factory_attempt_seconds") - before == 2


def test_a_second_try_that_helps_is_counted(diner, kitchen, counted):
    kitchen.does(ServerError("no"), None)
    diner.order(1)
    assert counted.grown() == {
        "orders_total fulfilled": 1,
        "pizzas_sold_total": 1,
        "revenue_total": 0.0038,
        "factory_attempts_total server_error": 1,
        "factory_attempts_total ok": 1,
        "factory_retries_total ok": 1,
    }


def test_a_second_try_that_the_circuit_refuses_is_counted(diner, kitchen, counted):
    kitchen.does(*[TooSlow("late")] * 4, ServerError("no"))
    for _ in range(4):
        diner.order(1)
    counted.grown()
    diner.order(1)
    assert counted.grown() == {
        "orders_total failed": 1,
        "factory_attempts_total server_error": 1,
        "factory_retries_total refused": 1,
        "factory_breaker_transitions_total closed open": 1,
    }


def test_an_order_that_waited_too_long_for_its_place_is_refused_by_the_deadline(diner, kitchen, counted, clock):
    def too_long(**_):
        clock.now += 5

    gateway.GUARD.bulkhead.enter = too_long
    diner.order(1)
    assert counted.grown() == {"orders_total refused": 1, "factory_refusals_total deadline": 1}


def test_a_second_try_for_which_no_time_is_left_is_counted(diner, kitchen, counted, settings):
    settings.FACTORY_DEADLINE = 3.4
    fresh_process()
    kitchen.does(ServerError("no"), seconds=2.0)
    diner.order(1)
    assert counted.grown()["factory_retries_total no_time"] == 1


def test_a_second_try_for_which_nothing_was_saved_up_is_counted(diner, kitchen, counted, settings):
    settings.FACTORY_RETRY_SAVED = 0
    fresh_process()
    kitchen.does(ServerError("no"))
    diner.order(1)
    assert counted.grown() == {
        "orders_total failed": 1,
        "factory_attempts_total server_error": 1,
        "factory_retries_total no_budget": 1,
    }


def test_an_attempt_that_chaos_strikes_is_counted_as_that(diner, kitchen, counted, monkeypatch):
    outages.switch_chaos(on=True)
    monkeypatch.setattr(gateway, "random", SimpleNamespace(random=lambda: 0.0))
    diner.order(1)
    assert counted.grown() == {
        "orders_total failed": 1,
        "factory_attempts_total chaos": 2,
        "factory_retries_total failed": 1,
    }


def test_what_nobody_foresaw_counts_as_no_pizza_that_was_made(diner, kitchen, counted):
    kitchen.does(ZeroDivisionError())
    diner.order(1)
    assert "factory_attempts_total ok" not in counted.grown()


# --- the circuit ----------------------------------------------------------------------------------


def test_each_change_of_the_circuit_is_counted(clock, demo, counted):
    half_open_circuit(clock)
    with gateway.admit():
        open_circuit()
    clock.now += 20
    for _ in range(2):
        with gateway.admit() as admission:
            admission.call(lambda _: "pizza")
    assert counted.grown() == {
        "factory_breaker_transitions_total closed open": 1,
        "factory_breaker_transitions_total open half-open": 2,
        "factory_breaker_transitions_total half-open open": 1,
        "factory_breaker_transitions_total half-open closed": 1,
    }


def test_an_order_whose_turn_never_comes_is_refused_by_the_bulkhead(diner, kitchen, counted, settings):
    settings.FACTORY_PLACES, settings.FACTORY_QUEUE = 1, 0
    fresh_process()
    with gateway.admit():
        diner.order(1)
    assert counted.grown() == {"orders_total refused": 1, "factory_refusals_total bulkhead": 1}


def test_an_order_that_waits_for_others_probes_is_refused_by_them(diner, kitchen, counted, clock):
    half_open_circuit(clock)
    with gateway.admit(), gateway.admit():
        counted.grown()
        diner.order(1)
    assert counted.grown() == {"orders_total refused": 1, "factory_refusals_total probing": 1}


def test_the_workers_order_that_is_refused_is_no_order_that_is_refused(diner, kitchen, counted, clock):
    open_circuit()
    diner.order(1, **LATER)
    age_lease()
    clock.now += 10
    with gateway.admit(), gateway.admit():
        counted.grown()
        later.decide_due()
        assert counted.grown() == {"factory_refusals_total probing": 1}


def test_a_worker_that_takes_over_what_nobody_waits_for_counts_it_as_failed(kitchen, counted, demo):
    diner = User.objects.get(email="d@jwt.com")
    wanted = sales.Wanted(diner, 1, 1, (1,), None, later=False)
    sales._record(wanted)
    age_lease()
    later.decide_due()
    assert counted.grown() == {"orders_total failed": 1}


# --- what the books know --------------------------------------------------------------------------


def gauges():
    selectors.CIRCUITS._known = None
    selectors.CANARY._known = None
    samples = [sample for metric in selectors.gauges() for sample in metric.samples]
    return {
        " ".join([sample.name.removeprefix("jwtpizza_"), *sample.labels.values()]): sample.value for sample in samples
    }


def test_with_no_orders_and_no_worker_all_is_0_and_no_canary_speaks(demo):
    assert gauges() == {
        "orders_pending": 0,
        "orders_oldest_pending_seconds": 0,
        "factory_breaker_workers closed": 0,
        "factory_breaker_workers open": 0,
        "factory_breaker_workers half-open": 0,
    }


def test_orders_that_wait_are_told_with_the_age_of_the_oldest(diner, kitchen):
    open_circuit()
    for _ in range(3):
        diner.order(1, **LATER)
    age(hours=2)
    now = gauges()
    assert now["orders_pending"] == 3
    assert now["orders_oldest_pending_seconds"] == pytest.approx(2 * 60 * 60, abs=60)


def test_each_circuit_is_told_as_the_next_order_will_meet_it(demo):
    soon, past = from_now(60), from_now(-1)
    for worker, state, until in [
        ("a", "closed", None),
        ("b", "open", soon),
        ("c", "open", past),
        ("d", "half-open", None),
    ]:
        WorkerCircuit.objects.create(worker=worker, state=state, open_until=until)
    now = gauges()
    told = {state: now[f"factory_breaker_workers {state}"] for state in ("closed", "open", "half-open")}
    assert told == {"closed": 1, "open": 1, "half-open": 2}


@pytest.mark.parametrize(("failure", "up"), [(None, 1), (BadJwt, 0)])
def test_the_canarys_word(demo, kitchen, failure, up):
    if failure:
        kitchen.does(failure("forged"))
    outages.fly_canary()
    now = gauges()
    assert (now["factory_up"], now["factory_canary_seconds"]) == (up, pytest.approx(0, abs=1))
    assert now["factory_canary_timestamp_seconds"] == pytest.approx(time.time(), abs=60)


def test_an_old_canary_says_nothing(demo, kitchen):
    outages.fly_canary()
    Canary.objects.update(flown_at=from_now(-selectors.CANARY_SECONDS - 1))
    assert "factory_up" not in gauges()


def test_the_last_success_is_a_pizzas_or_a_canarys_and_no_failures(diner, kitchen):
    def last():
        return REGISTRY.get_sample_value("jwtpizza_factory_last_success_timestamp_seconds")

    diner.order(1)
    sold = last()
    assert sold == pytest.approx(time.time(), abs=60)
    kitchen.does(BadJwt("forged"))
    diner.order(1)
    assert last() == sold
    kitchen.does(None)
    outages.fly_canary()
    assert last() > sold


def test_what_is_under_way_is_told_and_over_when_it_fails(diner, kitchen, monkeypatch):
    under_way = []

    def asked(*_, **__):
        under_way.append(REGISTRY.get_sample_value("jwtpizza_factory_in_flight"))
        raise BadResponse("no")

    monkeypatch.setattr(client, "post_order", asked)
    diner.order(1)
    assert under_way == [1]
    assert REGISTRY.get_sample_value("jwtpizza_factory_in_flight") == 0
