import io
import json

import pytest

from jwtpizza.sandbox.app import DOCUMENTED, ROUTES, not_here

from .conftest import an_order

ORIGIN = {"HTTP_ORIGIN": "https://pizza.example"}


def test_the_front_page_welcomes(stranger):
    answer = stranger("GET", "/")

    assert answer.status == 200
    assert answer.json["message"] == "welcome to JWT Pizza Factory"


@pytest.mark.parametrize(
    ("method", "path"),
    [("GET", "/nope"), ("GET", "/api/order"), ("DELETE", "/"), ("GET", "/api"), ("POST", "/x/api/order")],
)
def test_anything_else_is_an_unknown_endpoint(vendor, method, path):
    answer = vendor(method, path)

    assert (answer.status, answer.json) == (404, {"message": "unknown endpoint"})


def test_a_trailing_slash_changes_nothing(vendor):
    assert vendor("POST", "/api/order/", an_order()).status == 200


@pytest.mark.parametrize(
    ("method", "path"),
    [(method, pattern.pattern) for method, pattern, endpoint in ROUTES if endpoint is not_here],
)
def test_documented_endpoints_without_a_use_here_say_so(vendor, method, path):
    answer = vendor(method, path.replace("(?P<account>[^/]+)", "a").replace("(?P<badge>[^/]+)", "b"))

    assert answer.status == 501
    assert "practice factory" in answer.json["message"]


@pytest.mark.parametrize("endpoint", DOCUMENTED, ids=lambda endpoint: f"{endpoint['method']} {endpoint['path']}")
def test_every_documented_endpoint_is_answered(vendor, endpoint):
    answer = vendor(endpoint["method"], endpoint["path"])

    assert answer.json.get("message") != "unknown endpoint"


def test_anyone_may_know_a_vendors_name(stranger):
    assert stranger("GET", "/api/vendor/vendor1").json == {"id": "vendor1", "name": "Test Vendor"}
    assert stranger("GET", "/api/vendor/vendor2").status == 404


def test_the_rest_of_a_vendor_is_for_its_key(stranger):
    answer = stranger("GET", "/api/vendor")

    assert (answer.status, answer.json) == (401, {"message": "invalid authentication"})


@pytest.mark.parametrize("path", ["/", "/api/docs", "/.well-known/jwks.json", "/nope"])
def test_head_answers_as_get_does_without_the_body(stranger, path):
    got, headed = stranger("GET", path), stranger("HEAD", path)

    assert (headed.status, headed.headers) == (got.status, got.headers)
    assert headed.body == b""
    assert got.headers["Content-Length"] == str(len(got.body))


def test_answers_are_json(stranger):
    assert stranger("GET", "/nope").headers["Content-Type"] == "application/json; charset=utf-8"


@pytest.mark.parametrize(
    ("method", "path"),
    [("GET", "/"), ("GET", "/nope"), ("POST", "/api/order"), ("POST", "/api/order/verify")],
)
def test_any_origin_may_read_every_answer(stranger, method, path):
    headers = stranger(method, path, **ORIGIN).headers

    assert headers["Access-Control-Allow-Origin"] == "https://pizza.example"
    assert headers["Access-Control-Allow-Credentials"] == "true"
    assert headers["Vary"] == "Origin"


def test_without_an_origin_there_is_none_to_allow(stranger):
    headers = stranger("GET", "/").headers

    assert "Access-Control-Allow-Origin" not in headers
    assert headers["Vary"] == "Origin"


def test_a_preflight_allows_what_the_browser_asks_for(stranger):
    answer = stranger(
        "OPTIONS",
        "/api/order/verify",
        HTTP_ACCESS_CONTROL_REQUEST_HEADERS="authorization,content-type",
        **ORIGIN,
    )

    assert (answer.status, answer.body) == (204, b"")
    assert answer.headers["Access-Control-Allow-Origin"] == "https://pizza.example"
    assert answer.headers["Access-Control-Allow-Headers"] == "authorization,content-type"
    assert "POST" in answer.headers["Access-Control-Allow-Methods"]
    assert "Content-Length" not in answer.headers


def test_a_body_of_1_mib_is_read_and_one_byte_more_is_refused(vendor):
    order = json.dumps(an_order()).encode()

    assert vendor("POST", "/api/order", order.ljust(1024 * 1024)).status == 200
    assert vendor("POST", "/api/order", order.ljust(1024 * 1024 + 1)).status == 413


@pytest.mark.parametrize(("size", "status"), [(2000, 200), (1024 * 1024 + 1, 413)])
def test_a_body_of_unsaid_length_is_read_to_its_end(app, vendor, size, status):
    def chunked(environ, start_response):
        body = io.BytesIO(json.dumps(an_order()).encode().ljust(size))
        del environ["CONTENT_LENGTH"]
        return app(environ | {"wsgi.input": body, "wsgi.input_terminated": True}, start_response)

    vendor.app = chunked

    assert vendor.order().status == status


def test_a_body_without_an_end_is_not_waited_for(app, vendor):
    def no_length(environ, start_response):
        return app(environ | {"CONTENT_LENGTH": "", "wsgi.input": None}, start_response)

    vendor.app = no_length

    assert vendor.order().status == 400


def test_the_report_link_leads_to_the_host_that_was_asked(app, vendor):
    vendor.app = lambda environ, start: app(environ | {"HTTP_HOST": "", "wsgi.url_scheme": "https"}, start)

    assert vendor.order().json["reportUrl"].startswith("https://127.0.0.1:80/api/support/")
