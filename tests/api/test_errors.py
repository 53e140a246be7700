"""The rules for every endpoint: one form of error, one order of checks, and nothing that breaks in."""

import base64
import json
import re
import time
from contextlib import nullcontext

import jwt
import pytest
from django.conf import settings
from django.db import OperationalError
from django.test import Client

from jwtpizza.accounts.models import Session, User
from tests.actors import Actor
from tests.api.test_access import ACCESS, LOGIN, ORDER, PERSON, PIZZA
from tests.contract.outages import database_gone

ORIGIN = "http://localhost:5173"
INSIDE = re.compile(
    r"Traceback|File \"|SELECT|sqlite|psycopg|django|rest_framework|Expecting|column \d|\.py\b|\bdict\b|\bstr\b|secret"
)
ENVELOPE = {"message", "error", "statusCode", "requestId"}
PATHS = {endpoint.split()[1]: row.path for endpoint, row in ACCESS.items()}
WITH_BODY = {endpoint: row for endpoint, row in ACCESS.items() if row.body}
FOR_USERS = {endpoint: row for endpoint, row in ACCESS.items() if row.anonymous == 401}
FOR_ADMINS = {endpoint: row for endpoint, row in ACCESS.items() if row.diner == 403}
TEXT = {"Content-Type": "text/plain"}
JSON = {"Content-Type": "application/json"}
service = Client(raise_request_exception=False)


def send(endpoint, path, body=b"", *, token="", **headers):
    content = body if isinstance(body, bytes) else json.dumps(body).encode()
    if token:
        headers["Authorization"] = f"Bearer {token}"
    return service.generic(endpoint.split()[0], path, content, headers={**JSON, **headers})


def assert_told(answer, status):
    """An error in the one form, with nothing in it of how the service is made."""
    assert answer.status_code == status, answer.content
    assert answer.headers["Content-Type"] == "application/json"
    told = answer.json()
    assert told.keys() >= ENVELOPE
    assert told["statusCode"] == status
    assert told["requestId"] == answer.headers["X-Request-Id"]
    assert not INSIDE.search(answer.content.decode()), answer.content
    return told


# --- one form, whatever goes wrong ---

FAULTS = {
    "no such path": ("GET", "/api/nope", b"", 404),
    "no such thing": ("DELETE", "/api/user/9999", b"", 404),
    "another method": ("PATCH", "/api/auth", b"", 405),
    "too large": ("PUT", "/api/auth", b"x" * 200_000, 413),
    "no JSON": ("PUT", "/api/auth", b"{", 400),
    "a field at fault": ("PUT", "/api/auth", {"email": 1}, 400),
    "no token": ("GET", "/api/user/me", b"", 401),
    "not allowed": ("GET", "/api/user", b"", 403),
    "taken": ("POST", "/api/auth", {**PERSON, "email": "d@jwt.com"}, 409),
    "a host that is not ours": ("GET", "/", b"", 400),
    "too many parameters": ("GET", "/api/franchise?" + "&".join(f"a{n}=1" for n in range(2000)), b"", 400),
    "a bug": ("GET", "/api/user/me", b"", 500),
    "no database": ("GET", "/api/user/me", b"", 503),
}


@pytest.fixture
def fault(request, admin, diner, tmp_path, monkeypatch):
    """The answer to each of FAULTS, asked by a page at ORIGIN; with it the status that it should have."""
    method, path, body, status = FAULTS[request.param]
    token = {"no token": "", "not allowed": diner.token}.get(request.param, admin.token)
    host = {"Host": "evil.example"} if request.param == "a host that is not ours" else {}
    if request.param == "a bug":
        monkeypatch.setattr("jwtpizza.accounts.views.user_out", lambda *_: 1 / 0)
    gone = database_gone("down", tmp_path) if request.param == "no database" else nullcontext()
    with gone:
        return send(method, path, body, token=token, Origin=ORIGIN, **{"X-Request-Id": "abc-123"}, **host), status


