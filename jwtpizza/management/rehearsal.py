"""An outage that is made up: all of the service, and a practice factory that fails until its support link is followed.

It starts from nothing and leaves nothing: its database, its logs and whatever else it writes are in a folder of its
own, its ports are free ones, and of the environment it takes what programs need to be found, and no more.
"""

import json
import os
import re
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from datetime import UTC, datetime
from functools import partial
from http.cookiejar import CookieJar
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any, NamedTuple
from urllib.error import HTTPError
from urllib.parse import urlencode
from urllib.request import BaseHandler, HTTPCookieProcessor, OpenerDirector, ProxyHandler, Request, build_opener

from django.conf import settings

# The chain's traffic that day: one order in so many seconds. In a shorter outage there are as many, 4, closer together.
ORDER_SECONDS = 50.0
ORDERS = 3.5
# After so long without a failure it is over; shorter than the service's own 5 minutes, for somebody waits.
HEALTHY_SECONDS = 60.0
LEAST_SECONDS, USUAL_SECONDS, MOST_SECONDS = 10.0, 175.0, 3600.0
DINER = {"email": "d@jwt.com", "password": "diner"}
ADMIN = {"email": "a@jwt.com", "password": "admin"}
PIZZA = {"franchiseId": 1, "storeId": 1, "items": [{"menuId": 1}]}
KEPT = ("PATH", "HOME", "LANG", "LC_ALL", "TMPDIR", "PYTHONPATH", "VIRTUAL_ENV", "RELEASE")
STOPS: tuple[int, ...] = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)
START_SECONDS, RECOVERY_SECONDS, STOP_SECONDS, ANSWER_SECONDS = 60.0, 120.0, 30.0, 30.0
# Until then, whoever starts the processes leaves some of them behind when it is told to end.
SETTLED_SECONDS = 2.0
FOLLOW = re.compile(r'action="(/admin/orders/supportlink/\d+/follow/)"')
TOKEN = re.compile(r'name="csrfmiddlewaretoken" value="(\w+)"')

OK = 200
NOTHING: Mapping[str, str] = {}

Say = Callable[[str], object]
# Ends a process that began at that time (monotonic seconds), and waits until it has.
End = Callable[[subprocess.Popen[str], float], object]


class Answer(NamedTuple):
    """What came back; `wait` is how many seconds it asks to be left alone."""

    status: int
    text: str
    wait: float = 0.0


class RehearsalFailed(Exception):
    """It did not go as it has to; the message says what was in the way."""


def rehearse(*, seconds: float, report: Sequence[str], say: Say) -> str:
    """What `manage.py incident_report` prints, with these flags, of an outage of so many seconds.

    `say` is given a line for each step. A signal to end (Ctrl-C) ends all of it, and then this process, with 128 and
    its number. Raises RehearsalFailed.
    """
    before = {number: signal.signal(number, _stop) for number in STOPS}
    try:
        with TemporaryDirectory(prefix="rehearsal-", ignore_cleanup_errors=True) as folder:
            return Rehearsal(Path(folder), seconds, say).played(report)
    except (OSError, ValueError) as error:
        raise RehearsalFailed(f"The service did not answer as it has to: {error}") from error
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


def _stop(number: int, _: object) -> None:
    raise SystemExit(128 + number)


@contextmanager
def _undisturbed() -> Iterator[None]:
    """A signal to end that comes meanwhile is heard afterwards."""
    came: list[int] = []
    before = {number: signal.signal(number, lambda number, _: came.append(number)) for number in STOPS}
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
    for number in came[:1]:
        signal.raise_signal(number)


