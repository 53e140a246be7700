"""Every page of the admin, found from its registry."""

import pytest
from django.contrib.admin import site
from django.urls import reverse

from jwtpizza.accounts.models import User
from tests.actors import logged_in

MODELS = [pytest.param(model, id=model._meta.label) for model in site._registry]


def address(model, page, *args):
    return reverse(f"admin:{model._meta.app_label}_{model._meta.model_name}_{page}", args=args)


# Of the form on a user's page: none of the rows about the franchises that they run is filled in.
NONE_RUN = {f"Franchise_admins-{name}_FORMS": "0" for name in ("TOTAL", "INITIAL")}


@pytest.mark.parametrize("model", MODELS)
def test_each_list_opens_and_finds(model, desk, diner, factory):
    diner.order(1)
    assert desk.get(address(model, "changelist")).status_code == 200
    assert desk.get(address(model, "changelist"), {"q": "a"}).status_code == 200


@pytest.mark.parametrize("model", MODELS)
def test_each_row_opens(model, desk, diner, factory):
    diner.order(1)
    for row in model._default_manager.all()[:2]:
        assert desk.get(address(model, "change", row.pk)).status_code == 200


@pytest.mark.parametrize("model", MODELS)
def test_each_form_for_a_new_row_opens_unless_the_books_alone_write_it(model, desk):
    may_add = site._registry[model].has_add_permission(desk.get("/admin/").wsgi_request)
    assert desk.get(address(model, "add")).status_code == (200 if may_add else 403)


def test_a_user_made_in_the_admin_can_log_in(desk):
    form = {"name": "Élodie", "email": "elodie@jwt.com", "password1": "pâtes-2026", "password2": "pâtes-2026"}
    answer = desk.post("/admin/accounts/user/add/", form | NONE_RUN | {"usable_password": "true"})
    assert answer.status_code == 302, answer.context and answer.context["adminform"].errors
    assert logged_in("elodie@jwt.com", "pâtes-2026").user["name"] == "Élodie"


def test_an_address_in_use_is_refused_in_the_form(desk):
    form = {"name": "x", "email": "D@jwt.com", "password1": "pâtes-2026", "password2": "pâtes-2026"}
    answer = desk.post("/admin/accounts/user/add/", form | {"usable_password": "true"})
    assert answer.status_code == 200
    assert "email" in answer.context["adminform"].errors


def test_a_title_in_use_is_refused_in_the_form(desk):
    form = {"title": "VEGGIE", "description": "x", "image": "x.png", "price": "0.1"}
    answer = desk.post("/admin/menu/menuitem/add/", form)
    assert answer.status_code == 200
    assert answer.context["adminform"].errors


def test_a_price_keeps_its_eight_decimals(desk, anonymous):
    form = {"title": "Tiny", "description": "x", "image": "x.png", "price": "0.00000001"}
    desk.post("/admin/menu/menuitem/add/", form)
    assert anonymous.get("/api/order/menu").json()[-1]["price"] == 0.00000001


def test_a_user_disabled_in_the_admin_is_out_at_once(desk, diner):
    User.objects.get(email="d@jwt.com")
    pk = diner.user["id"]
    desk.post(f"/admin/accounts/user/{pk}/change/", {"name": "pizza diner", "email": "d@jwt.com"} | NONE_RUN)
    assert diner.get("/api/user/me").status_code == 401


def test_a_menu_changed_in_the_admin_is_seen_by_the_next_request(desk, anonymous):
    anonymous.get("/api/order/menu")
    form = {"title": "Veggie", "description": "New", "image": "pizza1.png", "price": "0.0038"}
    desk.post("/admin/menu/menuitem/1/change/", form)
    assert anonymous.get("/api/order/menu").json()[0]["description"] == "New"


@pytest.mark.parametrize("model", ["accounts/user", "orders/order", "menu/menuitem", "franchises/store"])
def test_nothing_that_an_order_points_to_is_deleted(model, desk, diner, factory):
    diner.order(1)
    pk = {"accounts/user": diner.user["id"]}.get(model, 1)
    desk.post(f"/admin/{model}/{pk}/delete/", {"post": "yes"})
    assert desk.get(f"/admin/{model}/{pk}/change/").status_code == 200


def test_the_history_forgets_the_address_of_a_deleted_user(desk, admin, diner):
    pk = diner.user["id"]
    desk.post(f"/admin/accounts/user/{pk}/change/", {"name": "x", "email": "d@jwt.com", "is_active": "on"} | NONE_RUN)
    assert b"d@jwt.com" in desk.get("/admin/").content
    admin.delete(f"/api/user/{pk}")
    assert b"d@jwt.com" not in desk.get("/admin/").content


def test_the_last_admin_can_not_lock_everybody_out(desk):
    answer = desk.post("/admin/accounts/user/1/change/", {"name": "x", "email": "a@jwt.com", "is_superuser": "on"})
    assert answer.status_code == 200
    assert "last admin" in answer.content.decode()
    assert User.objects.get(pk=1).is_active


def test_what_is_left_of_a_deleted_user_is_nobody_to_work_on(desk, admin, diner):
    pk = diner.user["id"]
    admin.delete(f"/api/user/{pk}")
    form = {"name": "x", "email": "x@jwt.com", "is_active": "on"} | NONE_RUN
    assert desk.post(f"/admin/accounts/user/{pk}/change/", form).status_code == 404
    assert User.objects.get(pk=pk).name == ""


def test_a_password_changed_in_the_admin_ends_the_sessions(desk, diner):
    form = {"password1": "anders-2026", "password2": "anders-2026", "usable_password": "true"}
    desk.post(f"/admin/accounts/user/{diner.user['id']}/password/", form)
    assert diner.get("/api/user/me").status_code == 401


def test_a_store_of_a_franchise_that_was_closed_in_the_admin_sells_nothing(desk, diner, factory):
    assert desk.post("/admin/franchises/franchise/1/close/").status_code == 302
    assert diner.order(1).status_code == 404


def test_a_price_nobody_could_pay_is_refused(desk):
    form = {"title": "Gold", "description": "x", "image": "x.png", "price": "21000001"}
    assert desk.post("/admin/menu/menuitem/add/", form).status_code == 200
