"""manage.py incident_report --rehearse, compressed; and what is left of it when somebody stops it."""

import json
import os
import signal
import subprocess
import time
from threading import Timer

import pytest

from tests.script.checkout import Checkout, living

pytestmark = pytest.mark.slow

SECONDS = 12
# What a rehearsal must not take from whoever starts it: it would be seen at once.
OTHERS = {
    "DATABASE_URL": "sqlite:////nowhere/db.sqlite3",
    "FACTORY_URL": "http://127.0.0.1:9",
    "LOKI_URL": "http://127.0.0.1:9/loki/api/v1/push",
    "INCIDENT_WEBHOOK_URL": "http://127.0.0.1:9/hook",
    "METRICS_TOKEN": "a-token",
    "INCIDENT_HEALTHY_SECONDS": "3600",
    "http_proxy": "http://127.0.0.1:9",
}


@pytest.fixture
def checkout(tmp_path):
    """A copy of the project, in which everything is installed, with a folder for what is temporary."""
    copy = Checkout(tmp_path / "project")
    copy.install()
    copy.scratch = tmp_path / "scratch"
    copy.scratch.mkdir()
    return copy


def processes(checkout):
    """Those that keep something in the folder for what is temporary."""
    return living(str(checkout.scratch))


@pytest.fixture
def rehearse(checkout):
    """Starts one in a terminal of its own; none of its processes is left afterwards."""
    started = []

    def rehearse(*flags, **env):
        argv = [".venv/bin/python", "manage.py", "incident_report", "--rehearse", f"--seconds={SECONDS}", *flags]
        env |= {"TMPDIR": str(checkout.scratch)}
        process = checkout.terminal(*argv, stderr=subprocess.PIPE, **env)
        patience = Timer(100, process.kill)
        patience.start()
        started.append((process, patience))
        return process

    yield rehearse
    for process, patience in started:
        patience.cancel()
        for number in processes(checkout):
            os.kill(number, signal.SIGKILL)
        process.communicate(timeout=20)


def test_an_outage_is_made_up_and_reported(checkout, rehearse):
    before = set(checkout.folder.iterdir())
    begun = time.monotonic()
    rehearsal = rehearse("--format=json", **OTHERS)
    printed, said = rehearsal.communicate()
    print(said, f"{time.monotonic() - begun:.0f} s")
    assert rehearsal.returncode == 0, printed + said
    report = json.loads(printed)

    told = [line.partition("An order: ")[2][:3] for line in said.splitlines() if "An order: " in line]
    ordered = {status: told.count(status) for status in ("200", "500", "503")}
    assert sum(ordered.values()) == len(told)
    # The first begins with the outage, and the others come as often as that day.
    assert ordered["500"] + ordered["503"] >= 4
    assert (report["id"], report["state"], report["severity"]) == (1, "closed", "SEV-2")
    assert report["openedBy"] in ("order", "canary")
    found = report["orders"]
    assert (found["failed"], found["refused"], found["broken"]) == (ordered["500"], ordered["503"], 0)
    assert report["failures"] == {"server_error": ordered["500"]}
    assert report["diners"] == 1
    assert round(report["notTaken"], 8) == round(0.0038 * (ordered["500"] + ordered["503"]), 8)
    [link] = report["links"]
    assert (link["by"], "Problem resolved" in link["answer"]) == ("user 1, an admin", True)
    assert report["firstSuccess"]["orderId"] == 1 + ordered["500"] + 1
    assert {row["name"]: row["failed"] for row in report["traffic"]} == {"menu": 0, "login": 0, "franchises": 0}
    assert all(row["calls"] for row in report["traffic"])
    assert report["notes"].startswith("This was a rehearsal")
    for section in ("summary", "symptoms", "detection", "timeline", "causes", "resolution", "spans"):
        assert report[section], section
    # So short an outage calls for nothing.
    assert report["actions"] == []
    assert (processes(checkout), list(checkout.scratch.iterdir())) == ({}, [])
    assert set(checkout.folder.iterdir()) == before


# Itself; later also the server and its two workers, the worker and its shell, two of the factory, and who starts them.
@pytest.mark.parametrize(("step", "least"), [("are started", 1), ("the first:", 9), ("begins to fail", 9)])
def test_ctrl_c_stops_all_of_it(checkout, rehearse, step, least):
    rehearsal = rehearse()
    said = ""
    for line in rehearsal.stderr:
        said += line
        if step in line:
            break
    assert len(processes(checkout)) >= least
    os.killpg(rehearsal.pid, signal.SIGINT)
    printed, more = rehearsal.communicate()

    assert (rehearsal.returncode, printed) == (130, ""), said + more
    assert (processes(checkout), list(checkout.scratch.iterdir())) == ({}, [])
    assert "Traceback" not in said + more