every_fault = pytest.mark.parametrize("fault", FAULTS, indirect=True)


@every_fault
def test_each_error_has_the_four_names_and_no_others_than_its_case_needs(fault):
    answer, status = fault
    told = assert_told(answer, status)
    assert told.keys() - ENVELOPE <= {"fields"}
    assert told["message"]
    assert re.fullmatch(r"[A-Z][a-z -]{3,40}", told["error"].replace("JSON", "Json"))


@every_fault
def test_each_error_is_readable_for_the_web_app(fault):
    headers = fault[0].headers
    assert headers["Access-Control-Allow-Origin"] == ORIGIN
    assert headers["Access-Control-Allow-Credentials"] == "true"
    assert "origin" in headers["Vary"].lower()
    exposed = {name.strip().lower() for name in headers["Access-Control-Expose-Headers"].split(",")}
    assert exposed == {"retry-after", "location", "x-request-id", "etag"}


@every_fault
def test_each_error_bears_the_id_of_its_request(fault):
    assert fault[0].headers["X-Request-Id"] == "abc-123"


def test_a_lost_database_says_when_to_try_again(admin, tmp_path):
    with database_gone("down", tmp_path):
        assert int(admin.get("/api/user/me").headers["Retry-After"]) > 0
        assert_told(admin.get("/readyz"), 503)
        assert admin.get("/livez").status_code == 200
        assert admin.get("/metrics").status_code == 200


def test_a_database_that_fails_within_an_order_is_told_as_such(diner, factory, monkeypatch):
    def fail(*args, **kwargs):
        raise OperationalError("server closed the connection: SELECT secret")

    monkeypatch.setattr("orders.services.sales._settle", fail)
    assert_told(diner.order(1), 503)


# --- for every path ---


@pytest.mark.parametrize("endpoint", ACCESS)
def test_a_slash_at_the_end_changes_nothing(endpoint, demo):
    row = ACCESS[endpoint]
    answer = send(endpoint, row.path.rstrip("/") + "/", row.body or b"")
    assert answer.status_code == row.anonymous


@pytest.mark.parametrize("template", PATHS)
def test_another_method_is_refused_before_anybody_is_asked_who_they_are(template, demo):
    """/api/user/me has those of /api/user/{id} too, for a user by the name of "me" whom nobody may know."""
    methods = {endpoint.split()[0] for endpoint in ACCESS if endpoint.split()[1] == template}
    for method in {"POST", "DELETE", "PATCH", "TRACE", "BREW"} - methods:
        answer = send(method, PATHS[template], b"{", **TEXT)
        assert_told(answer, 405)
        more = {"HEAD", "OPTIONS"} if "GET" in methods else {"OPTIONS"}
        assert set(answer.headers["Allow"].split(", ")) == methods | more


@pytest.mark.parametrize("endpoint", [endpoint for endpoint in ACCESS if endpoint.startswith("GET ")])
def test_head_answers_as_get_without_the_body(endpoint, admin):
    path = ACCESS[endpoint].path
    get, head = send("GET", path, token=admin.token), send("HEAD", path, token=admin.token)
    assert (head.status_code, head.content) == (get.status_code, b"")
    assert head.headers["Content-Type"] == get.headers["Content-Type"]
    assert head.headers.get("ETag") == get.headers.get("ETag")


@pytest.mark.parametrize("path", PATHS.values())
def test_everyone_may_ask_what_can_be_done(path, demo):
    answer = send("OPTIONS", path)
    assert answer.status_code in (200, 204), answer.content
    assert "OPTIONS" in answer.headers["Allow"]


@pytest.mark.parametrize(
    "path",
    [
        "//",
        "/api/order//",
        "/Api/docs",
        "/api/docs/ui/x",
        "/api/user/2.0",
        "/api/user/007",
        "/api/order/1%0a",
        "/%00",
        "/api//user",
    ],
)
def test_a_path_is_taken_as_it_is(path, admin):
    answer = service.generic("GET", path.replace("//", "/"), PATH_INFO=path.replace("%00", "\0").replace("%0a", "\n"))
    assert assert_told(answer, 404)["message"] == "unknown endpoint"


