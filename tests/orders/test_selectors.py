"""What those who run stores read in their orders."""

from datetime import timedelta
from decimal import Decimal
from itertools import chain, pairwise

import pytest
from django.db.models import Q
from django.utils import timezone

from orders import selectors
from orders.models import Order, Status
from tests.orders.books import NOON, diner, placed, store

MINUTE, DAY = timedelta(minutes=1), timedelta(days=1)

pytestmark = pytest.mark.django_db


@pytest.fixture
def provo():
    return store("Provo")


@pytest.fixture
def orem():
    return store("Orem")


@pytest.fixture
def rival():
    return store("Provo", franchise="Pizza Rival")


@pytest.fixture
def ann():
    return diner("Ann")


@pytest.fixture
def most(monkeypatch):
    """How many orders are a long list."""
    return lambda number: monkeypatch.setattr(selectors, "MOST_LISTED", number)


def listed(*stores, **filters):
    """What a list shows: the orders, and since when they are all there."""
    stores = [each.pk for each in stores] or None
    orders, since = selectors.latest(selectors.orders_of(stores).filter(**filters), stores=stores)
    return list(orders), since


def found(term, *stores):
    stores = [each.pk for each in stores]
    orders = selectors.orders_of(stores)
    return list(selectors.search(term, orders=orders, newest=selectors.latest(orders, stores=stores)[0]))


# --- the list -------------------------------------------------------------------------------------


def test_the_orders_of_some_stores_come_newest_first(provo, orem, rival, ann):
    old, new = placed(at=provo, by=ann, minutes=9), placed(at=orem, by=ann, minutes=1)
    middle = placed(at=provo, by=ann, minutes=5)
    placed(at=rival, by=ann)
    assert list(selectors.orders_of([provo.pk, orem.pk])) == [new, middle, old]
    assert list(selectors.orders_of([])) == []


def test_an_admin_reads_those_of_all_stores_whatever_became_of_them(provo, rival, ann):
    orders = [placed(at=at, by=ann, status=status) for at in (provo, rival) for status in Status]
    assert set(selectors.orders_of(None)) == set(orders)
    assert set(listed()[0]) == set(orders)


def test_of_orders_placed_at_the_same_instant_the_last_comes_first(provo, ann):
    orders = [placed(at=provo, by=ann) for _ in range(3)]
    assert list(selectors.orders_of([provo.pk])) == orders[::-1]


def test_jwts_are_not_read(provo, ann, django_assert_num_queries):
    placed(at=provo, by=ann)
    with django_assert_num_queries(1):
        [order] = selectors.orders_of([provo.pk])
    assert order.get_deferred_fields() == {"jwt"}


# --- the newest of many ---------------------------------------------------------------------------


def test_a_short_list_is_whole(provo, orem, ann, most):
    most(6)
    orders = [placed(at=at, by=ann, minutes=minutes) for minutes in range(3) for at in (provo, orem)]
    seen, since = listed(provo, orem)
    assert (set(seen), since) == (set(orders), None)


def test_a_long_list_is_cut_and_says_since_when_it_is_whole(provo, ann, most):
    most(4)
    orders = [placed(at=provo, by=ann, minutes=minutes) for minutes in range(10)]
    assert listed(provo) == (orders[:5], NOON - 4 * MINUTE)


def test_the_newest_are_in_it_wherever_they_were_sold(provo, orem, rival, ann, most):
    most(16)
    sold = {minutes: placed(at=orem if minutes == 7 else provo, by=ann, minutes=minutes) for minutes in range(20)}
    for minutes in range(20):
        placed(at=rival, by=ann, minutes=minutes)
    seen, since = listed(provo, orem)
    assert since == NOON - 9 * MINUTE
    assert seen == [order for minutes, order in sold.items() if minutes <= 9]


