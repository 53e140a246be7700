"""The drill against real processes, compressed to two minutes; and what is left of it when somebody stops it."""

import os
import shutil
import signal
from threading import Timer

import pytest

from tests.drill.__main__ import table
from tests.drill.drill import PACES, Drill
from tests.drill.house import house
from tests.drill.verdict import judged
from tests.e2e.steps import eventually
from tests.live import PROJECT
from tests.script.checkout import Checkout

pytestmark = pytest.mark.slow


def show(line, done):
    if done:
        print(line)


def test_through_every_outage_the_house_stays_up_honest_and_quick(tmp_path):
    pace = PACES["compressed"]
    with house(tmp_path, f"sqlite:///{tmp_path / 'drill.sqlite3'}", pace.environment) as home:
        rows = judged(Drill(home, pace, show).run())

    print(*table(rows), sep="\n")
    assert [row for row in rows if not row.passed] == []


@pytest.fixture
def checkout(tmp_path):
    """A copy of the project with its tests, in which everything is installed."""
    copy = Checkout(tmp_path / "project")
    copy.install()
    shutil.copytree(PROJECT / "tests", copy.folder / "tests", ignore=shutil.ignore_patterns("__pycache__"))
    shutil.copy(PROJECT / "requirements-dev.txt", copy.folder / ".venv")
    copy.scratch = tmp_path / "scratch"
    copy.scratch.mkdir()
    return copy


@pytest.fixture
def drill(checkout):
    """`script/drill` in a terminal of its own."""
    process = checkout.terminal("script/drill", "--healthy=2", "--outage=2", TMPDIR=str(checkout.scratch))
    patience = Timer(120, process.kill)
    patience.start()
    yield process
    patience.cancel()
    for number in checkout.processes():
        os.kill(number, signal.SIGKILL)
    process.communicate(timeout=20)


def stopped(drill):
    """Its exit code and what it said last, after Ctrl-C in its terminal."""
    os.killpg(drill.pid, signal.SIGINT)
    said = drill.communicate(timeout=60)[0]
    return drill.returncode, said


def test_ctrl_c_stops_all_of_it(checkout, drill):
    next(line for line in drill.stdout if "healthy" in line and "orders/s" in line)
    assert len(checkout.processes()) > 6

    code, said = stopped(drill)

    assert (code, checkout.processes(), list(checkout.scratch.iterdir())) == (130, {}, [])
    assert "Traceback" not in said


@pytest.mark.parametrize("running", ["sandbox", "migrate", "granian"])
def test_ctrl_c_while_it_starts_leaves_nothing_behind(checkout, drill, running):
    eventually(lambda: running in " ".join(checkout.processes().values()))

    code, said = stopped(drill)

    assert (code, checkout.processes(), list(checkout.scratch.iterdir())) == (130, {}, [])
    assert "Traceback" not in said
