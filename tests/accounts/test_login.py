"""Logging in, and what it takes to keep a password."""

import bcrypt
import pytest
from django.contrib.auth.hashers import Argon2PasswordHasher, PBKDF2PasswordHasher

from jwtpizza.accounts.models import Session, User
from jwtpizza.accounts.passwords import Argon2id
from tests.actors import Actor, logged_in

OWASP = "argon2$argon2id$v=19$m=19456,t=2,p=1$"


def log_in(email, password):
    return Actor().put("/api/auth", {"email": email, "password": password})


@pytest.fixture
def kept(demo):
    """Makes the diner's stored password this hash; reads the stored one."""

    def keep(encoded=None):
        diner = User.objects.filter(email="d@jwt.com")
        if encoded is not None:
            diner.update(password=encoded)
        return diner.get().password

    return keep


@pytest.fixture
def work(monkeypatch):
    """Each time that Argon2id works for a password, by what for."""
    done = []
    for what in ("encode", "verify"):
        real = getattr(Argon2id, what)
        monkeypatch.setattr(Argon2id, what, lambda *args, real=real, what=what: done.append(what) or real(*args))
    return done


def test_a_login_answers_the_user_and_a_token(demo):
    answer = log_in("d@jwt.com", "diner").json()
    assert answer["user"] == {"id": 2, "name": "pizza diner", "email": "d@jwt.com", "roles": [{"role": "diner"}]}
    assert Actor(answer["token"]).get("/api/user/me").status_code == 200


@pytest.mark.parametrize(("email", "password"), [("d@jwt.com", "wrong"), ("nobody@jwt.com", "diner"), ("x", "diner")])
def test_a_wrong_password_and_an_unknown_user_are_one_answer(demo, email, password):
    answer = log_in(email, password)
    assert answer.status_code == 404
    assert answer.json()["message"] == "unknown user"


@pytest.mark.parametrize(
    ("email", "password"), [("d@jwt.com", "diner"), ("d@jwt.com", "wrong"), ("nobody@jwt.com", "x")]
)
def test_each_login_is_the_work_of_one_hash(demo, work, email, password):
    log_in(email, password)
    assert len(work) == 1


def test_a_disabled_user_is_unknown_after_the_work_of_one_hash(demo, work):
    User.objects.filter(email="d@jwt.com").update(is_active=False)
    assert log_in("d@jwt.com", "diner").status_code == 404
    assert len(work) == 1


def test_a_password_is_kept_as_owasp_asks(kept):
    assert kept().startswith(OWASP)


def test_a_hash_that_is_as_it_should_be_stays(kept):
    before = kept()
    assert log_in("d@jwt.com", "diner").status_code == 200
    assert kept() == before


OLDER = {
    "bcrypt of the service before": lambda: "bcrypt$" + bcrypt.hashpw(b"diner", bcrypt.gensalt(4)).decode(),
    "argon2 with Django's parameters": lambda: Argon2PasswordHasher().encode("diner", "saltsaltsalt"),
    "pbkdf2": lambda: PBKDF2PasswordHasher().encode("diner", "saltsaltsalt", iterations=1000),
}


@pytest.mark.parametrize("older", OLDER)
def test_an_older_hash_is_good_and_upgraded_at_the_login(kept, older):
    kept(OLDER[older]())
    assert log_in("d@jwt.com", "diner").status_code == 200
    assert kept().startswith(OWASP)
    assert log_in("d@jwt.com", "diner").status_code == 200


@pytest.mark.parametrize("older", OLDER)
def test_a_wrong_password_upgrades_nothing(kept, older):
    before = OLDER[older]()
    kept(before)
    assert log_in("d@jwt.com", "wrong").status_code == 404
    assert kept() == before


def test_bcrypt_looked_at_72_bytes_and_the_upgrade_looks_at_all(kept):
    long = "пароль " * 20
    kept("bcrypt$" + bcrypt.hashpw(long.encode()[:72], bcrypt.gensalt(4)).decode())
    assert log_in("d@jwt.com", long).status_code == 200
    assert log_in("d@jwt.com", long + "!").status_code == 404
    assert log_in("d@jwt.com", long).status_code == 200


def test_each_login_is_a_session_of_its_own(demo):
    assert logged_in("d@jwt.com", "diner").token != logged_in("d@jwt.com", "diner").token
    assert Session.objects.filter(user__email="d@jwt.com").count() == 2
