"""`script/server` as a newcomer meets it: processes, ports and signals are real."""

import json
import os
import re
import signal
import subprocess
import time

import pytest
import requests

from tests.script.checkout import PRODUCTION

pytestmark = pytest.mark.slow
USERS = "from jwtpizza.accounts.models import User; print(User.objects.count())"


def get(url, **headers):
    return requests.get(url, headers=headers, timeout=5, allow_redirects=False)


def order(server):
    """What the printed lines answer."""
    lines = "\n".join(line for line in server.said.splitlines() if line.startswith(("token=", "curl ")))
    done = subprocess.run(["bash", "-c", lines], capture_output=True, text=True, timeout=20, check=True)
    return json.loads(done.stdout)


def history(checkout):
    login = requests.put(checkout.url + "/api/auth", json={"email": "d@jwt.com", "password": "diner"}, timeout=5)
    return get(checkout.url + "/api/order", Authorization=f"Bearer {login.json()['token']}").json()["orders"]


def menu_requests(checkout):
    page = get(checkout.url + "/metrics").text
    return re.findall(
        r'^django_http_requests_latency_seconds_by_view_method_count.*view="menu\.\S+ (\S+)$', page, re.MULTILINE
    )


def granian(checkout):
    """The ids of its processes, the oldest first."""
    return sorted(number for number, line in checkout.processes().items() if "granian" in line)


def eventually(condition, seconds=15):
    end = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < end, "it did not happen in time"
        time.sleep(0.05)  # a process of its own has no clock that could be faked


def test_the_printed_lines_buy_a_pizza_that_the_factory_verifies(checkout, start):
    sale = order(start())

    assert [item["description"] for item in sale["order"]["items"]] == ["Veggie"]
    verified = requests.post(checkout.factory_url + "/api/order/verify", json={"jwt": sale["jwt"]}, timeout=5)
    assert verified.json()["message"] == "valid"


def test_each_printed_address_answers(start):
    addresses = re.findall(r"^(?:The|its) .*?(http://\S+)$", start().said, re.MULTILINE)

    assert len(addresses) == 4
    for address in addresses:
        assert requests.get(address, timeout=5).ok, address


@pytest.mark.parametrize(("number", "code"), [(signal.SIGINT, 130), (signal.SIGTERM, 0), (signal.SIGHUP, 0)])
def test_a_signal_stops_all_of_it(checkout, start, number, code):
    server = start()
    assert len(checkout.processes()) > 5

    assert server.stop(number) == code

    assert checkout.processes() == {}
    assert "Traceback" not in server.said


@pytest.mark.parametrize("seconds", [0.1, 0.6, 1.2, 1.8, 2.4])
def test_ctrl_c_during_the_start_leaves_nothing_behind(checkout, begin, seconds):
    server = begin()
    time.sleep(seconds)  # into another step of the start each time

    assert server.stop() == 130

    assert checkout.processes() == {}
    assert "Traceback" not in server.said


def test_it_stops_when_nobody_reads_any_more_what_it_says(checkout, start):
    server = start()
    server.process.stdout.close()
    get(checkout.url)
    server.process.terminate()

    assert server.process.wait(20) == 0
    assert checkout.processes() == {}


def test_idle_connections_do_not_hold_it_up(checkout, start):
    server = start()
    with requests.Session() as service, requests.Session() as factory:
        assert service.get(checkout.url, timeout=5).ok
        assert factory.get(checkout.factory_url, timeout=5).ok

        begun = time.monotonic()
        server.stop()
        assert time.monotonic() - begun < 4


def test_all_that_it_prints_to_stdout_is_json_line_by_line(checkout, start):
    """What happens: an order, a killed worker, a panic of another program, the end."""
    procfile = checkout.folder / "Procfile"
    procfile.write_text(procfile.read_text().replace("factory: ", "factory: printf 'a\\nb\\377\\n'; "))
    server = start(stdout=checkout.folder / "stdout")
    order(server)
    os.kill(granian(checkout)[1], signal.SIGKILL)
    eventually(lambda: "Unexpected exit" in (checkout.folder / "stdout").read_text())
    server.stop()

    lines = [json.loads(line) for line in (checkout.folder / "stdout").read_text().splitlines()]
    assert {"ts", "level", "type", "source", "component", "message"} <= set.intersection(*map(set, lines))
    assert {(line["logger"], line["level"]) for line in lines if line["message"] in ("a", "b\ufffd")} == {
        ("factory", "error")
    }
    assert [line["statusCode"] for line in lines if line.get("path") == "/api/order"] == [200]


