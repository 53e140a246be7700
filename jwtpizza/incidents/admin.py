"""Incidents, for admins: the report of each, made anew with each look, and the notes that people add to it."""

from collections.abc import Iterable, Iterator
from datetime import datetime, tzinfo
from functools import partial
from typing import Any

from django.contrib import admin
from django.core.exceptions import PermissionDenied
from django.db.models import Func, IntegerField, QuerySet, Value
from django.http import HttpRequest, HttpResponse
from django.shortcuts import get_object_or_404
from django.urls import URLPattern, path
from django.utils import timezone
from django.utils.dateformat import format as dated
from unfold.decorators import display

from jwtpizza.accounts.admin import Page
from jwtpizza.incidents.models import Event, Incident, Kind
from jwtpizza.incidents.selectors.troubles import failed_orders, within
from jwtpizza.incidents.serializers import sections
from jwtpizza.incidents.serializers.formats import FORMATS, written
from jwtpizza.incidents.services.reports import report
from jwtpizza.incidents.services.reports.words import lasting
from orders.errors import Undecided


@admin.register(Incident)
class IncidentAdmin(Page):
    list_display = ("id", "first_failure", "lasted", "lost", "state", "noticed")
    list_display_links = ("id", "first_failure")
    ordering = ("-first_at",)
    list_per_page = 50
    fields = ("notes",)
    change_form_template = "admin/incidents/incident.html"

    def has_add_permission(self, request: HttpRequest) -> bool:
        return False

    def has_delete_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return False

    def get_changelist_instance(self, request: HttpRequest) -> Any:
        """With how many orders were lost in each incident of the page."""
        shown = super().get_changelist_instance(request)
        shown.result_list = [*shown.result_list]
        lost = _lost(shown.result_list)
        for incident in shown.result_list:
            incident.orders_lost = lost[incident.pk]
        return shown

    @display(description="first failure", ordering="first_at")
    def first_failure(self, incident: Incident) -> str:
        return _told(incident.first_at)

    @display(description="noticed", ordering="opened_at")
    def noticed(self, incident: Incident) -> str:
        return _told(incident.opened_at)

    @display(description="orders lost")
    def lost(self, incident: Any) -> str:
        return f"{incident.orders_lost:,}"

    @display(description="how long")
    def lasted(self, incident: Incident) -> str:
        return lasting(incident.last_at - incident.first_at)

    @display(description="state", label={"open": "danger", "closed": "success"})
    def state(self, incident: Incident) -> str:
        return sections.state(incident)

    def render_change_form(self, request: HttpRequest, context: Any, *args: Any, **kwargs: Any) -> Any:
        told = sections.of(report(kwargs["obj"]), _viewers_zone())
        shown = {"told": told, "title": told.title, "formats": FORMATS}
        return super().render_change_form(request, context | shown, *args, **kwargs)

    def get_urls(self) -> list[URLPattern]:
        download = self.admin_site.admin_view(self.download)
        downloads = [
            path(f"<int:pk>/report.{form}", partial(download, form=form), name=f"incidents_incident_{form}")
            for form in FORMATS
        ]
        return [*downloads, *super().get_urls()]

    def download(self, request: HttpRequest, pk: int, form: str) -> HttpResponse:
        """The report in that format, as a file."""
        if not self.has_view_permission(request):
            raise PermissionDenied
        told = written(report(get_object_or_404(Incident, pk=pk)), _viewers_zone(), form=form)
        headers = {"Content-Disposition": f'attachment; filename="incident-{pk}.{form}"'}
        return HttpResponse(told, content_type=f"{FORMATS[form]}; charset=utf-8", headers=headers)


def _lost(incidents: Iterable[Incident]) -> dict[int, int]:
    """How many orders failed, were refused or met an error of ours in each, by its number; one query.

    It has parts for each, with their times in them: MariaDB uses no index where times are those of another row.
    """
    lost = dict.fromkeys((incident.pk for incident in incidents), 0)
    parts = [part for incident in incidents for part in _lost_in(incident)]
    for pk, number in parts[0].union(*parts[1:], all=True) if parts else ():
        lost[pk] += number or 0
    return lost


def _lost_in(incident: Incident) -> Iterator[QuerySet[Any]]:
    meanwhile = {"since": incident.first_at, "until": incident.closed_at}
    events = Event.objects.filter(within("at", **meanwhile), kind__in=(Kind.REFUSED, Kind.BROKEN))
    counted = (
        (failed_orders().filter(within("settled_at", **meanwhile)), "COUNT", "pk"),
        # What is undecided stands in the books, and fails or is made there.
        (events.exclude(outcome=Undecided.__name__), "SUM", "count"),
    )
    for rows, function, column in counted:
        number = Func(column, function=function, output_field=IntegerField())
        yield rows.order_by().values_list(Value(incident.pk), number)


def _told(moment: datetime) -> str:
    """In the viewer's zone, with its name."""
    return dated(timezone.localtime(moment), "Y-m-d H:i:s T")


def _viewers_zone() -> tzinfo | None:
    """None for who lives by UTC, which reports tell anyway."""
    zone = timezone.get_current_timezone()
    return None if zone == timezone.get_default_timezone() else zone
