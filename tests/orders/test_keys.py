"""Is this pizza real? Forgeries of every kind, and a factory whose keys can't be had."""

import base64
import hashlib
import hmac
import json
import threading
import time
from concurrent.futures import ThreadPoolExecutor

import jwt
import pytest
from cryptography.hazmat.primitives.asymmetric.rsa import generate_private_key
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat
from django.db import DatabaseError, connection
from jwt.algorithms import RSAAlgorithm

from jwtpizza.resilience.deadline import Deadline, DeadlineExceeded
from orders.factory import client, keys
from orders.factory.errors import BadJwt, BadResponse, TooSlow, Unreachable, Unverified
from orders.models import FactoryKey

pytestmark = pytest.mark.django_db

ORDER_ID, DINER_ID = 7, 2
MINUTE = 60.0


class Key:
    """A key of the factory's."""

    def __init__(self, kid):
        self.kid, self.private = kid, generate_private_key(public_exponent=65537, key_size=2048)
        self.public = self.private.public_key()
        self.jwk = {**RSAAlgorithm.to_jwk(self.public, as_dict=True), "kid": kid, "alg": "RS256", "use": "sig"}

    def pizza(self, *, order=ORDER_ID, diner=DINER_ID, algorithm="RS256", **header):
        now = int(time.time())
        header = {"kid": self.kid, "iat": now, "exp": now + 86_400, "iss": "cs329.click"} | header
        payload = {"vendor": {"id": "v"}, "diner": {"id": diner}, "order": {"id": order}}
        return self.sign(json.dumps(payload).encode(), header, algorithm)

    def sign(self, payload, header, algorithm="RS256"):
        return jwt.PyJWS().encode(payload, self.private, algorithm, headers=header)


@pytest.fixture(scope="module")
def key():
    return Key("first")


@pytest.fixture(scope="module")
def next_key():
    return Key("second")


class Jwks:
    """What the factory's JWKS answers: a list of keys, or an error; and how often it was asked."""

    def __init__(self, keys):
        self.answer, self.asked = keys, 0

    def __call__(self, *, deadline):
        self.asked += 1
        if isinstance(self.answer, Exception):
            raise self.answer
        return self.answer


@pytest.fixture
def jwks(key, monkeypatch):
    jwks = Jwks([key.jwk])
    monkeypatch.setattr(client, "fetch_jwks", jwks)
    return jwks


class Clock:
    now = 1000.0

    def __call__(self):
        return self.now


@pytest.fixture
def clock():
    return Clock()


@pytest.fixture
def restart(jwks, clock, monkeypatch):
    """Makes the service forget what it has in memory, as a restart does."""

    def restart():
        monkeypatch.setattr(keys, "RING", keys.KeyRing(clock=clock))

    restart()
    return restart


@pytest.fixture
def verify(restart):
    def verify(token):
        keys.verify(token, order_id=ORDER_ID, diner_id=DINER_ID, deadline=Deadline(5))

    return verify


def repr_of(value):
    """A test's name for it, short."""
    return repr(value)[:20]


def parts(token):
    header, payload, signature = token.split(".")
    return json.loads(unpacked(header)), json.loads(unpacked(payload)), signature


def packed(content):
    text = content if isinstance(content, bytes) else json.dumps(content).encode()
    return base64.urlsafe_b64encode(text).rstrip(b"=").decode()


def unpacked(text):
    return base64.urlsafe_b64decode(text + "==")


def test_a_pizza_of_the_factorys_verifies(verify, key):
    verify(key.pizza())


@pytest.mark.parametrize("of", [{"order": 8}, {"diner": 3}, {"order": "7"}, {"diner": None}])
def test_a_pizza_of_another_order_or_diner_does_not(verify, key, of):
    with pytest.raises(BadJwt):
        verify(key.pizza(**of))


@pytest.mark.parametrize(
    "payload", [b"", b"pizza", b"[]", b"null", b"{}", b'{"order": 7, "diner": 2}', b'{"order": {"id": 7}}', b"[" * 5000]
)
def test_a_pizza_that_says_nothing_of_the_order_does_not(verify, key, payload):
    now = int(time.time())
    with pytest.raises(BadJwt):
        verify(key.sign(payload, {"kid": key.kid, "iat": now, "exp": now + 60}))


