"""HTTP with the factory: one request, one answer or one `FactoryError`, within a deadline whatever the factory does."""

import io
import json
import re
import socket
import threading
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from http.client import HTTPException, HTTPResponse
from typing import Any, NamedTuple

import requests
import urllib3
from django.conf import settings
from requests.adapters import HTTPAdapter
from urllib3 import HTTPConnectionPool, HTTPSConnectionPool
from urllib3.connection import HTTPConnection, HTTPSConnection

from jwtpizza.observability import context
from jwtpizza.resilience.deadline import Deadline, DeadlineExceeded
from jwtpizza.turns import TURNS
from orders.factory.errors import (
    BadResponse,
    FactoryError,
    Rejected,
    ServerError,
    TooSlow,
    Unacceptable,
    Unauthorized,
    Unreachable,
)

MOST_BYTES = 64 * 1024
LINK = re.compile(r"[!-~]{1,2048}")
TOO_MANY = 429
MOST_SENTENCE = 500
MOST_WAIT = 24 * 60 * 60.0

_thread = threading.local()
# A resolver without an answer keeps its thread long after the deadline, so that thread must not be the caller's.
_resolvers = ThreadPoolExecutor(max_workers=4, thread_name_prefix="factory-address")


class Reply(NamedTuple):
    """What the factory signed, not verified yet, its support link ("" if it gave none), and all that it answered."""

    jwt: str
    support_link: str
    answer: Any = None


class _Clocked(io.RawIOBase):
    """Bytes from a socket, each read cut to what is left of the deadline (requests' timeout starts anew with each)."""

    def __init__(self, raw: io.RawIOBase, sock: socket.socket, deadline: Deadline) -> None:
        self._raw, self._sock, self._deadline = raw, sock, deadline

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: Any) -> int | None:
        self._sock.settimeout(self._deadline.cut(_thread.patience))
        with TURNS.aside():
            return self._raw.readinto(buffer)

    def close(self) -> None:
        self._raw.close()
        super().close()


class _Response(HTTPResponse):
    def __init__(self, sock: socket.socket, *args: Any, **kwargs: Any) -> None:
        super().__init__(sock, *args, **kwargs)
        self.fp: Any = io.BufferedReader(_Clocked(self.fp.detach(), sock, _thread.deadline))


def _connected(host: str, port: int, deadline: Deadline) -> socket.socket:
    """A connection to the first of the host's addresses that takes one; raises OSError, DeadlineExceeded."""
    found = _resolvers.submit(socket.getaddrinfo, host, port, type=socket.SOCK_STREAM).result(deadline.left())
    failure = OSError("the host has no address")
    for *_, address in found:
        try:
            return socket.create_connection((str(address[0]), port), deadline.cut(settings.FACTORY_CONNECT_TIMEOUT))
        except OSError as error:
            failure = error
    raise failure


class _Connection(HTTPConnection):
    """Connects within the deadline (urllib3 waits as long for each address, and for ever for the resolver)."""

    response_class = _Response

    def _new_conn(self) -> socket.socket:
        try:
            with TURNS.aside():
                sock = _connected(self.host, self.port or self.default_port, _thread.deadline)
        except TimeoutError as error:
            raise urllib3.exceptions.ConnectTimeoutError(self, "no connection in time") from error
        except OSError as error:
            raise urllib3.exceptions.NewConnectionError(self, "no connection") from error
        sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        # For the TLS handshake.
        sock.settimeout(_thread.deadline.cut(settings.FACTORY_CONNECT_TIMEOUT))
        return sock


class _SecureConnection(_Connection, HTTPSConnection):
    """The same over TLS."""

    def connect(self) -> None:
        with TURNS.aside():
            super().connect()


class _Pool(HTTPConnectionPool):
    ConnectionCls = _Connection


class _SecurePool(HTTPSConnectionPool):
    ConnectionCls = _SecureConnection


class _Adapter(HTTPAdapter):
    def init_poolmanager(self, *args: Any, **kwargs: Any) -> None:
        super().init_poolmanager(*args, **kwargs)
        self.poolmanager.pool_classes_by_scheme = {"http": _Pool, "https": _SecurePool}


class _Session(requests.Session):
    """Follows no redirect, and does not, as requests would, read all of its body and see where it leads."""

    def get_redirect_target(self, resp: requests.Response) -> None:
        return None


def _session() -> requests.Session:
    """This thread's own, with its connection kept; nothing of it comes from the environment, no proxy above all."""
    session: requests.Session | None = getattr(_thread, "session", None)
    if session is None:
        session = _thread.session = _Session()
        session.trust_env = False
        for scheme in ("http://", "https://"):
            session.mount(scheme, _Adapter(pool_connections=1, pool_maxsize=1))
    return session