class Rehearsal:
    """One, in a folder that is there for it alone."""

    def __init__(self, folder: Path, seconds: float, say: Say) -> None:
        self._folder, self._seconds, self._tell = folder, seconds, say
        self._every = min(ORDER_SECONDS, seconds / ORDERS)
        self._healthy = min(HEALTHY_SECONDS, seconds / 2)
        port, factory_port = _free_ports(2)
        self._url, self._factory = f"http://127.0.0.1:{port}", f"http://127.0.0.1:{factory_port}"
        self._environment = _environment(folder, port, factory_port, self._healthy)
        self._api, self._admin = _opener(), _opener(HTTPCookieProcessor(CookieJar()))

    def played(self, report: Sequence[str]) -> str:
        """The report of it."""
        self._say("A new database, a practice factory and the service are started.")
        self._manage("migrate", "--verbosity=0")
        self._manage("seed_demo")
        with self._running():
            self._play()
            return self._manage("incident_report", "1", *report)

    def _play(self) -> None:
        self._say(f"All is well. One order in {self._every:.3g} s; the first:")
        self._order()
        time.sleep(self._every)
        self._break_the_factory()
        begun = time.monotonic()
        self._order_until(begun + self._seconds)
        self._follow_the_link()
        self._order_until_it_is_made()
        self._wait_until_closed()

    def _say(self, line: str) -> None:
        self._tell(f"{datetime.now(UTC):%H:%M:%S} UTC  {line}")

    @contextmanager
    def _running(self) -> Iterator[None]:
        """The service, its worker and the practice factory, as the Procfile runs them."""
        argv = [sys.executable, "-m", "script.processes", "web", "worker", "factory"]
        with self._log.open("wb") as log, self._process(argv, _terminated, stdout=log, stderr=log) as processes:
            self._wait_until_ready(processes)
            yield

    @property
    def _log(self) -> Path:
        return self._folder / "log"

    @contextmanager
    def _process(self, argv: list[str], end: End, **where: Any) -> Iterator[subprocess.Popen[str]]:
        """In a session of its own, where no Ctrl-C comes from the terminal; ended, whatever happens."""
        begun, started = time.monotonic(), []
        start = partial(subprocess.Popen, cwd=settings.BASE_DIR, env=self._environment, start_new_session=True)
        try:
            with _undisturbed():
                started.append(start(argv, text=True, **where))
            yield started[0]
        finally:
            with _undisturbed():
                for process in started:
                    end(process, begun)

    def _manage(self, *command: str) -> str:
        argv = [sys.executable, "manage.py", *command]
        with self._process(argv, _killed, stdout=subprocess.PIPE, stderr=subprocess.PIPE) as process:
            printed, complained = process.communicate()
        if process.returncode:
            raise RehearsalFailed(f"manage.py {command[0]} failed:\n{complained or printed}")
        return printed

    def _wait_until_ready(self, processes: subprocess.Popen[str]) -> None:
        give_up = time.monotonic() + START_SECONDS
        while not (_answers(f"{self._url}/readyz") and _answers(self._factory)):
            if processes.poll() is not None or time.monotonic() > give_up:
                raise RehearsalFailed(f"The service did not start:\n{self._log.read_text()[-4000:]}")
            time.sleep(0.2)

    def _logged_in(self, who: Mapping[str, str]) -> str:
        return str(json.loads(self._asked("PUT", "/api/auth", who).text)["token"])

    def _asked(self, method: str, path: str, body: Any = None, *, token: str = "") -> Answer:
        headers = {"Content-Type": "application/json"} | ({"Authorization": f"Bearer {token}"} if token else {})
        content = None if body is None else json.dumps(body).encode()
        return _sent(self._api, method, self._url + path, content, headers)

    def _order(self) -> Answer:
        """As the web app has a diner do it: it reads the menu and the stores, and the diner logs in."""
        for path in ("/api/order/menu", "/api/franchise"):
            self._asked("GET", path)
        answer = self._asked("POST", "/api/order", PIZZA, token=self._logged_in(DINER))
        said = json.loads(answer.text)
        told = f"order {said['order']['id']} is made." if answer.status == OK else said["message"]
        self._say(f"An order: {answer.status}, {told}")
        return answer

    def _break_the_factory(self) -> None:
        headers = {"Authorization": f"Bearer {self._environment['FACTORY_API_KEY']}"}
        _sent(self._api, "PUT", f"{self._factory}/api/vendor/chaos/fail", headers=headers)
        self._say(f"The factory begins to fail, for {self._seconds:g} s.")

    def _order_until(self, end: float) -> None:
        """The first at once, then one in so many seconds."""
        due = time.monotonic()
        while due < end:
            time.sleep(max(0.0, due - time.monotonic()))
            self._order()
            due += self._every
        time.sleep(max(0.0, end - time.monotonic()))

    def _follow_the_link(self) -> None:
        """As an admin does, with the button on the admin's home."""
        login = f"{self._url}/admin/login/?next=/admin/"
        page = self._page(login)
        page = self._page(login, page, username=ADMIN["email"], password=ADMIN["password"])
        if not (action := FOLLOW.search(page)):
            raise RehearsalFailed("There is no button on the admin's home that follows the factory's support link.")
        self._page(self._url + action[1], page)
        self._say("An admin has logged in, and has pressed the button that follows the factory's support link.")

    def _page(self, url: str, form: str = "", **fields: str) -> str:
        """A page of the admin; with `form`, the page that the form is on, what comes of sending it."""
        content = None
        if form:
            token = TOKEN.search(form)
            fields["csrfmiddlewaretoken"] = token[1] if token else ""
            content = urlencode(fields).encode()
        answer = _sent(self._admin, "POST" if form else "GET", url, content)
        if answer.status != OK:
            raise RehearsalFailed(f"The admin answered {answer.status} at {url}.")
        return answer.text

    def _order_until_it_is_made(self) -> None:
        """The test order, again when the answer says where a circuit is still open."""
        give_up = time.monotonic() + RECOVERY_SECONDS
        while (answer := self._order()).status != OK:
            if time.monotonic() > give_up:
                raise RehearsalFailed(f"No order was made in {RECOVERY_SECONDS:g} s after the link was followed.")
            time.sleep(answer.wait or self._every)

    def _wait_until_closed(self) -> None:
        self._say(f"The incident is over once all has been well for {self._healthy:g} s.")
        token, begun, ordered = self._logged_in(ADMIN), time.monotonic(), 1
        while json.loads(self._asked("GET", "/api/incident/1", token=token).text).get("state") != "closed":
            waited = time.monotonic() - begun
            if waited > self._healthy + RECOVERY_SECONDS:
                raise RehearsalFailed(f"The incident was still open after {waited:.0f} s.")
            if waited > ordered * self._every:
                self._order()
                ordered += 1
            time.sleep(1.0)
        self._add_the_note()
        self._say("It is closed, and a note says that it was a rehearsal. Its report:")

    def _add_the_note(self) -> None:
        """In the admin, where people add theirs."""
        url = f"{self._url}/admin/incidents/incident/1/change/"
        note = (
            f"This was a rehearsal (manage.py incident_report --rehearse): the practice factory failed for"
            f" {self._seconds:g} s, one order was placed in {self._every:.3g} s, and the incident was over after"
            f" {self._healthy:g} s without a failure."
        )
        self._page(url, self._page(url), notes=note)


