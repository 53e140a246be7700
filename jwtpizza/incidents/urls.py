from django.urls import path

from jwtpizza.incidents.views import IncidentViewSet

urlpatterns = [
    path("api/incident/<id:incident_id>", IncidentViewSet.as_view({"get": "retrieve"})),
]
