"""Runs lines of the Procfile until one of them ends or a signal comes: python -m script.processes web factory."""

import os
import sys
import time
from contextlib import suppress
from pathlib import Path
from typing import IO, Any

from honcho import manager as honcho
from honcho.environ import parse_procfile
from honcho.manager import Manager
from honcho.printer import Message, Printer
from honcho.process import Popen

from jwtpizza.observability.lines import is_json, is_text, told


class Output:
    """What a process prints, as a pipe to read from: all lines that are there by now, not one at a time.

    Each that honcho hands on costs two processes about as much as the request of which it tells.
    """

    def __init__(self, pipe: IO[bytes]) -> None:
        self._pipe, self._begun = pipe, b""

    def readline(self) -> bytes:
        """At least one line; what has no end of line only once nothing more comes."""
        time.sleep(GATHER_SECONDS)
        while chunk := os.read(self._pipe.fileno(), AT_ONCE):
            whole, end, self._begun = (self._begun + chunk).rpartition(b"\n")
            if end:
                return whole + end
        rest, self._begun = self._begun, b""
        return rest

    def close(self) -> None:
        self._pipe.close()


class Child(Popen):  # type: ignore[misc]
    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.stdout = Output(self.stdout)


class Process(honcho.Process):  # type: ignore[misc]
    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self._child_ctor = Child


class Relay(Printer):
    """Prints what the processes print; a line of theirs that is no JSON becomes JSON, unless people read it.

    It may be a panic of the server's or a traceback from before there was a log. When nobody reads any more what it
    prints, it still lets honcho stop them.
    """

    def write(self, message: Message) -> None:
        with suppress(OSError):
            if self.prefix:
                super().write(message)
            else:
                self.output.write(self._as_json(message))
                self.output.flush()

    def _as_json(self, message: Message) -> str:
        data = message.data.decode("utf-8", "replace") if isinstance(message.data, bytes) else message.data
        lines = [line if is_json(line) else self._told(message, line) for line in data.splitlines() if line]
        return "".join(f"{line}\n" for line in lines)

    @staticmethod
    def _told(message: Message, line: str) -> str:
        level = "info" if message.name == honcho.SYSTEM_PRINTER_NAME else "error"
        return told(line, level=level, seconds=message.time.timestamp(), logger=message.name)


# As much as a pipe holds.
AT_ONCE = 64 * 1024
# A line that comes after a while is handed on at once, those that come faster than this are together.
GATHER_SECONDS = 0.01
# An order may be at the factory for 5 s, and granian gives its workers 10; honcho's own patience is 5.
honcho.KILL_WAIT = 12


def main(names: list[str]) -> None:
    procfile = parse_procfile(Path("Procfile").read_text())
    text = is_text(sys.stdout)
    # The processes' own output is a pipe to here, whoever reads it in the end.
    os.environ["LOG_FORMAT"] = "text" if text else "json"
    manager = Manager(Relay(prefix=text))
    manager._process_ctor = Process  # noqa: SLF001
    for name in names:
        manager.add_process(name, procfile.processes[name])
    manager.loop()
    sys.exit(manager.returncode)


if __name__ == "__main__":
    main(sys.argv[1:])
