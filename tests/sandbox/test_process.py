"""The real process, over real connections."""

import http.client
import json
import os
import signal
import socket
import subprocess
import sys
import time
from concurrent.futures import ThreadPoolExecutor

import pytest
import requests

from .conftest import an_order

pytestmark = pytest.mark.slow


class Running:
    """A factory process on a port of its own."""

    def __init__(self, folder, port):
        self.url = f"http://127.0.0.1:{port}"
        self.environ = {
            **os.environ,
            "FACTORY_PORT": port,
            "FACTORY_API_KEY": "key0001",
            "SANDBOX_DIR": str(folder),
        }
        self.start()

    def start(self):
        command = [sys.executable, "-m", "jwtpizza.sandbox"]
        self.process = subprocess.Popen(command, env=self.environ, stderr=subprocess.PIPE, text=True)
        eventually(self.answers)

    def stop(self, number=signal.SIGTERM):
        """Send the signal; how many seconds the process then lived, and its exit code."""
        begun = time.monotonic()
        self.process.send_signal(number)
        code = self.process.wait(10)
        self.process.stderr.close()
        return time.monotonic() - begun, code

    def answers(self):
        try:
            return requests.get(self.url, timeout=5).ok
        except requests.ConnectionError:
            return False

    def __call__(self, method, path, **more):
        headers = {"Authorization": "Bearer key0001"}
        return requests.request(method, self.url + path, headers=headers, timeout=20, **more)

    def order(self, **more):
        return self("POST", "/api/order", **({"json": an_order()} | more))


def eventually(condition, seconds=10):
    end = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < end, "it did not happen in time"
        time.sleep(0.02)


@pytest.fixture
def factory(tmp_path, free_port):
    running = Running(tmp_path, free_port)
    yield running
    if running.process.poll() is None:
        running.stop(signal.SIGKILL)


def test_a_day_in_the_life_of_a_factory(factory):
    pizza = factory.order().json()["jwt"]
    assert factory("POST", "/api/order/verify", json={"jwt": pizza}).json()["message"] == "valid"

    assert factory("PUT", "/api/vendor/chaos/throttle?delay=300").status_code == 200
    throttled = factory.order()
    assert throttled.status_code == 200
    assert throttled.elapsed.total_seconds() >= 0.3

    assert requests.get(throttled.json()["reportUrl"], timeout=5).json()["message"].startswith("Problem resolved")
    assert factory("GET", "/api/vendor").json()["chaos"]["type"] == "none"
    assert factory("GET", "/api/sandbox/orders").json() == {"made": 2, "attempts": 2, "ids": {"1": 2}}

    assert factory.stop()[1] == 0
    assert not factory.answers()

    factory.start()
    assert factory("POST", "/api/order/verify", json={"jwt": pizza}).json()["message"] == "valid"


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_a_hundred_waiting_orders_hinder_neither_the_rest_nor_the_end(factory, number):
    factory("PUT", "/api/vendor/chaos/throttle")
    with ThreadPoolExecutor(100) as callers:
        orders = [callers.submit(factory.order) for _ in range(100)]
        eventually(lambda: factory("GET", "/api/sandbox/orders").json()["attempts"] == 100)

        assert requests.get(factory.url + "/.well-known/jwks.json", timeout=2).ok

        seconds, code = factory.stop(number)
        assert seconds < 3
        assert code == 0
        assert all(isinstance(order.exception(5), requests.ConnectionError) for order in orders)
    assert not factory.answers()


def test_a_killed_factory_leaves_nothing_behind(factory):
    factory.stop(signal.SIGKILL)

    eventually(lambda: not factory.answers())
    factory.start()


def test_a_second_factory_on_the_port_says_so_in_one_sentence(factory):
    second = subprocess.run(
        [sys.executable, "-m", "jwtpizza.sandbox"],
        env=factory.environ,
        capture_output=True,
        text=True,
        timeout=20,
    )

    assert second.returncode == 1
    line = json.loads(second.stdout)
    assert line["message"].startswith("The practice factory cannot listen on")
    assert (line["level"], line["source"], second.stderr) == ("error", "jwt-pizza-factory", "")
    assert factory.order().ok


def test_a_body_that_comes_in_chunks_is_read_whole(factory):
    def slowly():
        body = requests.Request("POST", factory.url, json=an_order()).prepare().body
        for start in range(0, len(body), 50):
            time.sleep(0.01)
            yield body[start : start + 50]

    assert factory.order(json=None, data=slowly()).status_code == 200
    assert factory.order(json=None, data=iter([b" " * 600_000] * 2)).status_code == 413
    assert factory.order(json=None, data=b" " * 5_000_000).status_code == 413


def test_a_keep_alive_connection_survives_head_and_errors(factory):
    connection = http.client.HTTPConnection("127.0.0.1", int(factory.environ["FACTORY_PORT"]), timeout=5)
    connection.connect()
    connection.auto_open = False  # a connection that was closed is an error, not opened again
    for method, path, status in [
        ("HEAD", "/", 200),
        ("GET", "/nope", 404),
        ("OPTIONS", "/", 204),
        ("GET", "/", 200),
    ]:
        connection.request(method, path)
        answer = connection.getresponse()
        assert (answer.status, bool(answer.read())) == (status, method == "GET")
    connection.close()


def test_what_is_not_http_does_not_hurt(factory):
    with socket.create_connection(("127.0.0.1", int(factory.environ["FACTORY_PORT"]))) as connection:
        connection.sendall(b"\x16\x03\x01 pizza please\r\n\r\n")
        connection.settimeout(5)
        connection.recv(1000)
    assert factory.order().ok
