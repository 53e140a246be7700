"""Starts the practice factory: `python -m jwtpizza.sandbox`.

FACTORY_HOST and FACTORY_PORT say where it listens (127.0.0.1, 4000), FACTORY_API_KEY is the vendor's key
(practice-factory-key), and SANDBOX_DIR the folder that keeps its signing key (.sandbox).
"""

import fcntl
import multiprocessing
import os
import socket
import sys
import threading
from collections.abc import Mapping
from functools import partial
from pathlib import Path
from typing import IO

from granian.constants import HTTPModes, Interfaces
from granian.log import LogLevels
from granian.server import MPServer

from jwtpizza.sandbox.app import App
from jwtpizza.sandbox.factory import Factory
from jwtpizza.sandbox.keys import kept_key
from jwtpizza.sandbox.log import begin, config, log

DEFAULT_API_KEY = "practice-factory-key"
# A throttled order holds its thread for 32 s, so there are more of them than a test throttles at a time.
THREADS = 128
MAX_PORT = 65535


def main(environ: Mapping[str, str]) -> None:
    """Serve until a signal ends it. Raises SystemExit with a sentence when it cannot start."""
    host = environ.get("FACTORY_HOST") or "127.0.0.1"
    port = _port(environ.get("FACTORY_PORT") or "4000")
    api_key = _api_key(environ.get("FACTORY_API_KEY") or DEFAULT_API_KEY)
    directory = Path(environ.get("SANDBOX_DIR") or ".sandbox")
    try:
        kept_key(directory)
        claim = (directory / f"port-{port}.lock").open("w")
    except (OSError, ValueError) as error:
        sys.exit(f"The practice factory cannot keep its signing key in {directory}: {error}")
    with claim:
        server = _server(_free_address(host, port, claim), port)
        log.info("The practice factory makes pizzas on %s, port %d", host, port)
        server.serve(target_loader=partial(_app, directory, api_key), wrap_loader=False)


def _server(address: str, port: int) -> MPServer:
    return MPServer(
        # A name for granian's logs; the app comes from the target_loader.
        "jwtpizza.sandbox",
        address=address,
        port=port,
        interface=Interfaces.WSGI,
        http=HTTPModes.http1,
        # The chaos and the books live in the memory of one process.
        workers=1,
        blocking_threads=THREADS,
        # Seconds that orders under way can keep the factory from closing.
        workers_kill_timeout=1,
        log_level=LogLevels.error,
        log_dictconfig=config(os.environ),
    )


def _app(directory: Path, api_key: str) -> App:
    threading.Thread(target=_end_with_parent, daemon=True).start()
    return App(Factory(key=kept_key(directory), api_key=api_key))


def _end_with_parent() -> None:
    # A killed parent can't stop its worker, which would keep the port and answer on.
    if parent := multiprocessing.parent_process():
        parent.join()
        os._exit(1)


def _port(text: str) -> int:
    if not (text.isascii() and text.isdigit() and 1 <= int(text) <= MAX_PORT):
        sys.exit(f"FACTORY_PORT is a number from 1 to {MAX_PORT}, not {text!r}")
    return int(text)


def _api_key(text: str) -> str:
    # It travels in a header and, as one segment, in the path of the support link.
    if not (text.isascii() and text.isprintable()) or " " in text or "/" in text:
        sys.exit("FACTORY_API_KEY is made of visible ASCII characters other than a slash")
    return text


def _free_address(host: str, port: int, claim: IO[str]) -> str:
    # granian shares a taken port (SO_REUSEPORT) instead of failing, so the port is tried before it.
    # Two starts at once would both find it free, and half the orders would miss the chaos: hence the lock.
    try:
        fcntl.flock(claim, fcntl.LOCK_EX | fcntl.LOCK_NB)
        family, kind, _, _, address = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)[0]
        with socket.socket(family, kind) as probe:
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            probe.bind(address)
    except BlockingIOError:
        sys.exit(f"The practice factory cannot listen on {host}, port {port}: another one does")
    except OSError as error:
        sys.exit(f"The practice factory cannot listen on {host}, port {port}: {error.strerror}")
    return str(address[0])


if __name__ == "__main__":
    begin(os.environ)
    try:
        main(os.environ)
    except SystemExit as stopped:
        if isinstance(stopped.code, str):
            log.error(stopped.code)
            sys.exit(1)
        raise