@pytest.mark.parametrize("algorithm", ["none", "None", "NONE", "", "HS256", "RS512", "PS256", 7, None, ["RS256"]])
@pytest.mark.parametrize("signature", ["kept", "none"])
def test_a_pizza_signed_by_another_algorithm_does_not(verify, key, algorithm, signature):
    header, payload, signed = parts(key.pizza())
    with pytest.raises(BadJwt):
        verify(".".join([packed(header | {"alg": algorithm}), packed(payload), signed if signature == "kept" else ""]))


@pytest.mark.parametrize("algorithm", ["RS384", "RS512", "PS256"])
def test_a_pizza_that_the_factory_signed_by_another_algorithm_does_not(verify, key, algorithm):
    with pytest.raises(BadJwt):
        verify(key.pizza(algorithm=algorithm))


@pytest.mark.parametrize("secret", ["pem", "jwk", "n"])
def test_a_pizza_signed_with_the_public_key_as_a_secret_does_not(verify, key, secret):
    secrets = {
        "pem": key.public.public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo),
        "jwk": json.dumps(key.jwk).encode(),
        "n": key.jwk["n"].encode(),
    }
    header, payload, _ = parts(key.pizza())
    signed = f"{packed(header | {'alg': 'HS256'})}.{packed(payload)}"
    signature = hmac.new(secrets[secret], signed.encode(), hashlib.sha256).digest()
    with pytest.raises(BadJwt):
        verify(f"{signed}.{packed(signature)}")


def test_a_pizza_signed_with_another_key_under_the_factorys_name_does_not(verify, key, next_key):
    with pytest.raises(BadJwt):
        verify(next_key.pizza(kid=key.kid))


def test_a_pizza_that_brings_its_own_key_does_not(verify, key, next_key):
    with pytest.raises(BadJwt):
        verify(next_key.pizza(kid=key.kid, jwk=next_key.jwk, jku="http://127.0.0.1:9/jwks.json"))


@pytest.mark.parametrize("part", [0, 1, 2])
def test_a_tampered_pizza_does_not(verify, key, part):
    pieces = key.pizza().split(".")
    middle = len(pieces[part]) // 2
    other = "A" if pieces[part][middle] != "A" else "B"
    pieces[part] = pieces[part][:middle] + other + pieces[part][middle + 1 :]
    with pytest.raises(BadJwt):
        verify(".".join(pieces))


@pytest.mark.parametrize(
    "token",
    [
        "",
        ".",
        "..",
        "a.b",
        "a.b.c",
        "a.b.c.d",
        "e30.e30.",
        "bnVsbA.e30.AAAA",
        "Ww.e30.AAAA",
        "\x00",
        "\ud800",
        "🍕.🍕.🍕",
    ],
)
def test_what_is_no_jwt_does_not(verify, token):
    with pytest.raises(BadJwt):
        verify(token)


@pytest.mark.parametrize("junk", ["\x00", "\n", " ", "=", "====", "\x00" * 4, "é"])
def test_a_pizza_with_junk_in_its_signature_does_not(verify, key, junk):
    token = key.pizza()
    for place in (-10, len(token)):
        with pytest.raises(BadJwt):
            verify(token[:place] + junk + token[place:])


@pytest.mark.parametrize(
    ("issued", "expires", "good"),
    [
        (0, 86_400, True),
        (-86_400, 1, True),
        (-86_400, -59, True),
        (-86_400, -61, False),
        (59, 86_400, True),
        (62, 86_400, False),
        (3600, 7200, False),
    ],
)
def test_the_times_in_its_header_count_with_a_minute_to_spare(verify, key, time_machine, issued, expires, good):
    time_machine.move_to("2026-06-05T05:14:40Z", tick=False)
    now = int(time.time())
    pizza = key.pizza(iat=now + issued, exp=now + expires)
    if good:
        verify(pizza)
    else:
        with pytest.raises(BadJwt):
            verify(pizza)


