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
MOST_KEPT, MOST_BYTES = 256, 8 * 1024 * 1024


class Kept(NamedTuple):
    body: bytes
    etag: str
    generation: int
    made: float
    refreshing: bool = False
    gone: bool = False


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
        if age < REFRESH_SECONDS or (kept.refreshing and (kept.gone or age < FRESH_SECONDS)):
            return kept
        return self._refreshed(variant, make, kept)

    def _refreshed(self, variant: Hashable, make: Callable[[], Any], kept: Kept) -> Kept:
        """Once the database was gone, one caller at a time finds out whether it still is, and nobody waits with it."""
        self._kept[variant] = kept._replace(refreshing=True)
        left = kept._replace(refreshing=False)
        try:
            return self._make(variant, make, kept.generation)
        except DatabaseError:
            left = left._replace(made=self._clock(), gone=True)
            return left
        finally:
            if self._kept.get(variant, left).refreshing:
                self._kept[variant] = left

    def _make(self, variant: Hashable, make: Callable[[], Any], generation: int) -> Kept:
        made = self._clock()
        body = JSONRenderer().render(make())
        is_new = variant not in self._kept
        kept = Kept(body, f'"{blake2s(body, digest_size=16).hexdigest()}"', generation, made)
        self._kept[variant] = kept
        if is_new:
            self._make_room()
        return kept

    def _make_room(self) -> None:
        """Those go that were made first: what is asked for often is made again twice a second."""
        oldest_first = sorted([*self._kept.items()], key=lambda each: each[1].made)
        left, size = len(oldest_first), sum(len(kept.body) for _, kept in oldest_first)
        for variant, kept in oldest_first:
            if left <= MOST_KEPT and size <= MOST_BYTES:
                return
            self._kept.pop(variant, None)
            left, size = left - 1, size - len(kept.body)
