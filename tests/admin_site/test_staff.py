"""Who may work in the admin: admins, and whoever runs a franchise, from the moment on that they do."""

import pytest
from django.contrib.admin.models import LogEntry
from django.test import Client

from franchises.models import Franchise
from jwtpizza.accounts.models import User
from tests.actors import registered


def log_in(email, password):
    browser = Client()
    return browser, browser.post("/admin/login/?next=/admin/", {"username": email, "password": password})


def is_in(browser):
    return browser.get("/admin/").status_code == 200


def test_an_admin_and_a_franchisee_are_let_in(desk, counter):
    assert is_in(desk)
    assert is_in(counter)


def test_a_diner_is_told_in_a_sentence_that_this_is_not_for_them(demo):
    browser, answer = log_in("d@jwt.com", "diner")
    assert "This is where shops are run, and your account runs none." in answer.text
    assert not is_in(browser)


def test_a_wrong_password_is_not_told_whether_there_is_a_shop(demo):
    for email in ("f@jwt.com", "d@jwt.com", "nobody@jwt.com"):
        _, answer = log_in(email, "wrong")
        assert "runs none" not in answer.text


def test_who_is_named_through_the_api_is_let_in_at_once(admin):
    ada = registered("ada")
    assert not is_in(log_in("ada@jwt.com", "secret")[0])
    opened = admin.post("/api/franchise", {"name": "Ada's", "admins": [{"email": "ada@jwt.com"}]})
    assert opened.status_code == 200, ada
    assert is_in(log_in("ada@jwt.com", "secret")[0])


def test_who_is_named_in_the_admin_is_let_in_at_once(desk, diner):
    people = [str(user["id"]) for user in (diner.user, {"id": 3})]
    answer = desk.post("/admin/franchises/franchise/1/change/", {"name": "pizzaPocket", "admins": people})
    assert answer.status_code == 302
    assert is_in(log_in("d@jwt.com", "diner")[0])


def test_who_is_no_longer_named_is_out_with_the_next_request(counter):
    assert is_in(counter)
    Franchise.objects.get(pk=1).admins.clear()
    assert not is_in(counter)
    assert counter.get("/admin/franchises/store/1/change/").status_code == 302


def test_who_is_disabled_is_out_with_the_next_request(counter):
    User.objects.filter(email="f@jwt.com").update(is_active=False)
    assert not is_in(counter)


def test_a_login_from_before_somebody_was_disabled_is_no_good_after(counter):
    user = User.objects.get(email="f@jwt.com")
    for active in (False, True):
        user.is_active = active
        user.save()
    assert not is_in(counter)
    assert is_in(log_in("f@jwt.com", "franchisee")[0])


def test_guesses_at_a_password_of_ones_own_are_counted(counter, settings):
    settings.AXES_FAILURE_LIMIT = 3
    guess = {"old_password": "wrong", "new_password1": "anders-2026", "new_password2": "anders-2026"}
    for _ in range(3):
        assert counter.post("/admin/password_change/", guess).status_code == 200
    page = counter.post("/admin/password_change/", guess | {"old_password": "franchisee"}, follow=True)
    assert "There were too many failed logins to this account." in page.text
    assert User.objects.get(email="f@jwt.com").check_password("franchisee")


def test_whose_franchise_was_closed_still_reads_its_books(counter, admin):
    admin.delete("/api/franchise/1")
    assert is_in(counter)
    assert counter.get("/admin/franchises/store/1/change/").status_code == 200
    assert counter.post("/admin/franchises/store/add/", {"franchise": 1, "name": "Provo"}).status_code == 200
    assert Franchise.objects.get(pk=1).stores.count() == 1


def test_a_user_is_made_franchisee_on_their_own_page_too(desk, diner):
    form = {"name": "pizza diner", "email": "d@jwt.com", "is_active": "on"}
    form |= {"Franchise_admins-TOTAL_FORMS": "1", "Franchise_admins-INITIAL_FORMS": "0"}
    answer = desk.post(f"/admin/accounts/user/{diner.user['id']}/change/", form | {"Franchise_admins-0-franchise": "1"})
    assert answer.status_code == 302, answer.context["errors"]
    assert "pizzaPocket" in LogEntry.objects.get().get_change_message()
    assert {"role": "franchisee", "objectId": 1} in diner.get("/api/user/me").json()["roles"]
    assert is_in(log_in("d@jwt.com", "diner")[0])


def test_a_list_of_users_says_what_each_is(desk):
    page = desk.get("/admin/accounts/user/").text
    assert "diner, franchisee" in page
    assert "admin" in page


@pytest.mark.parametrize("who", ["a", "f"])
def test_logging_out_ends_it(enter, who):
    browser = enter(f"{who}@jwt.com", {"a": "admin", "f": "franchisee"}[who])
    assert browser.post("/admin/logout/").status_code == 200
    assert not is_in(browser)
