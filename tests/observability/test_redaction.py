"""What is left of a body in the log."""

import json

import pytest

from jwtpizza.observability.redaction import MOST_BYTES, MOST_PARSED, body, clean

JSON, FORM = "application/json", "application/x-www-form-urlencoded"


@pytest.mark.parametrize(
    "key",
    ["password", "PassWord", "new_password1", "token", "jwt", "Authorization", "apiKey", "API_KEY", "reportUrl",
     "followLinkToEndChaos", "email",
     "pass", "passwd", "pwd", "userPass", "DB_PASS", "pass1", "passphrase", "pwdHash", "e-mail",
     "csrfmiddlewaretoken", "sessionid"],
)  # fmt: skip
def test_what_a_key_calls_secret_is_masked_at_any_depth(key):
    assert clean({"a": [{"b": {key: {"x": "secret"}, "name": "pizza"}}]}) == {
        "a": [{"b": {key: "***", "name": "pizza"}}]
    }


def test_what_only_sounds_like_it_is_kept():
    harmless = {"passed": 1, "passenger": 2, "passing": 3}
    assert clean(harmless) == harmless


def test_a_form_is_cleaned_by_its_keys_too():
    told = body(b"username=zoe%40jwt.com&password=secret&next=%2Fadmin%2F", FORM, ())
    assert json.loads(told) == {"username": "***", "password": "***", "next": ["/admin/"]}


@pytest.mark.parametrize(
    ("content", "media_type"),
    [
        (b'{"password": "secret"', JSON),
        (b'"secret"', JSON),
        (b"12345678", JSON),
        (b"[" * 5000, JSON),
        (b'{"password": "secret"}', "text/plain"),
        (b"--x", "multipart/form-data; boundary=x"),
        (b"\xff=secret", FORM),
        (b'{"name": "' + b"x" * MOST_PARSED + b'"}', JSON),
    ],
    ids=["broken", "a text", "a number", "too deep", "not JSON", "multipart", "not UTF-8", "too large"],
)
def test_what_can_not_be_cleaned_is_told_by_its_size(content, media_type):
    assert body(content, media_type, ()) == f"<{len(content)} bytes>"


def test_a_body_is_cleaned_before_it_is_cut():
    told = body(json.dumps({"name": "é" * 2000, "password": "secret"}, ensure_ascii=False).encode(), JSON, ())
    assert MOST_BYTES - 2 < len(told.encode()) <= MOST_BYTES
    straddling = {"a": "x" * (MOST_BYTES - 20), "b": "our-own-key-of-the-factory"}
    assert "our-own" not in body(json.dumps(straddling).encode(), JSON, ("our-own-key-of-the-factory",))


def test_a_key_is_found_as_it_is_written_in_json_and_in_addresses():
    key = 'our"key/é'
    assert body(json.dumps({"a": key, "b": "our%22key%2F%C3%A9"}).encode(), JSON, (key,)) == '{"a":"***","b":"***"}'
