"""How passwords are kept."""

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
