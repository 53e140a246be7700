from contextlib import ExitStack

import pytest

from tests.script.checkout import Checkout, Server


@pytest.fixture
def bare(tmp_path):
    """A checkout in which nothing is installed."""
    return Checkout(tmp_path / "project")


@pytest.fixture
def checkout(bare):
    bare.install()
    return bare


@pytest.fixture
def begin(checkout):
    """Begins to start `script/server` in the checkout."""
    with ExitStack() as running:
        yield lambda **env: running.enter_context(Server(checkout, **env))


@pytest.fixture
def start(begin):
    """Starts `script/server` in the checkout; returns once it is up."""
    return lambda **env: begin(**env).up()
