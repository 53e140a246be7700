"""The factory's HTTP side: a WSGI application that answers as the real factory does."""

import re
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from http import HTTPStatus
from typing import TYPE_CHECKING, Any
from urllib.parse import parse_qsl, quote

from jwtpizza.sandbox.encoding import from_json, to_json
from jwtpizza.sandbox.factory import ChaosType, Factory, FactoryError
from jwtpizza.sandbox.log import log

if TYPE_CHECKING:
    from wsgiref.types import InputStream, StartResponse, WSGIEnvironment

WELCOME = {"message": "welcome to JWT Pizza Factory", "version": "20240518.154317"}
MAX_BODY = 1024 * 1024
MAX_DELAY_MS = 10 * 60 * 1000


@dataclass(frozen=True, kw_only=True)
class Request:
    """What an endpoint may look at. `api_key` is the bearer token, empty if there is none."""

    args: dict[str, str]
    query: dict[str, str]
    body: bytes
    api_key: str
    base_url: str

    def json(self) -> dict[str, Any]:
        """The body's object, {} if it is empty or a list. Raises FactoryError when it is not JSON."""
        try:
            content = from_json(self.body or b"{}")
        except ValueError as error:
            raise FactoryError(500, f"the body is not JSON: {error}") from error
        return content if isinstance(content, dict) else {}


Endpoint = Callable[[Factory, Request], Any]


def order(factory: Factory, request: Request) -> Any:
    authenticate(factory, request)
    asked = request.json()
    return factory.make(
        diner=asked.get("diner"),
        order=asked.get("order"),
        support_url=f"{request.base_url}/api/support/{quote(request.api_key, safe='')}/report",
    )


def verify(factory: Factory, request: Request) -> Any:
    return {"message": "valid", "payload": factory.verify(request.json().get("jwt"))}


def jwks(factory: Factory, request: Request) -> Any:
    return factory.jwks


def vendor(factory: Factory, request: Request) -> Any:
    authenticate(factory, request)
    return factory.vendor()


def public_vendor(factory: Factory, request: Request) -> Any:
    vendor = factory.vendor()
    if request.args["id"] != vendor["id"]:
        raise FactoryError(404, "unknown vendor")
    return {"id": vendor["id"], "name": vendor["name"]}


def chaos(factory: Factory, request: Request) -> Any:
    authenticate(factory, request)
    kinds = [kind.value for kind in ChaosType]
    if request.args["type"] not in kinds:
        raise FactoryError(400, f"chaos is one of {', '.join(kinds[:-1])} or {kinds[-1]}")
    delay = number(request, "delay", most=MAX_DELAY_MS)
    rate = number(request, "rate", most=1)
    factory.start_chaos(
        ChaosType(request.args["type"]),
        delay=None if delay is None else delay / 1000,
        rate=1.0 if rate is None else rate,
        seed=seed(request),
    )
    return factory.vendor()


def support(factory: Factory, request: Request) -> Any:
    return {"message": factory.resolve(request.args["vendorToken"], request.args["fixCode"])}


def welcome(factory: Factory, request: Request) -> Any:
    return WELCOME


def docs(factory: Factory, request: Request) -> Any:
    return {**WELCOME, "endpoints": DOCUMENTED}


def books(factory: Factory, request: Request) -> Any:
    authenticate(factory, request)
    return factory.books()


def forget(factory: Factory, request: Request) -> Any:
    authenticate(factory, request)
    factory.forget()
    return factory.books()


def not_here(factory: Factory, request: Request) -> Any:
    raise FactoryError(501, "the practice factory has no use for this endpoint; only the real one answers it")


def authenticate(factory: Factory, request: Request) -> None:
    """Raises FactoryError unless the request carries the vendor's key."""
    if not factory.knows(request.api_key):
        raise FactoryError(401, "invalid authentication")


def number(request: Request, name: str, *, most: float) -> float | None:
    """The query's number of that name, None if it is not there. Raises FactoryError outside 0 to `most`."""
    text = request.query.get(name)
    if text is None:
        return None
    try:
        value = float(text)
    except ValueError:
        value = -1.0
    if not 0 <= value <= most:
        raise FactoryError(400, f"{name} is a number from 0 to {most}")
    return value


def seed(request: Request) -> int | None:
    """The query's seed, None if it has none. Raises FactoryError when it is no whole number."""
    text = request.query.get("seed")
    if text is None:
        return None
    if not re.fullmatch(r"-?[0-9]{1,18}", text):
        raise FactoryError(400, "seed is a whole number of at most 18 digits")
    return int(text)