@pytest.mark.parametrize("name", ["iat", "exp"])
@pytest.mark.parametrize("value", [None, "", "1780636480", [], {}, float("nan"), 10**400, -(10**400)], ids=repr_of)
def test_times_that_are_none_do_not_count(verify, key, name, value):
    with pytest.raises(BadJwt):
        verify(key.pizza(**{name: value}))


@pytest.mark.parametrize("kid", ["third", "", None, 7, "first ", "FIRST", "\x00", "\ud800", "x" * 10_000, ["first"]])
def test_a_key_that_the_factory_does_not_have_is_no_key(verify, key, jwks, kid):
    header, payload, _ = parts(key.pizza())
    signed = f"{packed(header | {'kid': kid})}.{packed(payload)}"
    with pytest.raises(BadJwt):
        verify(f"{signed}.{packed(b'signature')}")


def test_a_pizza_without_the_name_of_its_key_is_none(verify, key):
    header, payload, signature = parts(key.pizza())
    with pytest.raises(BadJwt):
        verify(".".join([packed({name: header[name] for name in header if name != "kid"}), packed(payload), signature]))


# --- where the keys come from ----------------------------------------------------------------------


def test_the_keys_are_fetched_once(verify, key, jwks):
    for _ in range(10):
        verify(key.pizza())
    assert jwks.asked == 1


def test_the_keys_are_kept_for_a_start_without_the_factorys(verify, key, jwks, restart):
    verify(key.pizza())
    jwks.answer = Unreachable("gone")
    restart()
    verify(key.pizza())
    assert jwks.asked == 1


@pytest.mark.parametrize("error", [Unreachable("gone"), TooSlow("late"), BadResponse("what?"), DeadlineExceeded()])
def test_without_any_key_nothing_is_verified(verify, key, jwks, error):
    jwks.answer = error
    with pytest.raises(Unverified):
        verify(key.pizza())


def test_keys_that_could_not_be_fetched_are_fetched_for_the_next_order(verify, key, jwks):
    good, jwks.answer = jwks.answer, Unreachable("not up yet")
    with pytest.raises(Unverified):
        verify(key.pizza())
    jwks.answer = good
    verify(key.pizza())


def test_a_factory_that_is_down_when_the_service_starts_is_asked_again_for_the_first_order(verify, key, jwks):
    good, jwks.answer = jwks.answer, Unreachable("not up yet")
    with pytest.raises(Unreachable):
        keys.RING.fetch(deadline=Deadline(5))
    jwks.answer = good
    verify(key.pizza())


@pytest.mark.parametrize(
    "garbage",
    [
        [],
        [{}],
        [{"kid": "first"}],
        [{"kid": "first", "kty": "oct", "k": "c2VjcmV0"}],
        [{"kid": "first", "kty": "EC", "crv": "P-256", "x": "AA", "y": "AA"}],
        [{"kid": "first", "kty": "RSA", "n": 7, "e": "AQAB"}],
        [{"kid": "first", "kty": "RSA", "n": "!!!", "e": "AQAB"}],
        [{"kid": "first", "kty": "RSA", "n": "AQAB", "e": ""}],
        [{"kid": ["first"], "kty": "RSA"}],
    ],
)
def test_garbage_for_keys_replaces_no_good_ones(verify, key, jwks, clock, restart, garbage):
    verify(key.pizza())
    clock.now += MINUTE
    jwks.answer = garbage
    with pytest.raises(Unverified):
        verify(key.pizza(kid="unknown"))
    verify(key.pizza())
    restart()
    verify(key.pizza())


def test_a_good_key_among_garbage_is_good(verify, key, jwks):
    nonsense = [{"kid": kid, "kty": "RSA", "n": "AQAB", "e": "AQAB"} for kid in ("\x00", "\ud800", "x" * 256, "small")]
    jwks.answer = [{}, *nonsense, key.jwk]
    verify(key.pizza())
    assert "first" in FactoryKey.objects.values_list("kid", flat=True)


def test_a_private_key_among_the_public_ones_is_no_key(verify, key, jwks):
    jwks.answer = [{**RSAAlgorithm.to_jwk(key.private, as_dict=True), "kid": key.kid}]
    with pytest.raises(Unverified):
        verify(key.pizza())
    assert not FactoryKey.objects.exists()


