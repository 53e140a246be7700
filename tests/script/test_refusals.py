"""What cannot start says why in one sentence, and starts nothing."""

import json
import os
import shutil
import socket

import pytest

from tests.script.checkout import PRODUCTION


def said(refused):
    """The one line of a refusal."""
    assert (refused.returncode, refused.stdout) == (1, "")
    (line,) = sentences(refused)
    return line


def sentences(refused):
    """What it says, which is JSON once the program that refuses is our own, since no terminal reads it."""
    return [json.loads(line)["message"] if line.startswith("{") else line for line in refused.stderr.splitlines()]


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
    assert [line.split()[0] for line in sentences(refused)] == [
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


IMPOSSIBLE = {
    "more than 0 and at most 1": {"FACTORY_BREAKER_FAILURE_RATE": "1.5", "FACTORY_BREAKER_SLOW_RATE": "0.0"},
    "at least 0 and less than 1": {"FACTORY_BREAKER_JITTER": "1.0", "FACTORY_RETRY_RATE": "-0.1"},
    "at least 1": {
        "FACTORY_PLACES": "0",
        "FACTORY_ATTEMPTS": "0",
        "FACTORY_BREAKER_CALLS": "-3",
        "FACTORY_BREAKER_FAILURES": "0",
        "FACTORY_BREAKER_PROBES": "0",
        "LOGIN_FAILURES": "0",
    },
    "more than 0": {
        "FACTORY_CONNECT_TIMEOUT": "0.0",
        "FACTORY_READ_TIMEOUT": "-1.0",
        "FACTORY_DEADLINE": "0.0",
        "FACTORY_BREAKER_WINDOW": "0.0",
        "FACTORY_BREAKER_SLOW": "0.0",
        "FACTORY_BREAKER_OPEN_SECONDS": "-10.0",
        "FACTORY_BREAKER_OPEN_SECONDS_MOST": "0.0",
        "INCIDENT_HEALTHY_SECONDS": "0.0",
        "DB_SLOW_SECONDS": "0.0",
    },
    "0 or more": {
        "FACTORY_QUEUE": "-1",
        "FACTORY_QUEUE_SECONDS": "-0.5",
        "FACTORY_RETRY_JITTER": "-0.2",
        "FACTORY_RETRY_LEAST": "-1.5",
        "FACTORY_RETRY_SAVED": "-1",
        "FACTORY_CANARY_SECONDS": "-60.0",
    },
}


@pytest.mark.parametrize("possible", IMPOSSIBLE)
def test_numbers_that_can_not_be_are_named_with_what_they_have_to_be(checkout, possible):
    refused = checkout.manage("check", **IMPOSSIBLE[possible])

    expected = {f"{name} is {value}: it has to be {possible}." for name, value in IMPOSSIBLE[possible].items()}
    assert (refused.returncode, refused.stdout) == (1, "")
    assert expected <= set(sentences(refused))


def test_a_rate_over_1_is_one_sentence(checkout):
    line = said(checkout.manage("check", FACTORY_BREAKER_SLOW_RATE="80"))

    assert line == "FACTORY_BREAKER_SLOW_RATE is 80.0: it has to be more than 0 and at most 1."


UNLIKELY = [
    (
        {"FACTORY_DEADLINE": "4.1"},
        "FACTORY_DEADLINE is shorter than FACTORY_CONNECT_TIMEOUT plus FACTORY_READ_TIMEOUT, as one attempt may be.",
    ),
    (
        {"FACTORY_QUEUE_SECONDS": "5"},
        "FACTORY_QUEUE_SECONDS is not shorter than FACTORY_DEADLINE: who waited would have no time left for the call.",
    ),
    (
        {"FACTORY_RETRY_LEAST": "5"},
        "FACTORY_RETRY_LEAST is not shorter than FACTORY_DEADLINE: no call would be tried again.",
    ),
    (
        {"FACTORY_CANARY_SECONDS": "0.9"},
        "FACTORY_CANARY_SECONDS is 0.9: it is at least 1, or 0 for no canary.",
    ),
    (
        {"FACTORY_BREAKER_OPEN_SECONDS": "61"},
        "FACTORY_BREAKER_OPEN_SECONDS_MOST is less than FACTORY_BREAKER_OPEN_SECONDS.",
    ),
    (
        {"FACTORY_BREAKER_SLOW": "5.1"},
        "FACTORY_BREAKER_SLOW is longer than FACTORY_DEADLINE: no call would ever be slow.",
    ),
    (
        {"ORDER_LEASE": "5"},
        "ORDER_LEASE is not longer than FACTORY_DEADLINE: an order would be taken from a request that still waits.",
    ),
]


@pytest.mark.parametrize(("settings", "sentence"), UNLIKELY, ids=[next(iter(settings)) for settings, _ in UNLIKELY])
def test_numbers_that_do_not_go_together_are_named(checkout, settings, sentence):
    assert said(checkout.manage("check", **settings)) == sentence


@pytest.mark.parametrize(
    ("name", "value"),
    [("FACTORY_PLACES", "pizza"), ("FACTORY_PLACES", "2.5"), ("FACTORY_DEADLINE", "nan"), ("ORDER_LEASE", "inf")],
)
def test_what_is_no_number_is_named(checkout, name, value):
    assert said(checkout.manage("check", **{name: value})) == f"{name} is not a number, where one is needed."


@pytest.mark.parametrize("value", ["500ms", "5 minutes"])
def test_a_number_with_a_unit_is_none(checkout, value):
    line = said(checkout.manage("check", FACTORY_BREAKER_WINDOW=value))

    assert line == "FACTORY_BREAKER_WINDOW is not a number, where one is needed."


@pytest.mark.parametrize("name", ["FACTORY_BREAKER_ENABLED", "FACTORY_FOLLOW_SUPPORT_LINK"])
def test_what_is_neither_yes_nor_no_is_named(checkout, name):
    assert said(checkout.manage("check", **{name: "ture"})).startswith(f"{name} is")


@pytest.mark.parametrize("value", ["proxy.example", "10.0.0.5:80", "10.0.0.1/8", "127.0.0.1,10.0.0"])
def test_a_proxy_without_an_address_is_refused(checkout, value):
    assert said(checkout.manage("check", TRUSTED_PROXIES=value)) == (
        "TRUSTED_PROXIES has something that is neither an address nor a network, as 10.0.0.5 and 10.0.0.0/8 are."
    )


@pytest.mark.parametrize(
    "url",
    [
        "redis:6379",
        "http://:hunter2@redis:6379",
        "redis://:hunter2@redis:port",
        "redis://:hunter2/@redis:6379",
        "redis://:hunter2@redis:6379/first",
        "redis://:hunter2@redis:6379/0?socket_timeout=60",
        "redis://:hunter2@[::1:6379",
    ],
)
def test_a_redis_without_an_address_is_refused_without_its_password(checkout, url):
    assert said(checkout.manage("check", REDIS_URL=url)) == (
        "REDIS_URL is no address of a Redis, as redis://:password@host:6379/0 is (rediss:// for TLS, and no options)."
    )


@pytest.mark.parametrize(
    ("env", "sentence"),
    [
        ({"LOG_FORMAT": "xml"}, 'LOG_FORMAT is "xml": it is json or text.'),
        ({"LOG_SOURCE": ""}, "LOG_SOURCE is empty: it is the label under which the logs are found."),
        *(
            (
                {"LOKI_URL": url},
                "LOKI_URL is no address to push to, as https://logs.example/loki/api/v1/push is (no user, no token).",
            )
            for url in (
                "logs.example",
                "https://logs.example",
                "https://me:secret@logs.example/push",
                "http://x:y/push",
            )
        ),
        (
            {"LOKI_URL": "https://logs.example/push", "LOKI_USER": "me"},
            "Of LOKI_USER and LOKI_TOKEN one is missing: Loki asks for both, or for neither.",
        ),
        (
            PRODUCTION | {"LOKI_URL": "http://logs.example/push", "LOKI_USER": "me", "LOKI_TOKEN": "mine"},
            "LOKI_TOKEN would be sent in the clear: LOKI_URL has to begin with https://.",
        ),
    ],
)
def test_logs_that_could_not_be_kept_are_refused(checkout, env, sentence):
    assert said(checkout.manage("check", **env)) == sentence


NO_WEBHOOK = "INCIDENT_WEBHOOK_URL is no address to post to, as https://hooks.slack.com/services/… is (no user in it)."
SECRET_PATH = "/services/T0/B0/a-secret"


@pytest.mark.parametrize(
    ("env", "sentence"),
    [
        *(
            (
                {"INCIDENT_WEBHOOK_URL": url},
                NO_WEBHOOK,
            )
            for url in (
                f"hooks.example{SECRET_PATH}",
                f"https://me:secret@hooks.example{SECRET_PATH}",
                f"https://hooks.example:port{SECRET_PATH}",
                f"https://hooks.example{SECRET_PATH} ",
                f"https://hooks.example{SECRET_PATH}é",
            )
        ),
        (
            PRODUCTION | {"INCIDENT_WEBHOOK_URL": f"http://hooks.example{SECRET_PATH}"},
            "INCIDENT_WEBHOOK_URL would be sent in the clear: it has to begin with https://.",
        ),
    ],
    ids=["no scheme", "a user", "a port that is none", "a space", "a letter of another script", "in the clear"],
)
def test_a_webhook_that_could_not_be_posted_to_is_refused_without_its_address(checkout, env, sentence):
    refused = checkout.manage("check", **env)
    assert said(refused) == sentence
    assert "a-secret" not in refused.stderr


def test_people_at_a_terminal_read_a_sentence(checkout):
    refused = checkout.manage("check", LOG_FORMAT="text", FACTORY_PLACES="pizza")

    assert refused.stderr == "FACTORY_PLACES is not a number, where one is needed.\n"


def test_what_is_just_possible_is_no_problem(checkout):
    edges = {
        "FACTORY_BREAKER_FAILURE_RATE": "1",
        "FACTORY_BREAKER_SLOW_RATE": "0.01",
        "FACTORY_BREAKER_JITTER": "0",
        "FACTORY_RETRY_RATE": "0",
        "FACTORY_PLACES": "1",
        "LOGIN_FAILURES": "1",
        "TRUSTED_PROXIES": "127.0.0.1, 10.0.0.0/8,::1",
        "FACTORY_QUEUE": "0",
        "FACTORY_QUEUE_SECONDS": "0",
        "FACTORY_RETRY_SAVED": "0",
        "FACTORY_ATTEMPTS": "1",
        "FACTORY_CANARY_SECONDS": "0",
        "FACTORY_DEADLINE": "4.2",
        "FACTORY_BREAKER_SLOW": "4.2",
        "FACTORY_BREAKER_OPEN_SECONDS": "60",
        "ORDER_LEASE": "4.3",
    }
    assert checkout.manage("check", **edges).returncode == 0
