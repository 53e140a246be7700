import hashlib
import json
import stat
from concurrent.futures import ThreadPoolExecutor

import pytest
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import (
    BestAvailableEncryption,
    Encoding,
    NoEncryption,
    PrivateFormat,
)
from jwt.utils import base64url_encode

from jwtpizza.sandbox.keys import KEY_FILE, kept_key


def test_the_key_is_made_once_and_kept(tmp_path):
    folder = tmp_path / "new" / "sandbox"

    first, second = kept_key(folder), kept_key(folder)

    assert first.jwks == second.jwks
    assert second.verify(first.sign(b"pizza", {})) == b"pizza"


def test_only_its_owner_may_read_the_key(tmp_path):
    kept_key(tmp_path)

    assert stat.S_IMODE((tmp_path / KEY_FILE).stat().st_mode) == 0o600


def test_starts_at_the_same_time_share_one_whole_key(tmp_path):
    with ThreadPoolExecutor(4) as starts:
        keys = list(starts.map(kept_key, [tmp_path] * 4))

    assert len({key.kid for key in keys}) == 1
    assert [path.name for path in tmp_path.iterdir()] == [KEY_FILE]


def test_the_key_is_named_by_its_thumbprint_and_has_2048_bits(key):
    (published,) = key.jwks["keys"]

    members = json.dumps({name: published[name] for name in ("e", "kty", "n")}, separators=(",", ":"))
    assert published["kid"] == base64url_encode(hashlib.sha256(members.encode()).digest()).decode()
    assert len(published["n"]) == -(-2048 // 6)


def test_a_torn_key_is_an_error_and_is_left_as_it_is(tmp_path):
    (tmp_path / KEY_FILE).write_bytes(b"-----BEGIN")

    with pytest.raises(ValueError, match="PEM"):
        kept_key(tmp_path)
    assert (tmp_path / KEY_FILE).read_bytes() == b"-----BEGIN"


@pytest.mark.parametrize(
    ("private_key", "encryption", "reason"),
    [
        (ec.generate_private_key(ec.SECP256R1()), NoEncryption(), "not an RSA key"),
        (ec.generate_private_key(ec.SECP256R1()), BestAvailableEncryption(b"secret"), "encrypted"),
    ],
)
def test_a_key_of_another_kind_is_an_error(tmp_path, private_key, encryption, reason):
    pem = private_key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, encryption)
    (tmp_path / KEY_FILE).write_bytes(pem)

    with pytest.raises(ValueError, match=reason):
        kept_key(tmp_path)
