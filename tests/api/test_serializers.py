"""What is taken for a text, an address, a number, and how a fault is named."""

import pytest
from rest_framework import serializers

from jwtpizza.api.errors import Invalid
from jwtpizza.api.serializers import EmailAddress, Input, Text, WholeNumber, checked, checked_query


class Person(Input):
    incomplete = "name and email are required"
    name = Text()
    email = EmailAddress(required=False)


class Item(Input):
    menu = WholeNumber()


class Order(Input):
    store = WholeNumber()
    items = serializers.ListField(child=Item(), min_length=1, max_length=3)


class Range(Input):
    limit = WholeNumber(default=10, min_value=1, max_value=1000)


def name(text):
    return checked(Person, {"name": text})["name"]


def address(text):
    return checked(Person, {"name": "n", "email": text})["email"]


def number(value):
    return checked(Item, {"menu": value})["menu"]


def fields(kind, data):
    with pytest.raises(Invalid) as refused:
        checked(kind, data)
    return refused.value.extra["fields"]


@pytest.mark.parametrize("text", ["常用名字", "O'Brien", "x' OR 1=1 --", "ü" * 255, "👩‍🍳", "<b>"])
def test_a_text_is_taken_as_it_is(text):
    assert name(text) == text


def test_spaces_around_a_text_are_dropped():
    assert name(" \tpizza diner\n") == "pizza diner"


@pytest.mark.parametrize("other", [5, 1.5, True, None, ["x"], {"x": 1}])
def test_only_a_json_string_is_a_text(other):
    assert fields(Person, {"name": other}).keys() == {"name"}


@pytest.mark.parametrize("text", ["", "   ", "x" * 256, "a\0b", "\ud800"])
def test_a_text_is_neither_blank_nor_too_long_nor_unprintable(text):
    assert fields(Person, {"name": text}).keys() == {"name"}


@pytest.mark.parametrize(
    "text",
    [
        "a@b",
        "d@jwt.com",
        "D.D+tag@JWT.com",
        "o'brien_!#$%&*/=?^`{|}~-@x-y.example",
        "δοκιμή@παράδειγμα.ελ",
        "用户@例子.公司",
        "उपयोगकर्ता@उदाहरण.भारत",
        "ผู้ใช้@ตัวอย่าง.ไทย",
        "a@" + "x" * 63,
        "a" * 250 + "@b.c",
    ],
)
def test_an_address_is_what_a_browser_takes_in_letters_of_any_script(text):
    assert address(text) == text


def test_spaces_around_an_address_are_dropped():
    assert address("  d@jwt.com ") == "d@jwt.com"


@pytest.mark.parametrize(
    "text",
    [
        "d",
        "@jwt.com",
        "d@",
        "d@@jwt.com",
        "d d@jwt.com",
        "d@jwt..com",
        "d@.com",
        "d@jwt.com.",
        "d@-jwt.com",
        "d@jwt-.com",
        "d@j_wt.com",
        "a@" + "x" * 64,
        "a" * 252 + "@b.c",
        "d@jwt.com\nBcc: x@jwt.com",
        "d\N{ZERO WIDTH SPACE}@jwt.com",
        "d\N{RIGHT-TO-LEFT OVERRIDE}@jwt.com",
        "🍕@jwt.com",
        '"d"@jwt.com',
        "d@[127.0.0.1]",
    ],
)
def test_anything_else_is_no_address(text):
    assert fields(Person, {"name": "n", "email": text}).keys() == {"email"}


@pytest.mark.parametrize(("value", "meant"), [(0, 0), (7, 7), ("7", 7), ("007", 7), (7.0, 7), (10**18 - 1, 10**18 - 1)])
def test_a_whole_number_may_stand_in_quotes_or_end_in_point_zero(value, meant):
    assert number(value) == meant


@pytest.mark.parametrize(
    "value",
    [
        -1,
        10**18,
        "9" * 19,
        1.5,
        1e300,
        float("inf"),
        "1.0",
        "-1",
        "+1",
        "1e3",
        "0x2",
        "1 ",
        "",
        "٣",
        True,
        None,
        [1],
        {},
    ],
)
def test_anything_else_is_no_whole_number(value):
    assert fields(Item, {"menu": value}).keys() == {"menu"}


def test_unknown_fields_are_ignored():
    assert checked(Item, {"menu": 1, "price": "x"}) == {"menu": 1}


@pytest.mark.parametrize("data", [None, [], "x", 5, True])
def test_a_body_that_is_no_object_is_named_as_the_body(data):
    assert fields(Person, data).keys() == {"body"}


def test_a_fault_in_a_list_is_named_by_its_place():
    assert fields(Order, {"store": 1, "items": [{"menu": 1}, {"menu": "x"}]}) == {
        "items[1].menu": ["This has to be a whole number."]
    }


def test_an_element_of_the_wrong_kind_is_named_by_its_place():
    assert fields(Order, {"store": 1, "items": [{"menu": 1}, 5]}).keys() == {"items[1]"}


def test_a_list_of_the_wrong_length_is_named_itself():
    assert fields(Order, {"store": 1, "items": []}).keys() == {"items"}


def test_each_fault_is_named():
    sent = {"store": "x", "items": [{}, {"menu": 1}, {"menu": -1}]}
    assert fields(Order, sent).keys() == {"store", "items[0].menu", "items[2].menu"}


def test_the_message_says_what_is_wrong_with_the_first():
    with pytest.raises(Invalid, match=r"^store: This has to be a whole number\.$"):
        checked(Order, {"store": "x", "items": [{}]})


@pytest.mark.parametrize("data", [{}, {"name": None}, {"name": ""}])
def test_something_missing_is_told_in_the_words_of_its_kind(data):
    with pytest.raises(Invalid, match=r"^name and email are required$"):
        checked(Person, data)


def test_a_wrong_kind_of_value_is_no_missing_one():
    with pytest.raises(Invalid, match=r"^name: "):
        checked(Person, {"name": 5})


def test_a_query_takes_what_it_knows_and_ignores_the_rest():
    assert checked_query(Range, "limit=5&x=1&x=2") == {"limit": 5}


def test_a_parameter_left_out_has_its_default():
    assert checked_query(Range, "") == {"limit": 10}


def test_a_parameter_given_twice_is_refused():
    with pytest.raises(Invalid) as refused:
        checked_query(Range, "limit=5&limit=6")
    assert refused.value.extra["fields"] == {"limit": ["Give this once."]}
