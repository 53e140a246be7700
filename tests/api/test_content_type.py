"""Which Content-Types Django gets to see: it fails on some before any error handler of ours is there."""

import pytest
import requests

from jwtpizza.api.content_type import readable

FINE = [
    "",
    "application/json",
    "application/json; charset=utf-8",
    'Application/JSON;CHARSET="UTF8"',
    "application/json; charset=utf-16le",
    "application/json; version=1; charset=utf-8",
    "multipart/form-data; boundary=----WebKitFormBoundary7MA4YWxkTrZu0gW",
    "application/x-www-form-urlencoded",
]
STRANGE = [
    "application/json; charset=latin-1",
    "application/json; charset=",
    "application/json; charset",
    "application/json; charset=base64",
    "application/json; charset=undefined",
    "application/json; charset=utf-8; charset=rot13",
    "application/json; charset*=foo''%41",
    "application/json; charset*0=base; charset*1=64",
    "application/json; title*=foo''%41",
    "application/json; charset=utf-7",
    "text/html; charset=" + "x" * 5000,
]


@pytest.mark.parametrize("kind", FINE)
def test_unicode_is_readable(kind):
    assert readable(kind)


@pytest.mark.parametrize("kind", STRANGE)
def test_nothing_else_is(kind):
    assert not readable(kind)


@pytest.mark.slow
def test_a_strange_one_is_told_as_any_other_error_and_ignored_without_a_body(serve):
    service = serve()
    for kind in STRANGE:
        sent = {"headers": {"Content-Type": kind, "X-Request-Id": "abc-123"}, "timeout": 10}
        answer = requests.put(f"{service.url}/api/auth", data=b'{"email": "d@jwt.com", "password": "diner"}', **sent)
        assert (answer.status_code, answer.json()["requestId"]) == (415, "abc-123"), kind
        assert requests.get(f"{service.url}/api/franchise?page=0", **sent).status_code == 200, kind
