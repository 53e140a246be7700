"""One JSON object a line, without our key in it."""

import json
import logging
import sys
import threading
import warnings

import pytest
from django.conf import settings as project
from django.db import DataError, IntegrityError

from jwtpizza.observability import context
from jwtpizza.observability.logs import JsonFormatter, TextFormatter, configure, masked

NOON = 1_764_763_200.0  # 2025-12-03T12:00:00Z


def line(message="hello", *args, level=logging.INFO, data=None, exc_info=None):
    record = logging.LogRecord("jwtpizza.test", level, __file__, 1, message, args, exc_info)
    record.created = NOON
    if data is not None:
        record.data = data
    text = JsonFormatter().format(record)
    assert "\n" not in text
    return json.loads(text)


def test_a_line_says_when_what_and_for_which_request():
    with context.request(request_id="r1", traceparent="") as trace:
        told = line("hello %s", "world", level=logging.WARNING)
    assert told == {
        "ts": "2025-12-03T12:00:00.000+00:00",
        "level": "warning",
        "type": "app",
        "source": "jwt-pizza-service",
        "component": "jwt-pizza-service",
        "logger": "jwtpizza.test",
        "message": "hello world",
        "requestId": "r1",
        "traceId": trace.trace_id,
        "userId": None,
    }


def test_data_stands_at_the_top_level():
    told = line(data={"type": "http", "statusCode": 500, "ms": 1.5})
    assert (told["type"], told["statusCode"], told["ms"]) == ("http", 500, 1.5)


def test_a_traceback_is_part_of_the_line():
    try:
        raise ValueError("two\nlines")
    except ValueError:
        told = line(exc_info=sys.exc_info())
    assert told["type"] == "exception"
    assert told["traceback"].endswith("ValueError: two\nlines")


def test_what_json_cannot_write_is_written_as_text():
    assert line(data={"x": {1, 2}.__class__})["x"] == "<class 'set'>"


def test_text_of_any_script_stays_readable():
    record = logging.LogRecord("x", logging.INFO, "", 1, "常用名字", (), None)
    assert "常用名字" in JsonFormatter().format(record)


@pytest.mark.parametrize(
    "text",
    [
        "http://factory/api/support/OUR-KEY/report/abc",
        "see http://factory/api/support/OUR-KEY",
        '{"reportUrl": "http://factory/api/support/OUR-KEY/report/abc"}',
        "/api/support/OUR-KEY/report/1 and /api/support/OUR-KEY/report/2",
    ],
)
def test_the_key_in_a_support_link_is_masked(text):
    assert masked(text) == text.replace("OUR-KEY", "***")


def test_the_key_is_masked_wherever_in_a_line_it_stands():
    link = "http://factory/api/support/OUR-KEY/report/abc"
    try:
        raise ValueError(link)
    except ValueError:
        told = line(link, data={"reportUrl": link, "deep": [{"x": link}]}, exc_info=sys.exc_info())
    assert "OUR-KEY" not in json.dumps(told)
    assert told["reportUrl"] == "http://factory/api/support/***/report/abc"


def test_words_and_values_that_do_not_go_together_are_a_line_all_the_same():
    assert line("%s and %s", "one")["message"] == "%s and %s"


def test_a_key_that_ends_a_quotation_leaves_the_line_json():
    told = line(data={"resBody": json.dumps({"reportUrl": "http://factory/api/support/OUR-KEY"})})
    assert json.loads(told["resBody"]) == {"reportUrl": "http://factory/api/support/***"}


def test_whatever_is_sent_a_line_stays_one_line():
    record = logging.LogRecord("x", logging.INFO, "", 1, "a\x85b\u2028c\u2029d\ne\x0cf\ud800", (), None)
    text = JsonFormatter().format(record)
    assert text.splitlines() == [text]
    assert json.loads(text)["message"] == "a\x85b\u2028c\u2029d\ne\x0cf?"


@pytest.mark.parametrize(
    "text", ["Bearer abc.def", "authorization: bearer abc.def", "token eyJhbGciOi.eyJzdWIi.c2lnbmF0"]
)
def test_tokens_are_masked_wherever_they_stand(text):
    assert "***" in masked(text)
    assert not {"abc", "def", "eyJ", "c2ln"} & set(masked(text).replace(".", " ").split())