NO_IDS = ["%00", "%ff", "..%2f", "%D9%A1", "a" * 5000, "9" * 30, "1%20", "-1", "%F0%9F%8D%95"]


@pytest.mark.parametrize("path", ["/api/user/{}", "/api/franchise/{}", "/api/franchise/1/store/{}"])
def test_what_is_no_id_is_no_thing(path, admin):
    for name in NO_IDS:
        assert_told(admin.delete(path.format(name)), 404)


NO_PAGES = ["page=%00", "page=%ff", "page=" + "9" * 5000, "page=1e3", "page=%D9%A1", "page=1&page=1"]


@pytest.mark.parametrize("path", ["/api/franchise", "/api/user", "/api/order"])
def test_a_page_is_a_whole_number(path, admin):
    for query in NO_PAGES:
        assert assert_told(admin.get(f"{path}?{query}"), 400)["fields"].keys() == {"page"}, query


NO_PATTERNS = ["name=%00", "name=" + "a" * 256, "name=*a*a*a*a*a*a", "limit=0", "limit=1001"]


@pytest.mark.parametrize("path", ["/api/franchise", "/api/user"])
def test_a_pattern_has_its_limits(path, admin):
    for query in NO_PATTERNS:
        told = assert_told(admin.get(f"{path}?{query}"), 400)
        assert told["fields"].keys() == {query.partition("=")[0]}


# --- request ids ---


@pytest.mark.parametrize("sane", ["a", "abc-123", "A1._:/+=@-", "x" * 128])
def test_a_sane_request_id_is_kept(sane):
    assert send("GET", "/", **{"X-Request-Id": sane}).headers["X-Request-Id"] == sane


@pytest.mark.parametrize("insane", ["", " ", "a b", "x" * 129, '"', "<script>", "a\x00b", "é", "{}", "a,b"])
def test_any_other_gives_way_to_a_new_one(insane):
    kept = [send("GET", "/", **{"X-Request-Id": insane}).headers["X-Request-Id"] for _ in range(2)]
    assert all(re.fullmatch("[0-9a-f]{32}", request_id) for request_id in kept)
    assert kept[0] != kept[1]


# --- who asks ---


@pytest.fixture
def browser(demo):
    """In which an admin is logged in to the Django admin."""
    browser = Client(raise_request_exception=False)
    browser.force_login(User.objects.get_by_natural_key("a@jwt.com"))
    assert browser.get("/admin/").status_code == 200
    return browser


@pytest.mark.parametrize("endpoint", FOR_USERS)
def test_a_cookie_is_nobody(endpoint, browser):
    row = FOR_USERS[endpoint]
    answer = browser.generic(endpoint.split()[0], row.path, json.dumps(row.body), headers=JSON)
    assert_told(answer, 401)


def test_a_cookie_shows_no_more_of_the_franchises(browser):
    assert "totalRevenue" not in browser.get("/api/franchise").content.decode()


def test_the_api_sets_no_cookie(admin):
    """But for the page that one browses."""
    for endpoint, row in ACCESS.items():
        if endpoint.startswith("GET ") and row.path != "/api/docs/ui":
            assert not send(endpoint, row.path, token=admin.token).cookies, endpoint
    assert not send("PUT", "/api/auth", LOGIN).cookies


def encoded(value):
    return (
        base64.urlsafe_b64encode(value if isinstance(value, bytes) else json.dumps(value).encode()).decode().rstrip("=")
    )


def signed(key=settings.SECRET_KEY, **claims):
    whole = {"token_type": "access", "jti": "0" * 32, "user_id": "1", "exp": time.time() + 60} | claims
    return jwt.encode({name: value for name, value in whole.items() if value is not None}, key, "HS256")


