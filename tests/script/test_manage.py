"""What `manage.py` prints, where LOG_FORMAT=json says that programs read it."""

import json

import pytest

MESSAGE = {"ts", "level", "type", "source", "component", "logger", "message"}


def lines(done):
    told = [json.loads(line) for line in (done.stdout + done.stderr).splitlines()]
    assert all(set(line) >= MESSAGE for line in told)
    return told


@pytest.mark.parametrize(
    ("command", "code", "level", "said"),
    [
        (["migrate"], 0, "info", "  Applying accounts.0001_initial... OK"),
        (["fulfil_orders", "--once"], 0, "info", "0 fulfilled, 0 failed, 0 pending"),
        (["nonsense"], 1, "error", "Unknown command: 'nonsense'"),
        (["seed_demo", "--nonsense"], 2, "error", "manage.py seed_demo: error: unrecognized arguments: --nonsense"),
        (["shell", "-c", "print('half', end=' '); print('a line', end='')"], 0, "info", "half a line"),
        (["shell", "-c", "import sys; sys.stderr.write('trouble')"], 0, "error", "trouble"),
        (["shell", "-c", "1 / 0"], 1, "critical", "the program ended with ZeroDivisionError"),
    ],
    ids=lambda value: value[0] if isinstance(value, list) else "",
)
def test_each_line_is_json(checkout, command, code, level, said):
    checkout.manage("migrate", "--verbosity=0")
    if command == ["migrate"]:
        (checkout.folder / "db.sqlite3").unlink()

    done = checkout.manage(*command, LOG_FORMAT="json")

    assert done.returncode == code
    assert (level, said) in {(line["level"], line["message"]) for line in lines(done)}


def test_a_line_of_the_log_in_the_middle_of_another_stays_whole(checkout):
    code = "import logging; print('one', end='', flush=True); logging.getLogger('x').warning('two'); print(' three')"

    told = lines(checkout.manage("shell", "-v0", "-c", code, LOG_FORMAT="json"))

    assert [line["message"] for line in told] == ["two", "one three"]
    assert told[0]["logger"] == "x"


def test_where_nobody_asks_for_json_a_command_prints_its_own_words(checkout):
    assert checkout.manage("shell", "-v0", "-c", "print('[1, 2]')").stdout == "[1, 2]\n"