# What /api/docs lists, in its order: method, path, whether it says that a key is needed, and what answers.
API: list[tuple[str, str, bool, Endpoint]] = [
    ("POST", "/api/order", True, order),
    ("POST", "/api/order/verify", True, verify),
    ("GET", "/.well-known/jwks.json", False, jwks),
    ("GET", "/api/admin/vendors", True, not_here),
    ("PUT", "/api/admin/role", True, not_here),
    ("DELETE", "/api/admin/vendor", True, not_here),
    ("GET", "/api/support/:vendorToken/report/:fixCode", False, support),
    ("GET", "/api/vendor/:id", False, public_vendor),
    ("GET", "/api/vendor", True, vendor),
    ("POST", "/api/vendor", False, not_here),
    ("PUT", "/api/vendor", True, not_here),
    ("POST", "/api/vendor/code", False, not_here),
    ("POST", "/api/vendor/auth", False, not_here),
    ("POST", "/api/vendor/connect", True, not_here),
    ("PUT", "/api/vendor/connect", True, not_here),
    ("PUT", "/api/vendor/chaos/:type", True, chaos),
    ("POST", "/api/badge/:account/:badge", True, not_here),
    ("GET", "/api/badge/:account/:badge", False, not_here),
]
DOCUMENTED = [{"method": method, "path": path, "requiresAuth": needs_key} for method, path, needs_key, _ in API]

# Pages that /api/docs leaves out, and the books: only the practice factory has them, for tests to compare.
UNLISTED: list[tuple[str, str, Endpoint]] = [
    ("GET", "/", welcome),
    ("GET", "/api/docs", docs),
    ("GET", "/api/sandbox/orders", books),
    ("DELETE", "/api/sandbox/orders", forget),
]


def _route(method: str, path: str, endpoint: Endpoint) -> tuple[str, re.Pattern[str], Endpoint]:
    return method, re.compile(re.sub(r":(\w+)", r"(?P<\1>[^/]+)", re.escape(path))), endpoint


ROUTES = [_route(method, path, endpoint) for method, path, _, endpoint in API]
ROUTES += [_route(*unlisted) for unlisted in UNLISTED]


class App:
    """The WSGI application around one factory."""

    def __init__(self, factory: Factory) -> None:
        self._factory = factory

    def __call__(self, environ: "WSGIEnvironment", start_response: "StartResponse") -> Iterable[bytes]:
        status, content = self._answer(environ)
        headers = _cors_headers(environ)
        body = b""
        if content is not None:
            body = to_json(content)
            headers.append(("Content-Type", "application/json; charset=utf-8"))
            headers.append(("Content-Length", str(len(body))))
        start_response(f"{status} {HTTPStatus(status).phrase}", headers)
        return [b"" if environ["REQUEST_METHOD"] == "HEAD" else body]

    def _answer(self, environ: "WSGIEnvironment") -> tuple[int, Any]:
        if environ["REQUEST_METHOD"] == "OPTIONS":
            return 204, None
        try:
            endpoint, args = _find(environ["REQUEST_METHOD"], environ["PATH_INFO"])
            return 200, endpoint(self._factory, _request(environ, args))
        except FactoryError as refusal:
            return refusal.status, refusal.answer
        except Exception:
            log.exception("the practice factory broke down by itself")
            return 500, {"message": "the practice factory broke down by itself"}


def _find(method: str, path: str) -> tuple[Endpoint, dict[str, str]]:
    wanted = "GET" if method == "HEAD" else method
    for offered, pattern, endpoint in ROUTES:
        if offered == wanted and (match := pattern.fullmatch(path.rstrip("/") or "/")):
            return endpoint, match.groupdict()
    raise FactoryError(404, "unknown endpoint")


def _request(environ: "WSGIEnvironment", args: dict[str, str]) -> Request:
    scheme, _, token = environ.get("HTTP_AUTHORIZATION", "").partition(" ")
    host = environ.get("HTTP_HOST") or f"{environ['SERVER_NAME']}:{environ['SERVER_PORT']}"
    return Request(
        args=args,
        query=dict(parse_qsl(environ.get("QUERY_STRING", ""), keep_blank_values=True)),
        body=_body(environ),
        api_key=token.strip() if scheme.lower() == "bearer" else "",
        base_url=f"{environ['wsgi.url_scheme']}://{host}",
    )


def _body(environ: "WSGIEnvironment") -> bytes:
    """The whole body, with or without a Content-Length. Raises FactoryError when it is over 1 MiB."""
    length = int(environ.get("CONTENT_LENGTH") or 0)
    if not length and not environ.get("wsgi.input_terminated"):
        return b""
    stream: InputStream = environ["wsgi.input"]
    body = stream.read(min(length, MAX_BODY + 1) or MAX_BODY + 1)
    if len(body) > MAX_BODY:
        raise FactoryError(413, "a body takes at most 1 MiB")
    return body


def _cors_headers(environ: "WSGIEnvironment") -> list[tuple[str, str]]:
    origin = environ.get("HTTP_ORIGIN")
    headers = [("Vary", "Origin")]
    if origin:
        headers += [("Access-Control-Allow-Origin", origin), ("Access-Control-Allow-Credentials", "true")]
    if environ["REQUEST_METHOD"] == "OPTIONS":
        wanted = environ.get("HTTP_ACCESS_CONTROL_REQUEST_HEADERS") or "Authorization, Content-Type"
        headers.append(("Access-Control-Allow-Methods", "GET, HEAD, POST, PUT, DELETE"))
        headers.append(("Access-Control-Allow-Headers", wanted))
    return headers
