"""Public lists as kept bytes: fresh, bounded, and there while the database isn't."""

import json
import mmap

import pytest
from django.conf import settings
from django.db import OperationalError, transaction
from django.test import RequestFactory

from franchises.models import Store
from jwtpizza.api.rendered import FRESH_SECONDS, MOST_BYTES, MOST_KEPT, REFRESH_SECONDS, Rendered
from jwtpizza.shared import SLOTS
from menu.models import MenuItem
from menu.services import MENU

GET = RequestFactory().get


class Clock:
    now = 1000.0

    def __call__(self):
        return self.now


class Books:
    """What a list is made from, and how often it was."""

    def __init__(self):
        self.says, self.made, self.gone = ["Veggie"], 0, False

    def __call__(self):
        self.made += 1
        if self.gone:
            raise OperationalError("gone")
        return self.says


@pytest.fixture
def clock():
    return Clock()


@pytest.fixture
def books():
    return Books()


@pytest.fixture
def menu(clock):
    return Rendered("menu", clock=clock)


def another_process_changes(slot):
    """As a worker of its own does: through a mapping of its own of the same file."""
    with (settings.RUN_DIR / "generations").open("r+b") as file, mmap.mmap(file.fileno(), 0) as mapped:
        place = SLOTS.index(slot) * 8
        mapped[place] = (mapped[place] + 1) % 256


def test_the_bytes_are_the_json_of_the_list(menu, books):
    answer = menu.answer(GET("/"), books)
    assert json.loads(answer.content) == ["Veggie"]
    assert answer["Content-Type"] == "application/json"


def test_a_warm_list_is_not_made_again(menu, books):
    menu.answer(GET("/"), books)
    menu.answer(GET("/"), books)
    assert books.made == 1


def test_who_has_the_bytes_is_told_so_without_them(menu, books):
    etag = menu.answer(GET("/"), books)["ETag"]
    answer = menu.answer(GET("/", headers={"If-None-Match": etag}), books)
    assert (answer.status_code, answer.content, answer["ETag"]) == (304, b"", etag)


def test_who_has_other_bytes_gets_these(menu, books):
    menu.answer(GET("/"), books)
    assert menu.answer(GET("/", headers={"If-None-Match": '"other"'}), books).status_code == 200


@pytest.mark.parametrize("header", ["*", "W/{}", '"other", {}'])
def test_who_has_them_may_say_so_in_each_way_of_http(menu, books, header):
    header = header.format(menu.answer(GET("/"), books)["ETag"])
    assert menu.answer(GET("/", headers={"If-None-Match": header}), books).status_code == 304


def test_other_bytes_have_another_etag(menu, books, clock):
    before = menu.answer(GET("/"), books)["ETag"]
    books.says = ["Pepperoni"]
    clock.now += FRESH_SECONDS
    assert menu.answer(GET("/"), books)["ETag"] != before


def test_a_cache_on_the_way_has_to_ask_each_time(menu, books):
    assert menu.answer(GET("/"), books)["Cache-Control"] == "no-cache"


def test_another_machines_change_is_seen_within_a_second(menu, books, clock):
    menu.answer(GET("/"), books)
    books.says = ["Pepperoni"]
    clock.now += REFRESH_SECONDS - 0.01
    assert json.loads(menu.answer(GET("/"), books).content) == ["Veggie"]
    clock.now += 0.01
    assert json.loads(menu.answer(GET("/"), books).content) == ["Pepperoni"]


def test_another_process_change_is_seen_at_once(menu, books):
    menu.answer(GET("/"), books)
    books.says = ["Pepperoni"]
    another_process_changes("menu")
    assert json.loads(menu.answer(GET("/"), books).content) == ["Pepperoni"]


def test_a_change_of_another_list_is_none_of_this_one(menu, books):
    menu.answer(GET("/"), books)
    another_process_changes("franchises")
    menu.answer(GET("/"), books)
    assert books.made == 1


