from rest_framework.request import Request
from rest_framework.response import Response

from jwtpizza.accounts.permissions import Admin
from jwtpizza.api.schema import operation
from jwtpizza.api.viewsets import ApiViewSet
from jwtpizza.incidents.selectors import troubles
from jwtpizza.incidents.serializers.json import as_json
from jwtpizza.incidents.serializers.openapi import EXAMPLE, IncidentOut
from jwtpizza.incidents.services.reports import report


class IncidentViewSet(ApiViewSet):
    access = {"retrieve": Admin("unable to read incidents")}

    @operation(
        "Get an incident with all that is known of it",
        at="/api/incident/1",
        response=IncidentOut,
        answer=EXAMPLE,
        errors=[404],
    )
    def retrieve(self, request: Request, incident_id: int) -> Response:
        return Response(as_json(report(troubles.incident(incident_id))))
