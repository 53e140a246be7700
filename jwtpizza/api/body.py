"""JSON in and out."""

import json
from collections.abc import Iterable, Mapping
from datetime import UTC, datetime
from typing import IO, Any, NoReturn

from rest_framework.exceptions import ParseError, UnsupportedMediaType
from rest_framework.negotiation import DefaultContentNegotiation
from rest_framework.parsers import BaseParser
from rest_framework.renderers import BaseRenderer
from rest_framework.request import Request

from jwtpizza.api.content_type import readable


def iso(moment: datetime) -> str:
    """ISO 8601 in UTC with milliseconds and Z, as JavaScript writes it."""
    return moment.astimezone(UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")


def _refuse(constant: str) -> NoReturn:
    raise ValueError(constant)


class JsonParser(BaseParser):
    """Reads JSON in any Unicode encoding; raises ParseError for what isn't JSON, UnsupportedMediaType for the rest."""

    media_type = "application/json"

    def parse(
        self, stream: IO[bytes], media_type: str | None = None, parser_context: Mapping[str, Any] | None = None
    ) -> Any:
        if not readable(media_type or ""):
            raise UnsupportedMediaType(media_type or "")
        try:
            return json.loads(stream.read(), parse_constant=_refuse)
        except (ValueError, RecursionError) as error:
            raise ParseError from error


class AlwaysJson(DefaultContentNegotiation):
    """There is one representation, whatever a client says that it accepts."""

    def select_renderer(
        self, request: Request, renderers: Iterable[BaseRenderer], format_suffix: str | None = None
    ) -> tuple[BaseRenderer, str]:
        renderer = next(iter(renderers))
        return renderer, renderer.media_type