HEADER = encoded({"alg": "HS256", "typ": "JWT"})
NO_TOKENS = {
    "garbage": "garbage",
    "three dots": "...",
    "not ASCII": "é.é.é",
    "100 kB": "a" * 100_000,
    "no algorithm": f"{encoded({'alg': 'none'})}.{encoded({'jti': '0' * 32, 'user_id': '1'})}.",
    "another algorithm": f"{encoded({'alg': 'RS256'})}.{encoded({})}.{encoded(b'x')}",
    "a header nested deeply": f"{encoded(b'[' * 5000)}.{encoded({})}.x",
    "a payload nested deeply": f"{HEADER}.{encoded(b'[' * 5000)}.x",
    "a header that is a list": f"{encoded([])}.{encoded({})}.x",
    "a header that is no text": f"{encoded(bytes([255]))}.{encoded({})}.x",
    "another key": signed("another key that is long enough for HS256, is it not"),
    "a session that is none": signed(),
    "no session": signed(jti=None),
    "a session that is a number": signed(jti=1),
    "a session that is a list": signed(jti=["0"]),
    "over": signed(exp=time.time() - 1),
}


def test_what_is_no_token_is_nobody(admin):
    for what, token in NO_TOKENS.items():
        answer = send("GET", "/api/user/me", token=token)
        assert assert_told(answer, 401)["message"] == "unauthorized", what
        assert answer.headers["WWW-Authenticate"] == "Bearer"
        assert send("GET", "/api/franchise", token=token).status_code == 200, what
        assert send("PUT", "/api/auth", {}, token=token).status_code == 400, what


def test_a_good_signature_is_not_enough_once_the_session_is_gone(diner):
    Session.objects.all().delete()
    assert diner.get("/api/user/me").status_code == 401


def test_the_scheme_may_be_in_any_case(diner):
    for scheme in ("Bearer", "bearer", "BEARER", "bEaReR"):
        assert Actor().get("/api/user/me", Authorization=f"{scheme}  {diner.token} ").status_code == 200


NO_BEARER = ["", "Bearer", "Bearer ", "Basic YTpi", "Token x", "{token}", "Bearer {token} x", "Foo {token}"]


def test_nothing_but_a_bearer_token_is_understood(diner):
    for header in NO_BEARER:
        assert_told(Actor().get("/api/user/me", Authorization=header.format(token=diner.token)), 401)


# --- what is sent ---

TORN = {
    "nothing that is JSON": b"hello",
    "half of it": b'{"email":',
    "50,000 lists": b"[" * 50_000,
    "15,000 objects": b'{"a":' * 15_000,
    "closed lists": b"[" * 50_000 + b"]" * 50_000,
    "NaN": b'{"email": NaN}',
    "Infinity": b'{"email": -Infinity}',
    "a number of 5,000 digits": b'{"email": ' + b"1" * 5000 + b"}",
    "no UTF-8": b'{"email": "\xff"}',
    "a NUL": b'{"email": "\x00"}',
    "a line break in a text": b'{"email": "\n"}',
    "single quotes": b"{'email': 'x'}",
    "two of it": b"{} {}",
    "a comment": b"{} // really",
}


def test_what_is_no_json_is_told_without_a_parsers_words(demo):
    for what, body in TORN.items():
        told = assert_told(send("PUT", "/api/auth", body), 400)
        assert told["fields"] == {"body": ["This is not readable JSON."]}, what


@pytest.mark.parametrize("endpoint", WITH_BODY)
def test_a_body_is_an_object(endpoint, admin):
    for body in (b"null", b"true", b"1", b'"x"', b"[]", b"[{}]"):
        answer = send(endpoint, WITH_BODY[endpoint].path, body, token=admin.token)
        assert assert_told(answer, 400)["fields"].keys() == {"body"}


@pytest.mark.parametrize("body", [json.dumps(LOGIN).encode("utf-16"), b"\xef\xbb\xbf" + json.dumps(LOGIN).encode()])
def test_any_unicode_will_do(body, demo):
    assert send("PUT", "/api/auth", body).status_code == 200


