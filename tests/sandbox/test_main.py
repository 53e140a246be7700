import fcntl
import socket

import pytest

from jwtpizza.sandbox.__main__ import main
from jwtpizza.sandbox.keys import KEY_FILE


@pytest.fixture
def refusal(tmp_path):
    """What the factory says when it does not start."""

    def start(**environ):
        with pytest.raises(SystemExit) as stopped:
            main({"SANDBOX_DIR": str(tmp_path), **environ})
        return stopped.value.code  # Python prints a text to stderr, and the exit code is 1.

    return start


@pytest.mark.parametrize("port", ["0", "65536", "-1", "4000.5", "pizza", "٤٠٠٠", " "])
def test_a_bad_port_is_named(refusal, port):
    assert refusal(FACTORY_PORT=port) == f"FACTORY_PORT is a number from 1 to 65535, not {port!r}"


def test_a_taken_port_is_named(refusal):
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        sentence = refusal(FACTORY_PORT=str(port))

    assert sentence == f"The practice factory cannot listen on 127.0.0.1, port {port}: Address already in use"


def test_a_port_that_would_be_shared_is_taken_too(refusal):
    with socket.create_server(("127.0.0.1", 0), reuse_port=True) as taken:
        assert "already in use" in refusal(FACTORY_PORT=str(taken.getsockname()[1]))


def test_a_host_that_is_not_this_machine_is_named(refusal, free_port):
    assert "cannot listen on 203.0.113.1" in refusal(FACTORY_HOST="203.0.113.1", FACTORY_PORT=free_port)


@pytest.mark.parametrize("key", ["a key", "a/key", "clé", "a\nkey"])
def test_a_key_that_no_link_can_carry_is_refused(refusal, key):
    assert "FACTORY_API_KEY" in refusal(FACTORY_API_KEY=key)


def test_a_broken_signing_key_is_named(refusal, tmp_path, free_port):
    (tmp_path / KEY_FILE).write_text("broken")

    assert f"cannot keep its signing key in {tmp_path}" in refusal(FACTORY_PORT=free_port)


def test_a_folder_that_cannot_be_made_is_named(refusal, tmp_path, free_port):
    (tmp_path / "file").touch()

    sentence = refusal(FACTORY_PORT=free_port, SANDBOX_DIR=str(tmp_path / "file" / "sandbox"))

    assert "cannot keep its signing key" in sentence


def test_a_port_that_another_start_has_just_claimed_is_named(refusal, tmp_path, free_port):
    with (tmp_path / f"port-{free_port}.lock").open("w") as claim:
        fcntl.flock(claim, fcntl.LOCK_EX)

        assert refusal(FACTORY_PORT=free_port).endswith(f"port {free_port}: another one does")
