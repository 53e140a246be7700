"""What happens beside a login or a change, between two of its steps."""

import pytest

from jwtpizza.accounts.models import Session, User
from tests.actors import Actor, logged_in


@pytest.fixture
def between(monkeypatch):
    """Has something done after the password was checked and before the session is opened."""

    def arrange(deed):
        real = User.check_password

        def check(self, raw):
            correct = real(self, raw)
            deed()
            return correct

        monkeypatch.setattr(User, "check_password", check)

    return arrange


def change_password():
    user = User.objects.get(email="d@jwt.com")
    user.set_password("changed")
    user.save()


def test_a_password_that_changes_while_it_is_checked_opens_no_session(demo, between):
    between(change_password)
    assert Actor().put("/api/auth", {"email": "d@jwt.com", "password": "diner"}).status_code == 404
    assert not Session.objects.exists()


def test_a_user_who_is_disabled_meanwhile_has_no_session(demo, between):
    between(lambda: User.objects.filter(email="d@jwt.com").update(is_active=False))
    assert Actor().put("/api/auth", {"email": "d@jwt.com", "password": "diner"}).status_code == 404


def test_an_upgrade_of_the_hash_does_not_bring_the_old_password_back(demo, monkeypatch, settings):
    user = User.objects.get(email="d@jwt.com")
    settings.PASSWORD_HASHERS = settings.PASSWORD_HASHERS[::-1]
    change_password()
    assert not user.check_password("nothing")
    assert user.check_password("diner")
    assert User.objects.get(email="d@jwt.com").check_password("changed")


def test_a_session_that_ends_while_its_user_is_changed_is_no_session(diner, monkeypatch):
    real = User.objects.select_for_update

    def locked():
        Session.objects.all().delete()
        return real()

    monkeypatch.setattr(User.objects, "select_for_update", locked)
    answer = diner.put(f"/api/user/{diner.user['id']}", {"name": "thief"})
    assert (answer.status_code, answer["WWW-Authenticate"]) == (401, "Bearer")
    assert User.objects.get(email="d@jwt.com").name == "pizza diner"


def test_a_user_who_was_disabled_and_is_enabled_again_has_to_log_in(diner):
    user = User.objects.get(email="d@jwt.com")
    for active in (False, True):
        user.is_active = active
        user.save()
    assert diner.get("/api/user/me").status_code == 401
    assert logged_in("d@jwt.com", "diner").get("/api/user/me").status_code == 200
