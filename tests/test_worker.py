"""`manage.py fulfil_orders`: what it does when, what it outlives, and how it ends."""

import os
import signal
import subprocess
import sys
import time
from collections import Counter
from types import SimpleNamespace

import pytest
from django.core.management import call_command
from django.db import InterfaceError, OperationalError

from jwtpizza.accounts.models import User
from jwtpizza.incidents.services import notices
from jwtpizza.management.commands import fulfil_orders
from orders.factory import gateway, keys
from orders.factory.client import Reply
from orders.factory.errors import TooSlow, Unreachable
from orders.models import Order, Status
from orders.services import later, links, outages, sales
from tests.conftest import fresh_process
from tests.live import PROJECT
from tests.orders.stage import age_lease, open_circuit


class Stop:
    """In place of the event that ends the worker: its waits take no time, and after so many of them it is set."""

    def __init__(self, after):
        self.begin_again(after=after)

    def set(self):
        self._set = True

    def is_set(self):
        return self._set

    def begin_again(self, *, after):
        self.after, self.waits, self._set = after, [], False

    def wait(self, seconds):
        self.waits.append(seconds)
        self._set = self._set or len(self.waits) >= self.after
        return self._set


@pytest.fixture(autouse=True)
def signals():
    """As they were, afterwards."""
    before = {number: signal.getsignal(number) for number in (signal.SIGTERM, signal.SIGINT)}
    yield
    for number, handler in before.items():
        signal.signal(number, handler)


@pytest.fixture(autouse=True)
def keeping(monkeypatch):
    """How it was told to look after the incidents, which it does not."""
    told = []
    monkeypatch.setattr(fulfil_orders, "start_keeping", lambda *args, **how: told.append((args, how)))
    return told


@pytest.fixture
def worker(settings, monkeypatch):
    """A worker without a database: what it is to do, what it did, and how long it paused in between."""
    settings.FACTORY_CANARY_SECONDS, settings.FACTORY_FOLLOW_SUPPORT_LINK = 0.0, False
    settings.INCIDENT_WEBHOOK_URL = ""
    worker = SimpleNamespace(did=[], stop=Stop(after=1), threads=[], due=[])

    def does(name, job=lambda: None):
        def done(**_):
            worker.did.append(name)
            return job()

        done.__name__ = name
        return done

    def decided():
        outcome = worker.due.pop(0) if worker.due else Counter()
        if isinstance(outcome, Exception):
            raise outcome
        return outcome

    def thread(**how):
        worker.threads.append(how)
        return SimpleNamespace(start=does(f"start {how['name']}"))

    monkeypatch.setattr(fulfil_orders, "Stop", lambda: worker.stop)
    monkeypatch.setattr(fulfil_orders, "threading", SimpleNamespace(Thread=thread))
    monkeypatch.setattr(fulfil_orders, "connection", SimpleNamespace(close=does("disconnect")))
    monkeypatch.setattr(sales, "fetch_factory_keys", does("fetch_keys"))
    monkeypatch.setattr(later, "decide_due", does("decide_due", decided))
    monkeypatch.setattr(links, "follow_latest", does("follow_latest"))
    monkeypatch.setattr(outages, "fly_canary", does("fly_canary"))
    monkeypatch.setattr(notices, "send_due", does("send_due"))
    return worker


def work(worker, *, pauses):
    """Until it has paused so often."""
    worker.stop.after = pauses
    call_command("fulfil_orders")


# --- once -----------------------------------------------------------------------------------------


@pytest.fixture
def promised(demo, monkeypatch):
    """Promises so many orders, which are due; the factory makes them, or does as `promised.outcome` says."""

    def make_pizza(payload, *, admission, chaos=False):
        promise.asked.append(payload["order"]["id"])
        if promise.outcome:
            promise.outcome(payload)
        return Reply(f"pizza {payload['order']['id']}", "")

    def promise(count):
        diner = User.objects.get(email="d@jwt.com")
        open_circuit()
        for _ in range(count):
            sales.place_order(diner=diner, franchise_id=1, store_id=1, menu_ids=[1], later=True)
        fresh_process()
        age_lease()

    promise.asked, promise.outcome = [], None
    monkeypatch.setattr(gateway, "make_pizza", make_pizza)
    return promise


