"""On a machine that lacks nothing, a test that is skipped fails."""

import os
import subprocess
import sys

import pytest

from tests.script.checkout import PROJECT

TESTS = """
import pytest

def test_passes(): pass

@pytest.mark.xfail
def test_is_expected_to_fail(): assert False

def test_skips_itself(): pytest.skip("there is no browser")

@pytest.mark.skipif(True, reason="there is no database")
def test_is_skipped(): pass
"""
WHOLE_FILE = "import pytest; pytest.importorskip('no_such_module', reason='there is no driver')"
ALL = ["--continue-on-collection-errors"]


@pytest.mark.parametrize("distribution", [[], ["-pxdist", "-n1"]], ids=["in one process", "in two"])
def test_a_skip_fails_with_its_reason_and_anything_else_stays_what_it_is(tmp_path, distribution):
    (tmp_path / "test_some.py").write_text(TESTS)
    (tmp_path / "test_whole_file.py").write_text(WHOLE_FILE)

    done = subprocess.run(
        [sys.executable, "-m", "pytest", "-ptests.no_skips", "-pno:cacheprovider", *ALL, *distribution, tmp_path],
        cwd=PROJECT,
        env=os.environ | {"PYTEST_DISABLE_PLUGIN_AUTOLOAD": "1", "PYTEST_ADDOPTS": f"-c{os.devnull}"},
        capture_output=True,
        text=True,
        timeout=60,
    )

    assert done.returncode != 0
    assert "1 failed, 1 passed, 1 xfailed, 2 errors" in done.stdout
    for reason in ("there is no browser", "there is no database", "there is no driver"):
        assert reason in done.stdout
