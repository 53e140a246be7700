"""Runs lines of the Procfile until one of them ends or a signal comes: python -m script.processes web factory."""

import os
import sys
from contextlib import suppress
from pathlib import Path

from honcho import manager as honcho
from honcho.environ import parse_procfile
from honcho.manager import Manager
from honcho.printer import Message, Printer

from jwtpizza.observability.lines import is_json, is_text, told


class Relay(Printer):
    """Prints what the processes print; a line of theirs that is no JSON becomes JSON, unless people read it.

    It may be a panic of the server's or a traceback from before there was a log. When nobody reads any more what it
    prints, it still lets honcho stop them.
    """

    def write(self, message: Message) -> None:
        with suppress(OSError):
            super().write(message if self.prefix else self._as_json(message))

    def _as_json(self, message: Message) -> Message:
        data = message.data.decode("utf-8", "replace") if isinstance(message.data, bytes) else message.data
        lines = [line if is_json(line) else self._told(message, line) for line in data.splitlines() if line]
        return message._replace(data="\n".join(lines))

    @staticmethod
    def _told(message: Message, line: str) -> str:
        level = "info" if message.name == honcho.SYSTEM_PRINTER_NAME else "error"
        return told(line, level=level, seconds=message.time.timestamp(), logger=message.name)


# An order may be at the factory for 5 s, and granian gives its workers 10; honcho's own patience is 5.
honcho.KILL_WAIT = 12


def main(names: list[str]) -> None:
    procfile = parse_procfile(Path("Procfile").read_text())
    text = is_text(sys.stdout)
    # The processes' own output is a pipe to here, whoever reads it in the end.
    os.environ["LOG_FORMAT"] = "text" if text else "json"
    manager = Manager(Relay(prefix=text))
    for name in names:
        manager.add_process(name, procfile.processes[name])
    manager.loop()
    sys.exit(manager.returncode)


if __name__ == "__main__":
    main(sys.argv[1:])
