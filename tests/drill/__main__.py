"""`python -m tests.drill`: a line for each phase, a table at the end; the exit code is 0 only if all of it passed."""

import argparse
import os
import shutil
import signal
import sys
import tempfile
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

from tests.drill.drill import PACES, Drill, Pace
from tests.drill.house import house
from tests.drill.verdict import Row, judged

EXIT_CODES = {signal.SIGINT: 130, signal.SIGTERM: 143, signal.SIGHUP: 129}


def main() -> int:
    """The exit code."""
    pace = _pace()
    directory = Path(tempfile.mkdtemp(prefix="drill-"))
    try:
        rows = _drilled(directory, pace)
    except SystemExit:
        shutil.rmtree(directory)
        raise
    print("\n" + "\n".join(table(rows)))
    if all(row.passed for row in rows):
        shutil.rmtree(directory)
        return 0
    print(f"The logs are in {directory}")
    return 1


def _drilled(directory: Path, pace: Pace) -> list[Row]:
    database_url = os.environ.get("DATABASE_URL") or f"sqlite:///{directory / 'drill.sqlite3'}"
    with ExitStack() as running:
        with deferred():
            home = running.enter_context(house(directory, database_url, pace.environment))
        print(_heading(pace), flush=True)
        return judged(Drill(home, pace, _say).run())


def _pace() -> Pace:
    parser = argparse.ArgumentParser(prog="script/drill", description=__doc__.split("; ")[0])
    parser.add_argument("--pace", choices=PACES, default="compressed", help="real takes 25 minutes, compressed 3")
    parser.add_argument("--healthy", type=float, metavar="SECONDS", help="the length of a healthy phase")
    parser.add_argument("--outage", type=float, metavar="SECONDS", help="the length of an outage")
    said = parser.parse_args()
    lengths = {name: getattr(said, name) for name in ("healthy", "outage") if getattr(said, name)}
    return PACES[said.pace]._replace(**lengths)


def _heading(pace: Pace) -> str:
    load, processors = os.getloadavg()[0], os.cpu_count() or 1
    busy = f"The machine is busy already (load {load:.1f}, {processors} processors), so numbers will be low.\n"
    return (
        f"Healthy for {pace.healthy:g} s, an outage for {pace.outage:g} s. A circuit stays open for"
        f" {pace.open_first:g} s at first and {pace.open_longest:g} s at most (± 20 %), so that orders have to succeed"
        f" {pace.limit:g} s after an outage. The canary flies every {pace.canary:g} s, and an incident is over after"
        f" {pace.incident:g} s without a failure.\n"
        f"{busy if load > processors else ''}"
    )


def _say(line: str, done: bool) -> None:
    if done:
        print(f"\r{line}", flush=True)
    elif sys.stdout.isatty():
        print(f"\r{line}", end="", flush=True)


def table(rows: list[Row]) -> Iterator[str]:
    """The lines of a table for people."""
    width = max(len(row.requirement) for row in rows)
    for row in rows:
        yield f"{'passed' if row.passed else 'FAILED'}   {row.requirement:{width}}   {row.found}"
    yield f"\n{sum(row.passed for row in rows)} of {len(rows)} passed"


@contextmanager
def deferred() -> Iterator[None]:
    """A signal that comes meanwhile ends the program afterwards: nothing is started that nobody would stop."""
    came: list[int] = []
    for number in EXIT_CODES:
        signal.signal(number, lambda number, _: came.append(number))
    try:
        yield
    finally:
        for number in EXIT_CODES:
            signal.signal(number, _stop)
        if came:
            _stop(came[0])


def _stop(number: int, _: object = None) -> None:
    for each in EXIT_CODES:
        signal.signal(each, signal.SIG_IGN)  # what runs is stopped in peace
    raise SystemExit(EXIT_CODES[signal.Signals(number)])


if __name__ == "__main__":
    sys.exit(main())
