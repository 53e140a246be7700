"""What processes know of one another: the generations of a machine, and a Redis that may be slow, full or gone."""

import time
from concurrent.futures import ThreadPoolExecutor
from types import SimpleNamespace

import pytest
from django.conf import settings as project

from jwtpizza import shared
from jwtpizza.shared import BACKOFF, CHANNEL, MOST_PARTS, MOST_TRIES, PREFIX, SLOTS, Generation, Link, forget, tally
from tests.e2e.steps import eventually

NOW = 1_800_000_000.0
MENU = Generation("menu")


def count(name="ann", part="home", now=NOW, since=0.0, start=0, seconds=900):
    return tally(name, part, now=now, since=since, start=start, seconds=seconds)


def gone_and_back(caplog):
    return [record.getMessage().partition(",")[0] for record in caplog.records if record.name == "jwtpizza.shared"]


# --- generations ----------------------------------------------------------------------------------


def test_a_change_is_a_change_of_its_slot_alone():
    before = [Generation(slot)() for slot in SLOTS]
    MENU.renew()
    assert [Generation(slot)() == number for slot, number in zip(SLOTS, before, strict=True)] == [False, True, True]


def test_another_machine_is_told_which_slot_changed(linked, redis):
    with redis.client.pubsub(ignore_subscribe_messages=True) as machine:
        machine.subscribe(CHANNEL)
        machine.get_message(timeout=5)
        MENU.renew()
        assert machine.get_message(timeout=5)["data"] == "menu"


def test_what_another_machine_tells_changes_the_slot_here(linked, redis):
    before = MENU()
    redis.client.publish(CHANNEL, "menu")
    eventually(lambda: MENU() != before)


def test_a_slot_that_is_not_known_here_is_nothing(linked, redis):
    redis.client.publish(CHANNEL, "of tomorrow")
    before = MENU()
    redis.client.publish(CHANNEL, "menu")
    eventually(lambda: MENU() != before)
    assert linked.up


def test_a_redis_that_is_back_makes_nothing_stale_for_which_a_database_may_be_gone(linked, redis):
    before = [Generation(slot)() for slot in SLOTS]
    redis.kill()
    eventually(lambda: not linked.up)
    redis.start()
    eventually(lambda: linked.up)
    assert [Generation(slot)() for slot in SLOTS] == before


def test_a_change_without_redis_is_one_on_this_machine(linked, redis):
    redis.kill()
    before = MENU()
    MENU.renew()
    assert MENU() != before


# --- the link -------------------------------------------------------------------------------------


def test_without_an_address_nothing_is_asked():
    assert not project.REDIS_URL
    assert count() is None
    assert forget("ann")


def test_without_an_address_nobody_listens(monkeypatch):
    monkeypatch.setattr(shared, "LINK", None)
    shared.start_listening()


def test_a_redis_that_was_not_found_yet_is_not_asked(settings, redis, monkeypatch):
    settings.REDIS_URL = redis.url
    monkeypatch.setattr(shared, "LINK", Link())
    assert count() is None
    assert not forget("ann")


def test_a_redis_that_goes_and_comes_back_is_told_of_once_each(linked, redis, caplog):
    for _ in range(2):
        redis.kill()
        eventually(lambda: not linked.up)
        assert [count(), count()] == [None, None]
        redis.start()
        eventually(lambda: linked.up)
        assert count() == 1
    # It is told of once it is so.
    eventually(lambda: gone_and_back(caplog) == ["Redis is gone", "Redis is back"] * 2)


def test_a_redis_that_is_asked_before_its_end_is_noticed_costs_an_answer_and_no_error(linked, redis):
    redis.kill()
    assert count() is None
    assert not linked.up


def test_a_redis_that_hangs_is_waited_for_once(linked, redis, monkeypatch):
    monkeypatch.setattr(shared, "SILENT_SECONDS", 60)  # nobody notices before it is asked
    before = MENU()
    redis.client.publish(CHANNEL, "menu")
    eventually(lambda: MENU() != before)
    redis.pause()
    begun = time.monotonic()
    assert count() is None
    took = time.monotonic() - begun
    assert [count() for _ in range(10)] == [None] * 10
    assert shared.TIMEOUT_SECONDS <= took < 2 * shared.TIMEOUT_SECONDS
    assert time.monotonic() - begun < 2 * shared.TIMEOUT_SECONDS


