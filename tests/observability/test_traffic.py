"""Calls are counted by what they were for, in spans of 10 seconds."""

import time
from concurrent.futures import ThreadPoolExecutor

import pytest
from django.db import OperationalError

from jwtpizza.observability import traffic
from jwtpizza.observability.traffic import Span


class Clock:
    now = 1_000_003.0

    def __call__(self):
        return self.now


@pytest.fixture(autouse=True)
def clock(monkeypatch):
    clock = Clock()
    monkeypatch.setattr(time, "time", clock)
    traffic._counts.clear()
    return clock


def test_a_span_is_told_once_it_is_over(clock):
    traffic.count("menu", failed=False)
    traffic.count("menu", failed=True)
    assert traffic.finished() == []
    clock.now += 7

    assert traffic.finished() == [Span(1_000_000, "menu", 2, 1)]


def test_it_is_told_until_it_is_kept(clock):
    traffic.count("menu", failed=False)
    clock.now += 10
    spans = traffic.finished()
    assert traffic.finished() == spans
    traffic.forget(spans)

    assert traffic.finished() == []


def test_what_nobody_keeps_is_forgotten(clock):
    traffic.count("menu", failed=False)
    clock.now += traffic.KEPT_SECONDS + 10

    assert traffic.finished() == []


def test_no_call_of_many_threads_is_lost(clock):
    with ThreadPoolExecutor(8) as pool:
        list(pool.map(lambda _: traffic.count("menu", failed=False), range(4000)))
    clock.now += 10

    assert traffic.finished() == [Span(1_000_000, "menu", 4000, 0)]


def spans(clock):
    clock.now += 10
    return {span.name: (span.calls, span.failed) for span in traffic.finished()}


def test_the_menu_logins_and_franchises_are_counted(demo, diner, anonymous, clock):
    traffic._counts.clear()
    anonymous.get("/api/order/menu")
    anonymous.get("/api/franchise?page=0")
    diner.get(f"/api/franchise/{diner.user['id']}")
    anonymous.put("/api/auth", {"email": "d@jwt.com", "password": "diner"})
    anonymous.put("/api/auth", {"email": "d@jwt.com", "password": "wrong"})
    diner.get("/api/user/me")

    assert spans(clock) == {"menu": (1, 0), "franchises": (2, 0), "login": (2, 0)}


def test_what_we_fail_is_counted_as_failed(anonymous, clock, monkeypatch):
    def gone(*args, **kwargs):
        raise OperationalError

    monkeypatch.setattr("jwtpizza.accounts.services.log_in", gone)
    traffic._counts.clear()
    assert anonymous.put("/api/auth", {"email": "d@jwt.com", "password": "diner"}).status_code == 503

    assert spans(clock) == {"login": (1, 1)}
