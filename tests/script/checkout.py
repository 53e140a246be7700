"""A copy of the project in a folder of its own, whose scripts may install, migrate and start what they like."""

import os
import shutil
import signal
import subprocess
import sysconfig
import time
import venv
from contextlib import suppress
from pathlib import Path
from threading import Timer

from tests.ports import free_port

PROJECT = Path(__file__).parents[2]
KEPT_OUT = shutil.ignore_patterns(".*", "__pycache__", "*.sqlite3*", "tests", "node_modules")
PRODUCTION = {
    "DJANGO_ENV": "production",
    "SECRET_KEY": "fifty characters or more, none of them known outside",
    "ALLOWED_HOSTS": "pizza.example",
    "FACTORY_URL": "http://127.0.0.1:9",
    "FACTORY_API_KEY": "a-key-of-our-own",
}


class Checkout:
    """The project, with ports of its own and an environment that holds nothing of ours."""

    def __init__(self, folder):
        self.folder = shutil.copytree(PROJECT, folder, ignore=KEPT_OUT)
        port, factory_port = free_port(), free_port()
        self.url, self.factory_url = f"http://127.0.0.1:{port}", f"http://127.0.0.1:{factory_port}"
        self.env = {name: os.environ[name] for name in ("PATH", "HOME", "LANG") if name in os.environ}
        self.env |= {"PORT": str(port), "FACTORY_PORT": str(factory_port), "CHECKOUT": str(folder)}
        self.env |= {"WORKER_METRICS_PORT": str(free_port())}

    def install(self):
        """Gives its .venv what ours has."""
        venv.create(self.folder / ".venv", with_pip=False)
        (site_packages,) = self.folder.glob(".venv/lib/python*/site-packages")
        (site_packages / "ours.pth").write_text(sysconfig.get_path("purelib"))
        shutil.copy(self.folder / "requirements.txt", self.folder / ".venv")

    def run(self, *command, **env):
        return subprocess.run(
            command,
            cwd=self.folder,
            env=self.env | env,
            capture_output=True,
            text=True,
            timeout=60,
            start_new_session=True,
        )

    def manage(self, *command, **env):
        return self.run(".venv/bin/python", "manage.py", *command, **env)

    def processes(self):
        """The command line of each living process that began here, by its id."""
        return living(f"CHECKOUT={self.folder}\0")

    def terminal(self, *command, stderr=subprocess.STDOUT, **env):
        """The command, run in a terminal of its own: a session that hears of no other's Ctrl-C."""
        return subprocess.Popen(
            # Who runs the tests in the background has them ignore it, and no shell can trap what it was told to ignore.
            ["env", "--default-signal=INT", *command],
            cwd=self.folder,
            env=self.env | env,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=stderr,
            text=True,
            start_new_session=True,
        )


def living(mark):
    """The command line of each living process that has this in its environment, by its id."""
    found = {}
    for process in Path("/proc").glob("[0-9]*"):
        with suppress(OSError):  # it has ended meanwhile, or is somebody else's
            if mark.encode() in (process / "environ").read_bytes():
                found[int(process.name)] = (process / "cmdline").read_bytes().replace(b"\0", b" ").decode()
    return found


class Server:
    """`script/server` in a session of its own. `said` is what it printed so far; stdout may go to a file."""

    def __init__(self, checkout, *, stdout=None, **env):
        self.checkout, self.said, self.begun = checkout, "", time.monotonic()
        command = ["bash", "-c", f'exec 2>&1 >"{stdout}" script/server'] if stdout else ["script/server"]
        self.process = checkout.terminal(*command, **env)

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.kill()
        with self.process:
            pass

    def kill(self):
        """Ends whatever is left of it."""
        for number in self.checkout.processes():
            os.kill(number, signal.SIGKILL)

    def up(self):
        """Itself, once it says how to stop it; `seconds` is how long that took."""
        patience = Timer(60, self.kill)
        patience.start()
        for line in self.process.stdout:
            self.said += line
            if "Ctrl-C" in line:
                patience.cancel()
                self.seconds = time.monotonic() - self.begun
                return self
        patience.cancel()
        raise AssertionError(self.said)

    def stop(self, number=signal.SIGINT):
        """Its exit code, after the signal was sent to it and to what shares its terminal."""
        os.killpg(self.process.pid, number)
        return self.ended()

    def ended(self):
        """Its exit code, once it has ended."""
        self.said += self.process.communicate(timeout=20)[0]
        return self.process.returncode
