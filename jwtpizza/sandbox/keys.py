"""The key that signs pizzas: made once, kept in a file, published as a JWKS."""

import hashlib
import os
import secrets
from contextlib import suppress
from pathlib import Path
from typing import Any

import jwt
from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives.asymmetric.rsa import RSAPrivateKey, generate_private_key
from cryptography.hazmat.primitives.serialization import (
    Encoding,
    NoEncryption,
    PrivateFormat,
    load_pem_private_key,
)
from jwt.algorithms import RSAAlgorithm
from jwt.utils import base64url_decode, base64url_encode

from jwtpizza.sandbox.encoding import to_json

ALGORITHM = "RS256"
KEY_BITS = 2048
KEY_FILE = "factory-key.pem"


class SigningKey:
    """An RSA key with the name (`kid`) under which its public half is published."""

    def __init__(self, private_key: RSAPrivateKey) -> None:
        self._private = private_key
        self._public = private_key.public_key()
        self._jws = jwt.PyJWS(algorithms=[ALGORITHM])
        numbers = RSAAlgorithm.to_jwk(self._public, as_dict=True)
        # RFC 7638: the hash of just these members, in this order, without whitespace.
        self._jwk = {name: numbers[name] for name in ("e", "kty", "n")}
        self.kid = base64url_encode(hashlib.sha256(to_json(self._jwk)).digest()).decode()

    @property
    def jwks(self) -> dict[str, Any]:
        """The public half, as `/.well-known/jwks.json` shows it."""
        return {"keys": [{**self._jwk, "kid": self.kid, "alg": ALGORITHM, "use": "sig"}]}

    def sign(self, payload: bytes, header: dict[str, Any]) -> str:
        """A signed token around `payload`; `alg`, `typ` and `kid` join the given header."""
        return self._jws.encode(payload, self._private, ALGORITHM, headers={**header, "kid": self.kid})

    def verify(self, token: str) -> bytes:
        """The payload that was signed. Raises jwt.InvalidTokenError unless this key signed it."""
        payload: bytes = self._jws.decode(token, self._public, algorithms=[ALGORITHM])
        return payload


def forged(token: str) -> str:
    """The same token with a signature that verifies under no key."""
    signed, _, signature = token.rpartition(".")
    wrong = bytes(byte ^ 0xFF for byte in base64url_decode(signature))
    return f"{signed}.{base64url_encode(wrong).decode()}"


def kept_key(directory: Path) -> SigningKey:
    """The key kept in `directory`, which is made (mode 0600) if there is none yet.

    Starts that race all get the one key that was there first. Raises OSError when it cannot be read or
    written, ValueError when the file holds no RSA key.
    """
    path = directory / KEY_FILE
    if not path.exists():
        directory.mkdir(parents=True, exist_ok=True)
        _put_if_absent(path, _new_pem())
    return SigningKey(_rsa_key(path.read_bytes()))


def _new_pem() -> bytes:
    key = generate_private_key(public_exponent=65537, key_size=KEY_BITS)
    return key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())


def _put_if_absent(path: Path, content: bytes) -> None:
    draft = path.with_name(f"{path.name}.{secrets.token_hex(8)}")
    try:
        with open(os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "wb") as file:
            file.write(content)
            file.flush()
            os.fsync(file.fileno())
        # A link appears whole and never replaces another start's key, as a rename would.
        with suppress(FileExistsError):
            os.link(draft, path)
    finally:
        draft.unlink(missing_ok=True)


def _rsa_key(pem: bytes) -> RSAPrivateKey:
    try:
        key = load_pem_private_key(pem, password=None)
    except (TypeError, UnsupportedAlgorithm) as error:
        raise ValueError(str(error)) from error
    if not isinstance(key, RSAPrivateKey):
        raise ValueError("this is not an RSA key")
    return key
