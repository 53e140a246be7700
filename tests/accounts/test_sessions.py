"""When a token is good, and what ends it."""

from datetime import timedelta

import jwt
import pytest
from django.conf import settings
from django.contrib.admin.models import LogEntry
from django.contrib.auth.models import AbstractBaseUser
from django.utils import timezone

from jwtpizza.accounts.models import Session, User
from jwtpizza.fields import from_now
from tests.actors import Actor, logged_in


def works(actor):
    return actor.get("/api/user/me").status_code == 200


@pytest.fixture
def phone(demo):
    """The diner again, on another device."""
    return logged_in("d@jwt.com", "diner")


def test_a_logout_ends_this_session_and_no_other(diner, phone):
    assert diner.delete("/api/auth").json() == {"message": "logout successful"}
    assert not works(diner)
    assert works(phone)


def test_a_second_logout_is_nobodys(diner):
    diner.delete("/api/auth")
    assert diner.delete("/api/auth").status_code == 401


def test_a_new_password_ends_each_older_session(diner, phone):
    answer = diner.put("/api/user/2", {"password": "new"}).json()
    assert not works(diner)
    assert not works(phone)
    assert works(Actor(answer["token"]))
    assert works(logged_in("d@jwt.com", "new"))
    assert Actor().put("/api/auth", {"email": "d@jwt.com", "password": "diner"}).status_code == 404


def test_a_new_name_ends_none(diner, phone):
    diner.put("/api/user/2", {"name": "new"})
    assert works(diner)
    assert works(phone)


def test_an_admin_who_changes_a_password_gets_a_token_of_their_own(admin, diner):
    answer = admin.put("/api/user/2", {"password": "new"}).json()
    assert answer["user"]["id"] == 2
    assert Actor(answer["token"]).get("/api/user/me").json()["email"] == "a@jwt.com"
    assert not works(diner)
    assert works(admin)


def test_a_disabled_users_token_ends_at_once(diner):
    User.objects.filter(pk=2).update(is_active=False)
    assert not works(diner)


def test_a_deleted_users_token_ends_at_once(diner, admin):
    assert admin.delete("/api/user/2").status_code == 200
    assert not works(diner)


# --- ended by an admin ----------------------------------------------------------------------------


def at_work(browser):
    return browser.get("/admin/").status_code == 200


def end_sessions(email):
    User.objects.get(email=email).end_sessions()


def test_ended_sessions_are_over_on_each_device(diner, phone, admin):
    end_sessions("d@jwt.com")
    assert [works(actor) for actor in (diner, phone, admin)] == [False, False, True]


def test_ended_sessions_are_over_in_the_admin_too(desk):
    end_sessions("d@jwt.com")
    assert at_work(desk)
    end_sessions("a@jwt.com")
    assert not at_work(desk)


def test_who_logs_in_again_is_in(diner, desk):
    for email in ("d@jwt.com", "a@jwt.com"):
        end_sessions(email)
    assert works(logged_in("d@jwt.com", "diner"))
    desk.post("/admin/login/?next=/admin/", {"username": "a@jwt.com", "password": "admin"})
    assert at_work(desk)


def test_sessions_can_be_ended_twice(desk):
    for _ in range(2):
        desk.force_login(User.objects.get(email="a@jwt.com"))
        end_sessions("a@jwt.com")
        assert not at_work(desk)


def test_until_then_a_login_to_the_admin_is_good_with_djangos_own_hash(demo):
    user = User.objects.get(email="a@jwt.com")
    assert user.get_session_auth_hash() == AbstractBaseUser.get_session_auth_hash(user)


def test_an_admin_ends_somebodys_sessions(desk, diner, admin):
    pk = diner.user["id"]
    desk.post("/admin/accounts/user/", {"action": "end_sessions", "_selected_action": [pk]})
    assert [works(actor) for actor in (diner, admin)] == [False, True]
    assert at_work(desk)
    assert LogEntry.objects.get(object_id=pk).get_change_message() == "Sessions ended."


# --- by itself, and never -------------------------------------------------------------------------


def test_a_token_ends_when_its_time_is_over(diner, time_machine):
    assert works(diner)
    time_machine.move_to(timezone.now() + timedelta(days=30, minutes=1))
    assert not works(diner)


def test_a_token_is_good_for_thirty_days(diner, time_machine):
    time_machine.move_to(timezone.now() + timedelta(days=29, hours=23))
    assert works(diner)


def test_a_login_sweeps_out_the_users_sessions_that_are_over_and_no_others(diner, phone, franchisee):
    over, left = Session.objects.filter(user=2)
    Session.objects.exclude(pk=left.pk).update(expires_at=from_now(-1))
    logged_in("d@jwt.com", "diner")
    assert Session.objects.filter(user=2).exclude(pk=left.pk).count() == 1
    assert not Session.objects.filter(pk=over.pk).exists()
    assert Session.objects.filter(user=3).exists()


def signed(key, **claims):
    hour = timezone.now() + timedelta(hours=1)
    claims = {"token_type": "access", "exp": hour, "iat": timezone.now(), "user_id": "2", **claims}
    return jwt.encode(claims, key, algorithm="HS256" if key else "none")


def test_a_token_that_we_did_not_sign_is_nobodys(diner):
    jti = Session.objects.get(user=2).jti
    assert works(Actor(signed(settings.SECRET_KEY, jti=jti)))
    assert not works(Actor(signed("another key of the same length, but not the one we have", jti=jti)))
    assert not works(Actor(signed(None, jti=jti)))


def test_a_token_without_a_session_is_nobodys(demo):
    assert not works(Actor(signed(settings.SECRET_KEY, jti="0" * 32)))
    assert not works(Actor(signed(settings.SECRET_KEY)))


def test_a_token_says_nothing_of_who_may_do_what(diner):
    session = Session.objects.get(user=2)
    forged = Actor(signed(settings.SECRET_KEY, jti=session.jti, user_id="1", role="admin"))
    assert forged.get("/api/user/me").json()["id"] == 2
    assert forged.get("/api/user").status_code == 403


@pytest.mark.parametrize(
    "header", ["", "Bearer", "Bearer ", "Basic {}", "{}", "Bearer {} x", "Bearer \x80", "Token {}"]
)
def test_anything_but_bearer_and_a_token_is_nobodys(diner, header):
    assert Actor().get("/api/user/me", Authorization=header.format(diner.token)).status_code == 401


@pytest.mark.parametrize("scheme", ["Bearer", "bearer", "BEARER"])
def test_the_scheme_is_bearer_in_any_case(diner, scheme):
    assert Actor().get("/api/user/me", Authorization=f"{scheme} {diner.token}").status_code == 200


def test_a_cookie_is_no_token(demo):
    browser = Actor()
    browser.client.post("/admin/login/", {"username": "a@jwt.com", "password": "admin"})
    assert browser.client.cookies
    assert browser.get("/api/user/me").status_code == 401
