"""A franchisee's home: how their shops do today, and what went wrong just now."""

import re
from datetime import UTC, datetime, timedelta
from decimal import Decimal

import pytest
import time_machine
from django.db import connection
from django.test.utils import CaptureQueriesContext

from franchises.models import Franchise, Store
from jwtpizza.accounts.models import User
from orders.models import Order
from tests.admin_site.conftest import FAILED, PENDING, sold
from tests.api.test_queries import counted
from tests.conftest import fresh_process

# A Wednesday, at half past one in the afternoon in Denver.
NOW = datetime(2026, 6, 10, 19, 30, tzinfo=UTC)
DAY = timedelta(days=1)


@pytest.fixture
def now(demo):
    with time_machine.travel(NOW, tick=False):
        yield


@pytest.fixture
def home(now, counter):
    """Opens it, as a process sees it that remembers nothing."""

    def home(zone="America/Denver"):
        fresh_process()
        counter.cookies["zone"] = zone
        page = counter.get("/admin/")
        assert page.status_code == 200
        return page

    return home


@pytest.fixture
def slc(now):
    return Store.objects.get(name="SLC")


def placed(store, at, **how):
    return sold(store, **{"created_at": at, "settled_at": at, "total": "0.5"} | how)


def figures(page):
    return {figure.title: (figure.today, *figure.earlier.values()) for figure in page.context["home"]["figures"]}


def words(page):
    return re.sub(r"\s+", " ", re.sub(r"<[^>]+>", " ", page.text))


def test_today_stands_against_the_days_before_up_to_the_same_time(home, slc):
    for at in (NOW, NOW - timedelta(hours=13), NOW - DAY, NOW - DAY - timedelta(hours=2), NOW - 7 * DAY):
        placed(slc, at - timedelta(minutes=1))
    placed(slc, NOW - DAY + timedelta(hours=1))  # yesterday, but later than it is now
    placed(slc, NOW - 7 * DAY - timedelta(minutes=5), **FAILED)
    seen = figures(home())
    assert seen["Orders made"] == ("2", "2", "1")
    assert seen["Revenue"] == ("₿\xa01", "₿\xa01", "₿\xa00.5")
    assert seen["Orders failed"] == ("0", "0", "1")


def test_today_begins_at_the_viewers_midnight(home, slc):
    placed(slc, datetime(2026, 6, 10, 6, 0, tzinfo=UTC))  # midnight in Denver
    placed(slc, datetime(2026, 6, 10, 5, 59, tzinfo=UTC))
    assert figures(home())["Orders made"][0] == "1"
    assert figures(home("UTC"))["Orders made"][0] == "2"
    assert figures(home("Atlantis/Poseidonis"))["Orders made"][0] == "2"


def test_another_franchises_sales_are_in_no_figure_and_no_chart(home, rival):
    Order.objects.update(created_at=NOW - timedelta(minutes=1))
    page = home()
    assert {today for today, *_ in figures(page).values()} == {"0", "₿\xa00"}
    assert "rival" not in page.text


def test_each_store_has_its_bars_by_day(home, slc):
    provo = Store.objects.create(franchise_id=1, name="Provo")
    placed(slc, NOW - 2 * DAY, total="0.25")
    placed(provo, NOW - 2 * DAY, total="0.5")
    placed(provo, NOW - 20 * DAY)
    revenue, made = home().context["home"]["charts"]
    assert revenue.totals == {"Provo": "₿\xa00.5", "SLC": "₿\xa00.25"}
    assert ("2026-06-08", "₿\xa00.5", "₿\xa00.25") in revenue.rows
    assert ("2026-06-08", "1", "1") in made.rows
    assert len(made.rows) == 14


def test_a_chain_of_many_stores_shows_the_best_by_name(home, slc):
    for number in range(9):
        placed(Store.objects.create(franchise_id=1, name=f"store {number}"), NOW - DAY, total=str(number + 1))
    revenue, _ = home().context["home"]["charts"]
    assert list(revenue.totals) == [*(f"store {number}" for number in (8, 7, 6, 5, 4, 3)), "all others"]
    assert revenue.totals["all others"] == "₿\xa06"


def test_stores_of_two_franchises_that_are_called_alike_are_told_apart(home, slc):
    other = Franchise.objects.create(name="topSpot")
    other.admins.add(User.objects.get(email="f@jwt.com"))
    placed(Store.objects.create(franchise=other, name="SLC"), NOW - DAY, total="2")
    placed(slc, NOW - DAY, total="1")
    revenue, _ = home().context["home"]["charts"]
    assert revenue.totals == {"SLC (topSpot)": "₿\xa02", "SLC (pizzaPocket)": "₿\xa01"}


def test_what_waits_or_failed_just_now_is_told_in_plain_words(home, slc):
    waiting, failed = sold(slc, **PENDING), sold(slc, **FAILED, total=Decimal("0.0038"))
    sold(slc)
    seen = words(home())
    assert f"{waiting.pk} " in seen
    assert "Waiting for the factory" in seen
    assert "The factory had an error" in seen
    assert "₿ 0.0038" in seen
    assert f"/admin/orders/order/{failed.pk}/change/" in home().text


def test_when_nothing_is_wrong_that_is_said(home, slc):
    assert "None: whatever was ordered was made." in words(home())


def test_the_factorys_state_is_told_without_what_is_an_operators(home):
    seen = words(home())
    assert "Ordering is" in seen
    assert "Support link" not in seen
    assert "Circuits" not in seen


def test_who_has_no_store_yet_has_a_home_too(home):
    Store.objects.all().delete()
    page = home()
    assert page.context["home"]["untold"] == []
    assert "You have no store yet. Open one" in words(page)


@pytest.mark.parametrize("stores", [1, 40])
def test_it_costs_as_many_queries_for_many_stores(home, slc, stores):
    for number in range(stores):
        placed(Store.objects.create(franchise_id=1, name=f"store {number}"), NOW - DAY)
    home()
    with CaptureQueriesContext(connection) as context:
        home()
    assert len(counted(context)) == 10, "\n".join(counted(context))
