"""Runs lines of the Procfile until one of them ends or a signal comes: python script/processes.py web factory."""

import sys
from contextlib import suppress
from pathlib import Path

from honcho import manager as honcho
from honcho.environ import parse_procfile
from honcho.manager import Manager
from honcho.printer import Message, Printer


class Relay(Printer):
    """Prints what the processes print. When nobody reads it any more, it still lets honcho stop them."""

    def write(self, message: Message) -> None:
        with suppress(OSError):
            super().write(message)


# An order may be at the factory for 5 s, and granian gives its workers 10; honcho's own patience is 5.
honcho.KILL_WAIT = 12


def main(names: list[str]) -> None:
    procfile = parse_procfile(Path("Procfile").read_text())
    # Names in front of the lines are for people; a program gets the JSON as it is.
    manager = Manager(Relay(prefix=sys.stdout.isatty()))
    for name in names:
        manager.add_process(name, procfile.processes[name])
    manager.loop()
    sys.exit(manager.returncode)


if __name__ == "__main__":
    main(sys.argv[1:])
