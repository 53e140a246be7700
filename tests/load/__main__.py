"""`python -m tests.load`: how fast the service is, beside what its server can do at all."""

import argparse
import shutil
import sys
import tempfile
from contextlib import ExitStack
from pathlib import Path

from tests.drill.__main__ import deferred
from tests.e2e.books import Database
from tests.live import PROJECT
from tests.load import bench
from tests.load.calls import CALLS
from tests.load.house import House, house, new, old
from tests.load.report import TITLES, extras, faults, table, version, written
from tests.load.weights import of_an_order

BENCH = PROJECT / "docs" / "bench.md"
SECONDS, SHORT_SECONDS = 3, 2


def main() -> int:
    """The exit code: 0 unless the short form found something too slow."""
    said = _said()
    directory = Path(tempfile.mkdtemp(prefix="bench-"))
    try:
        with ExitStack() as running:
            with deferred():
                database = running.enter_context(new(TITLES[said.database], directory))
                home = running.enter_context(house(directory, database.url))
            return _short(home, said) if said.short else _whole(home, database, said, directory)
    finally:
        shutil.rmtree(directory, ignore_errors=True)


def _said() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="script/bench", description=__doc__)
    parser.add_argument("--database", choices=TITLES, default="sqlite")
    parser.add_argument("--short", action="store_true", help="the main calls in 2 minutes; fails where one is too slow")
    parser.add_argument("--minutes", type=int, default=10, help="of mixed traffic, for the memory; 0 leaves it out")
    return parser.parse_args()


def say(line: str) -> None:
    print(line, file=sys.stderr, flush=True)


def _short(home: House, said: argparse.Namespace) -> int:
    calls = [call for call in CALLS if call.short]
    # Whoever else was busy for a while is hardly so again.
    for _ in range(2):
        result = bench.measured(home, calls, SHORT_SECONDS, say)
        print("\n".join(table(result, said.database)))
        too_slow = faults(result, said.database)
        print("\n".join(f"TOO SLOW: {fault}" for fault in too_slow.values()) or "Nothing is too slow.")
        calls = [call for call in calls if call.name in too_slow]
        if not calls:
            return 0
    return 1


def _whole(home: House, books: Database, said: argparse.Namespace, directory: Path) -> int:
    result = bench.measured(home, list(CALLS), SECONDS, say)
    weights = of_an_order(home, books, said.database, 3 * SECONDS)
    for steps in (weights, bench.kept(home, SECONDS), bench.crowded(home, SECONDS), bench.started(home)):
        result.extra.extend(steps)
        say("\n".join(extras(result)))
    if said.database != "mariadb":
        (directory / "old").mkdir()
        with new(TITLES[said.database], directory / "old") as database, old(directory / "old", database, home) as year:
            result.extra.extend(bench.owners(home, year, database, SECONDS))
    if said.minutes:
        memory, mixed = bench.mixed(home, said.minutes, directory, say)
        result.memory.extend(memory)
        result.extra.append((f"mixed traffic for {said.minutes} minutes", mixed))
    print("\n".join([*table(result, said.database), "", *extras(result)]))
    written(BENCH, result, said.database, version(books, said.database))
    return 0


if __name__ == "__main__":
    sys.exit(main())
