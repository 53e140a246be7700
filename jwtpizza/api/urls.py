from django.urls import path

from jwtpizza.api.views import AboutViewSet, DocsPage, OperationsViewSet

urlpatterns = [
    path("", AboutViewSet.as_view({"get": "welcome"})),
    path("api/docs", AboutViewSet.as_view({"get": "docs"})),
    path("api/schema", AboutViewSet.as_view({"get": "openapi"}), name="schema"),
    path("api/docs/ui", DocsPage.as_view(url_name="schema")),
    path("livez", OperationsViewSet.as_view({"get": "live"})),
    path("readyz", OperationsViewSet.as_view({"get": "ready"})),
    path("metrics", OperationsViewSet.as_view({"get": "metrics"})),
]
