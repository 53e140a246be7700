"""One JSON object a line, without our key in it."""

import json
import logging
import sys

import pytest

from jwtpizza.observability import context
from jwtpizza.observability.logs import JsonFormatter, masked

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
        "source": "jwtpizza.test",
        "message": "hello world",
        "requestId": "r1",
        "traceId": trace.trace_id,
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


def test_a_failed_orders_log_leads_to_the_support_link_without_our_key(diner, factory, caplog):
    factory.chaos("fail")
    assert diner.order(1).status_code == 500
    lines = [json.loads(JsonFormatter().format(record)) for record in caplog.records]
    attempts = [each for each in lines if "outcome" in each]
    assert len(attempts) == 2
    for attempt in attempts:
        assert (attempt["type"], attempt["outcome"]) == ("factory", "server_error")
        assert attempt["reportUrl"].startswith(factory.url + "/api/support/***/report/")
    assert not [each for each in lines if factory.api_key in json.dumps(each)]
