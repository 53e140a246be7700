"""Two at once: what an admin's form read is no longer so when it is saved."""

import pytest
from django.db import connection

from franchises import services as franchises
from franchises.models import Franchise
from jwtpizza.accounts import services as accounts
from jwtpizza.accounts.admin import Page
from jwtpizza.accounts.models import User
from menu import services as menu
from menu.models import MenuItem
from tests.admin_site.test_site import NONE_RUN

DINER = {"name": "renamed", "email": "d@jwt.com", "is_active": "on"} | NONE_RUN


@pytest.fixture
def meanwhile(monkeypatch):
    """Does something else after the form was read and just before it is saved."""

    def meanwhile(what):
        save = Page.save_model

        def later(self, *args):
            what()
            save(self, *args)

        monkeypatch.setattr(Page, "save_model", later)

    return meanwhile


def test_a_password_that_a_user_changed_stays(desk, diner, meanwhile):
    meanwhile(lambda: User.objects.filter(pk=2).update(password="changed"))
    desk.post("/admin/accounts/user/2/change/", DINER)
    assert User.objects.values_list("name", "password").get(pk=2) == ("renamed", "changed")


def test_who_was_erased_stays_erased(desk, diner, meanwhile):
    meanwhile(lambda: accounts.delete(user_id=2))
    desk.post(
        "/admin/accounts/user/2/change/", {"name": "pizza diner", "email": "d@jwt.com", "is_active": "on"} | NONE_RUN
    )
    assert User.objects.values_list("name", "email", "is_active").get(pk=2) == ("", "", False)


def test_a_franchise_that_was_closed_stays_closed(desk, meanwhile):
    meanwhile(lambda: franchises.close_franchise(franchise_id=1))
    desk.post("/admin/franchises/franchise/1/change/", {"name": "renamed", "admins": ["3"]})
    assert Franchise.objects.get(pk=1).closed_at is not None


def test_an_item_that_was_retired_stays_retired(desk, meanwhile):
    meanwhile(lambda: menu.retire_item(item_id=1))
    form = {"title": "Veggie", "description": "x", "image": "x.png", "price": "0.1"}
    desk.post("/admin/menu/menuitem/1/change/", form)
    assert MenuItem.objects.get(pk=1).retired_at is not None


def test_a_form_waits_for_who_works_on_the_same_row(desk):
    """All admins are locked first, and then the user; SQLite lets one write at a time anyway, whatever it writes."""
    said = []

    def heard(execute, sql, *rest):
        said.append(sql)
        return execute(sql, *rest)

    with connection.execute_wrapper(heard):
        desk.post("/admin/accounts/user/2/change/", DINER)
    locks = ["is_superuser" in sql.partition("WHERE")[2] for sql in said if "FOR UPDATE" in sql]
    assert locks == ([True, False] if connection.features.has_select_for_update else [])


def test_the_last_admin_is_found_out_under_the_lock(desk, demo, meanwhile):
    """Of two admins who take each other's role, the second one's form is read after the first one's was saved."""
    other = User.objects.create_user(name="other", email="other@jwt.com", password="x", is_superuser=True)
    form = {"name": "x", "is_active": "on"} | NONE_RUN
    assert desk.post(f"/admin/accounts/user/{other.pk}/change/", form | {"email": "other@jwt.com"}).status_code == 302
    answer = desk.post("/admin/accounts/user/1/change/", form | {"email": "a@jwt.com"})
    assert "last admin" in answer.text