def test_our_own_change_is_seen_by_another_process(menu):
    def generation():
        return (settings.RUN_DIR / "generations").read_bytes()[:8]

    menu._generation.renew()
    before = generation()
    menu._generation.renew()
    assert generation() != before


def test_a_change_while_the_list_is_made_is_not_lost(menu, books):
    def overtaken():
        another_process_changes("menu")
        return books()

    menu.answer(GET("/"), overtaken)
    books.says = ["Pepperoni"]
    assert json.loads(menu.answer(GET("/"), books).content) == ["Pepperoni"]


def test_a_warm_list_is_served_while_the_database_is_gone(menu, books, clock):
    menu.answer(GET("/"), books)
    books.gone = True
    clock.now += 3600
    assert json.loads(menu.answer(GET("/"), books).content) == ["Veggie"]


def test_a_list_is_made_again_when_the_database_is_back(menu, books, clock):
    menu.answer(GET("/"), books)
    books.gone = True
    clock.now += 3600
    menu.answer(GET("/"), books)
    books.gone, books.says = False, ["Pepperoni"]
    clock.now += REFRESH_SECONDS
    assert json.loads(menu.answer(GET("/"), books).content) == ["Pepperoni"]


def test_a_database_that_is_gone_is_not_asked_by_each_request(menu, books, clock):
    menu.answer(GET("/"), books)
    books.gone = True
    clock.now += 3600
    for _ in range(10):
        menu.answer(GET("/"), books)
    assert books.made == 2


def test_while_it_is_gone_nobody_waits_for_it_but_one_who_looks_whether_it_is_back(menu, books, clock):
    def slow():
        asked.append("first" if not asked else "again")
        clock.now += 1.5  # who waits for a connection that never comes
        if len(asked) < 3:
            others.append(menu.answer(GET("/"), slow))
        raise OperationalError("gone")

    menu.answer(GET("/"), books)
    books.gone = True
    clock.now += REFRESH_SECONDS
    menu.answer(GET("/"), books)
    asked, others = [], []
    clock.now += REFRESH_SECONDS
    assert json.loads(menu.answer(GET("/"), slow).content) == books.says
    assert (asked, len(others)) == (["first"], 1)


def test_whatever_else_goes_wrong_while_it_looks_the_next_one_looks_again(menu, books, clock):
    def broken():
        raise ZeroDivisionError

    menu.answer(GET("/"), books)
    books.gone = True
    clock.now += REFRESH_SECONDS
    menu.answer(GET("/"), books)
    clock.now += REFRESH_SECONDS
    with pytest.raises(ZeroDivisionError):
        menu.answer(GET("/"), broken)
    books.gone, books.says = False, ["Pepperoni"]
    assert json.loads(menu.answer(GET("/"), books).content) == ["Pepperoni"]


def test_a_cold_list_without_a_database_is_an_error(menu, books):
    books.gone = True
    with pytest.raises(OperationalError):
        menu.answer(GET("/"), books)


def test_a_list_known_to_be_old_is_not_served_without_a_database(menu, books):
    menu.answer(GET("/"), books)
    books.gone = True
    another_process_changes("menu")
    with pytest.raises(OperationalError):
        menu.answer(GET("/"), books)


def test_one_request_makes_an_aging_list_again_and_the_others_do_not_wait(menu, books, clock):
    menu.answer(GET("/"), books)
    clock.now += REFRESH_SECONDS

    def slowly():
        assert json.loads(menu.answer(GET("/"), books).content) == ["Veggie"]  # somebody else, meanwhile
        return ["Pepperoni"]

    assert json.loads(menu.answer(GET("/"), slowly).content) == ["Pepperoni"]
    assert books.made == 1


