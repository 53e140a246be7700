"""The one OpenAPI description of the API; the schema, the browsable page and /api/docs are made from it."""

import json
import re
from collections.abc import Callable, Iterable, Mapping
from functools import cache
from types import MappingProxyType
from typing import Any, TypeVar

from drf_spectacular.generators import SchemaGenerator
from drf_spectacular.openapi import AutoSchema
from drf_spectacular.utils import OpenApiExample, OpenApiParameter, extend_schema
from rest_framework import serializers
from rest_framework.permissions import AllowAny, IsAuthenticated

View = TypeVar("View", bound=Callable[..., Any])
METHODS = ("get", "post", "put", "delete")
Output = type[serializers.Serializer] | serializers.BaseSerializer
IF_NONE_MATCH = OpenApiParameter(
    "If-None-Match", str, OpenApiParameter.HEADER, description="The ETag of an earlier answer; 304 while that is good."
)


class MessageOut(serializers.Serializer):
    message = serializers.CharField()


class ErrorOut(MessageOut):
    """How everything that goes wrong is told."""

    error = serializers.CharField(help_text="A short fixed title.")
    statusCode = serializers.IntegerField()
    requestId = serializers.CharField()
    fields = serializers.DictField(  # type: ignore[assignment]
        child=serializers.ListField(child=serializers.CharField()),
        required=False,
        help_text="What was wrong, by the path of the field.",
    )


ERROR = {
    "content": {"application/json": {"schema": {"$ref": "#/components/schemas/ErrorOut"}}},
    "description": "",
}


class Operation(AutoSchema):
    """Adds to each operation who may call it, and the errors that follow from that and from its having a body.

    Everything else is told by `operation`; nothing is guessed from the names of actions, as drf-spectacular would.
    """

    def is_excluded(self) -> bool:
        """A view with two paths is described only at the path of its example."""
        template = re.sub(r"\{\w+\}", "[^/]+", self.path)
        return not re.fullmatch(template, self.get_extensions()["x-example"]["at"].partition("?")[0])

    def get_operation_id(self) -> str:
        view: Any = self.view
        return f"{type(view).__name__.removesuffix('ViewSet').lower()}_{view.action}"

    def get_description(self) -> str:  # type: ignore[override]
        return ""

    def get_tags(self) -> list[str]:
        first = self.path.removeprefix("/api").split("/")[1]
        return [first if first in ("auth", "user", "order", "franchise", "incident") else "about"]

    def _map_serializer_field(self, field: Any, *args: Any, **kwargs: Any) -> Any:
        schema = super()._map_serializer_field(field, *args, **kwargs)  # type: ignore[no-untyped-call]
        return schema | getattr(field, "described", {})

    def _map_basic_serializer(self, serializer: Any, *args: Any, **kwargs: Any) -> Any:
        schema = super()._map_basic_serializer(serializer, *args, **kwargs)  # type: ignore[no-untyped-call]
        return schema | getattr(serializer, "described", {})

    def _is_list_view(self, serializer: Any = None) -> bool:
        return isinstance(serializer, serializers.ListSerializer)

    def _get_examples(self, serializer: Any, *args: Any, **kwargs: Any) -> Any:
        # drf-spectacular would wrap the example of a list in a second list.
        return super()._get_examples(getattr(serializer, "child", serializer), *args, **kwargs)  # type: ignore[no-untyped-call]

    def get_auth(self) -> list[dict[str, Any]]:
        bearer: dict[str, Any] = {"bearer": []}
        if not isinstance(self._permission(), AllowAny):
            return [bearer]
        return [{}, bearer] if self.view.get_authenticators() else []

    def _permission(self) -> Any:
        return self.view.get_permissions()[0]

    def _usual_errors(self) -> Iterable[int]:
        if not isinstance(self._permission(), AllowAny):
            yield 401
            if not isinstance(self._permission(), IsAuthenticated):
                yield 403
        if self.method in ("POST", "PUT"):
            yield from (400, 413, 415)
        yield from (500, 503)

    def get_operation(self, *args: Any, **kwargs: Any) -> dict[str, Any] | None:
        operation: dict[str, Any] | None = super().get_operation(*args, **kwargs)
        if operation is None:
            return None
        if "requestBody" in operation:
            operation["requestBody"]["required"] = True
        usual = dict.fromkeys(map(str, self._usual_errors()), ERROR)
        operation["responses"] = dict(sorted((usual | operation["responses"]).items()))
        return operation


def operation(
    summary: str,
    *,
    at: str,
    shown_as: str = "",
    response: Output,
    answer: Any,
    request: type[serializers.Serializer] | None = None,
    example: Any = None,
    query: type[serializers.Serializer] | None = None,
    parameters: Iterable[OpenApiParameter] = (),
    others: Mapping[int, Output | None] = MappingProxyType({}),
    errors: Iterable[int] = (),
) -> Callable[[View], View]:
    """Describes a view: what it is for, an address to try it `at` with its `example` body, and an `answer`.

    `shown_as` is the path in /api/docs where existing clients know it by other names of its parameters; `others` are
    answers with another status than 200 that are no errors, None for those without a body.
    """
    examples = [OpenApiExample("answer", value=answer, response_only=True, status_codes=["200"])]
    if request:
        examples.append(OpenApiExample("request", value=example, request_only=True))
    answers: dict[int, Output | None] = {200: response, **others}
    return extend_schema(
        summary=summary,
        request=request,
        responses=answers | dict.fromkeys([*errors, *([400] if query else [])], ErrorOut),
        parameters=[*([query] if query else []), *parameters],
        examples=examples,
        extensions={"x-example": {"at": at, "shown_as": shown_as, "body": example, "answer": answer}},
    )


@cache
def description() -> dict[str, Any]:
    """The OpenAPI description, made once: it takes some 100 ms."""
    schema: dict[str, Any] = SchemaGenerator().get_schema(request=None, public=True)
    for path, operations in schema["paths"].items():
        schema["paths"][path] = {method: operations[method] for method in METHODS if method in operations}
    # Numbers as JSON has them: drf-spectacular leaves limits as Decimal.
    plain: dict[str, Any] = json.loads(json.dumps(schema, default=float))
    return plain