@pytest.mark.parametrize(
    ("error", "left"),
    [
        (
            IntegrityError(
                'duplicate key violates "email_key"\nDETAIL:  Key (email_key)=(zoe@jwt.com) already exists.\n'
            ),
            'IntegrityError: duplicate key violates "email_key"',
        ),
        (
            IntegrityError(1062, "Duplicate entry 'zoe@jwt.com' for key 'email_key'"),
            "IntegrityError: (1062, \"… 'email_key'\")",
        ),
        (DataError('invalid input syntax: "zoe@jwt.com"'), "DataError: invalid input syntax: …"),
    ],
    ids=["PostgreSQL", "MariaDB", "a parameter"],
)
def test_what_a_database_says_of_a_row_is_not_in_its_traceback(error, left):
    try:
        try:
            raise error
        except Exception as cause:
            raise ValueError("not saved") from cause
    except ValueError:
        told = line(exc_info=sys.exc_info())
    assert "zoe" not in told["traceback"]
    assert left in told["traceback"]


def test_text_is_a_line_for_people():
    record = logging.LogRecord("x", logging.WARNING, "", 1, "hello %s", ("OUR",), None)
    record.data = {"ms": 1.5}
    assert TextFormatter().format(record)[9:] == "WARNING hello OUR (1.5 ms)"


@pytest.fixture
def configured(monkeypatch):
    """Logging as a process of ours has it; as pytest has it again afterwards."""
    for place, name in ((sys, "excepthook"), (threading, "excepthook"), (sys, "unraisablehook")):
        monkeypatch.setattr(place, name, getattr(place, name))
    monkeypatch.setattr(logging.config, "dictConfig", lambda config: None)
    monkeypatch.setattr(logging, "_warnings_showwarning", None)
    with warnings.catch_warnings():
        warnings.simplefilter("always")
        configure(project.LOGGING)
        yield
        logging.captureWarnings(False)


def test_what_nobody_caught_is_logged(configured, caplog):
    try:
        1 / 0  # noqa: B018
    except ZeroDivisionError:
        sys.excepthook(*sys.exc_info())
    thread = threading.Thread(target=[].pop, name="pizza")
    thread.start()
    thread.join()
    warnings.warn("old cheese", UserWarning, stacklevel=1)
    messages = [record.getMessage() for record in caplog.records]
    assert messages[:2] == ["the program ended with ZeroDivisionError", "the thread pizza ended with IndexError"]
    assert "old cheese" in messages[2]
    assert [bool(record.exc_info) for record in caplog.records] == [True, True, False]


def test_a_failed_orders_log_leads_to_the_support_link_without_our_key(diner, factory, caplog):
    factory.chaos("fail")
    assert diner.order(1).status_code == 500
    lines = [json.loads(JsonFormatter().format(record)) for record in caplog.records]
    attempts = [each for each in lines if "outcome" in each]
    assert len(attempts) == 2
    for attempt in attempts:
        assert (attempt["type"], attempt["outcome"]) == ("factory", "server_error")
        assert attempt["reportUrl"].startswith(factory.url + "/api/support/***/report/")
        assert json.loads(attempt["resBody"]) == {"message": "chaos monkey", "reportUrl": "***"}
        assert json.loads(attempt["reqBody"])["diner"]["email"] == "***"
    assert [(each["attempt"], each["factoryStatus"], each["orderId"]) for each in attempts] == [
        (1, 500, 1),
        (2, 500, 1),
    ]
    assert {each["level"] for each in attempts} == {"warning"}
    assert not [each for each in attempts if "statusCode" in each]
    assert not [each for each in lines if factory.api_key in json.dumps(each)]


def test_a_made_pizza_is_one_attempt_in_the_log_without_its_jwt(diner, factory, caplog):
    caplog.set_level("INFO")
    diner.order(1)
    (attempt,) = [record.data for record in caplog.records if record.name == "orders.factory"]
    assert (attempt["attempt"], attempt["outcome"], attempt["factoryStatus"]) == (1, "ok", 200)
    assert json.loads(attempt["resBody"])["jwt"] == "***"


def test_without_bodies_the_factorys_are_left_out_too(diner, factory, caplog, settings):
    settings.LOG_BODIES = False
    factory.chaos("fail")
    diner.order(1)
    assert not [record for record in caplog.records if "resBody" in getattr(record, "data", {})]