def test_after_a_second_nobody_has_old_bytes_however_slowly_they_are_made_again(menu, books, clock):
    menu.answer(GET("/"), books)
    books.says = ["Pepperoni"]
    clock.now += REFRESH_SECONDS

    def slowly():
        clock.now += FRESH_SECONDS - REFRESH_SECONDS
        assert json.loads(menu.answer(GET("/"), books).content) == ["Pepperoni"]  # somebody else, meanwhile
        return ["Pepperoni"]

    menu.answer(GET("/"), slowly)


def test_nobody_is_served_what_is_older_than_a_second_while_another_makes_it_again(menu, books, clock):
    menu.answer(GET("/"), books)
    clock.now += FRESH_SECONDS

    def slowly():
        books.says = ["Crusty"]
        assert json.loads(menu.answer(GET("/"), books).content) == ["Crusty"]  # somebody else, meanwhile
        return ["Pepperoni"]

    menu.answer(GET("/"), slowly)


def test_each_variant_is_kept_by_itself(menu):
    assert json.loads(menu.answer(GET("/"), lambda: [1], variant=1).content) == [1]
    assert json.loads(menu.answer(GET("/"), lambda: [2], variant=2).content) == [2]
    assert json.loads(menu.answer(GET("/"), lambda: [3], variant=1).content) == [1]


def test_the_number_of_kept_variants_is_bounded(menu, books):
    for page in range(3 * MOST_KEPT):
        menu.answer(GET("/"), books, variant=page)
        assert len(menu._kept) <= MOST_KEPT


def test_so_is_their_size_together(menu):
    for page in range(40):
        menu.answer(GET("/"), lambda: "x" * 1024 * 1024, variant=page)
        assert sum(len(kept.body) for kept in menu._kept.values()) <= MOST_BYTES


def test_who_asks_for_very_many_variants_takes_away_none_that_others_ask_for(menu, books, clock):
    menu.answer(GET("/"), books, variant="often")
    for page in range(3 * MOST_KEPT):
        clock.now += REFRESH_SECONDS / 100
        menu.answer(GET("/"), books, variant="often")
        menu.answer(GET("/"), books, variant=page)
        assert "often" in menu._kept


def test_a_changed_menu_is_in_the_next_answer(anonymous, admin):
    etag = anonymous.get("/api/order/menu")["ETag"]
    admin.put("/api/order/menu", {"title": "New", "description": "n", "image": "n.png", "price": 1})
    answer = anonymous.get("/api/order/menu", **{"If-None-Match": etag})
    assert answer.status_code == 200
    assert answer.json()[-1]["title"] == "New"


def test_a_new_store_is_in_the_next_list_of_franchises(anonymous, admin):
    anonymous.get("/api/franchise")
    admin.post("/api/franchise/1/store", {"name": "Provo"})
    assert [store["name"] for store in anonymous.get("/api/franchise").json()["franchises"][0]["stores"]] == [
        "SLC",
        "Provo",
    ]


def test_the_menu_is_made_again_after_the_commit_and_not_before(anonymous, monkeypatch):
    monkeypatch.setattr(MENU, "_clock", Clock())
    anonymous.get("/api/order/menu")
    with transaction.atomic():
        MenuItem.objects.get(pk=1).delete()
        # Another worker reads the old menu now; what it keeps must not outlive the commit.
        assert len(anonymous.get("/api/order/menu").json()) == 5
    assert len(anonymous.get("/api/order/menu").json()) == 4


def test_a_sale_leaves_the_list_of_franchises_as_it_is(anonymous, diner, factory):
    etag = anonymous.get("/api/franchise")["ETag"]
    diner.order(1)
    assert Store.objects.get().revenue > 0
    assert anonymous.get("/api/franchise", **{"If-None-Match": etag}).status_code == 304


def test_a_warm_menu_needs_no_database(anonymous, monkeypatch):
    monkeypatch.setattr(MENU, "_clock", Clock())
    anonymous.get("/api/order/menu")
    monkeypatch.setattr("menu.selectors.menu", pytest.fail)
    assert anonymous.get("/api/order/menu").status_code == 200
