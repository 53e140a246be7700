"""Mixed traffic, as a web app makes it: locust --headless --locustfile tests/load/locustfile.py --host http://…

BENCH_TOWN is a file with what `tests.load.town` tells: tokens, and what can be ordered.
"""

import json
import os
import random
from pathlib import Path

from locust import FastHttpUser, constant, task

from tests.load.calls import LIST, LOGINS, MENU
from tests.load.town import Town

JSON = {"Content-Type": "application/json"}
BUSY = 503
TOWN = Town(**json.loads(Path(os.environ["BENCH_TOWN"]).read_text()))
LOGIN = LOGINS.sent(TOWN)


class Diner(FastHttpUser):
    """Looks around more often than they order, and never waits."""

    wait_time = constant(0)

    def on_start(self) -> None:
        self.client.client.concurrency = 1
        self.headers = {"Authorization": f"Bearer {random.choice(TOWN.diners)}"}

    @task(10)
    def menu(self) -> None:
        self.client.get(MENU)

    @task(4)
    def franchises(self) -> None:
        self.client.get(LIST)

    @task(4)
    def me(self) -> None:
        self.client.get("/api/user/me", headers=self.headers)

    @task(2)
    def history(self) -> None:
        self.client.get("/api/order", headers=self.headers)

    @task(2)
    def order(self) -> None:
        body = json.loads(TOWN.order(random.randrange(1000)))
        self.client.post("/api/order", headers=self.headers, json=body)

    @task(1)
    def log_in(self) -> None:
        """Refused while too many do: that is an answer, too."""
        [sent] = random.sample(LOGIN, 1)
        with self.client.put(sent.path, headers=JSON, data=sent.body, catch_response=True) as answer:
            if answer.status_code == BUSY:
                answer.success()
