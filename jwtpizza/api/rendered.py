"""Public lists kept as rendered bytes, because a request is nearly all Django and this leaves most of it out."""

import mmap
import os
import time
from collections.abc import Callable, Hashable
from functools import cache
from hashlib import blake2s
from typing import Any, NamedTuple

from django.conf import settings
from django.db import DatabaseError, transaction
from django.http import HttpRequest, HttpResponse, HttpResponseNotModified
from django.utils.http import parse_etags
from rest_framework.renderers import JSONRenderer

# One thread makes bytes anew from the first on, the others serve the old ones, and nobody does from the second on.
REFRESH_SECONDS = 0.5
FRESH_SECONDS = 1.0
MOST_KEPT = 256
SLOTS = ("menu", "franchises")


@cache
def _generations() -> memoryview:
    """A number for each slot, in a file that all workers of this machine map into their memory."""
    settings.RUN_DIR.mkdir(parents=True, exist_ok=True)
    size = 8 * len(SLOTS)
    descriptor = os.open(settings.RUN_DIR / "generations", os.O_RDWR | os.O_CREAT, 0o600)
    try:
        os.ftruncate(descriptor, size)
        return memoryview(mmap.mmap(descriptor, size)).cast("Q")
    finally:
        os.close(descriptor)


class Kept(NamedTuple):
    body: bytes
    etag: str
    generation: int
    made: float
    refreshing: bool = False


class Rendered:
    """One public list in its variants.

    After the answer to a change no worker of this machine serves older bytes, and another machine does for
    `FRESH_SECONDS` at most. While the database is gone, what is warm is still served.
    """

    def __init__(self, slot: str, *, clock: Callable[[], float] = time.monotonic) -> None:
        self._slot = SLOTS.index(slot)
        self._clock = clock
        self._kept: dict[Hashable, Kept] = {}

    def on_change(self, **_: object) -> None:
        """A signal receiver: makes all bytes stale, once the transaction in hand is committed."""
        transaction.on_commit(self._renew)

    def _renew(self) -> None:
        # Any other number will do, and a random one needs no lock between processes.
        _generations()[self._slot] = int.from_bytes(os.urandom(8))

    def answer(self, request: HttpRequest, make: Callable[[], Any], *, variant: Hashable = None) -> HttpResponse:
        """200 with the bytes of what `make` returns, or 304 if the caller has them; raises what `make` raises."""
        kept = self._current(variant, make)
        had = parse_etags(request.headers.get("If-None-Match", ""))
        same = "*" in had or kept.etag in (etag.removeprefix("W/") for etag in had)
        response = HttpResponseNotModified() if same else HttpResponse(kept.body, content_type="application/json")
        response.headers["ETag"] = kept.etag
        response.headers["Cache-Control"] = "no-cache"
        return response

    def _current(self, variant: Hashable, make: Callable[[], Any]) -> Kept:
        generation = _generations()[self._slot]
        kept = self._kept.get(variant)
        if kept is None or kept.generation != generation:
            return self._make(variant, make, generation)
        age = self._clock() - kept.made
        if age < REFRESH_SECONDS or (age < FRESH_SECONDS and kept.refreshing):
            return kept
        self._kept[variant] = kept._replace(refreshing=True)
        try:
            return self._make(variant, make, generation)
        except DatabaseError:
            self._kept[variant] = kept._replace(made=self._clock())
            return kept

    def _make(self, variant: Hashable, make: Callable[[], Any], generation: int) -> Kept:
        made = self._clock()
        body = JSONRenderer().render(make())
        if len(self._kept) >= MOST_KEPT:
            self._kept.clear()
        kept = Kept(body, f'"{blake2s(body, digest_size=16).hexdigest()}"', generation, made)
        self._kept[variant] = kept
        return kept
