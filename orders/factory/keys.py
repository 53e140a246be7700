"""Is this pizza real? The factory's public keys, and what its JWT has to say."""

import json
import threading
import time
from collections.abc import Callable
from contextlib import suppress
from typing import Any

import jwt
from cryptography.hazmat.primitives.asymmetric.rsa import RSAPublicKey
from django.db import DatabaseError, connection, transaction
from jwt.api_jws import PyJWS

from jwtpizza.resilience.deadline import Deadline, DeadlineExceeded
from jwtpizza.turns import TURNS
from orders.factory import client
from orders.factory.errors import BadJwt, BadResponse, FactoryError, Unverified
from orders.models import FactoryKey

FETCH_AGAIN_SECONDS = 60.0
LEEWAY_SECONDS = 60.0
MOST_KID = 255

_jws = PyJWS(algorithms=["RS256"])


class KeyRing:
    """The factory's public keys by `kid`: in memory, behind that in the database, behind that its JWKS."""

    def __init__(self, *, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._keys: dict[str, jwt.PyJWK] = {}
        self._fetched_at: float | None = None
        self._fetching = threading.Lock()

    def key(self, kid: str, *, deadline: Deadline) -> jwt.PyJWK:
        """The key of that id; raises BadJwt when the factory has none, Unverified when that can't be told."""
        if kid not in self._keys:
            self._look_for(kid, deadline)
        try:
            return self._keys[kid]
        except KeyError:
            raise BadJwt("the factory has no such key") from None

    def fetch(self, *, deadline: Deadline) -> None:
        """Replaces the keys with those of the JWKS; raises a FactoryError, and then the last good ones stay."""
        found = {key["kid"]: key for key in client.fetch_jwks(deadline=deadline) if _is_name(key.get("kid"))}
        usable = _usable(found)
        if not usable:
            raise BadResponse("there is no key among the factory's keys")
        self._keys, self._fetched_at = usable, self._clock()
        with suppress(DatabaseError), transaction.atomic():
            FactoryKey.objects.exclude(kid__in=usable).delete()
            for kid in usable:
                FactoryKey.objects.update_or_create(kid=kid, defaults={"jwk": found[kid]})

    def _look_for(self, kid: str, deadline: Deadline) -> None:
        try:
            with TURNS.aside():
                mine = self._fetching.acquire(timeout=deadline.left())
            if not mine:
                raise DeadlineExceeded
            try:
                self._find(kid, deadline)
            finally:
                self._fetching.release()
        except (FactoryError, DeadlineExceeded) as error:
            raise Unverified("the factory's keys can't be had") from error

    def _find(self, kid: str, deadline: Deadline) -> None:
        if kid not in self._keys:
            self._keys |= _kept()
        if kid not in self._keys and self._may_fetch():
            self.fetch(deadline=deadline)

    def _may_fetch(self) -> bool:
        """Keys that came are news for a while; after a failure the next order asks again."""
        return self._fetched_at is None or self._clock() - self._fetched_at >= FETCH_AGAIN_SECONDS


def _kept() -> dict[str, jwt.PyJWK]:
    # The factory may be asked next, and nobody waits for it with a connection of the pool in hand.
    with suppress(DatabaseError), connection.temporary_connection():
        return _usable(dict(FactoryKey.objects.values_list("kid", "jwk")))
    return {}


def _is_name(kid: object) -> bool:
    return isinstance(kid, str) and kid.isprintable() and len(kid) <= MOST_KID


def _usable(jwks: dict[str, dict[str, Any]]) -> dict[str, jwt.PyJWK]:
    """Those that are public RSA keys."""
    keys = {}
    for kid, jwk in jwks.items():
        with suppress(jwt.PyJWTError):
            keys[kid] = jwt.PyJWK(jwk, algorithm="RS256")
    return {kid: key for kid, key in keys.items() if isinstance(key.key, RSAPublicKey)}


RING = KeyRing()


def verify(token: str, *, order_id: int, diner_id: int, deadline: Deadline) -> None:
    """Raises BadJwt unless the factory signed it (RS256) for this order of this diner, Unverified for want of a key."""
    try:
        header = jwt.get_unverified_header(token)
        key = RING.key(str(header.get("kid")), deadline=deadline)
        payload = json.loads(_jws.decode(token, key, algorithms=["RS256"]))
        genuine = payload["order"]["id"] == order_id and payload["diner"]["id"] == diner_id
        # The factory puts the claims about time into the header; the payload has none.
        valid = header["iat"] - LEEWAY_SECONDS <= time.time() < header["exp"] + LEEWAY_SECONDS
    except (jwt.PyJWTError, ValueError, KeyError, TypeError, OverflowError, RecursionError) as error:
        raise BadJwt(f"the JWT does not verify: {type(error).__name__}") from error
    if not (genuine and valid):
        raise BadJwt("the JWT is of another order, or out of date")
