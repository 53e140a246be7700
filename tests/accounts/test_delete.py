"""What is left of a deleted user: orders in the books, and no name."""

import base64
import json
import threading

import pytest
from django.apps import apps
from django.db import connection

from jwtpizza.accounts import services
from jwtpizza.accounts.models import User
from jwtpizza.api.errors import Conflict, NotFound
from orders.models import Order
from tests.actors import Actor, logged_in


def everything_kept():
    """Each value of each row of each table as text, and what a JWT says beside the JWT."""
    for model in apps.get_models(include_auto_created=True):
        for row in model._base_manager.values_list():
            for value in map(str, row):
                yield value
                if value.count(".") == 2:
                    yield from (
                        base64.urlsafe_b64decode(part + "==").decode(errors="ignore") for part in value.split(".")
                    )


@pytest.fixture
def elodie(demo):
    body = {"name": "Élodie", "email": "elodie@jwt.com", "password": "p"}
    answer = Actor().post("/api/auth", body).json()
    return Actor(answer["token"], user=answer["user"])


def mentions(text):
    return [value for value in everything_kept() if text.casefold() in value.casefold()]


def test_the_search_finds_names_and_addresses(elodie, factory):
    elodie.order(1)
    assert any(value.startswith('{"vendor"') for value in mentions("lodie"))
    assert {"Élodie", "elodie@jwt.com"} < set(mentions("lodie"))


def test_name_and_address_are_erased_everywhere(elodie, admin, factory):
    elodie.order(1)
    elodie.post("/api/order", {"franchiseId": 1, "storeId": 1, "items": [{"menuId": 1}]}, **{"Idempotency-Key": "k"})
    admin.post("/api/franchise", {"name": "hers", "admins": [{"email": "elodie@jwt.com"}]})
    assert admin.delete(f"/api/user/{elodie.user['id']}").json() == {"message": "user deleted"}
    assert mentions("lodie") == []


def test_no_answer_names_a_deleted_user(elodie, admin, factory):
    order_id = elodie.order(1).json()["order"]["id"]
    admin.post("/api/franchise", {"name": "hers", "admins": [{"email": "elodie@jwt.com"}]})
    admin.delete(f"/api/user/{elodie.user['id']}")
    for path in (f"/api/order/{order_id}", "/api/user", "/api/franchise", f"/api/franchise/{elodie.user['id']}"):
        assert "lodie" not in json.dumps(admin.get(path).json(), ensure_ascii=False)


def test_the_orders_stay_in_the_books(elodie, admin, factory):
    elodie.order(1)
    before = admin.get("/api/franchise").json()
    admin.delete(f"/api/user/{elodie.user['id']}")
    assert Order.objects.get(diner=elodie.user["id"]).total
    assert admin.get("/api/franchise").json() == before


def test_the_address_is_free_again_for_somebody_new(elodie, admin):
    admin.delete(f"/api/user/{elodie.user['id']}")
    body = {"name": "Another", "email": "ELODIE@jwt.com", "password": "p"}
    answer = Actor().post("/api/auth", body)
    assert answer.status_code == 200
    assert answer.json()["user"]["id"] != elodie.user["id"]


def test_a_deleted_user_cannot_log_in(elodie, admin):
    admin.delete(f"/api/user/{elodie.user['id']}")
    assert Actor().put("/api/auth", {"email": "elodie@jwt.com", "password": "p"}).status_code == 404
    assert Actor().put("/api/auth", {"email": "", "password": "p"}).status_code == 400


def test_a_deleted_franchisee_runs_nothing(franchisee, admin):
    admin.delete("/api/user/3")
    assert admin.get("/api/franchise").json()["franchises"][0]["admins"] == []


@pytest.mark.parametrize("user_id", ["2", "9999", "me"])
def test_who_is_gone_is_not_found(admin, user_id):
    admin.delete("/api/user/2")
    assert admin.delete(f"/api/user/{user_id}").status_code == 404


def test_only_admins_delete(diner, franchisee):
    assert diner.delete("/api/user/2").status_code == 403
    assert franchisee.delete("/api/user/2").status_code == 403
    assert Actor().delete("/api/user/2").status_code == 401


def test_the_last_admin_stays(admin):
    answer = admin.delete("/api/user/1")
    assert answer.status_code == 409
    assert admin.get("/api/user/me").status_code == 200


def test_an_admin_may_go_while_there_is_another(admin):
    User.objects.create_user(name="second", email="a2@jwt.com", password="p", is_superuser=True)
    assert admin.delete("/api/user/1").status_code == 200
    assert logged_in("a2@jwt.com", "p").delete("/api/user/1").status_code == 404


def test_a_disabled_admin_does_not_count(admin):
    User.objects.create_user(name="second", email="a2@jwt.com", password="p", is_superuser=True, is_active=False)
    assert admin.delete("/api/user/1").status_code == 409


def test_of_two_admins_who_delete_each_other_at_once_one_stays(demo):
    second = User.objects.create_user(name="second", email="a2@jwt.com", password="p", is_superuser=True)
    ready, refused = threading.Barrier(2), []

    def delete(user_id):
        ready.wait()
        try:
            services.delete(user_id=user_id)
        except (Conflict, NotFound) as error:
            refused.append(error)
        finally:
            connection.close()

    threads = [threading.Thread(target=delete, args=[user_id]) for user_id in (1, second.pk)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert [type(error) for error in refused] == [Conflict]
    assert User.objects.filter(is_superuser=True, is_active=True).count() == 1
