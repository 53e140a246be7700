"""The measurements; each figure is the median of three, of rounds in which everything is measured in turn."""

import json
import subprocess
import sys
import time
from collections import defaultdict
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from importlib.metadata import version
from pathlib import Path
from statistics import mean, median
from typing import NamedTuple

import psutil

from tests.drill.house import wait_for_workers
from tests.e2e.books import Database
from tests.live import PROJECT
from tests.load import crowds
from tests.load.calls import CALLS, LOGINS, OWNERS, Call
from tests.load.house import Bare, House, Running, environment, settle
from tests.load.wrk import Load, begin, finished, load

ROUNDS = 3
WORKERS = 2
# Its own output: what a command prints is a line of the log.
HASHES = """
import sys, time
from django.contrib.auth.hashers import Argon2PasswordHasher
from jwtpizza.accounts.passwords import Argon2id
hash, ended, count = Argon2PasswordHasher.encode, time.monotonic() + {seconds}, 0
while time.monotonic() < ended:
    hash(Argon2id(), "diner", "a-salt-of-16-chars")
    count += 1
print(count / {seconds}, file=sys.__stdout__)
"""


class Figure(NamedTuple):
    """What a call came to: answers a second, the share of what is bare, milliseconds, and how many in all rounds were
    refused or broken off.

    What is bare was measured just before and after, for machines are not as quick all the time: Django's view or, for
    logins, the hashes.
    """

    call: Call
    rate: float
    share: float
    p50: float
    p99: float
    refused: int
    broken: int


class Result(NamedTuple):
    """What was measured on one database; `extra` is further lines of what and how much."""

    django: float
    wsgi: float
    hashes: float
    figures: list[Figure]
    extra: list[tuple[str, str]]
    memory: list[tuple[str, ...]]


def hashes(service: Running, seconds: float) -> float:
    """Passwords that all processors together hash a second, with nothing else to do."""
    ask = ("shell", "--verbosity=0", "--command", HASHES.format(seconds=seconds))
    with ThreadPoolExecutor(WORKERS) as pool:
        return sum(float(told.splitlines()[-1]) for told in pool.map(lambda _: service.manage(*ask), range(WORKERS)))


def measured(house: House, calls: list[Call], seconds: float, say: Callable[[str], None]) -> Result:
    """The calls, each beside its bare limit."""
    found: defaultdict[str, list[Load]] = defaultdict(list)
    bare: defaultdict[str, list[float]] = defaultdict(list)
    for call in calls:
        # Python is slower with what it runs for the first time.
        load(house.service.port, call.sent(house.town), seconds=1)
    for number in range(ROUNDS):
        say(f"round {number + 1} of {ROUNDS}")
        bare["wsgi"].append(_bare(house.wsgi, house, seconds))
        before = _bare(house.django, house, seconds)
        for call in (call for call in calls if call is not LOGINS):
            found[call.name].append(load(house.service.port, call.sent(house.town), seconds=seconds))
            after = _bare(house.django, house, seconds)
            bare[call.name].append(mean((before, after)))
            before = after
        if LOGINS in calls:
            bare[LOGINS.name].append(hashes(house.service, seconds))
            found[LOGINS.name].append(load(house.service.port, LOGINS.sent(house.town), seconds=seconds))
    figures = [_figure(call, found[call.name], bare[call.name]) for call in calls]
    django = median(rate for name, rates in bare.items() if name not in ("wsgi", LOGINS.name) for rate in rates)
    return Result(django, median(bare["wsgi"]), median(bare[LOGINS.name] or [0.0]), figures, [], [])


def _bare(server: Bare, house: House, seconds: float) -> float:
    return load(server.port, CALLS[0].sent(house.town), seconds=seconds).rate


def _figure(call: Call, loads: list[Load], bare: list[float]) -> Figure:
    rate, p50, p99 = (median(getattr(each, name) for each in loads) for name in ("rate", "p50", "p99"))
    share = median(each.rate / limit for each, limit in zip(loads, bare, strict=True))
    return Figure(call, rate, share, p50, p99, sum(each.refused for each in loads), sum(each.broken for each in loads))


def _menu(house: House, seconds: float, connections: int = 32) -> Load:
    return load(house.service.port, CALLS[0].sent(house.town), seconds=seconds, connections=connections)


