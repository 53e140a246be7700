"""Pages of names: what * finds, what is literal, and where pages end."""

from urllib.parse import urlencode

import pytest

from jwtpizza.accounts import selectors
from jwtpizza.accounts.models import User
from jwtpizza.api.errors import Invalid
from jwtpizza.api.pagination import MOST_PAGES, Page, page_of
from jwtpizza.api.serializers import checked_query


def pattern(text):
    return checked_query(Page, urlencode({"name": text}))["name"]


def refused(query):
    with pytest.raises(Invalid) as error:
        checked_query(Page, query)
    return error.value.extra["fields"].keys()


@pytest.fixture
def find(db):
    """The names among `names` that a client's pattern finds."""

    def found(text, names):
        User.objects.bulk_create(User(name=name, email=f"{n}@jwt.com") for n, name in enumerate(names))
        return [user.name for user in selectors.matching(pattern(text))]

    return found


@pytest.mark.parametrize(
    ("text", "found"),
    [
        ("*", ["Ann", "Anna", "Hanna"]),
        ("ann", ["Ann"]),
        ("ann*", ["Ann", "Anna"]),
        ("*ann*", ["Ann", "Anna", "Hanna"]),
        ("*a", ["Anna", "Hanna"]),
        ("a*n", ["Ann"]),
        ("h*n*a", ["Hanna"]),
        ("", []),
        ("nn", []),
    ],
)
def test_a_star_stands_for_anything_and_the_rest_for_itself(find, text, found):
    assert find(text, ["Ann", "Anna", "Hanna"]) == found


@pytest.mark.parametrize("sign", ["%", "_", "!", "\\", "?", "[", ".", "'"])
def test_signs_that_are_special_to_sql_are_literal(find, sign):
    assert find(f"a{sign}b*", [f"a{sign}b", f"a{sign}bc", "axb", "ab", "axxb"]) == [f"a{sign}b", f"a{sign}bc"]


@pytest.mark.parametrize(
    ("text", "name"), [("ÉLO*", "élodie"), ("*straße", "HauptSTRASSE"), ("常*", "常用名字"), ("İ*", "i̇x")]
)
def test_case_does_not_matter_in_any_script(find, text, name):
    assert find(text, [name, "other"]) == [name]


def test_five_stars_are_understood(find):
    assert find("*a*b*c*d*", ["xaxbxcxdx"]) == ["xaxbxcxdx"]


def test_a_sixth_star_is_refused():
    assert refused("name=*a*b*c*d*e*") == {"name"}


def test_stars_in_a_row_are_one():
    assert pattern("**a******b") == "*a*b"


def test_a_pattern_is_as_long_as_a_name_at_most():
    assert refused("name=" + "a" * 256) == {"name"}


def test_without_parameters_it_is_the_first_ten_of_all():
    assert checked_query(Page, "") == {"page": 0, "limit": 10, "name": "*"}


@pytest.mark.parametrize("query", ["limit=0", "limit=1001", "limit=-1", "limit=x", "limit=1.5", "limit="])
def test_a_limit_is_from_1_to_1000(query):
    assert refused(query) == {"limit"}


@pytest.mark.parametrize("query", ["page=-1", f"page={MOST_PAGES + 1}", "page=x", "page=", "page=1e3"])
def test_a_page_is_a_whole_number_that_a_database_can_count_to(query):
    assert refused(query) == {"page"}


@pytest.mark.parametrize("path", ["/api/franchise", "/api/user"])
def test_the_last_page_of_all_is_empty(admin, path):
    answer = admin.get(f"{path}?page={MOST_PAGES}&limit=1000")
    assert answer.status_code == 200
    assert answer.json()["more"] is False


def test_a_page_says_whether_there_is_more(find, db):
    find("*", ["a", "b", "c"])
    people = User.objects.order_by("pk")

    def names(page, limit):
        found, more = page_of(people, page=page, limit=limit)
        return [user.name for user in found], more

    assert names(0, 2) == (["a", "b"], True)
    assert names(1, 2) == (["c"], False)
    assert names(0, 3) == (["a", "b", "c"], False)
    assert names(2, 2) == ([], False)