def test_a_redis_that_hangs_is_noticed_without_being_asked(linked, redis):
    redis.pause()
    eventually(lambda: not linked.up)
    redis.resume()
    eventually(lambda: linked.up)


def test_a_redis_that_is_silent_is_well(linked, caplog, monkeypatch):
    heard = []
    monkeypatch.setattr(linked, "_hear", lambda of, hear=linked._hear: heard.append(hear(of)))
    eventually(lambda: len(heard) > 5)
    assert linked.up
    assert gone_and_back(caplog) == []


def test_a_redis_that_takes_no_writes_is_gone(linked, redis, caplog, monkeypatch):
    redis.client.config_set("maxmemory", 1)
    assert count() is None
    tries = []
    monkeypatch.setattr(linked, "_begin", lambda heard, begin=linked._begin: (tries.append(1), begin(heard)))
    eventually(lambda: len(tries) > 5)
    assert gone_and_back(caplog) == ["Redis is gone"]
    redis.client.config_set("maxmemory", 0)
    eventually(lambda: linked.up)
    assert count() == 1


def test_the_tries_become_fewer_and_never_end(monkeypatch):
    waits = []

    def wait(seconds):
        waits.append(seconds)
        if len(waits) == 3000:
            raise SystemExit

    link = Link()
    monkeypatch.setattr(shared, "time", SimpleNamespace(sleep=wait))
    monkeypatch.setattr(Link, "_redis", property(lambda _: 1 / 0))
    with pytest.raises(SystemExit):
        link.keep()
    assert max(waits) <= 5
    assert waits[0] <= 1 < 2.5 <= waits[-1]
    assert BACKOFF.compute(MOST_TRIES) >= 2.5


# --- tallies --------------------------------------------------------------------------------------


def test_each_part_of_a_name_is_tallied_by_itself(linked):
    assert [count(), count(), count(part="café"), count("bob"), count()] == [1, 2, 1, 1, 3]


def test_a_tally_goes_on_from_what_was_counted_elsewhere(linked):
    assert [count(since=NOW - 1, start=7), count(since=NOW - 1, start=7)] == [8, 9]


def test_what_was_counted_elsewhere_later_counts_instead(linked):
    count()
    assert count(now=NOW + 2, since=NOW + 1, start=0) == 1
    assert count(now=NOW + 4, since=NOW + 3, start=7) == 8


def test_a_tally_is_over_so_long_after_its_last(linked):
    assert [count(), count(now=NOW + 899.9), count(now=NOW + 1799.7), count(now=NOW + 2699.7)] == [1, 2, 3, 1]


def test_redis_forgets_what_is_over_by_itself(linked, redis):
    count()
    assert 0 < redis.client.ttl(PREFIX + "ann") <= 900


def test_what_is_forgotten_begins_anew(linked):
    for part in ("home", "café", "work"):
        count(part=part)
    assert forget("ann", "home")
    assert [count(), count(part="café")] == [1, 2]
    assert forget("ann")
    assert [count(), count(part="café"), count(part="work")] == [1, 1, 1]


def test_a_name_has_no_more_parts_than_redis_should_keep(linked, redis):
    for number in range(MOST_PARTS):
        assert count(part=str(number)) == 1
    assert count(part="one more") is None
    assert [count(part="7"), redis.client.hlen(PREFIX + "ann")] == [2, MOST_PARTS]
    assert count(part="one more", now=NOW + 900) == 1
    assert redis.client.hlen(PREFIX + "ann") == 1
    assert linked.up


def test_a_hundred_at_once_are_a_hundred(linked):
    with ThreadPoolExecutor(20) as pool:
        assert sorted(pool.map(lambda _: count(), range(100))) == list(range(1, 101))