def kept(house: House, seconds: float) -> Iterator[tuple[str, str]]:
    """What the menu keeps of its throughput while something else goes on."""
    shares: defaultdict[str, list[float]] = defaultdict(list)
    for _ in range(ROUNDS):
        alone = [_menu(house, seconds).rate]
        logins = begin(house.service.port, LOGINS.sent(house.town), seconds=seconds)
        beside = [_menu(house, seconds).rate]
        shares["logins a second meanwhile"].append(finished(logins).rate)
        alone.append(_menu(house, seconds).rate)
        with crowds.stuck_orders(house):
            beside.append(_menu(house, seconds).rate)
        house.recover()
        alone.append(_menu(house, seconds).rate)
        shares["while 32 connections log in (to reach: 0.5)"].append(beside[0] / mean(alone[:2]))
        shares["while 64 diners order at a factory that hangs, of whom 16 get through to it (0.95)"].append(
            beside[1] / mean(alone[1:])
        )
    for what, found in shares.items():
        yield f"the menu keeps {what}" if "logins a" not in what else what, f"{median(found):.2f}"


def crowded(house: House, seconds: float) -> Iterator[tuple[str, str]]:
    """The menu at many connections."""
    port = house.service.port
    loads: defaultdict[str, list[Load]] = defaultdict(list)
    for _ in range(ROUNDS):
        loads["128"].append(_menu(house, seconds, 128))
        loads["256"].append(_menu(house, seconds, 256))
        with crowds.idle(port, 500):
            loads["256 and 500 idle ones"].append(_menu(house, seconds, 256))
    for name, found in loads.items():
        rate, p99 = median(each.rate for each in found), median(each.p99 for each in found)
        failed = sum(each.refused + each.broken for each in found)
        yield f"menu at {name} connections", f"{rate:,.0f}/s, p99 {p99:.0f} ms, {failed} failed"
    answers = crowds.served(port, 256, seconds)
    yield "answers to each of 256 connections", f"{min(answers)} to {max(answers)}"


def started(house: House) -> Iterator[tuple[str, str]]:
    """From the start of the server to its first answer."""
    took = []
    for _ in range(ROUNDS):
        house.service.stop()
        begun = time.monotonic()
        house.service.start(page="/api/order/menu")
        took.append(time.monotonic() - begun)
        wait_for_workers(house.service)
    yield "start to first answer (to reach: 2 s)", f"{median(took):.2f} s"


def mixed(house: House, minutes: int, directory: Path, say: Callable[[str], None]) -> tuple[list[tuple[str, ...]], str]:
    """Megabytes of each worker by the minute, under mixed traffic at full speed, and what Locust says of that."""
    town = directory / "town.json"
    town.write_text(json.dumps(house.town._asdict()))
    argv = [sys.executable, "-m", "locust", "--headless", "--users=32", "--spawn-rate=32", "--only-summary", "--json"]
    argv += ["--locustfile=tests/load/locustfile.py", f"--host={house.service.url}", f"--run-time={minutes}m"]
    told = environment(BENCH_TOWN=str(town), PYTHONPATH=str(PROJECT))
    running = subprocess.Popen(
        argv, cwd=PROJECT, env=told, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True
    )
    memory = []
    for minute in range(minutes):
        with suppress(subprocess.TimeoutExpired):
            running.wait(60)
        memory.append(tuple(map(_megabytes, house.service.worker_processes())))
        say(f"minute {minute + 1}: {' / '.join(memory[-1])} MB")
    answer, _ = running.communicate(timeout=60)
    return memory, _summed(json.loads(answer), minutes)


def _megabytes(process: psutil.Process) -> str:
    held = process.memory_full_info()
    return f"{held.rss // 2**20} ({held.pss // 2**20})"


def _summed(calls: list[dict[str, int]], minutes: int) -> str:
    asked, failed = (sum(call[name] for call in calls) for name in ("num_requests", "num_failures"))
    beside = f"Locust {version('locust')} takes a processor of its own"
    return f"{asked / minutes / 60:,.0f}/s ({beside}), {failed} of {asked:,} failed"


def owners(house: House, old: Running, database: Database, seconds: float) -> Iterator[tuple[str, str]]:
    """The admin's list of franchises, with a million orders in the books and without them."""
    [sent] = OWNERS.sent(house.town)
    sent = sent._replace(token=old.log_in("a@jwt.com", "admin"))

    def share() -> float:
        limit = _bare(house.django, house, seconds)
        return load(old.port, [sent], seconds=seconds).rate / limit

    def measured() -> float:
        # Both by a service that is as old.
        old.stop()
        old.start()
        share()
        return median(share() for _ in range(ROUNDS))

    full = measured()
    for table in ("orders_orderitem", "orders_order"):
        database.query(f"DELETE FROM {table}")
    settle(database)
    empty = measured()
    told = f"{full:.3f} of the bare view, {empty:.3f} without one order ({empty / full:.2f} times)"
    yield "the admin's list with 1,000,000 orders (to reach: within 1.1 times)", told
