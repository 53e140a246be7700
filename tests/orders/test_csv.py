"""The file of orders that is opened in a spreadsheet."""

import csv
import io
from datetime import UTC, datetime
from decimal import Decimal

import pytest
from django.db import connection
from django.utils import timezone

from orders import selectors
from orders.models import Reason, Status
from orders.serializers import as_csv, defused
from tests.orders.books import diner, placed, store

pytestmark = pytest.mark.django_db


@pytest.fixture
def provo():
    return store("Provo")


@pytest.fixture
def ann():
    return diner("Ann")


def text(*stores, **filters):
    stores = [each.pk for each in stores]
    return "".join(as_csv(selectors.orders_of(stores).filter(**filters), stores=stores))


def rows(*stores, **filters):
    """As a spreadsheet reads them, by column."""
    return list(csv.DictReader(io.StringIO(text(*stores, **filters).removeprefix("\ufeff"), newline="")))


def test_an_order_is_a_row(provo, ann):
    order = placed(at=provo, by=ann, total="1234.50", pizzas=["Veggie", "Margarita", "Veggie"])
    assert text(provo) == (
        "\ufeffOrder,Placed at,Store,Diner,Items,Total (₿),Status,Reason\r\n"
        f'{order.pk},2026-06-05T12:00:00+00:00,Provo,Ann,"2 × Veggie, 1 × Margarita",1234.5,fulfilled,\r\n'
    )


def test_without_an_order_there_is_the_header_alone(provo):
    assert text(provo) == text() == "\ufeffOrder,Placed at,Store,Diner,Items,Total (₿),Status,Reason\r\n"


def test_times_are_in_the_time_zone_of_who_asked_for_them(provo, ann):
    placed(at=provo, by=ann, when=datetime(2026, 1, 1, 6, 30, 15, 250_000, tzinfo=UTC))
    with timezone.override("America/Denver"):
        pieces = as_csv(selectors.orders_of([provo.pk]), stores=[provo.pk])
    assert ",2025-12-31T23:30:15-07:00,Provo," in "".join(pieces)


@pytest.mark.parametrize(
    ("total", "written"),
    [("0", "0"), ("0.00000001", "0.00000001"), ("20999999.99999998", "20999999.99999998"), ("100", "100")],
)
def test_a_total_is_a_plain_number(provo, ann, total, written):
    placed(at=provo, by=ann, total=total)
    [row] = rows(provo)
    assert row["Total (₿)"] == written
    assert Decimal(written) == Decimal(total)


def test_why_an_order_failed_is_told_in_words(provo, ann):
    reasons = [reason for reason in Reason if reason != Reason.NONE]
    for minutes, reason in enumerate(reasons):
        placed(at=provo, by=ann, minutes=minutes, status=Status.FAILED, reason=reason)
    told = [row["Reason"] for row in rows(provo)]
    assert told == [reason.label for reason in reasons]
    assert told[2] == "The factory took too long"
    assert not any(reason.value in row for reason, row in zip(reasons, told, strict=True) if "_" in reason.value)


def test_only_the_orders_that_were_asked_for_are_in_it(provo, ann):
    rival, orem = store("Provo", franchise="Pizza Rival"), store("Orem")
    mine = placed(at=provo, by=ann)
    placed(at=provo, by=ann, status=Status.FAILED)
    placed(at=rival, by=ann)
    placed(at=orem, by=ann, minutes=1)
    assert [row["Order"] for row in rows(provo, status=Status.FULFILLED)] == [str(mine.pk)]
    assert [row["Store"] for row in rows(provo, orem)] == ["Provo", "Provo", "Orem"]


@pytest.mark.parametrize("name", ['Ann "the\nman", again', "常用 ₿ ×", "a\r\nb", ",", '"'])
def test_a_name_comes_out_as_it_was(provo, name):
    placed(at=provo, by=diner(name))
    assert [row["Diner"] for row in rows(provo)] == [name]


FORMULAS = ["=1+1", "+1", "-1", "@SUM(1)", "\t=1", "\rx", "\nx", "\tx", "＝1", "＋1", "－1", "＠x", "  =1", "\u3000=1"]


@pytest.mark.parametrize("name", FORMULAS)
def test_what_could_begin_a_formula_is_defused(ann, name):
    placed(at=store(name, franchise="f"), by=diner(name), pizzas=[name])
    [row] = rows(*selectors.Store.objects.filter(name=name))
    assert row["Diner"].startswith("'")
    assert row["Store"].startswith("'")
    assert row["Items"].startswith("1 × ")


@pytest.mark.parametrize(
    ("name", "cell"),
    [
        ("x;=1+1", "x;'=1+1"),  # where the comma is in numbers, spreadsheets part cells by the semicolon
        ("x; +1", "x;' +1"),
        ("x\n=1", "x\n'=1"),
        ("x\t-1", "x\t'-1"),
        ("=1;=1", "'=1;'=1"),
        ("Jean-Luc a+b=c @x", "Jean-Luc a+b=c @x"),
        ("'", "'"),
        ("", ""),
    ],
)
def test_a_formula_inside_a_name_is_defused_where_a_cell_could_begin(name, cell):
    assert defused(name) == cell


def test_it_comes_in_pieces_between_which_no_connection_is_held(demo, ann, monkeypatch):
    monkeypatch.setattr(selectors, "CHUNK", 2)
    for minutes in range(5):
        placed(at=selectors.Store.objects.get(), by=ann, minutes=minutes)
    pieces = as_csv(selectors.orders_of([1]), stores=[1])
    held = []
    lines = []
    for piece in pieces:
        lines.append(piece.count("\r\n"))
        held.append(connection.connection is not None)
    assert lines == [1, 2, 2, 1]
    if connection.vendor != "sqlite":  # whose own costs nobody anything
        assert held[1:] == [False] * 3
