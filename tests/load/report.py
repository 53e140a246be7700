"""The figures as people read them: on the terminal and in docs/bench.md."""

import platform
import subprocess
import time
from collections.abc import Iterator
from importlib.metadata import version as released
from pathlib import Path

import psutil

from tests.e2e.books import Database
from tests.load.bench import Result
from tests.load.calls import FAR_PAGE, HISTORY, LOGINS, LONG_HISTORY

TITLES = {"sqlite": "SQLite", "postgresql": "PostgreSQL", "mariadb": "MariaDB"}
VERSIONS = {
    "sqlite": "SELECT 'SQLite ' || sqlite_version()",
    "postgresql": "SELECT 'PostgreSQL ' || current_setting('server_version')",
    "mariadb": "SELECT CONCAT('MariaDB ', VERSION())",
}
PACKAGES = ("django", "djangorestframework", "granian")
# What a slow or busy machine takes from a ratio, too.
MARGIN = 2 / 3
HEAD = """# How fast it is

Written by `script/bench`. It measures the service as it is run (two workers, telemetry on, the log in a file), with the
practice factory, the database and [wrk](https://github.com/wg/wrk) on the same machine, at 32 connections. Each figure
of a table is the median of three rounds, in which everything is measured in turn; what stands below a table is measured
after that, on its own.

What counts are the ratios, for no machine is as quick all the time: *of bare* is the share of what a bare Django view,
without any middleware, answered with the menu's bytes on the same server just before and after; of logins, the share of
bare Argon2id hashes in two processes. *To reach* is the share that the requests a second of the last column but one are
of 13,750: they were set for a machine on which the menu's 5,500 are 0.4 of the bare view. *Refused* is 4xx, 5xx and
broken connections of all three rounds. *Express* is the service that this one replaces, on two cores, with MariaDB.
"""


def table(result: Result, database: str) -> Iterator[str]:
    """A table in Markdown; readable on a terminal, too."""
    yield f"| {'call':33} | a second | of bare | to reach | p50 ms | p99 ms | refused | 13,750 | Express |"
    yield f"|:{'-' * 33}-|---------:|--------:|---------:|-------:|-------:|--------:|-------:|--------:|"
    yield _row("a bare WSGI application", f"{result.wsgi:,.0f}", f"{result.wsgi / result.django:.2f}")
    yield _row("a bare Django view", f"{result.django:,.0f}", "1.00")
    for call, rate, share, p50, p99, refused, broken in result.figures:
        reach = f"{call.share(database):.3f}" if database in call.reach else ""
        absolute = f"{call.reach[database]:,}" if database in call.reach and call is not LOGINS else ""
        failed = f"{refused + broken:,}" if refused + broken else ""
        express = f"{call.express:,}" if call.express else ""
        yield _row(
            call.name, f"{rate:,.0f}", f"{share:.3f}", reach, f"{p50:.1f}", f"{p99:.1f}", failed, absolute, express
        )
    yield _row("bare Argon2id hashes", f"{result.hashes:,.0f}")


def _row(name: str, *cells: str) -> str:
    widths = (8, 7, 8, 6, 6, 7, 6, 7)
    padded = [f"{cell:>{width}}" for cell, width in zip((*cells, *[""] * len(widths)), widths, strict=False)]
    return f"| {name:33} | {' | '.join(padded)} |"


def extras(result: Result) -> Iterator[str]:
    """What is no row of the table."""
    for what, found in [*_pages(result), *result.extra]:
        yield f"- {what}: **{found}**"
    if result.memory:
        what = "memory of each worker (MB, RSS, and PSS, which has its share of what both have; to reach: 150)"
        minutes = ", ".join(" / ".join(map(str, minute)) for minute in result.memory)
        yield f"- {what} after each minute of mixed traffic: {minutes}"


def _pages(result: Result) -> Iterator[tuple[str, str]]:
    """How much longer a diner waits who has ordered for years."""
    shares = {figure.call.name: figure.share for figure in result.figures}
    for call, reach in ((LONG_HISTORY, 1.2), (FAR_PAGE, 2)):
        if call.name in shares:
            longer = f"{shares[HISTORY.name] / shares[call.name]:.2f}"
            yield f"{call.name} takes, of what a page of 100 takes (to reach: at most {reach})", longer


def faults(result: Result, database: str) -> dict[str, str]:
    """What is further from what has to be reached than a slow machine explains, by the name of the call."""
    found = {}
    for figure in result.figures:
        least = figure.call.share(database) * MARGIN
        if figure.share < least:
            name = figure.call.name
            found[name] = f"{name}: {figure.share:.3f} of what is bare, and {least:.3f} is too little"
    return found


def version(books: Database, kind: str) -> str:
    """What the database calls itself."""
    return str(books.query(VERSIONS[kind])[0][0])


def section(result: Result, database: str, server: str) -> str:
    """What docs/bench.md has of one database, which called itself so."""
    lines = [
        f"## {TITLES[database]}",
        "",
        f"{_machine()}; {server}.",
        "",
        *table(result, database),
        "",
        *extras(result),
        "",
    ]
    return "\n".join(lines)


def _machine() -> str:
    known = {line.partition(":")[0].strip(): line.partition(":")[2].strip() for line in _cpu().splitlines()}
    memory = round(psutil.virtual_memory().total / 2**30)
    packages = ", ".join(f"{name} {released(name)}" for name in PACKAGES)
    wrk = subprocess.run(["wrk", "--version"], capture_output=True, text=True, check=False).stdout.split(" [")[0]
    processor = known.get("model name", platform.machine())
    return (
        f"{time.strftime('%Y-%m-%d', time.gmtime())}, {psutil.cpu_count()} cores ({processor}), {memory} GiB,"
        f"  Linux {platform.release()}; Python {platform.python_version()}, {packages}, {wrk}"
    )


def _cpu() -> str:
    path = Path("/proc/cpuinfo")
    return path.read_text() if path.exists() else ""


def written(path: Path, result: Result, database: str, server: str) -> None:
    """Puts this database's section into the file, in place of the one from before; the others stay."""
    _, *others = path.read_text().split("\n## ") if path.exists() else [""]
    sections = {other.partition("\n")[0]: f"## {other.rstrip()}\n" for other in others}
    sections[TITLES[database]] = section(result, database, server)
    path.write_text("\n".join([HEAD, *(sections[title] for title in TITLES.values() if title in sections)]))
