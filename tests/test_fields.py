"""Money and keys as the database keeps them."""

from decimal import Decimal

import pytest
from django.core.exceptions import ValidationError
from django.db import IntegrityError, connection
from django.db.models import F, Max, Sum, Value
from django.db.models.functions import Coalesce
from django.utils import timezone

from franchises.models import Franchise, Store
from jwtpizza.fields import MOST_BITCOIN, BitcoinField, as_number, in_bitcoin, key_of
from menu.models import MenuItem

pytestmark = pytest.mark.django_db


def sold_out(price, count):
    """Items whose prices a query can add up."""
    over = timezone.now()
    items = (MenuItem(title="x", image="x", description="x", price=price, retired_at=over) for _ in range(count))
    MenuItem.objects.bulk_create(items, batch_size=10_000)


@pytest.fixture
def store():
    return Store.objects.create(franchise=Franchise.objects.create(name="f"), name="s")


def reread(store):
    return Store.objects.get(pk=store.pk).revenue


@pytest.mark.parametrize("amount", ["0", "0.0038", "0.29", "0.00000001", "12345678.12345678", str(MOST_BITCOIN)])
def test_an_amount_comes_back_as_it_was(store, amount):
    Store.objects.update(revenue=Decimal(amount))
    assert reread(store) == Decimal(amount)


def test_an_amount_is_whole_satoshi_in_the_database(store):
    Store.objects.update(revenue=Decimal("0.0038"))
    with connection.cursor() as cursor:
        cursor.execute("SELECT revenue FROM franchises_store")
        assert cursor.fetchone() == (380_000,)


def test_a_hundred_thousand_prices_add_up_exactly():
    sold_out(Decimal("0.0038"), 100_000)
    assert MenuItem.objects.aggregate(sum=Sum("price"))["sum"] == Decimal(380)


def test_a_revenue_earned_in_place_adds_up_exactly(store):
    earned = Value(Decimal("0.0038"), output_field=BitcoinField())
    for _ in range(1000):
        Store.objects.update(revenue=F("revenue") + earned)
    assert reread(store) == Decimal("3.8")


def test_the_sum_of_nothing_is_none_and_may_be_made_0():
    nothing = Value(Decimal(0), output_field=BitcoinField())
    assert MenuItem.objects.aggregate(sum=Sum("price"))["sum"] is None
    assert MenuItem.objects.aggregate(sum=Coalesce(Sum("price"), nothing))["sum"] == 0


def test_the_dearest_is_an_amount():
    sold_out(Decimal("0.0038"), 2)
    assert MenuItem.objects.aggregate(max=Max("price"))["max"] == Decimal("0.0038")


def test_amounts_are_compared_as_amounts():
    sold_out(Decimal("0.0038"), 1)
    assert MenuItem.objects.filter(price=Decimal("0.0038"), price__lt=Decimal("0.01"), price__gte=0).exists()
    assert MenuItem.objects.filter(price__in=[Decimal("0.0038"), Decimal(1)]).exists()


@pytest.mark.parametrize("amount", [Decimal("-0.1"), Decimal("0.000000001"), Decimal(10**9)])
def test_what_is_no_amount_is_refused(amount):
    with pytest.raises(ValidationError):
        BitcoinField().run_validators(amount)


@pytest.mark.parametrize(
    ("amount", "number"), [("0", 0), ("0.00", 0), ("2", 2), ("1E+1", 10), ("0.0038", 0.0038), ("0.00000001", 1e-8)]
)
def test_a_json_number_is_the_one_that_javascript_would_write(amount, number):
    assert as_number(Decimal(amount)) == number
    assert type(as_number(Decimal(amount))) is type(number)


@pytest.mark.parametrize(
    ("amount", "text"),
    [
        ("0", "₿\xa00"),
        ("1234.00380000", "₿\xa01,234.0038"),
        ("0.00000001", "₿\xa00.00000001"),
        ("1E+2", "₿\xa0100"),
        ("21000000", "₿\xa021,000,000"),
    ],
)
def test_people_read_an_amount_without_the_decimals_that_it_does_not_have(amount, text):
    assert in_bitcoin(Decimal(amount)) == text


@pytest.mark.parametrize(("one", "other"), [("ABC", "abc"), ("Straße", "STRASSE"), ("ΣΊΣΥΦΟΣ", "σίσυφος"), ("İ", "i̇")])
def test_the_key_of_a_name_is_that_of_any_case(one, other):
    assert key_of(one) == key_of(other)


def item(title, **fields):
    return MenuItem.objects.create(title=title, image="x", description="x", price=1, **fields)


@pytest.mark.parametrize(
    ("one", "other"), [("e", "é"), ("i", "ı"), ("a", "а"), ("ss", "sß"), ("x", "x\N{COMBINING ACUTE ACCENT}")]
)
def test_keys_that_differ_in_a_byte_are_two(one, other):
    item(one)
    item(other)
    assert MenuItem.objects.filter(title_key=key_of(one)).count() == 1


def test_a_key_is_unique():
    item("Straße")
    with pytest.raises(IntegrityError):
        item("STRASSE")


def test_the_longest_name_has_room_for_its_key():
    longest = "ΐ" * 255
    assert len(key_of(longest)) == 3 * 255
    item(longest)
    assert MenuItem.objects.get().title_key == key_of(longest)


def test_a_key_follows_its_field_at_each_save():
    renamed = item("Veggie")
    renamed.title = "Pepperoni"
    renamed.save()
    assert MenuItem.objects.filter(title_key="pepperoni").exists()


def test_a_key_is_free_once_its_row_is_over():
    item("Veggie", retired_at=timezone.now())
    item("Veggie", retired_at=timezone.now())
    item("Veggie")
    assert MenuItem.objects.filter(title_key="veggie").count() == 1