def test_of_a_name_given_twice_the_last_counts_as_in_javascript(demo):
    body = b'{"email": "nobody@jwt.com", "password": "diner", "email": "d@jwt.com"}'
    assert send("PUT", "/api/auth", body).json()["user"]["email"] == "d@jwt.com"


OTHER_TYPES = [
    "text/plain",
    "application/x-www-form-urlencoded",
    "multipart/form-data",
    "multipart/form-data; boundary=x",
    "application/xml",
    "text/html; charset=utf-8",
    "json",
    "",
    "application/json; charset=latin-1",
    "application/json; charset=foo",
    "application/json; charset=",
]


@pytest.mark.parametrize("endpoint", WITH_BODY)
def test_json_alone_is_understood(endpoint, admin):
    row = WITH_BODY[endpoint]
    for kind in OTHER_TYPES:
        assert_told(send(endpoint, row.path, row.body, token=admin.token, **{"Content-Type": kind}), 415)


JSON_TYPES = [
    "application/json",
    "Application/JSON",
    "application/json; charset=UTF-8",
    'application/json;charset="utf-8"',
    "application/json; v=1",
]


def test_json_may_be_told_in_many_ways(demo):
    for kind in JSON_TYPES:
        assert send("PUT", "/api/auth", LOGIN, **{"Content-Type": kind}).status_code == 200


def leaves(body, path=""):
    """The path and value of each text and number in it, as `fields` names them."""
    if isinstance(body, dict):
        for name, value in body.items():
            yield from leaves(value, f"{path}.{name}".removeprefix("."))
    elif isinstance(body, list):
        for index, value in enumerate(body):
            yield from leaves(value, f"{path}[{index}]")
    else:
        yield path, body


def with_leaf(body, path, value):
    if not path:
        return value
    step, rest = re.fullmatch(r"\.?(\w+|\[\d+\])(.*)", path).groups()
    key = int(step[1:-1]) if step[0] == "[" else step
    changed = body.copy()
    changed[key] = with_leaf(body[key], rest, value)
    return changed


def nested(depth):
    return [nested(depth - 1)] if depth else []


DEEP = [("PUT /api/auth", "email"), ("PUT /api/order/menu", "price"), ("POST /api/order", "storeId")]
LEAVES = [(endpoint, path) for endpoint, row in WITH_BODY.items() for path, _ in leaves(row.body)]
NEITHER = [None, True, [], {}, [1], nested(500), "\0", "\ud800", 10**30]
NO_TEXT = [*NEITHER, 1, 1.5, [""], {"a": 1}, "a\0b", "a\udfffb", "x" * 1100]
NO_NUMBER = [*NEITHER, "", "x", "1.0.0", "NaN", "Infinity", "-1", -1, 1.123456789, 10**400, "9" * 2000]


@pytest.mark.parametrize(("endpoint", "path"), LEAVES)
def test_each_field_at_fault_is_named(endpoint, path, admin):
    row = WITH_BODY[endpoint]
    wrong = NO_TEXT if isinstance(dict(leaves(row.body))[path], str) else NO_NUMBER
    for value in wrong:
        answer = send(endpoint, row.path, with_leaf(row.body, path, value), token=admin.token)
        assert assert_told(answer, 400)["fields"].keys() == {path}, value


@pytest.mark.parametrize(("endpoint", "path"), DEEP)
def test_however_deep_a_value_is_nested_it_is_a_fault_of_the_caller(endpoint, path, admin):
    """What the parser was just not too deep in the stack for must not fall over later."""
    row = WITH_BODY[endpoint]
    for depth in range(750, 1000):
        text = json.dumps(with_leaf(row.body, path, "deep")).replace('"deep"', "[" * depth + "]" * depth)
        assert_told(send(endpoint, row.path, text.encode(), token=admin.token), 400)


