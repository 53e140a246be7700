"""The list of orders: filtered, searched, exported; read only."""

import csv
from datetime import UTC, datetime, timedelta

import pytest
from django.db import OperationalError
from django.utils import timezone

from franchises.models import Store
from jwtpizza.accounts.models import User
from orders import selectors, serializers
from orders.models import Order
from tests.admin_site.conftest import FAILED, PENDING, sold

LIST = "/admin/orders/order/"


@pytest.fixture
def slc(demo):
    return Store.objects.get(name="SLC")


@pytest.fixture
def provo(demo):
    return Store.objects.create(franchise_id=1, name="Provo")


def listed(browser, **query):
    answer = browser.get(LIST, query)
    assert answer.status_code == 200
    return [order.pk for order in answer.context["cl"].result_list]


def exported(browser, **query):
    answer = browser.get(f"{LIST}export/", query)
    assert answer.headers["Content-Type"] == "text/csv; charset=utf-8"
    assert answer.headers["Content-Disposition"].startswith('attachment; filename="orders-')
    text = b"".join(answer.streaming_content).decode("utf-8-sig")
    return list(csv.DictReader(text.splitlines()))


def test_the_newest_stands_first_with_what_was_ordered_and_what_went_wrong(counter, slc):
    made, failed, waiting = sold(slc, total="0.0038"), sold(slc, **FAILED), sold(slc, **PENDING)
    assert listed(counter) == [waiting.pk, failed.pk, made.pk]
    page = counter.get(LIST).text
    for words in ("1 × Veggie", "₿\xa00.0038", "pizza diner", "The factory had an error", "Waiting for the factory"):
        assert words in page


def test_it_is_filtered_by_store_and_status(counter, slc, provo):
    made, failed, elsewhere = sold(slc), sold(slc, **FAILED), sold(provo)
    assert listed(counter, store=slc.pk) == [failed.pk, made.pk]
    assert listed(counter, status="failed") == [failed.pk]
    assert listed(counter, store=provo.pk, status__exact="fulfilled") == [elsewhere.pk]


def test_it_is_filtered_by_days_of_the_viewers_calendar_the_last_included(counter, slc):
    counter.cookies["zone"] = "America/Denver"
    evening, midnight = (
        sold(slc, created_at=datetime(2026, 6, 11, 5, 59, tzinfo=UTC) + timedelta(minutes=n)) for n in (0, 1)
    )
    assert listed(counter, created_at_from="2026-06-10", created_at_to="2026-06-10") == [evening.pk]
    assert listed(counter, created_at_from="2026-06-11") == [midnight.pk]
    assert listed(counter, created_at_to="2026-06-10") == [evening.pk]


@pytest.mark.parametrize("day", ["yesterday", "11/24/2026", "2026-13-01", "9999-12-31", "0001-01-01", "%00"])
def test_a_day_that_is_none_finds_nothing_and_is_told(counter, slc, day):
    counter.cookies["zone"] = "Asia/Tokyo"
    sold(slc)
    for end in ("from", "to"):
        answer = counter.get(LIST, {f"created_at_{end}": day})
        assert answer.context["cl"].result_count == 0
        assert "A day is written as 2026-06-10." in answer.text
        assert exported(counter, **{f"created_at_{end}": day}) == []


def test_a_store_that_is_not_ones_own_finds_nothing(counter, slc, rival):
    sold(slc)
    for store in (rival.store.pk, "SLC", 999):
        assert listed(counter, store=store) == []
        assert exported(counter, store=store) == []


def test_it_is_searched_by_number_and_by_a_diners_name(counter, slc):
    elodie = User.objects.create_user(name="Élodie 100%", email="e@jwt.com", password=None)
    first, second = sold(slc), sold(slc, diner_id=elodie.pk)
    assert listed(counter, q=str(first.pk)) == [first.pk]
    assert listed(counter, q=f"#{first.pk}") == [first.pk]
    for term in ("élodie", "ÉLODIE", "100%", " élodie   100"):
        assert listed(counter, q=term) == [second.pk]
    assert listed(counter, q="1%0") == []
    assert listed(counter, q="9" * 40) == []


