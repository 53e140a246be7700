"""What the processes of a machine count, added up: the living, the dead, and those that died while they added."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
from prometheus_client.mmap_dict import MmapedDict, mmap_key

from jwtpizza.observability import multiprocess

SOLD = mmap_key("sold", "sold_total", ["to"], ["anna"], "What was sold.")
SIZE = mmap_key("seconds", "seconds_bucket", ["le"], ["1.0"], "How long it took.")
BUSY = mmap_key("busy", "busy", [], [], "What is under way.")
LATEST = mmap_key("latest", "latest", [], [], "The latest success.")


@pytest.fixture
def dead():
    """The id of a process that is no more."""
    process = subprocess.Popen([sys.executable, "-c", ""])
    process.wait()
    return process.pid


@pytest.fixture
def folder(tmp_path):
    return tmp_path


def wrote(folder, process, **values):
    """What a process leaves in its files; `gauge_max=(key, 7)` is one value in its file of that kind."""
    for kind, (key, value) in values.items():
        file = MmapedDict(str(folder / f"{kind}_{process}.db"))
        file.write_value(key, value, 0.0)
        file.close()


def told(folder):
    return {sample.name: sample.value for metric in multiprocess.collected(folder) for sample in metric.samples}


def test_what_the_living_and_the_dead_counted_is_added_up(folder, dead):
    wrote(folder, dead, counter=(SOLD, 2), histogram=(SIZE, 3))
    wrote(folder, os.getpid(), counter=(SOLD, 40), histogram=(SIZE, 1))
    assert told(folder) == {"sold_total": 42, "seconds_bucket": 4, "seconds_count": 4}


def test_it_is_the_same_however_often_it_is_asked(folder, dead):
    wrote(folder, dead, counter=(SOLD, 2))
    assert [told(folder), told(folder), told(folder)] == [{"sold_total": 2}] * 3


def test_what_the_dead_had_under_way_is_under_way_no_more(folder, dead):
    wrote(folder, dead, gauge_livesum=(BUSY, 5))
    wrote(folder, os.getpid(), gauge_livesum=(BUSY, 1))
    assert told(folder) == {"busy": 1}


def test_the_latest_stays_the_latest_when_its_process_dies(folder, dead):
    wrote(folder, dead, gauge_max=(LATEST, 1_700_000_000))
    wrote(folder, os.getpid(), gauge_max=(LATEST, 0))
    assert [told(folder), told(folder)] == [{"latest": 1_700_000_000}] * 2


def test_the_files_of_200_dead_become_one_of_each_kind(folder, dead):
    for _ in range(200):
        wrote(folder, dead, counter=(SOLD, 1), histogram=(SIZE, 1), gauge_livesum=(BUSY, 1), gauge_max=(LATEST, 7))
        multiprocess.bury(folder)
    assert sorted(file.name for file in folder.glob("*.db")) == [
        "counter_dead.db",
        "gauge_max_dead.db",
        "histogram_dead.db",
    ]
    assert told(folder) == {"sold_total": 200, "seconds_bucket": 200, "seconds_count": 200, "latest": 7}


def test_a_process_that_has_just_made_its_file_is_no_reason_to_fail(folder):
    (folder / f"counter_{os.getpid()}.db").touch()
    assert told(folder) == {}


def test_a_process_that_was_killed_and_not_waited_for_is_dead(folder):
    process = subprocess.Popen([sys.executable, "-c", ""])
    os.waitid(os.P_PID, process.pid, os.WEXITED | os.WNOWAIT)
    wrote(folder, process.pid, gauge_livesum=(BUSY, 5))
    assert told(folder) == {}
    process.wait()


class Killed(BaseException):
    pass


@pytest.fixture
def killed(monkeypatch):
    """Has the process die before its n-th change to the folder; whether it got so far."""

    def run(before, work):
        changes = iter(range(before + 1))

        def change(real):
            def changed(*args, **kwargs):
                if next(changes) == before:
                    raise Killed
                return real(*args, **kwargs)

            return changed

        with monkeypatch.context() as patch:
            for name in ("rename", "unlink", "write_text"):
                patch.setattr(Path, name, change(getattr(Path, name)))
            patch.setattr(MmapedDict, "write_value", change(MmapedDict.write_value))
            try:
                work()
            except Killed:
                return True
        return False

    return run


def test_a_kill_at_any_moment_neither_loses_a_count_nor_counts_it_twice(folder, dead, killed):
    wrote(folder, dead, counter=(SOLD, 1000))
    multiprocess.bury(folder)
    deaths, expected = 0, 1000
    while True:
        wrote(folder, dead, counter=(SOLD, 1), histogram=(SIZE, 1), gauge_livesum=(BUSY, 1))
        expected += 1
        if not killed(deaths, lambda: multiprocess.bury(folder)):
            break
        deaths += 1
        assert told(folder) == {
            "sold_total": expected,
            "seconds_bucket": expected - 1000,
            "seconds_count": expected - 1000,
        }
    assert deaths >= 9
    assert not [file for file in folder.iterdir() if file.suffix not in {".db", ""}]


def test_a_kill_while_it_is_finished_is_no_worse(folder, dead, killed):
    for deaths in range(12):
        wrote(folder, dead, counter=(SOLD, 1), histogram=(SIZE, 1))
        killed(7, lambda: multiprocess.bury(folder))
        for again in range(6):
            killed(again, lambda: multiprocess.bury(folder))
        assert told(folder)["sold_total"] == deaths + 1


def test_the_labels_survive(folder, dead):
    wrote(folder, dead, counter=(SOLD, 2))
    told(folder)
    (metric,) = multiprocess.collected(folder)
    assert (metric.documentation, json.loads(SOLD)[2]) == ("What was sold.", metric.samples[0].labels)