def test_once_it_says_what_became_of_what_was_due_and_ends(promised, capsys):
    def outcome(payload):
        if payload["order"]["id"] == 2:
            raise TooSlow("late")

    promised.outcome = outcome
    promised(3)
    Order.objects.filter(pk=3).update(promised=False)
    call_command("fulfil_orders", "--once")
    assert capsys.readouterr().out.splitlines()[-1] == "1 fulfilled, 1 failed, 1 pending"


def test_once_with_nothing_due_it_says_so(demo, capsys):
    call_command("fulfil_orders", "--once")
    assert capsys.readouterr().out.splitlines()[-1] == "0 fulfilled, 0 failed, 0 pending"


def test_once_it_flies_no_canary_and_waits_for_nobody(worker, settings, monkeypatch):
    settings.FACTORY_CANARY_SECONDS = 60.0
    monkeypatch.setattr(later, "decide_due", Counter)
    call_command("fulfil_orders", "--once")
    assert (worker.did, worker.stop.waits) == ([], [])


# --- again and again ------------------------------------------------------------------------------


def test_it_fetches_the_factorys_keys_before_all_else(worker):
    work(worker, pauses=1)
    assert worker.did == ["fetch_keys", "disconnect", "decide_due", "disconnect"]


def test_it_looks_after_the_incidents_each_second(worker, keeping):
    work(worker, pauses=1)
    assert keeping == [(("worker",), {"look_seconds": 1.0})]


def test_a_factory_whose_keys_can_not_be_had_does_not_end_it(monkeypatch, caplog):
    def gone(**_):
        raise Unreachable("gone")

    monkeypatch.setattr(keys.RING, "fetch", gone)
    sales.fetch_factory_keys()
    assert "the factory's keys could not be fetched: gone" in caplog.text


def test_nor_does_a_database_that_can_not_keep_them(worker, monkeypatch):
    def gone():
        raise InterfaceError("gone")

    monkeypatch.setattr(sales, "fetch_factory_keys", gone)
    work(worker, pauses=1)
    assert "decide_due" in worker.did


def test_it_looks_again_at_once_while_there_is_something_to_do_and_else_a_second_later(worker):
    worker.due = [Counter(fulfilled=100), Counter(pending=1), Counter(), Counter(failed=1)]
    work(worker, pauses=2)
    assert worker.did.count("decide_due") == 5
    assert worker.stop.waits == [1.0, 1.0]


@pytest.mark.parametrize("gone", [OperationalError("gone"), InterfaceError("gone"), ZeroDivisionError()], ids=repr)
def test_it_outlives_its_database_and_takes_a_new_connection_5_seconds_later(worker, gone, caplog):
    worker.due = [gone, gone, Counter(fulfilled=1)]
    work(worker, pauses=3)
    assert worker.stop.waits == [5.0, 5.0, 1.0]
    assert worker.did == ["fetch_keys", "disconnect", *["decide_due", "disconnect"] * 4]
    assert [record.message for record in caplog.records] == ["the worker could not do its work"] * 2


def test_it_outlives_a_connection_that_can_not_be_closed_too(worker, monkeypatch):
    def broken():
        raise InterfaceError("closed already")

    monkeypatch.setattr(fulfil_orders, "connection", SimpleNamespace(close=broken))
    work(worker, pauses=2)
    assert worker.did.count("decide_due") == 2