def test_a_new_key_is_fetched_for_its_first_pizza(verify, key, next_key, jwks, clock):
    verify(key.pizza())
    jwks.answer = [key.jwk, next_key.jwk]
    clock.now += MINUTE
    verify(next_key.pizza())
    verify(key.pizza())
    assert jwks.asked == 2


def test_a_key_that_the_factory_gave_up_is_good_no_longer(verify, key, next_key, jwks, clock, restart):
    verify(key.pizza())
    jwks.answer = [next_key.jwk]
    clock.now += MINUTE
    verify(next_key.pizza())
    for _ in range(2):
        with pytest.raises(BadJwt):
            verify(key.pizza())
        restart()


def test_unknown_keys_are_fetched_once_a_minute_at_most(verify, key, jwks, clock):
    verify(key.pizza())
    for asked in (1, 2, 3):
        for kid in ("one", "another", "a third"):
            with pytest.raises(BadJwt):
                verify(key.pizza(kid=kid))
        assert jwks.asked == asked
        clock.now += MINUTE - 0.1
        with pytest.raises(BadJwt):
            verify(key.pizza(kid="one"))
        assert jwks.asked == asked
        clock.now += 0.1


def test_a_key_that_another_worker_fetched_is_not_fetched_again(verify, key, next_key, jwks):
    verify(key.pizza())
    FactoryKey.objects.create(kid=next_key.kid, jwk=next_key.jwk)
    verify(next_key.pizza())
    assert jwks.asked == 1


def test_whether_an_unknown_key_is_the_factorys_can_not_be_told_while_it_is_down(verify, key, jwks, clock):
    verify(key.pizza())
    jwks.answer = Unreachable("gone")
    clock.now += MINUTE
    with pytest.raises(Unverified):
        verify(key.pizza(kid="unknown"))
    verify(key.pizza())


def test_a_database_that_is_down_keeps_nobody_from_verifying(verify, key, monkeypatch):
    def down(*args, **kwargs):
        raise DatabaseError

    monkeypatch.setattr(FactoryKey.objects, "values_list", down)
    monkeypatch.setattr(FactoryKey.objects, "exclude", down)
    verify(key.pizza())


@pytest.mark.django_db(transaction=True)
def test_threads_that_need_the_keys_at_once_fetch_them_once(verify, key, jwks, monkeypatch):
    waiting, fetch = threading.Barrier(8), client.fetch_jwks

    def slowly(*, deadline):
        time.sleep(0.05)  # the other threads come meanwhile
        return fetch(deadline=deadline)

    monkeypatch.setattr(client, "fetch_jwks", slowly)

    def ask(_):
        waiting.wait(5)
        try:
            verify(key.pizza())
        finally:
            connection.close()

    with ThreadPoolExecutor(8) as pool:
        list(pool.map(ask, range(8)))
    assert jwks.asked == 1


@pytest.mark.django_db(transaction=True)
def test_who_waits_for_the_keys_waits_no_longer_than_the_deadline(verify, key, jwks, monkeypatch):
    fetching, over = threading.Event(), threading.Event()

    def hang(*, deadline):
        fetching.set()
        over.wait(5)
        raise TooSlow("late")

    monkeypatch.setattr(client, "fetch_jwks", hang)

    def first():
        with pytest.raises(Unverified):
            verify(key.pizza())
        connection.close()

    thread = threading.Thread(target=first)
    thread.start()
    assert fetching.wait(5)
    begun = time.monotonic()
    with pytest.raises(Unverified):
        keys.RING.key(key.kid, deadline=Deadline(0.1))
    assert time.monotonic() - begun < 0.4
    over.set()
    thread.join(5)


@pytest.mark.django_db(transaction=True)
def test_nobody_waits_for_the_keys_with_a_pooled_connection_in_hand(verify, key, jwks, monkeypatch):
    held = []

    def look(*, deadline):
        held.append(connection.connection is not None)
        return jwks(deadline=deadline)

    monkeypatch.setattr(client, "fetch_jwks", look)
    connection.close()
    verify(key.pizza())
    assert held == [False]
