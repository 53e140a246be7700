"""How passwords are kept, and what a new one means."""

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from random import randint
from typing import Any, ParamSpec, TypeVar

import bcrypt
from django.contrib.auth.hashers import Argon2PasswordHasher, BCryptPasswordHasher
from django.db import connection

from jwtpizza.accounts.metrics import auth_attempts
from jwtpizza.api.errors import DomainError
from jwtpizza.databases.connections import give_connection_back
from jwtpizza.resilience.bulkhead import Bulkhead
from jwtpizza.resilience.refused import Refused
from jwtpizza.turns import TURNS

Given = ParamSpec("Given")
Result = TypeVar("Result")

# A hash takes a processor for 20 ms and more: one at a time leaves the rest of a process to everybody else, and who
# comes last of those that wait is let in after half a second.
HASHING = Bulkhead(places=1, queue=24, seconds=1.0)


class TooManyPasswords(DomainError):
    """More passwords are to be checked than we can; nothing was looked at."""

    status = 503
    title = "Too many logins"

    def __init__(self) -> None:
        sentence = "Too many people are logging in right now. Please try again in a few seconds."
        super().__init__(sentence, headers={"Retry-After": str(randint(1, 5))})  # noqa: S311


# What a hash takes, the C library keeps for the thread that freed it: 19 MiB for each of 64 threads.
_hasher = ThreadPoolExecutor(1, thread_name_prefix="passwords")


def _in_turn(hashed: Callable[Given, Result], *args: Given.args, **kwargs: Given.kwargs) -> Result:
    """What it returns, once others' passwords are hashed; raises TooManyPasswords."""
    if connection.in_atomic_block:
        # Whoever has locks does not wait in line with them.
        return hashed(*args, **kwargs)
    # Around all of it: who has the place and waits for a turn would keep it from the next.
    with TURNS.aside():
        try:
            HASHING.enter(before_waiting=give_connection_back)
        except Refused as refused:
            auth_attempts.labels("refused").inc()
            raise TooManyPasswords from refused
        try:
            return _hasher.submit(hashed, *args, **kwargs).result()
        finally:
            HASHING.leave()


class Argon2id(Argon2PasswordHasher):
    """OWASP's first choice: 19 MiB, 2 passes, 1 lane (Password Storage Cheat Sheet)."""

    memory_cost = 19 * 1024
    time_cost = 2
    parallelism = 1

    def encode(self, password: str, salt: str) -> str:
        """Raises TooManyPasswords."""
        return _in_turn(super().encode, password, salt)

    def verify(self, password: str, encoded: str) -> bool:
        """Raises TooManyPasswords."""
        return _in_turn(super().verify, password, encoded)


class LegacyBcrypt(BCryptPasswordHasher):
    """Checks what the Express service stored (`bcrypt$` + its hash), which looked at the first 72 bytes only."""

    def encode(self, password: str, salt: bytes | str) -> str:
        salt = salt.encode() if isinstance(salt, str) else salt
        return f"{self.algorithm}${_in_turn(bcrypt.hashpw, password.encode()[:72], salt).decode()}"


class EndsSessions:
    """Among the password validators because Django tells those of each new password, wherever it was set."""

    def validate(self, password: str, user: Any = None) -> None:
        """Any password will do."""

    def get_help_text(self) -> str:
        return "A new password ends every session."

    def password_changed(self, password: str, user: Any) -> None:
        user.sessions.all().delete()