def post_order(payload: dict[str, Any], *, deadline: Deadline, patience: float = 0.0) -> Reply:
    """Asks for a pizza; raises a FactoryError. `patience` is the read timeout in seconds, if not the setting's."""
    status, answer, wait = _exchange("POST", "/api/order", payload, deadline, patience)
    try:
        return _reply(status, answer, wait)
    except FactoryError as error:
        error.status, error.answer = status, answer
        raise


def _reply(status: int, answer: Any, wait: float) -> Reply:
    told = answer if isinstance(answer, dict) else {}
    link = told.get("reportUrl")
    link = link if isinstance(link, str) and LINK.fullmatch(link) else ""
    detail = f"the factory answered {status}"
    match status:
        case 200 if isinstance(told.get("jwt"), str):
            return Reply(told["jwt"], link, answer)
        case 401 | 403:
            raise Unauthorized(detail, support_link=link)
        case 400 | 413 | 422:
            raise Unacceptable(detail, support_link=link)
        case _ if 400 <= status < 500:
            raise Rejected(detail, support_link=link, retry_after=wait if status == TOO_MANY else 0.0)
        case _ if status >= 500:
            raise ServerError(detail, support_link=link)
    raise BadResponse(f"{detail} without a JWT", support_link=link)


def get(path: str, *, deadline: Deadline) -> tuple[int, str]:
    """The status of an answer of the factory's, and the sentence in it, "" if there is none; raises a FactoryError."""
    status, answer, _ = _exchange("GET", path, None, deadline)
    sentence = answer.get("message") if isinstance(answer, dict) else None
    readable = "".join(filter(str.isprintable, sentence)) if isinstance(sentence, str) else ""
    return status, readable[:MOST_SENTENCE]


def fetch_jwks(*, deadline: Deadline) -> list[dict[str, Any]]:
    """The factory's public keys; raises a FactoryError."""
    status, answer, _ = _exchange("GET", "/.well-known/jwks.json", None, deadline)
    keys = answer.get("keys") if status == 200 and isinstance(answer, dict) else None
    if not isinstance(keys, list):
        raise BadResponse(f"the factory answered {status} without keys")
    return [key for key in keys if isinstance(key, dict)]


def _exchange(
    method: str, path: str, payload: Any, deadline: Deadline, patience: float = 0.0
) -> tuple[int, Any, float]:
    """The status, the JSON of the body or None where it is none, and the seconds that its Retry-After says."""
    _thread.deadline, _thread.patience = deadline, patience or settings.FACTORY_READ_TIMEOUT
    try:
        with _session().request(
            method,
            settings.FACTORY_URL + path,
            json=payload,
            headers=_headers(),
            timeout=(deadline.cut(settings.FACTORY_CONNECT_TIMEOUT), deadline.cut(_thread.patience)),
            allow_redirects=False,
            stream=True,
        ) as response:
            return response.status_code, _json(response), _seconds(response.headers.get("Retry-After", ""))
    except (requests.Timeout, TimeoutError, DeadlineExceeded) as error:
        raise TooSlow("the factory did not answer in time") from error
    except (requests.RequestException, urllib3.exceptions.HTTPError) as error:
        if _is_gibberish(error):
            raise BadResponse("the factory does not speak HTTP") from error
        raise Unreachable(f"the factory can't be reached: {type(error).__name__}") from error


def _is_gibberish(error: BaseException | None) -> bool:
    """Whether somebody answered, and it was no HTTP. That is no passing fault, as a broken connection may be."""
    while error is not None:
        if isinstance(error, HTTPException) and not isinstance(error, OSError):
            return True
        error = error.__context__
    return False


def _seconds(retry_after: str) -> float:
    """From now on, as a number of them or until a date, a day at most; 0 for what is neither."""
    if retry_after.isascii() and retry_after.isdigit():
        return min(MOST_WAIT, float(retry_after))
    try:
        until = parsedate_to_datetime(retry_after).astimezone(UTC)
        return min(MOST_WAIT, max(0.0, (until - datetime.now(UTC)).total_seconds()))
    except (ValueError, OverflowError):
        return 0.0


def _headers() -> dict[str, str]:
    headers = {"Authorization": f"Bearer {settings.FACTORY_API_KEY}", "Accept-Encoding": "identity"}
    if trace := context.current():
        headers |= {"X-Request-Id": trace.request_id, "traceparent": trace.traceparent()}
    return headers


def _json(response: requests.Response) -> Any:
    """What was read of a body that is too large is no JSON either; what comes compressed, unasked, is not unpacked."""
    try:
        return json.loads(response.raw.read(MOST_BYTES, decode_content=False))
    except urllib3.exceptions.TimeoutError as error:
        raise TooSlow("the factory did not answer in time") from error
    except urllib3.exceptions.HTTPError as error:
        raise BadResponse("the factory's answer was cut off") from error
    except (ValueError, RecursionError):
        return None