@pytest.mark.parametrize(
    ("endpoint", "body", "field"),
    [("POST /api/order", ORDER, "items"), ("POST /api/franchise", {"name": "x", "admins": []}, "admins")],
)
def test_a_list_that_is_too_long_is_told_in_a_sentence(endpoint, body, field, admin):
    """And not in one for each of the 33,000 things that a body has room for."""
    answer = send(endpoint, endpoint.split()[1], {**body, field: [{}] * 25_000}, token=admin.token)
    assert assert_told(answer, 400)["fields"].keys() == {field}
    assert len(answer.content) < 1000


@pytest.mark.parametrize(
    ("endpoint", "body", "field"),
    [("POST /api/order", ORDER, "items"), ("POST /api/franchise", {"name": "x"}, "admins")],
)
def test_a_list_is_a_list(endpoint, body, field, admin):
    for value in (None, True, 1, "x", {}, {"0": {}}):
        answer = send(endpoint, endpoint.split()[1], {**body, field: value}, token=admin.token)
        assert assert_told(answer, 400)["fields"].keys() == {field}, value


# --- one after the other ---


def test_a_body_over_the_limit_comes_before_everything(demo):
    for path in ("/api/nope", "/api/auth", "/api/user/2"):
        assert_told(send("PATCH", path, b"x" * (100 * 1024 + 1), **TEXT), 413)


def test_a_body_of_just_the_limit_is_read(demo):
    assert_told(send("PUT", "/api/auth", b"{" + b" " * (100 * 1024 - 1)), 400)


def test_an_unknown_path_comes_before_its_method(demo):
    assert_told(send("BREW", "/api/nope", b"{", **TEXT), 404)


@pytest.mark.parametrize("endpoint", FOR_USERS)
def test_who_asks_comes_before_what_is_sent(endpoint, demo):
    assert_told(send(endpoint, FOR_USERS[endpoint].path, b"{", **TEXT), 401)


@pytest.mark.parametrize("endpoint", FOR_ADMINS)
def test_who_may_comes_before_what_is_sent(endpoint, diner):
    assert_told(send(endpoint, FOR_ADMINS[endpoint].path, b"{", token=diner.token, **TEXT), 403)


@pytest.mark.parametrize("endpoint", WITH_BODY)
def test_the_kind_of_body_comes_before_what_is_in_it(endpoint, admin):
    assert_told(send(endpoint, WITH_BODY[endpoint].path, b"{", token=admin.token, **TEXT), 415)


UNKNOWN = {
    "PUT /api/user/9999": {"name": 1},
    "PUT /api/user/me": {"name": 1},
    "POST /api/franchise/9999/store": {},
    "POST /api/order": {"franchiseId": 9999, "storeId": 1, "items": [{}]},
    "POST /api/franchise": {"name": 1, "admins": [{"email": "nobody@jwt.com"}]},
    "PUT /api/auth": {"email": "nobody@jwt.com"},
}


@pytest.mark.parametrize("endpoint", UNKNOWN)
def test_a_field_at_fault_comes_before_an_unknown_thing(endpoint, admin):
    answer = send(endpoint, endpoint.split()[1], UNKNOWN[endpoint], token=admin.token)
    assert assert_told(answer, 400)["fields"]


TAKEN = {
    "PUT /api/user/9999": {"email": "f@jwt.com"},
    "POST /api/franchise": {"name": "pizzaPocket", "admins": [{"email": "nobody@jwt.com"}]},
    "POST /api/franchise/9999/store": {"name": "SLC"},
}


@pytest.mark.parametrize("endpoint", TAKEN)
def test_an_unknown_thing_comes_before_what_is_taken(endpoint, admin):
    assert_told(send(endpoint, endpoint.split()[1], TAKEN[endpoint], token=admin.token), 404)


def test_a_bad_key_of_an_order_comes_before_an_unknown_store(diner):
    answer = diner.order(1, store=9999, **{"Idempotency-Key": "a b"})
    assert assert_told(answer, 400)["fields"].keys() == {"Idempotency-Key"}


def test_what_is_taken_is_told_last(admin):
    assert_told(send("PUT", "/api/order/menu", {**PIZZA, "title": "VEGGIE"}, token=admin.token), 409)
