"""Whether this process lives, and whether it can serve."""

from collections.abc import Callable
from typing import Any

from django.db import connection

Report = Callable[[], Any]
_reports: dict[str, Report] = {}


def register(name: str, report: Report) -> None:
    """Adds what `report` returns to `/readyz` under `name`, as information: it never makes the service unready."""
    _reports[name] = report


def readiness() -> dict[str, Any]:
    """What `/readyz` says; raises django.db.Error when the database does not answer."""
    with connection.cursor() as cursor:
        cursor.execute("SELECT 1")
    return {"status": "ready", "database": "up"} | {name: report() for name, report in _reports.items()}
