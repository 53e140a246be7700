"""Passwords are hashed one at a time: who comes when too many wait is told so, and nothing was looked at."""

import pytest
from axes.models import AccessAttempt
from django.db import transaction
from django.test import Client
from prometheus_client import REGISTRY

from jwtpizza import turns
from jwtpizza.accounts import passwords
from jwtpizza.accounts.models import Session, User
from jwtpizza.accounts.passwords import Argon2id, LegacyBcrypt
from jwtpizza.resilience.bulkhead import Bulkhead
from tests.actors import Actor

SENTENCE = "Too many people are logging in right now. Please try again in a few seconds."
NEWCOMER = {"name": "n", "email": "n@jwt.com", "password": "secret"}


@pytest.fixture
def hashing(monkeypatch):
    """One place, and nobody may wait for it."""
    bulkhead = Bulkhead(places=1, queue=0, seconds=1.0)
    monkeypatch.setattr(passwords, "HASHING", bulkhead)
    return bulkhead


@pytest.fixture
def full(demo, hashing):
    """Somebody's password is being hashed until they leave."""
    hashing.enter()
    return hashing


@pytest.fixture
def counted():
    """How many logins came to what since the test began."""

    def now(result):
        return REGISTRY.get_sample_value("jwtpizza_auth_attempts_total", {"result": result}) or 0

    before = {result: now(result) for result in ("success", "failure", "refused")}
    return lambda: {result: int(now(result) - was) for result, was in before.items() if now(result) != was}


def log_in(email="d@jwt.com", password="diner"):
    return Actor().put("/api/auth", {"email": email, "password": password})


def log_in_to_admin(password="admin"):
    return Client().post("/admin/login/?next=/admin/", {"username": "a@jwt.com", "password": password})


def assert_may_come_again(answer):
    assert answer.status_code == 503
    assert 1 <= int(answer.headers["Retry-After"]) <= 5


# --- the API --------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("email", "password"), [("d@jwt.com", "diner"), ("d@jwt.com", "wrong"), ("nobody@jwt.com", "diner")]
)
def test_a_login_is_refused_whoever_it_is(full, counted, email, password):
    answer = log_in(email, password)
    assert_may_come_again(answer)
    body = answer.json()
    assert body.pop("requestId") == answer.headers["X-Request-Id"]
    assert body == {"message": SENTENCE, "error": "Too many logins", "statusCode": 503}
    assert counted() == {"refused": 1}
    assert (AccessAttempt.objects.count(), Session.objects.count()) == (0, 0)


def test_a_registration_is_refused_and_nobody_is_registered(full, counted):
    answer = Actor().post("/api/auth", NEWCOMER)
    assert_may_come_again(answer)
    assert answer.json()["message"] == SENTENCE
    assert counted() == {"refused": 1}
    assert not User.objects.filter(email="n@jwt.com").exists()


def test_a_new_password_is_refused_and_the_old_one_stays(diner, hashing, counted):
    hashing.enter()
    answer = diner.put(f"/api/user/{diner.user['id']}", {"name": "x", "password": "other"})
    assert_may_come_again(answer)
    assert counted() == {"refused": 1}
    hashing.leave()
    assert diner.get("/api/user/me").json()["name"] == "pizza diner"
    assert log_in().status_code == 200


def test_refused_logins_lock_nobody_out(full, settings):
    settings.AXES_FAILURE_LIMIT = 2
    assert {log_in(password="wrong").status_code for _ in range(5)} == {503}
    full.leave()
    assert log_in().status_code == 200


def test_whoever_comes_when_the_place_is_free_is_let_in(full, counted):
    full.leave()
    assert [log_in().status_code for _ in range(3)] == [200] * 3
    assert Actor().post("/api/auth", NEWCOMER).status_code == 200
    assert log_in_to_admin().status_code == 302
    assert counted() == {"success": 4}


def test_what_needs_no_password_is_answered_all_the_same(diner, hashing):
    hashing.enter()
    assert [diner.get(path).status_code for path in ("/api/user/me", "/api/order/menu", "/api/order")] == [200] * 3
    assert diner.delete("/api/auth").status_code == 200