def test_started_again_it_is_up_within_5_seconds_and_keeps_the_data(checkout, start):
    server = start()
    sold = order(server)["order"]["id"]
    seconds = []
    while len(seconds) < 6:  # the best of them: what else the machine does is not the start's
        server.stop()
        server = start()
        seconds.append(server.seconds)
        if server.seconds < 5:
            break

    assert min(seconds) < 5
    assert [sale["id"] for sale in history(checkout)] == [sold]


def test_metrics_are_the_sum_of_both_workers_and_begin_anew_at_each_start(checkout, start):
    for _ in range(2):
        server = start()
        for _ in range(20):
            get(checkout.url + "/api/order/menu")
        assert [menu_requests(checkout) for _ in range(10)] == [["20.0"]] * 10
        assert len(list(checkout.folder.glob(".run/metrics-*/counter_*.db"))) == 2
        server.stop()


def test_a_killed_worker_is_replaced(checkout, start):
    start()
    server, killed, other = granian(checkout)

    os.kill(killed, signal.SIGKILL)

    eventually(lambda: len(set(granian(checkout)) - {killed}) == 3)
    assert {server, other} < set(granian(checkout))
    eventually(lambda: all(get(checkout.url + "/readyz").ok for _ in range(10)))


def test_the_workers_of_a_killed_granian_end_with_it(checkout, start):
    server = start()

    os.kill(granian(checkout)[0], signal.SIGKILL)

    assert server.ended() != 0
    eventually(lambda: checkout.processes() == {})


def test_with_a_factory_named_no_practice_factory_is_started(checkout, start):
    start(FACTORY_URL="http://127.0.0.1:9")

    assert "sandbox" not in " ".join(checkout.processes().values())
    assert get(checkout.url + "/api/docs").json()["config"]["factory"] == "http://127.0.0.1:9"


def test_the_service_and_the_practice_factory_use_the_key_that_is_set(checkout, start):
    assert "jwt" in order(start(FACTORY_API_KEY="a-key-of-our-own"))

    assert get(checkout.factory_url + "/api/vendor", Authorization="Bearer a-key-of-our-own").status_code == 200
    assert get(checkout.factory_url + "/api/vendor", Authorization="Bearer practice-factory-key").status_code == 401


def test_the_database_that_is_set_is_used(checkout, start):
    assert "jwt" in order(start(DATABASE_URL=f"sqlite:///{checkout.folder}/other.sqlite3"))

    assert {path.name for path in checkout.folder.glob("*.sqlite3")} == {"other.sqlite3"}


def test_in_production_nothing_is_seeded(checkout, start):
    assert "d@jwt.com" not in start(**PRODUCTION).said

    assert checkout.manage("shell", "-v0", "-c", USERS, **PRODUCTION).stdout == "0\n"


def test_in_production_plain_http_is_for_probes_and_for_a_proxy_that_speaks_tls(checkout, start):
    start(**PRODUCTION)

    menu = get(checkout.url + "/api/order/menu", Host="pizza.example")
    assert (menu.status_code, menu.headers["Location"]) == (301, "https://pizza.example/api/order/menu")
    proxied = get(checkout.url + "/api/order/menu", Host="pizza.example", **{"X-Forwarded-Proto": "https"})
    assert proxied.status_code == 200
    for path in ("/livez", "/readyz", "/readyz/"):
        assert get(checkout.url + path, Host="pizza.example").status_code == 200


def test_granian_alone_says_what_production_misses_and_ends(checkout):
    web = (checkout.folder / "Procfile").read_text().splitlines()[0].removeprefix("web: exec ")

    refused = checkout.run("bash", "-c", f"PATH=.venv/bin:$PATH {web}", **PRODUCTION | {"SECRET_KEY": ""})

    assert json.loads(refused.stderr)["message"] == (
        "SECRET_KEY is missing or the development one: set it to 50 random characters of your own."
    )
    assert "Traceback" not in refused.stdout
    assert checkout.processes() == {}
