"""What cannot start says why in one sentence, and starts nothing."""

import os
import shutil
import socket

import pytest

from tests.script.checkout import PRODUCTION


def said(refused):
    """The one line of a refusal."""
    assert (refused.returncode, refused.stdout) == (1, "")
    (line,) = refused.stderr.splitlines()
    return line


@pytest.fixture
def only(tmp_path):
    """A PATH with these programs alone, and what a script needs to look for a Python."""

    def path(**programs):
        folder = tmp_path / "bin"
        folder.mkdir()
        for name in ("bash", "env", "dirname"):
            (folder / name).symlink_to(shutil.which(name))
        for name, text in programs.items():
            (folder / name.replace("_", ".")).write_text(f"#!/bin/sh\n{text}\n")
            (folder / name.replace("_", ".")).chmod(0o755)
        return str(folder)

    return path


OLD = 'case "$1" in --version) echo Python 3.10.13 ;; *) exit 1 ;; esac'
NO_VENV = 'case "$1 $2" in --version*) echo Python 3.12.3 ;; *ensurepip*) exit 1 ;; esac'
SHIM_OF_NOTHING = "echo python3.13: command not found >&2; exit 127"


@pytest.mark.parametrize(
    ("programs", "sentence"),
    [
        ({"python3": OLD}, "Python 3.11 or newer is needed; python3 is Python 3.10.13."),
        ({"python3": OLD, "python3_13": SHIM_OF_NOTHING}, "Python 3.11 or newer is needed; python3 is Python 3.10.13."),
        ({}, "Python 3.11 or newer is needed; python3 is missing."),
        (
            {"python3": NO_VENV},
            "Python 3.12.3 has no venv module: install it (Debian and Ubuntu: apt install python3-venv).",
        ),
    ],
    ids=["too old", "too old, behind a shim", "missing", "no venv module"],
)
def test_a_python_that_will_not_do_is_one_sentence(bare, only, programs, sentence):
    assert said(bare.run("script/server", PATH=only(**programs))) == sentence
    assert not (bare.folder / ".venv").exists()


@pytest.mark.parametrize(("name", "other"), [("PORT", "FACTORY_PORT"), ("FACTORY_PORT", "PORT")])
def test_a_taken_port_is_named_with_the_variable_to_change(bare, name, other):
    with socket.create_server(("127.0.0.1", 0)) as somebody:
        port = str(somebody.getsockname()[1])
        refused = bare.run("script/server", **{name: port})

    assert said(refused) == f"Port {port} is taken: stop what listens there, or set {name} to another port."


def test_a_port_for_two_is_refused(bare):
    assert said(bare.run("script/server", FACTORY_PORT=bare.env["PORT"])) == (
        f"PORT and FACTORY_PORT are both {bare.env['PORT']}: set one of them to another port."
    )


@pytest.mark.parametrize("port", ["pizza", "0", "65536", "-1", "3000x"])
def test_a_port_that_is_none_is_refused(bare, port):
    assert said(bare.run("script/server", PORT=port)) == f'PORT is a number from 1 to 65535, not "{port}".'


def test_a_complete_production_environment_has_no_warning(checkout):
    done = checkout.manage("check", "--deploy", "--fail-level", "WARNING", **PRODUCTION)

    assert done.returncode == 0, done.stderr


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("SECRET_KEY", ""),
        ("SECRET_KEY", "development-only-secret-key-that-production-refuses-to-start-with"),
        ("SECRET_KEY", "too short"),
        ("ALLOWED_HOSTS", ""),
        ("FACTORY_URL", ""),
        ("FACTORY_API_KEY", ""),
        ("FACTORY_API_KEY", "practice-factory-key"),
    ],
)
def test_production_names_what_is_missing(checkout, name, value):
    line = said(checkout.manage("check", **PRODUCTION | {name: value}))

    assert line.startswith(f"{name} is missing")


def test_production_names_all_that_is_missing_at_once(checkout):
    refused = checkout.run("script/server", DJANGO_ENV="production")

    assert refused.returncode == 1
    assert [line.split()[0] for line in refused.stderr.splitlines()] == [
        "SECRET_KEY", "ALLOWED_HOSTS", "FACTORY_URL", "FACTORY_API_KEY",
    ]  # fmt: skip
    assert refused.stdout == ""
    assert checkout.processes() == {}


def test_an_environment_that_is_none_is_named(checkout):
    assert (
        said(checkout.run("script/server", DJANGO_ENV="prod"))
        == 'DJANGO_ENV is "prod": it is development or production.'
    )


def test_a_database_that_refuses_is_one_sentence(checkout):
    refused = checkout.run("script/server", DATABASE_URL=f"sqlite:///{os.sep}no/such/folder/db.sqlite3")

    assert said(refused) == "The database of DATABASE_URL refuses: unable to open database file"