def test_a_deleted_diner_has_no_name(counter, slc, admin, diner):
    sold(slc)
    admin.delete(f"/api/user/{diner.user['id']}")
    assert "(deleted)" in counter.get(LIST).text


def test_what_is_too_old_for_the_list_is_found_by_its_day(counter, slc, monkeypatch):
    monkeypatch.setattr(selectors, "MOST_LISTED", 2)
    today = timezone.now()
    orders = [sold(slc, created_at=today - timedelta(days=days)) for days in range(6)]
    answer = counter.get(LIST)
    assert "These are the latest of them" in answer.text
    assert [order.pk for order in answer.context["cl"].result_list] == [order.pk for order in orders[:3]]
    day = (today - timedelta(days=5)).date().isoformat()
    assert listed(counter, created_at_from=day, created_at_to=day) == [orders[5].pk]
    assert len(exported(counter)) == 6


def test_the_export_has_what_the_filters_leave(counter, slc, provo):
    sold(provo, total="0.0038")
    sold(slc, **FAILED)
    [row] = exported(counter, store=provo.pk)
    assert (row["Store"], row["Items"], row["Total (₿)"]) == ("Provo", "1 × Veggie", "0.0038")
    [row] = exported(counter, status__exact="failed")
    assert row["Reason"] == "The factory had an error"


def test_the_lists_button_exports_what_the_list_is_filtered_to(counter, slc):
    assert (
        f"{LIST}export/?status__exact=failed&amp;q=ada"
        in counter.get(LIST, {"status__exact": "failed", "q": "ada"}).text
    )


def test_an_export_that_breaks_off_says_so(counter, slc, monkeypatch, caplog):
    def breaks(*_, **__):
        yield [Order.objects.get(pk=sold(slc).pk)]
        raise OperationalError

    monkeypatch.setattr(serializers, "in_chunks", breaks)
    rows = exported(counter)
    assert len(rows) == 2
    assert rows[1]["Order"] == "This export broke off here and is not complete. Please export it again."
    assert "an export broke off" in caplog.text


def test_of_many_stores_one_that_is_chosen_is_listed_as_if_it_were_alone(counter, slc, monkeypatch):
    monkeypatch.setattr(selectors, "MOST_LISTED", 4)
    for number in range(4):
        sold(Store.objects.create(franchise_id=1, name=f"store {number}"))
    orders = [sold(slc) for _ in range(4)]
    assert listed(counter, store=slc.pk) == [order.pk for order in reversed(orders)]


def test_the_export_has_times_in_the_viewers_zone(counter, slc):
    counter.cookies["zone"] = "America/Denver"
    sold(slc, created_at=datetime(2026, 6, 11, 5, 59, tzinfo=UTC))
    assert exported(counter)[0]["Placed at"] == "2026-06-10T23:59:00-06:00"


def test_a_name_that_is_a_formula_is_exported_as_text(counter, slc):
    User.objects.filter(pk=2).update(name='=HYPERLINK("http://x")')
    sold(slc)
    assert exported(counter)[0]["Diner"].startswith("'=")


def test_the_admin_exports_all_of_them(desk, slc, rival):
    sold(slc)
    assert len(exported(desk)) == 1 + len(rival.orders)


@pytest.mark.parametrize("page", ["add/", "{pk}/delete/"])
def test_nobody_writes_the_books_here(desk, counter, slc, page):
    order = sold(slc)
    for browser in (desk, counter):
        assert browser.post(LIST + page.format(pk=order.pk), {"post": "yes"}).status_code == 403
    assert Order.objects.count() == 1


def test_a_franchisee_reads_nothing_that_is_an_operators(counter, slc):
    order = sold(slc, **FAILED, support_link="http://factory.example/api/support/key/report/code")
    page = counter.get(f"{LIST}{order.pk}/change/").text
    for secret in ("/api/support/", "server_error", "d@jwt.com", "follow"):
        assert secret not in page
    assert "The factory had an error" in page
