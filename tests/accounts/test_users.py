"""The list of users, and their roles as they are now."""

import pytest
from django.utils import timezone

from franchises.models import Franchise
from jwtpizza.accounts.models import User


@pytest.fixture
def names(admin):
    """The names on a page of the list, and whether there are more."""

    def page(query=""):
        answer = admin.get(f"/api/user?{query}").json()
        return [user["name"] for user in answer["users"]], answer["more"]

    return page


@pytest.fixture
def crowd(demo):
    """Twelve people beside the demo's three."""
    User.objects.bulk_create(User(name=f"Élodie {n}", email=f"{n}@jwt.com") for n in range(12))


DEMO = ["常用名字", "pizza diner", "pizza franchisee"]


def test_users_come_by_id(names):
    assert names() == (DEMO, False)


def test_a_page_has_ten_unless_told_otherwise(names, crowd):
    found, more = names()
    assert (len(found), more) == (10, True)
    assert names("limit=15") == (DEMO + [f"Élodie {n}" for n in range(12)], False)


def test_pages_count_from_1_and_0_reads_as_1(names, crowd):
    assert names("page=0&limit=4") == names("page=1&limit=4") == ([*DEMO, "Élodie 0"], True)
    assert names("page=2&limit=4") == ([f"Élodie {n}" for n in (1, 2, 3, 4)], True)
    assert names("page=4&limit=4") == ([f"Élodie {n}" for n in (9, 10, 11)], False)
    assert names("page=5&limit=4") == ([], False)


def test_names_are_found_in_any_case(names, crowd):
    assert names("name=ÉLODIE 1*") == (["Élodie 1", "Élodie 10", "Élodie 11"], False)
    assert names("name=*用*") == (["常用名字"], False)
    assert names("name=pizza") == ([], False)


def test_a_deleted_user_is_in_no_list(names, admin):
    admin.delete("/api/user/2")
    assert names() == (["常用名字", "pizza franchisee"], False)


def test_a_disabled_user_is_listed(names):
    User.objects.filter(pk=2).update(is_active=False)
    assert names() == (DEMO, False)


def test_only_admins_see_it(anonymous, diner, franchisee):
    assert anonymous.get("/api/user").status_code == 401
    assert diner.get("/api/user").status_code == 403
    assert franchisee.get("/api/user").status_code == 403


def test_an_admin_has_that_role_alone(admin):
    Franchise.objects.get().admins.add(1)
    assert admin.get("/api/user/me").json()["roles"] == [{"role": "admin"}]


def roles(actor):
    return actor.get("/api/user/me").json()["roles"]


def test_a_franchisee_has_a_role_for_each_open_franchise(franchisee):
    second = Franchise.objects.create(name="second")
    second.admins.add(3)
    assert roles(franchisee) == [
        {"role": "diner"},
        {"objectId": 1, "role": "franchisee"},
        {"objectId": second.pk, "role": "franchisee"},
    ]


def test_who_is_given_a_franchise_has_the_role_at_once(diner, admin):
    admin.post("/api/franchise", {"name": "second", "admins": [{"email": "d@jwt.com"}]})
    assert [role["role"] for role in roles(diner)] == ["diner", "franchisee"]


def test_who_is_made_an_admin_is_one_at_once(diner):
    User.objects.filter(pk=2).update(is_superuser=True)
    assert roles(diner) == [{"role": "admin"}]
    assert diner.get("/api/user").status_code == 200


def test_who_is_no_admin_any_more_is_none_at_once(admin):
    User.objects.filter(pk=1).update(is_superuser=False)
    assert admin.get("/api/user").status_code == 403


def test_a_closed_franchise_is_no_role(franchisee):
    Franchise.objects.update(closed_at=timezone.now(), name_key=None)
    assert roles(franchisee) == [{"role": "diner"}]
