"""What the scripts install, and when."""

import pytest

# It writes down what it is asked to install; as a module of Python it has everything.
FAKE = """#!/bin/sh
case "$*" in *"pip install"*) echo "$*" >> installed ;; esac
"""


@pytest.fixture
def prepare(bare):
    """Runs `prepare` with these files; what was installed."""
    (bare.folder / ".venv/bin").mkdir(parents=True)
    python = bare.folder / ".venv/bin/python"
    python.write_text(FAKE)
    python.chmod(0o755)

    def run(*files):
        installed = bare.folder / "installed"
        installed.unlink(missing_ok=True)
        done = bare.run("bash", "-c", 'source script/lib.sh; prepare "$@"', "-", *files)
        assert done.returncode == 0, done.stderr
        return installed.read_text() if installed.exists() else ""

    return run


def test_requirements_are_installed_once(prepare):
    assert "--requirement=requirements.txt" in prepare("requirements.txt")
    assert prepare("requirements.txt") == ""


def test_a_changed_file_is_installed_again(prepare, bare):
    prepare("requirements.txt")
    (bare.folder / "requirements.txt").write_text("django==5.2.20")

    assert "--requirement=requirements.txt" in prepare("requirements.txt")
    assert prepare("requirements.txt") == ""


def test_tests_need_more_than_the_server(prepare):
    prepare("requirements.txt")

    assert "--requirement=requirements-dev.txt" in prepare("requirements.txt", "requirements-dev.txt")
    assert prepare("requirements.txt") == ""


def test_an_install_that_failed_is_tried_again(prepare, bare):
    prepare("requirements.txt")
    (bare.folder / "requirements.txt").write_text("django==5.2.20")
    python = bare.folder / ".venv/bin/python"
    python.write_text(FAKE + 'case "$*" in *"pip install"*) exit 1 ;; esac\n')
    failed = bare.run("script/server")
    assert failed.returncode == 1

    python.write_text(FAKE)
    (bare.folder / "requirements.txt").write_text("django==5.2.19")
    assert "--requirement=requirements.txt" in prepare("requirements.txt")
