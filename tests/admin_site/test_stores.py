"""A franchisee opens, renames and closes their stores; each change is in the history with who and when."""

import pytest
from django.contrib.admin.models import LogEntry

from franchises.models import Store
from tests.actors import Actor
from tests.admin_site.conftest import sold

ADD = "/admin/franchises/store/add/"


@pytest.fixture
def slc(demo):
    return Store.objects.get(name="SLC")


def change(store):
    return f"/admin/franchises/store/{store.pk}/change/"


def close(store):
    return f"/admin/franchises/store/{store.pk}/close/"


def history():
    return [(entry.user.email, entry.object_repr, entry.get_change_message()) for entry in LogEntry.objects.all()]


def open_stores():
    [franchise] = Actor().get("/api/franchise").json()["franchises"]
    return [store["name"] for store in franchise["stores"]]


def test_a_store_that_is_opened_sells_at_once(counter, diner, factory):
    assert counter.post(ADD, {"franchise": 1, "name": "Provo"}).status_code == 302
    provo = Store.objects.get(name="Provo")
    assert diner.order(1, store=provo.pk).status_code == 200
    assert history() == [("f@jwt.com", "Provo", "Added.")]


def test_a_franchisee_chooses_among_their_own_open_franchises(counter, rival):
    field = counter.get(ADD).context["adminform"].form.fields["franchise"]
    assert [str(franchise) for franchise in field.queryset] == ["pizzaPocket"]


def test_a_new_name_is_seen_by_the_next_diner(counter, slc):
    assert open_stores() == ["SLC"]
    assert counter.post(change(slc), {"name": "Salt Lake"}).status_code == 302
    assert open_stores() == ["Salt Lake"]
    assert history() == [("f@jwt.com", "Salt Lake", "Changed Name.")]


def test_a_name_that_is_in_use_is_refused_in_the_form(counter, slc):
    Store.objects.create(franchise_id=1, name="Provo")
    answer = counter.post(change(slc), {"name": "PROVO"})
    assert "This is in use already." in answer.text
    assert counter.post(ADD, {"franchise": 1, "name": "slc"}).status_code == 200
    assert sorted(open_stores()) == ["Provo", "SLC"]


def test_who_is_a_moment_slower_with_the_same_name_is_told_so(counter, slc, monkeypatch):
    """The form found it free; by the time that it is written somebody else has it."""
    Store.objects.create(franchise_id=1, name="Provo")
    monkeypatch.setattr(Store, "clean", lambda self: None)
    for address, form in ((change(slc), {"name": "Provo"}), (ADD, {"franchise": 1, "name": "Provo"})):
        page = counter.post(address, form, follow=True)
        assert "The name Provo is in use." in page.text
    assert history() == []


def test_closing_asks_and_says_what_stays(counter, slc):
    sold(slc)
    Store.objects.filter(pk=slc.pk).update(revenue="0.0038")
    page = counter.get(close(slc)).text
    assert "Close SLC?" in page
    assert "revenue (₿\xa00.0038) stay" in page
    assert open_stores() == ["SLC"]


def test_a_closed_store_sells_nothing_and_keeps_its_books(counter, slc, diner, factory):
    diner.order(1)
    page = counter.post(close(slc), follow=True)
    assert "SLC is closed." in page.text
    assert diner.order(1).status_code == 404
    assert diner.get("/api/order").json()["orders"][0]["storeId"] == slc.pk
    assert "₿\xa00.0038" in counter.get("/admin/franchises/store/").text
    assert history() == [("f@jwt.com", "SLC", "It is closed now.")]


def test_of_two_tabs_that_close_it_the_second_is_told_that_it_is_closed(counter, slc):
    counter.post(close(slc))
    page = counter.post(close(slc), follow=True)
    assert "SLC is closed already." in page.text
    assert len(history()) == 1


def test_a_closed_store_can_be_looked_at_and_not_changed(counter, slc):
    counter.post(close(slc))
    page = counter.get(change(slc))
    assert page.status_code == 200
    assert close(slc) not in page.text
    assert counter.post(change(slc), {"name": "Phoenix"}).status_code == 403
    assert Store.objects.get(pk=slc.pk).name == "SLC"


def test_open_and_closed_are_told_apart_in_the_list(counter, slc):
    counter.post(ADD, {"franchise": 1, "name": "Provo"})
    counter.post(close(slc))
    for state, name in (("open", "Provo"), ("closed", "SLC")):
        listed = counter.get("/admin/franchises/store/", {"state": state}).context["cl"].queryset
        assert [str(store) for store in listed] == [name]


def test_a_store_never_moves_to_another_franchise(desk, slc, rival):
    desk.post(change(slc), {"name": "SLC", "franchise": rival.franchise.pk})
    assert Store.objects.get(pk=slc.pk).franchise.name == "pizzaPocket"


def test_an_admin_closes_a_franchise_with_its_stores_in_one_step(desk, slc):
    assert "Its open stores, 1 of them" in desk.get("/admin/franchises/franchise/1/close/").text
    desk.post("/admin/franchises/franchise/1/close/")
    assert Store.objects.get(pk=slc.pk).closed_at is not None


def test_a_franchisee_can_close_or_change_no_franchise(counter):
    for page in ("close", "change"):
        assert counter.post(f"/admin/franchises/franchise/1/{page}/").status_code == 403
    assert counter.get("/admin/franchises/franchise/1/change/").status_code == 200
