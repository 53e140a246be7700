"""Whether the process lives, and whether it can serve."""

from django.db import OperationalError

from tests.actors import Actor


def test_livez_asks_nobody():
    assert Actor().get("/livez").json() == {"status": "live"}


def test_readyz_is_ready_while_the_database_answers(anonymous):
    answer = anonymous.get("/readyz")
    factory = {"ordering": "degraded", "since": None, "workers": [], "canary": None, "lastOrder": None}
    assert (answer.status_code, answer.json()) == (200, {"status": "ready", "database": "up", "factory": factory})


def test_readyz_tells_how_the_last_order_ended_and_stays_ready(diner, anonymous, factory):
    factory.chaos("fail")
    diner.order(1)
    answer = anonymous.get("/readyz")
    assert answer.status_code == 200
    last = answer.json()["factory"]["lastOrder"]
    assert (last["status"], last["reason"]) == ("failed", "server_error")


class Gone:
    def cursor(self):
        raise OperationalError("gone: postgres://user:password@host")


def test_readyz_is_503_while_the_database_does_not_answer(anonymous, monkeypatch):
    monkeypatch.setattr("jwtpizza.observability.health.connection", Gone())
    answer = anonymous.get("/readyz")
    assert answer.status_code == 503
    assert answer["Retry-After"]
    assert "password" not in answer.text