@pytest.mark.parametrize("everywhere", [False, True])
def test_of_orders_placed_at_the_same_instant_none_is_lost(provo, ann, most, everywhere):
    most(4)
    orders = [placed(at=provo, by=ann, minutes=minutes // 4) for minutes in range(12)]
    seen, since = listed(*([] if everywhere else [provo]))
    assert (set(seen), since) == ({*orders[:8]}, NOON - MINUTE)


def test_a_filter_comes_before_the_cut(provo, ann, most):
    failed = [placed(at=provo, by=ann, minutes=minutes, status=Status.FAILED) for minutes in (50, 60, 70, 80)]
    for minutes in range(10):
        placed(at=provo, by=ann, minutes=minutes)
    most(4)
    assert listed(provo, status=Status.FAILED) == (failed, None)
    most(2)
    assert listed(provo, status=Status.FAILED) == (failed[:3], failed[2].created_at)
    assert listed(provo, created_at__lt=NOON - 65 * MINUTE) == (failed[2:], None)


def test_of_all_stores_the_newest_are_listed_whatever_became_of_them(provo, rival, ann, most):
    most(3)
    orders = [placed(at=at, by=ann, minutes=minutes) for minutes in range(5) for at in (provo, rival)]
    failed = placed(at=provo, by=ann, minutes=1, status=Status.FAILED)
    placed(at=provo, by=ann, minutes=9, status=Status.FAILED)
    seen, since = listed()
    assert (set(seen), since) == ({*orders[:4], failed}, NOON - MINUTE)


def test_of_many_stores_each_has_a_page_or_two(ann, monkeypatch):
    monkeypatch.setattr(selectors, "LEAST_LISTED", 2)
    stores = [store(f"store {number}") for number in range(selectors.FEW_STORES + 1)]
    orders = [placed(at=at, by=ann, minutes=minutes) for minutes in range(2) for at in stores]
    assert (set(listed(*stores)[0]), listed(*stores)[1]) == (set(orders), None)
    placed(at=stores[7], by=ann, minutes=2)
    placed(at=stores[7], by=ann, minutes=3)
    assert listed(*stores)[1] == NOON - 2 * MINUTE


def test_an_order_of_the_rows_stays(provo, ann, most):
    most(2)
    for minutes in range(4):
        placed(at=provo, by=ann, minutes=minutes, total=2 - minutes if minutes < 3 else 0)
    orders, _ = selectors.latest(selectors.orders_of([provo.pk]).order_by("total"), stores=[provo.pk])
    assert [order.total for order in orders] == [0, 1, 2]


def test_a_store_that_never_sold_takes_nothing_from_the_others(provo, orem, ann):
    order = placed(at=provo, by=ann)
    assert listed(provo, orem) == ([order], None)
    assert listed(orem) == ([], None)


@pytest.mark.parametrize("stores", [0, 1, 3, 30])
def test_a_list_costs_one_query_more_than_its_rows(stores, django_assert_num_queries):
    sellers = [store(f"store {number}") for number in range(stores)]
    with django_assert_num_queries(2):
        listed(*sellers)


# --- the search -----------------------------------------------------------------------------------


def test_a_diner_is_found_by_a_part_of_the_name_in_any_case(provo):
    straight, other = placed(at=provo, by=diner("Anna Straße")), placed(at=provo, by=diner("Bob"))
    for term in ("STRASSE", "anna", "A S"):
        assert found(term, provo) == [straight]
    assert found("b", provo) == [other]
    assert found("nobody", provo) == []


@pytest.mark.parametrize("sign", ["%", "_", "*", "\\", "'", "["])
def test_no_sign_stands_for_another(provo, sign):
    order = placed(at=provo, by=diner(f"An{sign}n"))
    placed(at=provo, by=diner("Anxn"))
    assert found(f"n{sign}", provo) == [order]


def test_an_order_is_found_by_its_number_whenever_it_was_placed(provo, ann, most):
    most(1)
    old, *_ = [placed(at=provo, by=ann, minutes=minutes) for minutes in (90, 1, 0)]
    assert found(str(old.pk), provo) == [old]


def test_a_number_that_is_no_orders_may_be_in_a_name(provo):
    order = placed(at=provo, by=diner(f"Diner {10**9}"))
    assert found(str(10**9), provo) == [order]
    assert found("9" * 19, provo) == found("9" * 10_000, provo) == []


def test_a_name_is_searched_among_the_newest(provo, ann, most):
    most(1)
    orders = [placed(at=provo, by=ann, minutes=minutes) for minutes in range(3)]
    assert found("ann", provo) == orders[:2]


def test_nothing_of_another_franchise_is_ever_found(provo, rival, ann):
    order = placed(at=rival, by=ann)
    assert found("ann", provo) == []
    assert found(str(order.pk), provo) == []
    assert found(str(order.pk), rival) == [order]


# --- the home -------------------------------------------------------------------------------------


def test_sales_are_told_by_store_and_span(provo, orem, rival, ann):
    yesterday, today = (NOON - 2 * DAY, NOON - DAY), (NOON - DAY, NOON)
    placed(at=provo, by=ann, minutes=5, total="0.1")
    placed(at=provo, by=ann, minutes=6, total="0.2")
    placed(at=provo, by=ann, minutes=7, status=Status.FAILED)
    placed(at=provo, by=ann, minutes=8, status=Status.PENDING)
    placed(at=orem, by=ann, when=NOON - DAY - MINUTE, status=Status.FAILED)
    placed(at=rival, by=ann, minutes=5)
    assert selectors.sales_by_store(stores=[provo.pk, orem.pk], spans=[yesterday, today]) == {
        provo.pk: [(yesterday[0], 0, 0, 0), (today[0], 2, 1, Decimal("0.3"))],
        orem.pk: [(yesterday[0], 0, 1, 0), (today[0], 0, 0, 0)],
    }


def test_a_span_begins_with_its_first_instant_and_ends_before_the_next(provo, ann):
    placed(at=provo, by=ann, when=NOON)
    spans = list(pairwise([NOON - DAY, NOON, NOON + DAY]))
    [before, after] = selectors.sales_by_store(stores=[provo.pk], spans=spans)[provo.pk]
    assert (before.fulfilled, after.fulfilled) == (0, 1)


def test_spans_may_overlap_and_be_apart(provo, ann):
    placed(at=provo, by=ann)
    whole, part, gone = (NOON - DAY, NOON + DAY), (NOON, NOON + MINUTE), (NOON - 7 * DAY, NOON - 6 * DAY)
    sold = selectors.sales_by_store(stores=[provo.pk], spans=[whole, part, gone])[provo.pk]
    assert [sales.fulfilled for sales in sold] == [1, 1, 0]


def test_who_has_no_store_has_no_sales(db):
    assert selectors.sales_by_store(stores=[], spans=[(NOON, NOON + DAY)]) == {}


@pytest.mark.parametrize("spans", [1, 16])
def test_sales_cost_one_query(provo, orem, ann, spans, django_assert_num_queries):
    placed(at=provo, by=ann)
    with django_assert_num_queries(1):
        selectors.sales_by_store(stores=[provo.pk, orem.pk], spans=[(NOON, NOON + DAY)] * spans)


def test_trouble_is_what_is_pending_or_failed_lately(provo, rival, ann):
    now = timezone.now()
    waiting = placed(at=provo, by=ann, when=now - 5 * 60 * MINUTE, status=Status.PENDING)
    failed = placed(at=provo, by=ann, when=now - 50 * MINUTE, status=Status.FAILED)
    placed(at=provo, by=ann, when=now - 70 * MINUTE, status=Status.FAILED)
    placed(at=provo, by=ann, when=now - DAY - MINUTE, status=Status.PENDING)
    placed(at=provo, by=ann, when=now)
    placed(at=rival, by=ann, when=now, status=Status.FAILED)
    assert list(selectors.lately(stores=[provo.pk])) == [failed, waiting]
    assert list(selectors.lately(stores=[provo.pk], minutes=10)) == [waiting]
    assert list(selectors.lately(stores=[provo.pk], most=1)) == [failed]


def test_trouble_costs_one_query_with_store_and_diner(provo, ann, django_assert_num_queries):
    for _ in range(3):
        placed(at=provo, by=ann, when=timezone.now(), status=Status.FAILED)
    with django_assert_num_queries(1):
        told = [(order.store.name, order.diner.name) for order in selectors.lately(stores=[provo.pk])]
    assert told == [("Provo", "Ann")] * 3


# --- chunks ---------------------------------------------------------------------------------------


@pytest.fixture
def by_two(monkeypatch):
    monkeypatch.setattr(selectors, "CHUNK", 2)


def chunks(*stores, **filters):
    stores = [each.pk for each in stores]
    return selectors.in_chunks(selectors.orders_of(stores).filter(**filters), stores=stores)


def test_orders_are_read_in_chunks_store_after_store_newest_first(provo, orem, rival, ann, by_two):
    first = [placed(at=provo, by=ann, minutes=minutes) for minutes in (0, 3, 3, 3, 9)]
    second = [placed(at=orem, by=ann, minutes=minutes) for minutes in (1, 2)]
    placed(at=rival, by=ann)
    new, *tied, old = first
    assert list(chunks(provo, orem)) == [[new, tied[2]], [tied[1], tied[0]], [old], second]


def test_chunks_keep_a_filter(provo, ann, by_two):
    orders = [
        placed(at=provo, by=ann, minutes=n, status=Status.FAILED if n % 2 else Status.FULFILLED) for n in range(9)
    ]
    failed = [order for chunk in chunks(provo, status=Status.FAILED) for order in chunk]
    assert failed == orders[1::2]


def test_each_order_comes_once_though_they_are_placed_and_settled_meanwhile(provo, ann, by_two):
    orders = [placed(at=provo, by=ann, minutes=minutes, status=Status.PENDING) for minutes in range(5)]
    read = chunks(provo)
    seen = next(read)
    placed(at=provo, by=ann, when=NOON + MINUTE)
    Order.objects.filter(~Q(pk=seen[0].pk)).update(
        status=Status.FULFILLED, jwt="x", reason="", settled_at=NOON, lease_until=None
    )
    assert [*seen, *(order for chunk in read for order in chunk)] == orders


def test_a_chunk_costs_two_queries(provo, ann, django_assert_num_queries):
    for _ in range(3):
        placed(at=provo, by=ann, pizzas=["Veggie", "Margarita"])
    with django_assert_num_queries(2):
        [chunk] = chunks(provo)
        assert [(order.store.name, order.diner.name, len(order.items.all())) for order in chunk] == [
            ("Provo", "Ann", 2)
        ] * 3


# --- a diner's history ----------------------------------------------------------------------------


def pages(who, statuses="all"):
    """All pages of a history, as ids, up to the one after which there are no more."""
    read = []
    while True:
        found, more = selectors.history(diner=who, statuses=statuses, page=len(read) + 1)
        read.append([receipt.id for receipt in found])
        if not more:
            return read


@pytest.mark.parametrize("count", [0, 1, 9, 10, 11, 20, 21])
def test_a_history_is_read_in_pages_of_ten_newest_first(provo, ann, count):
    ids = [placed(at=provo, by=ann, minutes=count - number).pk for number in range(count)][::-1]
    placed(at=provo, by=diner("Bob"))
    read = pages(ann)
    assert list(chain(*read)) == ids
    assert [len(page) for page in read[:-1]] == [10] * (len(read) - 1)
    assert 0 < len(read[-1]) <= 10 or not ids
    assert selectors.history(diner=ann, statuses="all", page=len(read) + 1) == ([], False)


@pytest.mark.parametrize("statuses", selectors.HISTORY)
def test_a_history_has_the_statuses_that_were_asked_for(provo, ann, statuses):
    orders = [placed(at=provo, by=ann, status=status) for status in [*Status] * 5]
    wanted = [order.pk for order in orders[::-1] if order.status in selectors.HISTORY[statuses]]
    assert list(chain(*pages(ann, statuses))) == wanted


def test_a_receipt_has_the_pizzas_of_its_own_order_and_costs_three_queries(
    provo, rival, ann, django_assert_num_queries
):
    first = placed(at=provo, by=ann, pizzas=["Veggie", "Crusty"])
    second = placed(at=rival, by=ann, pizzas=["Veggie"])
    with django_assert_num_queries(3):
        [newer, older], _ = selectors.history(diner=ann, statuses="", page=1)
    assert [pizza.description for pizza in older.pizzas] == ["Veggie", "Crusty"]
    assert (
        newer.id,
        newer.diner_id,
        newer.store_id,
        newer.franchise_id,
        newer.created_at,
        newer.status,
        newer.jwt,
    ) == (
        second.pk,
        ann.pk,
        rival.pk,
        rival.franchise_id,
        NOON,
        "fulfilled",
        "pizza",
    )
    assert [(pizza.order_id, pizza.price) for pizza in newer.pizzas] == [(second.pk, Decimal(1))]
    assert older.id == first.pk
