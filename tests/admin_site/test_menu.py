"""An admin arranges the menu, and takes off it what is no longer made."""

import pytest
from django.contrib.admin.models import LogEntry

from menu.models import MenuItem
from tests.actors import Actor

LIST = "/admin/menu/menuitem/"


def menu():
    return [item["title"] for item in Actor().get("/api/order/menu").json()]


def places(*positions):
    """The form of the list, with the place that each of the five is given."""
    form = {"form-TOTAL_FORMS": 5, "form-INITIAL_FORMS": 5, "_save": "Save"}
    for number, position in enumerate(positions):
        form |= {f"form-{number}-id": number + 1, f"form-{number}-position": position}
    return form


def test_diners_read_the_menu_in_the_order_that_an_admin_gave_it(desk):
    before = menu()
    assert desk.post(LIST, places(4, 3, 2, 1, 0)).status_code == 302
    assert menu() == before[::-1]
    assert {entry.get_change_message() for entry in LogEntry.objects.all()} == {"Changed Position."}


def test_what_is_new_stands_last(desk, admin):
    desk.post(LIST, places(4, 3, 2, 1, 0))
    admin.put("/api/order/menu", {"title": "New", "description": "x", "image": "x.png", "price": 0.001})
    assert menu()[-1] == "New"


def test_a_place_that_is_no_number_is_refused_at_the_row(desk):
    answer = desk.post(LIST, places("first", 3, 2, 1, 0))
    assert answer.status_code == 200
    assert "Enter a whole number." in answer.text


def test_a_retired_item_is_off_the_menu_and_stays_in_orders(desk, diner, factory):
    diner.order(1)
    assert "What was ordered stays" in desk.get(f"{LIST}1/retire/").text
    assert "Veggie" in menu()
    page = desk.post(f"{LIST}1/retire/", follow=True)
    assert "Veggie is retired." in page.text
    assert "Veggie" not in menu()
    assert diner.order(1).status_code == 404
    assert diner.get("/api/order").json()["orders"][0]["items"][0]["description"] == "Veggie"
    assert [entry.get_change_message() for entry in LogEntry.objects.all()] == ["It is retired now."]


def test_a_retired_item_can_be_looked_at_and_not_changed(desk):
    desk.post(f"{LIST}1/retire/")
    assert desk.get(f"{LIST}1/change/").status_code == 200
    assert desk.post(f"{LIST}1/change/", {"title": "x"}).status_code == 403
    assert f"{LIST}1/retire/" not in desk.get(f"{LIST}1/change/").text


def test_the_title_of_a_retired_item_is_free(desk):
    desk.post(f"{LIST}1/retire/")
    form = {"title": "Veggie", "description": "x", "image": "x.png", "price": "0.1"}
    assert desk.post(f"{LIST}add/", form).status_code == 302
    assert menu()[-1] == "Veggie"


@pytest.mark.parametrize(
    ("image", "shown"),
    [
        ("pizza1.png", "/static/menu/pizza1.png"),
        ('"><script>', "/static/menu/&quot;&gt;&lt;script&gt;"),
    ],
)
def test_each_item_is_shown_with_its_picture(desk, image, shown):
    MenuItem.objects.filter(pk=1).update(image=image)
    assert f'<img src="{shown}"' in desk.get(LIST).text


def test_no_browser_is_sent_elsewhere_for_a_picture(desk):
    MenuItem.objects.filter(pk=1).update(image="https://pizza.example/1.png")
    page = desk.get(LIST)
    assert "https://pizza.example/1.png" in page.text
    assert 'src="https://' not in page.text
    assert "img-src 'self' data: ;" in page.headers["Content-Security-Policy"]


def test_the_demos_pictures_are_served(desk):
    for image in MenuItem.objects.values_list("image", flat=True):
        answer = desk.get(f"/static/menu/{image}")
        assert (answer.status_code, answer.headers["Content-Type"]) == (200, "image/png")
        answer.close()
