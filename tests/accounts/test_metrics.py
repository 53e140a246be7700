"""Who logs in, and who is there."""

import pytest
from django.db import connection
from django.test import Client
from django.test.utils import CaptureQueriesContext
from prometheus_client import REGISTRY

from jwtpizza.accounts import selectors, services
from jwtpizza.accounts.models import User
from jwtpizza.fields import from_now


@pytest.fixture
def attempts():
    """How many logins came to what since the test began."""
    results = ("success", "failure", "refused")

    def now():
        return [REGISTRY.get_sample_value("jwtpizza_auth_attempts_total", {"result": result}) for result in results]

    before = now()
    return lambda: [int(later - earlier) for later, earlier in zip(now(), before, strict=True)]


def log_in(anonymous, email, password):
    return anonymous.put("/api/auth", {"email": email, "password": password}).status_code


def test_a_login_is_a_success_or_a_failure(anonymous, attempts):
    assert log_in(anonymous, "d@jwt.com", "diner") == 200
    assert attempts() == [1, 0, 0]
    assert [log_in(anonymous, "d@jwt.com", "wrong"), log_in(anonymous, "nobody@jwt.com", "diner")] == [404, 404]
    assert attempts() == [1, 2, 0]


def test_who_sends_no_login_has_not_tried(anonymous, attempts):
    anonymous.put("/api/auth", {"email": "d@jwt.com"})
    anonymous.post("/api/auth", {"name": "n", "email": "n@jwt.com", "password": "secret"})
    assert attempts() == [0, 0, 0]


def test_the_admins_logins_count_too(demo, attempts):
    for password in ("wrong", "admin"):
        Client().post("/admin/login/", {"username": "a@jwt.com", "password": password})
    assert attempts() == [1, 1, 0]


def test_a_diner_who_is_not_let_into_the_admin_has_failed_there(demo, attempts):
    Client().post("/admin/login/", {"username": "d@jwt.com", "password": "diner"})
    assert attempts() == [0, 1, 0]


def test_who_failed_too_often_is_refused(anonymous, attempts, settings):
    settings.AXES_FAILURE_LIMIT = 1
    assert [log_in(anonymous, "a@jwt.com", password) for password in ("wrong", "admin")] == [404, 429]
    Client().post("/admin/login/", {"username": "a@jwt.com", "password": "admin"})
    assert attempts() == [0, 1, 2]


def active():
    services.write_seen()
    (metric,) = selectors.gauges()
    return metric.samples[0].value


def test_who_was_seen_in_the_last_5_minutes_is_active_once(diner, admin):
    diner.get("/api/user/me")
    diner.get("/api/order")
    admin.get("/api/user/me")
    assert active() == 2
    User.objects.filter(email="d@jwt.com").update(seen_at=from_now(-301))
    assert active() == 1
    diner.get("/api/user/me")
    assert active() == 2


def test_who_works_in_the_admin_is_active(demo):
    client = Client()
    client.force_login(User.objects.get(email="a@jwt.com"))
    client.get("/admin/")
    assert active() == 1


def test_nobody_is_seen_who_has_no_session(diner, anonymous):
    diner.delete("/api/auth")
    services.write_seen()
    User.objects.update(seen_at=None)
    diner.get("/api/user/me")
    anonymous.get("/api/order/menu")
    assert active() == 0


def test_each_is_written_down_once_a_minute_at_most(diner):
    diner.get("/api/user/me")
    services.write_seen()
    seen = User.objects.get(email="d@jwt.com").seen_at
    diner.get("/api/user/me")
    services.write_seen()
    assert User.objects.get(email="d@jwt.com").seen_at == seen
    User.objects.update(seen_at=from_now(-61))
    diner.get("/api/user/me")
    services.write_seen()
    assert User.objects.get(email="d@jwt.com").seen_at > seen


def test_many_are_written_in_few_statements(db, monkeypatch):
    monkeypatch.setattr(services, "AT_ONCE", 100)
    for user_id in range(1, 251):
        services.saw(user_id)
    with CaptureQueriesContext(
        connection,
    ) as written:
        services.write_seen()
    assert len(written) == 3