# --- the admin ------------------------------------------------------------------------------------


@pytest.mark.parametrize("password", ["admin", "wrong"])
def test_the_admins_form_says_it_too(full, counted, password):
    answer = log_in_to_admin(password)
    assert_may_come_again(answer)
    assert answer.headers["Content-Type"] == "text/html; charset=utf-8"
    assert SENTENCE in answer.text
    assert 'name="password"' in answer.text
    assert counted() == {"refused": 1}
    assert AccessAttempt.objects.count() == 0
    full.leave()
    assert log_in_to_admin().status_code == 302


def test_whoever_changes_their_password_in_the_admin_is_told_on_a_page(desk, hashing):
    form = {"old_password": "admin", "new_password1": "pâtes-26", "new_password2": "pâtes-26"}
    before = list(User.objects.order_by("pk").values())
    desk.raise_request_exception = False
    hashing.enter()
    answer = desk.post("/admin/password_change/", form)
    assert_may_come_again(answer)
    assert answer.headers["Content-Type"] == "text/html; charset=utf-8"
    assert SENTENCE in answer.text
    assert list(User.objects.order_by("pk").values()) == before
    assert AccessAttempt.objects.count() == 0
    hashing.leave()
    assert desk.post("/admin/password_change/", form).status_code == 302


def test_an_admin_who_sets_a_password_in_a_transaction_does_not_stand_in_line(desk, hashing):
    form = {"password1": "pâtes-26", "password2": "pâtes-26", "usable_password": "true"}
    hashing.enter()
    assert desk.post("/admin/accounts/user/2/password/", form).status_code == 302


# --- the place ------------------------------------------------------------------------------------


def places(bulkhead):
    bulkhead.enter()
    bulkhead.leave()
    return 1


@pytest.mark.parametrize(
    ("hasher", "arguments"),
    [(Argon2id, ("diner", "")), (Argon2id, (None, "saltsalt")), (LegacyBcrypt, ("diner", "no salt of bcrypt's"))],
)
def test_the_place_is_free_again_after_an_error(hashing, hasher, arguments):
    for _ in range(2):
        with pytest.raises(Exception, match=r".") as raised:
            hasher().encode(*arguments)
        assert not isinstance(raised.value, passwords.TooManyPasswords)
    assert places(hashing) == 1


def test_of_a_hash_that_makes_no_sense_too(hashing):
    assert not Argon2id().verify("diner", "argon2$argon2id$v=19$m=19456,t=2,p=1$nonsense")
    assert places(hashing) == 1


def test_an_old_hash_that_is_upgraded_takes_the_place_twice_and_not_at_once(demo, hashing):
    User.objects.filter(email="d@jwt.com").update(password=LegacyBcrypt().encode("diner", LegacyBcrypt().salt()))
    assert log_in().status_code == 200
    assert User.objects.get(email="d@jwt.com").password.startswith("argon2$")


@pytest.mark.parametrize("hasher", [Argon2id, LegacyBcrypt])
def test_who_hashes_holds_no_turn(hashing, monkeypatch, hasher):
    held = []
    ours = turns.Turns(1, patience=0)
    monkeypatch.setattr(passwords, "TURNS", ours)
    ours.take()
    real = {Argon2id: "argon2.low_level.hash_secret", LegacyBcrypt: "bcrypt.hashpw"}[hasher]
    module, _, name = real.rpartition(".")
    work = getattr(__import__(module, fromlist=[name]), name)
    monkeypatch.setattr(real, lambda *args, **kwargs: held.append(ours._held()) or work(*args, **kwargs))
    salt = hasher().salt()
    hasher().encode("diner", salt)
    assert held == [False]
    assert ours.leave()


@pytest.mark.django_db(transaction=True)
def test_whoever_has_locks_does_not_stand_in_line_with_them(monkeypatch):
    monkeypatch.setattr(passwords, "HASHING", Bulkhead(places=0, queue=0, seconds=0))
    user = User.objects.create(name="n", email="n@jwt.com")
    with transaction.atomic():
        user.set_password("secret")
        user.save()
    assert User.objects.get(pk=user.pk).password.startswith("argon2$")