# --- the end --------------------------------------------------------------------------------------


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_a_signal_in_the_middle_of_a_batch_ends_it_after_the_orders_in_hand(promised, settings, monkeypatch, number):
    settings.FACTORY_CANARY_SECONDS, settings.FACTORY_PLACES = 0.0, 1
    stop = Stop(after=100)
    monkeypatch.setattr(fulfil_orders, "Stop", lambda: stop)
    monkeypatch.setattr(sales, "fetch_factory_keys", lambda: None)
    promised(4)

    def signalled(_):
        os.kill(os.getpid(), number)
        give_up = time.monotonic() + 20
        while not stop.is_set():
            assert time.monotonic() < give_up, "the signal was not heard"

    promised.outcome = signalled
    call_command("fulfil_orders")
    assert promised.asked == [1]
    assert list(Order.objects.order_by("pk").values_list("status", flat=True)) == ["fulfilled"] + ["pending"] * 3
    promised.outcome = None
    assert later.decide_due() == Counter({Status.FULFILLED: 3})


A_STORM = """
import signal
from jwtpizza.management.commands.fulfil_orders import Stop

stop = Stop()
signal.signal(signal.SIGALRM, lambda *_: stop.set())
signal.setitimer(signal.ITIMER_REAL, 0.0001, 0.0001)
for _ in range(20_000):
    stop.wait(0.0001)
signal.setitimer(signal.ITIMER_REAL, 0)
"""


def test_a_signal_may_strike_while_it_hears_another():
    environment = os.environ | {"DJANGO_SETTINGS_MODULE": "jwtpizza.settings"}
    script = f"import django; django.setup(){A_STORM}"
    # In a process of its own: two that waited for each other would wait for ever.
    subprocess.run([sys.executable, "-c", script], env=environment, cwd=PROJECT, check=True, timeout=30)


def test_once_it_was_told_to_end_it_begins_no_other_batch(worker, monkeypatch):
    def decide_due(*, stopped):
        worker.did.append("decide_due")
        worker.stop.set()
        assert stopped()
        return Counter(fulfilled=100)

    monkeypatch.setattr(later, "decide_due", decide_due)
    work(worker, pauses=100)
    assert worker.did.count("decide_due") == 1
    assert worker.stop.waits == []


# --- beside the orders ----------------------------------------------------------------------------


def test_unless_it_is_told_to_it_has_nothing_to_do_beside_the_orders(worker):
    work(worker, pauses=1)
    assert worker.threads == []


@pytest.fixture
def beside(worker, settings):
    """Runs what a setting has done beside the orders, until it has paused so often; how its thread was made."""

    def beside(setting, value, *, pauses):
        setattr(settings, setting, value)
        work(worker, pauses=1)
        worker.did.clear()
        worker.stop.begin_again(after=pauses)
        [thread] = worker.threads
        thread["target"]()
        return thread

    return beside


CANARY, LINK = ("FACTORY_CANARY_SECONDS", 90.0), ("FACTORY_FOLLOW_SUPPORT_LINK", True)
WEBHOOK = ("INCIDENT_WEBHOOK_URL", "https://chat.example/hook")


@pytest.mark.parametrize(
    ("setting", "job", "seconds"),
    [(CANARY, "fly_canary", 90.0), (LINK, "follow_latest", 5.0), (WEBHOOK, "send_due", 5.0)],
)
def test_a_canary_flies_a_link_is_followed_and_notices_are_sent_every_so_many_seconds(
    worker, beside, setting, job, seconds
):
    beside(*setting, pauses=3)
    assert worker.stop.waits == [seconds] * 3
    assert worker.did == [job, "disconnect"] * 2


@pytest.mark.parametrize("setting", [CANARY, LINK, WEBHOOK])
def test_none_keeps_the_worker_from_ending(beside, setting):
    assert beside(*setting, pauses=1)["daemon"] is True


@pytest.mark.parametrize(("setting", "job"), [(CANARY, "fly_canary"), (LINK, "follow_latest"), (WEBHOOK, "send_due")])
def test_one_that_failed_is_not_the_last(worker, beside, setting, job, monkeypatch, caplog):
    def broken():
        raise InterfaceError("closed already")

    monkeypatch.setattr(fulfil_orders, "connection", SimpleNamespace(close=broken))
    beside(*setting, pauses=4)
    assert worker.did == [job] * 3
    assert "closed already" in caplog.text


def test_the_links_that_it_follows_are_by_default_none(settings):
    assert settings.FACTORY_FOLLOW_SUPPORT_LINK is False
