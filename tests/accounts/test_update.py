"""Changing oneself, and others if one may."""

import pytest

from jwtpizza.accounts.models import User
from tests.actors import Actor, logged_in


@pytest.mark.parametrize("change", [{"name": "new"}, {"email": "new@jwt.com"}, {"password": "new"}])
def test_each_field_changes_alone(diner, change):
    before = User.objects.filter(pk=2).values("name", "email", "password").get()
    assert diner.put("/api/user/2", change).status_code == 200
    after = User.objects.filter(pk=2).values("name", "email", "password").get()
    assert {name for name in before if before[name] != after[name]} == set(change)


def test_an_empty_field_stays_as_it_is(diner):
    answer = diner.put("/api/user/2", {"name": "new", "email": "", "password": ""}).json()
    assert answer["user"] == {"id": 2, "name": "new", "email": "d@jwt.com", "roles": [{"role": "diner"}]}
    assert logged_in("d@jwt.com", "diner")


@pytest.mark.parametrize("body", [{}, {"name": ""}, {"name": "  ", "email": "", "password": ""}, {"roles": []}, None])
def test_there_has_to_be_something_to_change(diner, body):
    assert diner.put("/api/user/2", body).status_code == 400


def test_the_answer_has_a_token_that_works(diner):
    answer = diner.put("/api/user/2", {"name": "new"}).json()
    assert Actor(answer["token"]).get("/api/user/me").json() == answer["user"]


def test_an_address_of_somebody_else_is_a_conflict_and_changes_nothing(diner):
    answer = diner.put("/api/user/2", {"name": "new", "email": "A@JWT.com", "password": "new"})
    assert answer.status_code == 409
    assert diner.get("/api/user/me").json()["name"] == "pizza diner"
    assert logged_in("d@jwt.com", "diner")


def test_the_own_address_may_change_its_case(diner):
    assert diner.put("/api/user/2", {"email": "D@Jwt.com"}).json()["user"]["email"] == "D@Jwt.com"


def test_an_address_given_up_is_free_for_others(diner):
    diner.put("/api/user/2", {"email": "new@jwt.com"})
    body = {"name": "next", "email": "d@jwt.com", "password": "p"}
    assert Actor().post("/api/auth", body).status_code == 200


def test_nobody_changes_others(diner, franchisee):
    assert diner.put("/api/user/3", {"name": "new"}).status_code == 403
    assert franchisee.put("/api/user/2", {"name": "new"}).status_code == 403
    assert Actor().put("/api/user/2", {"name": "new"}).status_code == 401


def test_an_admin_changes_anybody(admin):
    answer = admin.put("/api/user/3", {"name": "new"}).json()
    assert answer["user"]["name"] == "new"
    assert {"objectId": 1, "role": "franchisee"} in answer["user"]["roles"]


@pytest.mark.parametrize("user_id", ["9999", "me", "abc", "999999999999999999"])
def test_a_user_that_is_not_there_is_not_found(admin, user_id):
    assert admin.put(f"/api/user/{user_id}", {"name": "new"}).status_code == 404
    assert admin.put(f"/api/user/{user_id}", {"password": "new"}).status_code == 404


def test_a_deleted_user_is_not_there(admin):
    admin.delete("/api/user/2")
    assert admin.put("/api/user/2", {"name": "back", "email": "d@jwt.com", "password": "diner"}).status_code == 404


def test_a_body_cannot_make_an_admin(diner):
    diner.put("/api/user/2", {"name": "n", "roles": [{"role": "admin"}], "is_superuser": True, "isAdmin": True})
    assert diner.get("/api/user/me").json()["roles"] == [{"role": "diner"}]
