"""Who may have an account, and which address is whose."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from jwtpizza.accounts.models import User
from tests.actors import Actor, logged_in

PROJECT = Path(__file__).parents[2]


def register(email, *, name="pizza diner", password="secret"):
    return Actor().post("/api/auth", {"name": name, "email": email, "password": password})


def test_a_newcomer_is_a_diner_with_a_token_that_works(demo):
    answer = register("new@jwt.com", name="常用名字").json()
    assert answer["user"] == {
        "id": answer["user"]["id"],
        "name": "常用名字",
        "email": "new@jwt.com",
        "roles": [{"role": "diner"}],
    }
    assert Actor(answer["token"]).get("/api/user/me").json() == answer["user"]


def test_a_newcomer_cannot_make_themselves_an_admin(demo):
    body = {"name": "n", "email": "n@jwt.com", "password": "p", "roles": [{"role": "admin"}], "is_superuser": True}
    assert Actor().post("/api/auth", body).json()["user"]["roles"] == [{"role": "diner"}]


@pytest.mark.parametrize(
    ("first", "second"),
    [
        ("d2@jwt.com", "D2@JWT.com"),
        ("straße@jwt.com", "STRASSE@jwt.com"),
        ("İ@jwt.com", "i̇@jwt.com"),
        ("ΣΊΣΥΦΟΣ@jwt.com", "σίσυφος@jwt.com"),
        ("ǅ@jwt.com", "ǆ@jwt.com"),
        ("k@jwt.com", "\N{KELVIN SIGN}@jwt.com"),
        ("new@jwt.com", "  new@jwt.com "),
    ],
)
def test_an_address_is_somebodys_once_whatever_its_case(demo, first, second):
    assert register(first).status_code == 200
    answer = register(second)
    assert answer.status_code == 409
    assert answer.json()["fields"].keys() == {"email"}


@pytest.mark.parametrize(
    ("first", "second"), [("e@jwt.com", "é@jwt.com"), ("ı@jwt.com", "i@jwt.com"), ("a@b", "a@b.c")]
)
def test_addresses_that_differ_in_a_letter_are_two(demo, first, second):
    assert [register(first).status_code, register(second).status_code] == [200, 200]


def test_an_address_is_shown_as_it_was_written_and_found_in_any_case(demo):
    assert register("New.Diner@JWT.com").json()["user"]["email"] == "New.Diner@JWT.com"
    assert logged_in(" new.diner@jwt.COM", "secret").user["email"] == "New.Diner@JWT.com"


def test_a_refused_registration_stores_nothing(demo):
    before = User.objects.count()
    assert register("d@jwt.com").status_code == 409
    assert register("no address").status_code == 400
    assert User.objects.count() == before


def test_in_development_a_password_of_one_letter_will_do(demo):
    assert register("new@jwt.com", password="p").status_code == 200


def test_a_password_may_begin_and_end_with_spaces(demo):
    register("new@jwt.com", password="  secret ")
    assert Actor().put("/api/auth", {"email": "new@jwt.com", "password": "secret"}).status_code == 404
    assert logged_in("new@jwt.com", "  secret ").token


def test_a_password_of_1024_signs_counts_to_the_last(demo):
    register("new@jwt.com", password="x" * 1023 + "y")
    assert Actor().put("/api/auth", {"email": "new@jwt.com", "password": "x" * 1024}).status_code == 404
    assert register("newer@jwt.com", password="x" * 1025).status_code == 400


def test_a_weak_password_is_told_by_name(demo, settings):
    rule = {"NAME": "django.contrib.auth.password_validation.MinimumLengthValidator", "OPTIONS": {"min_length": 8}}
    settings.AUTH_PASSWORD_VALIDATORS = [rule]
    answer = register("new@jwt.com", password="short")
    assert answer.status_code == 400
    assert answer.json()["fields"].keys() == {"password"}
    assert not User.objects.filter(email="new@jwt.com").exists()


IN_PRODUCTION = {
    "DJANGO_ENV": "production",
    "SECRET_KEY": "x1" * 25,
    "ALLOWED_HOSTS": "pizza.example",
    "FACTORY_URL": "https://factory.example",
    "FACTORY_API_KEY": "ours",
}
ASK = """
import json, sys, django
django.setup()
from django.contrib.auth.password_validation import get_password_validators, validate_password
from django.core.exceptions import ValidationError
from jwtpizza.accounts.models import User

def taken(password):
    try:
        validate_password(password, User(name="Elodie Fontaine", email="elodie@jwt.com"))
    except ValidationError:
        return False
    return True

print(json.dumps([password for password in json.loads(sys.argv[1]) if taken(password)]))
"""


def test_in_production_a_password_is_long_uncommon_no_number_and_not_the_name():
    passwords = ["seven77", "password1", "8273645910", "elodiefontaine", "trois petits chats"]
    environment = os.environ | IN_PRODUCTION | {"DJANGO_SETTINGS_MODULE": "jwtpizza.settings"}
    argv = [sys.executable, "-c", ASK, json.dumps(passwords)]
    told = subprocess.run(argv, env=environment, cwd=PROJECT, capture_output=True, text=True)
    assert told.returncode == 0, told.stderr
    assert json.loads(told.stdout) == ["trois petits chats"]
