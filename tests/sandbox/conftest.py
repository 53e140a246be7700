import io
import json
import socket
from dataclasses import dataclass
from wsgiref.util import setup_testing_defaults

import pytest

from jwtpizza.sandbox.app import App
from jwtpizza.sandbox.factory import Factory
from jwtpizza.sandbox.keys import kept_key

API_KEY = "key0001"
NOON = 1_764_763_200.0  # 2025-12-03T12:00:00Z
DINER = {"id": 2, "name": "pizza diner", "email": "d@jwt.com"}
VEGGIE = {"menuId": 1, "description": "Veggie", "price": 0.0038}


@dataclass
class Answer:
    status: int
    headers: dict
    body: bytes

    @property
    def json(self):
        return json.loads(self.body)


class Caller:
    """Calls a WSGI app without a server, as somebody who sends `api_key`."""

    def __init__(self, app, api_key=None):
        self.app = app
        self.api_key = api_key

    def __call__(self, method, path, body=None, **headers):
        data = body if isinstance(body, bytes) else b"" if body is None else json.dumps(body).encode()
        path, _, query = path.partition("?")
        environ = {"REQUEST_METHOD": method, "PATH_INFO": path, "QUERY_STRING": query, **headers}
        environ |= {
            "wsgi.input": io.BytesIO(data),
            "CONTENT_LENGTH": str(len(data)),
            "HTTP_HOST": "factory:4000",
        }
        if self.api_key:
            environ["HTTP_AUTHORIZATION"] = f"Bearer {self.api_key}"
        setup_testing_defaults(environ)
        started = []
        parts = self.app(environ, lambda status, headers: started.append((status, headers)))
        (status, answered) = started[0]
        return Answer(int(status.split()[0]), dict(answered), b"".join(parts))

    def order(self, order_id=1, items=1):
        return self("POST", "/api/order", an_order(order_id, items))

    def chaos(self, kind):
        answer = self("PUT", f"/api/vendor/chaos/{kind}")
        assert answer.status == 200, answer.json
        return answer

    def follow(self, report_url):
        return self("GET", report_url.removeprefix("http://factory:4000"))

    def verify(self, pizza):
        return self("POST", "/api/order/verify", {"jwt": pizza})


def an_order(order_id=1, items=1):
    return {
        "diner": DINER,
        "order": {"id": order_id, "franchiseId": 1, "storeId": 1, "items": [VEGGIE] * items},
    }


@pytest.fixture(scope="session")
def key(tmp_path_factory):
    return kept_key(tmp_path_factory.mktemp("sandbox"))


@pytest.fixture
def waits():
    """The seconds of each wait that the factory made its callers wait."""
    return []


@pytest.fixture
def app(key, waits):
    return App(Factory(key=key, api_key=API_KEY, clock=lambda: NOON, sleep=waits.append))


@pytest.fixture
def vendor(app):
    return Caller(app, API_KEY)


@pytest.fixture
def stranger(app):
    return Caller(app)


@pytest.fixture
def free_port():
    """A port that nobody listens on, as text."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        return str(server.getsockname()[1])