def _environment(folder: Path, port: int, factory_port: int, healthy: float) -> dict[str, str]:
    kept = {name: os.environ[name] for name in KEPT if name in os.environ}
    return kept | {
        # The Procfile's programs are this one's.
        "PATH": f"{Path(sys.executable).parent}{os.pathsep}{kept.get('PATH', os.defpath)}",
        "DATABASE_URL": f"sqlite:///{folder / 'rehearsal.sqlite3'}",
        "RUN_DIR": str(folder / "run"),
        "PROMETHEUS_MULTIPROC_DIR": str(folder / "metrics"),
        "SANDBOX_DIR": str(folder / "factory"),
        "PORT": str(port),
        "FACTORY_PORT": str(factory_port),
        "FACTORY_URL": f"http://127.0.0.1:{factory_port}",
        "FACTORY_API_KEY": "key-of-the-rehearsal",
        "INCIDENT_HEALTHY_SECONDS": str(healthy),
    }


def _killed(process: subprocess.Popen[str], begun: float) -> None:
    process.kill()
    process.wait()


def _terminated(process: subprocess.Popen[str], begun: float) -> None:
    time.sleep(max(0.0, begun + SETTLED_SECONDS - time.monotonic()))
    process.terminate()
    process.wait(STOP_SECONDS)


def _free_ports(count: int) -> list[int]:
    """Different ones, for all are held until the last is found."""
    probes = [socket.create_server(("127.0.0.1", 0)) for _ in range(count)]
    ports = [int(probe.getsockname()[1]) for probe in probes]
    for probe in probes:
        probe.close()
    return ports


def _answers(url: str) -> bool:
    try:
        return _sent(_opener(), "GET", url).status == OK
    except OSError:
        return False


def _opener(*handlers: BaseHandler) -> OpenerDirector:
    """Asks this machine itself, whatever proxy there is."""
    return build_opener(ProxyHandler({}), *handlers)


def _sent(
    opener: OpenerDirector, method: str, url: str, content: bytes | None = None, headers: Mapping[str, str] = NOTHING
) -> Answer:
    """The answer; raises OSError without one."""
    request = Request(url, content, dict(headers), method=method)  # noqa: S310
    try:
        with opener.open(request, timeout=ANSWER_SECONDS) as answer:
            return Answer(answer.status, answer.read().decode())
    except HTTPError as error:
        with error:
            return Answer(error.code, error.read().decode(), float(error.headers.get("Retry-After", 0)))
