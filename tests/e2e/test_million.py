"""A million orders: what a franchisee reads is quick, costs a few queries, and is exported in little memory."""

import json

import pytest

from tests.e2e import books, million

pytestmark = pytest.mark.slow

MOST_MILLISECONDS = 300
# Of a page: the session, the user, their role, their stores (twice, once to choose among), the list, its orders' items.
MOST_QUERIES_OF_A_PAGE = 11
# The bound of the list, its count, its rows; and whether a number is an order's.
QUERIES = {"sales by store": 1, "lately": 1, "search for 500001": 4, "search for 500001, fulfilled": 4}


@pytest.fixture(scope="module", params=["SQLite", "PostgreSQL"])
def run(request, tmp_path_factory):
    """Runs a module of this project's on a database that has it all; what it prints last, from JSON."""
    directory = tmp_path_factory.mktemp("million")
    with books.NEW[request.param](directory) as database:
        million.fill(database, directory)
        yield lambda *argv: json.loads(million.command(database, directory, "-m", *argv).splitlines()[-1])


def test_each_list_and_filter_of_a_franchisee_is_quick(run):
    found = run("tests.e2e.listings")
    for name, (took, queries, orders) in sorted(found.items(), key=lambda page: -page[1][0]):
        print(f"{took:6.1f} ms {queries} queries {orders:6} orders  {name}")
    assert max(took for took, _, _ in found.values()) < MOST_MILLISECONDS
    pages = {name for name in found if " page /" in name}
    assert {name: queries for name, (_, queries, _) in found.items() if name not in pages} == {
        name: QUERIES.get(name.partition(": ")[2], 3) for name in found.keys() - pages
    }
    assert max(found[name][1] for name in pages) <= MOST_QUERIES_OF_A_PAGE
    counts = {name: orders for name, (_, _, orders) in found.items()}
    assert 14_000 < counts["f: all"] < 16_000
    assert counts["f: failed"] == 3999
    assert counts["quiet: all"] == 40
    assert counts["closed: all"] == 12_000
    assert counts["closed: search for rare bird"] >= 1
    assert counts["f: search for nobody at all"] == 0


def test_an_export_takes_as_much_memory_for_100_000_orders_as_for_10_000(run):
    (few, low), (many, high) = (run("tests.e2e.listings", "export", str(orders)) for orders in (10_000, 100_000))
    print(f"{low:.1f} MB for {few} lines, {high:.1f} MB for {many}")
    assert many > 9 * few > 9 * 9_900
    assert high - low < 5
