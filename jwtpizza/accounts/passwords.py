"""How passwords are kept, and what a new one means."""

from typing import Any

import bcrypt
from django.contrib.auth.hashers import Argon2PasswordHasher, BCryptPasswordHasher


class Argon2id(Argon2PasswordHasher):
    """OWASP's first choice: 19 MiB, 2 passes, 1 lane (Password Storage Cheat Sheet)."""

    memory_cost = 19 * 1024
    time_cost = 2
    parallelism = 1


class LegacyBcrypt(BCryptPasswordHasher):
    """Checks what the Express service stored (`bcrypt$` + its hash), which looked at the first 72 bytes only."""

    def encode(self, password: str, salt: bytes | str) -> str:
        salt = salt.encode() if isinstance(salt, str) else salt
        return f"{self.algorithm}${bcrypt.hashpw(password.encode()[:72], salt).decode()}"


class EndsSessions:
    """Among the password validators because Django tells those of each new password, wherever it was set."""

    def validate(self, password: str, user: Any = None) -> None:
        """Any password will do."""

    def get_help_text(self) -> str:
        return "A new password ends every session."

    def password_changed(self, password: str, user: Any) -> None:
        user.sessions.all().delete()
