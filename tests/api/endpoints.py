"""What can be called, found from the URL configuration; the admin site is a world of its own."""

import re
from collections.abc import Iterator
from typing import Any

from django.urls import URLResolver, get_resolver

METHODS = ("get", "post", "put", "patch", "delete")


def _methods(view: Any) -> Iterator[str]:
    actions = getattr(view, "actions", None)
    for method in METHODS:
        if method in actions if actions is not None else hasattr(view.cls, method):
            yield method.upper()


def _found(resolver: Any, before: str = "/") -> Iterator[str]:
    for entry in resolver.url_patterns:
        path = before + str(entry.pattern)
        if path.startswith("/admin/"):
            continue
        if isinstance(entry, URLResolver):
            yield from _found(entry, path)
        else:
            readable = re.sub("<[^>]+>", "{id}", path)
            yield from (f"{method} {readable}" for method in _methods(entry.callback))


def endpoints() -> list[str]:
    """Each as "PUT /api/user/{id}"."""
    return list(_found(get_resolver()))
