"""The bench fails on ratios that no slow machine explains, and on nothing else."""

import pytest

from tests.load.bench import Figure, Result
from tests.load.calls import FAR_PAGE, HISTORY, LOGINS, LONG_HISTORY, ORDERS
from tests.load.report import extras, faults, table, written


def figure(call, share, **more):
    return Figure(call, **{"rate": 1.0, "share": share, "p50": 1.0, "p99": 2.0, "refused": 0, "broken": 0, **more})


def result(*figures):
    return Result(django=12_000.0, wsgi=60_000.0, hashes=80.0, figures=list(figures), extra=[], memory=[])


@pytest.mark.parametrize(("call", "reach"), [(ORDERS, 300 / 13_750), (LOGINS, 0.75)])
def test_a_third_less_than_what_is_to_reach_is_a_fault(call, reach):
    assert faults(result(figure(call, 0.68 * reach)), "sqlite") == {}
    assert [*faults(result(figure(call, 0.65 * reach)), "sqlite")] == [call.name]


def test_where_nothing_is_to_reach_nothing_is_too_slow():
    assert faults(result(figure(ORDERS, 0.0)), "mariadb") == {}


def test_what_a_long_history_costs_is_told_beside_a_short_one():
    figures = [figure(call, share) for call, share in ((HISTORY, 0.09), (LONG_HISTORY, 0.08), (FAR_PAGE, 0.06))]
    assert [line.split("**")[1] for line in extras(result(*figures))] == ["1.12", "1.50"]
    assert [*extras(result())] == []


def test_connections_that_broke_off_are_told_and_no_fault():
    found = result(figure(ORDERS, 1.0, refused=2, broken=3))
    assert faults(found, "sqlite") == {}
    assert any(
        row.startswith("| orders of 3 items") and "| 5 |" in row.replace("  ", "") for row in table(found, "sqlite")
    )


def test_a_database_measured_again_replaces_its_section_alone(tmp_path):
    path = tmp_path / "bench.md"
    for database, server in (("postgresql", "PostgreSQL 15"), ("sqlite", "SQLite 3"), ("postgresql", "PostgreSQL 16")):
        written(path, result(), database, server)
    said = path.read_text()
    assert [line for line in said.splitlines() if line.startswith("## ")] == ["## SQLite", "## PostgreSQL"]
    assert said.count("; SQLite 3.") == said.count("; PostgreSQL 16.") == 1
    assert "PostgreSQL 15" not in said
