"""Public lists kept as rendered bytes, because a request is nearly all Django and this leaves most of it out."""

import time
from collections.abc import Callable, Hashable
from hashlib import blake2s
from typing import Any, NamedTuple

from django.db import DatabaseError, transaction
from django.http import HttpRequest, HttpResponse, HttpResponseNotModified
from django.utils.http import parse_etags
from rest_framework.renderers import JSONRenderer

from jwtpizza.shared import Generation

# One thread makes bytes anew from the first on, the others serve the old ones, and nobody does from the second on.
REFRESH_SECONDS = 0.5
FRESH_SECONDS = 1.0
MOST_KEPT = 256


class Kept(NamedTuple):
    body: bytes
    etag: str
    generation: int
    made: float
    refreshing: bool = False


def _has(kept: Kept, if_none_match: str) -> bool:
    had = parse_etags(if_none_match)
    return "*" in had or kept.etag in (etag.removeprefix("W/") for etag in had)


class Rendered:
    """One public list in its variants.

    After the answer to a change no worker of this machine serves older bytes; another machine does until Redis has told
    it, or for `FRESH_SECONDS` at most. While the database is gone, what is warm is still served.
    """

    def __init__(self, slot: str, *, clock: Callable[[], float] = time.monotonic) -> None:
        self._generation = Generation(slot)
        self._clock = clock
        self._kept: dict[Hashable, Kept] = {}

    def on_change(self, **_: object) -> None:
        """A signal receiver: makes all bytes stale, once the transaction in hand is committed."""
        transaction.on_commit(self._generation.renew)

    def answer(self, request: HttpRequest, make: Callable[[], Any], *, variant: Hashable = None) -> HttpResponse:
        """200 with the bytes of what `make` returns, or 304 if the caller has them; raises what `make` raises."""
        kept = self._current(variant, make)
        same = "HTTP_IF_NONE_MATCH" in request.META and _has(kept, request.META["HTTP_IF_NONE_MATCH"])
        response = HttpResponseNotModified() if same else HttpResponse(kept.body, content_type="application/json")
        response.headers["ETag"] = kept.etag
        response.headers["Cache-Control"] = "no-cache"
        return response

    def _current(self, variant: Hashable, make: Callable[[], Any]) -> Kept:
        generation = self._generation()
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
