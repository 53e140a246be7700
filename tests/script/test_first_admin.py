"""`manage.py createsuperuser` makes the first admin."""

import getpass

import pytest
from django.core.management import CommandError, call_command
from django.test import Client

from tests.actors import logged_in

pytestmark = pytest.mark.django_db
PASSWORD = "correct horse"


class Terminal:
    def isatty(self):
        return True


@pytest.fixture
def unattended(monkeypatch):
    monkeypatch.setenv("DJANGO_SUPERUSER_PASSWORD", PASSWORD)
    return lambda email: call_command("createsuperuser", interactive=False, email=email, name="The First")


@pytest.fixture
def asked(monkeypatch):
    answers = {"E-mail": "first@jwt.com", "Name": "The First"}
    monkeypatch.setattr("builtins.input", lambda prompt: next(answers[word] for word in answers if word in prompt))
    monkeypatch.setattr(getpass, "getpass", lambda *prompt: PASSWORD)
    return lambda: call_command("createsuperuser", stdin=Terminal())


def assert_is_admin(email):
    user = logged_in(email, PASSWORD).user
    assert (user["name"], user["roles"]) == ("The First", [{"role": "admin"}])
    browser = Client()
    browser.post("/admin/login/", {"username": email, "password": PASSWORD})
    assert browser.get("/admin/").status_code == 200


def test_unattended_it_makes_an_admin_of_api_and_admin_pages(unattended):
    unattended("first@jwt.com")
    assert_is_admin("first@jwt.com")


def test_asked_for_it_makes_an_admin_of_api_and_admin_pages(asked):
    asked()
    assert_is_admin("first@jwt.com")


def test_an_address_that_is_taken_is_one_sentence(unattended):
    unattended("first@jwt.com")
    with pytest.raises(CommandError, match="belongs to somebody already"):
        unattended("First@JWT.com")
