"""The welcome, the documentation, and what operators ask."""

from http import HTTPStatus
from typing import Any

from django.conf import settings
from django.http import Http404, HttpResponse
from drf_spectacular.views import SpectacularSwaggerView
from prometheus_client import CONTENT_TYPE_LATEST
from rest_framework import serializers
from rest_framework.exceptions import NotAuthenticated
from rest_framework.request import Request
from rest_framework.response import Response

from jwtpizza.api import docs
from jwtpizza.api.schema import description, operation
from jwtpizza.api.viewsets import EVERYONE, ApiViewSet
from jwtpizza.observability import health, metrics

WELCOME = {"message": "welcome to JWT Pizza", "version": settings.VERSION}


class WelcomeOut(serializers.Serializer):
    message = serializers.CharField()
    version = serializers.CharField()


class EndpointOut(serializers.Serializer):
    method = serializers.CharField()
    path = serializers.CharField()
    requiresAuth = serializers.BooleanField()
    description = serializers.CharField()
    example = serializers.CharField()
    response = serializers.JSONField()


class OpenApiOut(serializers.Serializer):
    openapi = serializers.CharField()
    info = serializers.DictField()
    paths = serializers.DictField()
    components = serializers.DictField()


class DocsOut(serializers.Serializer):
    version = serializers.CharField()
    endpoints = EndpointOut(many=True)
    config = serializers.DictField(child=serializers.CharField())


def where_things_are() -> dict[str, str]:
    """Where the factory and the database are; nothing in production, where it would tell an attacker where to knock."""
    if settings.PRODUCTION:
        return {}
    database = settings.DATABASES["default"]
    engine = database["ENGINE"].rsplit(".", 1)[-1]
    return {"factory": settings.FACTORY_URL, "db": f"{engine} {database.get('HOST') or 'localhost'}"}


class AboutViewSet(ApiViewSet):
    authentication_classes = []
    access = {"welcome": EVERYONE, "docs": EVERYONE, "openapi": EVERYONE}

    @operation("Say welcome", at="/", response=WelcomeOut, answer=WELCOME)
    def welcome(self, request: Request) -> Response:
        return Response(WELCOME)

    @operation(
        "Describe the endpoints",
        at="/api/docs",
        response=DocsOut,
        answer={"version": settings.VERSION, "endpoints": [], "config": {}},
    )
    def docs(self, request: Request) -> Response:
        endpoints = docs.endpoints(request.build_absolute_uri("/").removesuffix("/"))
        return Response({"version": settings.VERSION, "endpoints": endpoints, "config": where_things_are()})

    @operation(
        "Describe the API as OpenAPI 3.1",
        at="/api/schema",
        response=OpenApiOut,
        answer={"openapi": "3.1.0", "info": {}, "paths": {}, "components": {}},
    )
    def openapi(self, request: Request) -> Response:
        return Response(description())


class DocsPage(SpectacularSwaggerView):
    def options(self, request: Request, *args: Any, **kwargs: Any) -> HttpResponse:  # type: ignore[override]
        return HttpResponse(status=204)


class OperationsViewSet(ApiViewSet):
    """For load balancers and Prometheus, who need no description."""

    schema = None
    authentication_classes = []
    access = {"live": EVERYONE, "ready": EVERYONE, "metrics": EVERYONE}

    def live(self, request: Request) -> Response:
        return Response({"status": "live"})

    def ready(self, request: Request) -> Response:
        return Response(health.readiness())

    def metrics(self, request: Request) -> HttpResponse:
        match metrics.admitted(request.headers.get("Authorization", "")):
            case HTTPStatus.NOT_FOUND:
                raise Http404
            case HTTPStatus.UNAUTHORIZED:
                raise NotAuthenticated
        return HttpResponse(metrics.Page(service=True).text(), CONTENT_TYPE_LATEST)


class NotAnEndpoint(ApiViewSet):
    """A known path on which there is nothing to do: 405 to every method."""

    schema = None
    authentication_classes = []
