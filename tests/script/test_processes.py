"""What processes print is relayed: whole lines, in order, each of them JSON."""

import json
import os
import subprocess
import sys

from tests.live import PROJECT


def relayed(folder, prints):
    """All lines that come out, where a process prints that."""
    (folder / "printed").write_bytes(prints)
    (folder / "Procfile").write_text("web: cat printed\n")
    done = subprocess.run(
        [sys.executable, "-m", "script.processes", "web"],
        cwd=folder,
        env=os.environ | {"PYTHONPATH": str(PROJECT), "LOG_FORMAT": "json"},
        capture_output=True,
        timeout=60,
    )
    told = [json.loads(line) for line in done.stdout.splitlines()]
    return [line for line in told if line.get("logger") != "system"]


def test_lines_of_the_log_stay_as_they_are_and_all_else_becomes_some(tmp_path):
    told = relayed(tmp_path, b'{"message": "one"}\nTraceback\n\n  {half\n{"message": "two"}\nan end without a line\xff')
    assert [line["message"] for line in told] == ["one", "Traceback", "  {half", "two", "an end without a line\ufffd"]
    assert [line.get("logger") for line in told] == [None, "web", "web", None, "web"]


def test_however_much_comes_at_once_no_line_is_torn_or_lost(tmp_path):
    lines = [json.dumps({"message": f"{number} {'x' * (number % 3000)}"}) for number in range(5000)]
    told = relayed(tmp_path, "\n".join(lines).encode())
    assert [line["message"].split()[0] for line in told] == [str(number) for number in range(5000)]
