"""Lines that are printed by a thread of their own: all of them, each whole, and nobody waits for who reads them."""

import logging
import os
import re
import select
import subprocess
import sys
import threading

import pytest

from jwtpizza.observability import printer
from tests.e2e.steps import eventually
from tests.live import PROJECT


class Reader:
    """Takes what is written; while it is `stalled`, it takes nothing."""

    def __init__(self):
        self.writes, self.stalled, self._begun = [], threading.Event(), ""
        self.stalled.set()
        self.errors = {}

    def write(self, text):
        self.stalled.wait()
        if error := self.errors.get(text.strip()):
            raise error
        self._begun += text

    def flush(self):
        if error := self.errors.get(""):
            raise error
        self.writes.append(self._begun)
        self._begun = ""

    def lines(self):
        return "".join(self.writes).splitlines()


@pytest.fixture
def reader():
    return Reader()


@pytest.fixture
def log(reader):
    log = logging.Logger("pizza")
    log.addHandler(printer.Handler(reader))
    return log


def test_what_is_said_is_printed_in_its_order_without_being_asked_for(log, reader):
    for number in range(100):
        log.info("pizza %d", number)
    eventually(lambda: reader.lines() == [f"pizza {number}" for number in range(100)])


def test_whoever_flushes_has_all_of_it_printed(log, reader):
    log.info("pizza")
    log.handlers[0].flush()
    assert reader.lines() == ["pizza"]


def test_whoever_says_something_waits_where_much_waits_already(log, reader, monkeypatch):
    monkeypatch.setattr(printer, "MOST_LINES", 10)
    reader.stalled.clear()
    log.info("the first")
    eventually(lambda: not log.handlers[0]._waiting)  # the printer has it, and waits
    for number in range(10):
        log.info("pizza %d", number)
    last = threading.Thread(target=log.info, args=["the last"])
    last.start()
    last.join(0.1)
    assert last.is_alive()
    reader.stalled.set()
    last.join(10)
    assert reader.lines() == ["the first", *(f"pizza {number}" for number in range(10)), "the last"]


def test_what_is_written_at_once_is_whole_lines_that_a_pipe_takes_at_once(log, reader):
    reader.stalled.clear()
    texts = [*("ü" * 700 for _ in range(8)), "x" * 5000, "y"]
    for text in texts:
        log.info(text)
    reader.stalled.set()
    log.handlers[0].flush()
    assert reader.lines() == texts
    assert all(text.endswith("\n") for text in reader.writes)
    longer = [text for text in reader.writes if len(text.encode()) > select.PIPE_BUF]
    assert longer == ["x" * 5000 + "\n"]
    assert len(reader.writes) < len(texts)


@pytest.mark.parametrize("error", [OSError("no space"), ValueError("closed")])
def test_what_can_not_be_printed_is_told_and_costs_no_other(log, reader, error, capsys):
    reader.errors["two"] = error
    for name in ("one", "two", "three"):
        log.info(name)
    log.handlers[0].flush()
    assert reader.lines() == ["one", "three"]
    assert str(error) in capsys.readouterr().err


def test_a_stream_that_can_not_be_flushed_is_told_of(log, reader, capsys):
    reader.errors[""] = OSError("no space")
    log.info("one")
    log.handlers[0].flush()
    assert "no space" in capsys.readouterr().err


def test_a_line_that_can_not_be_made_costs_no_other(log, reader, capsys):
    log.info("%d", "no number")
    log.info("told")
    log.handlers[0].flush()
    assert reader.lines() == ["told"]
    assert "Logging error" in capsys.readouterr().err


PROGRAM = """
import logging, multiprocessing, sys
from jwtpizza.observability.printer import Handler

def tell(number):
    log = logging.Logger("pizza")
    log.addHandler(Handler(sys.stdout))
    for each in range(2000):
        log.info("%d:%d:%s", number, each, "x" * (each % 500))

if __name__ == "__main__":
    processes = [multiprocessing.get_context("fork").Process(target=tell, args=[number]) for number in range(2)]
    for process in processes: process.start()
    for process in processes: process.join()
    logging.getLogger().addHandler(Handler(sys.stdout))
    logging.getLogger().warning("the end")
"""


def test_of_processes_that_end_each_line_is_there_and_whole(tmp_path):
    program = tmp_path / "program.py"
    program.write_text(PROGRAM)
    environment = os.environ | {"PYTHONPATH": str(PROJECT)}
    done = subprocess.run([sys.executable, program], env=environment, capture_output=True, text=True, timeout=60)
    *lines, last = done.stdout.splitlines()
    assert (done.stderr, last) == ("", "the end")
    assert sorted(lines) == sorted(f"{n}:{each}:{'x' * (each % 500)}" for n in range(2) for each in range(2000))


def test_web_processes_have_it_and_what_they_are_started_from_does_not(tmp_path):
    environment = {"PATH": os.environ["PATH"], "FACTORY_URL": "http://127.0.0.1:9", "LOG_FORMAT": "json"}
    environment |= {"RUN_DIR": str(tmp_path), "DATABASE_URL": f"sqlite:///{tmp_path}/db"}

    def handlers(code):
        argv = [sys.executable, "-c", f"{code}\nimport os\nos._exit(0)"]
        done = subprocess.run(argv, env=environment, cwd=PROJECT, capture_output=True, text=True, timeout=30)
        return re.search(r"^handlers (.*)$", done.stdout + done.stderr, re.MULTILINE)[1]

    modules = "[type(each).__module__ for each in logging.getLogger().handlers]"
    told = f"import os, logging; os.write(1, b'\\nhandlers %b\\n' % str({modules}).encode())"
    assert handlers(f"import jwtpizza.wsgi\n{told}") == "['jwtpizza.observability.printer']"
    assert handlers(f"from jwtpizza.observability import logs; logs.begin()\n{told}") == "['logging']"
