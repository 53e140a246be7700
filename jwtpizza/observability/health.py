"""Whether this process lives, and whether it can serve."""

import logging
from collections.abc import Callable
from typing import Any

from django.db import connection

log = logging.getLogger("jwtpizza.health")

Report = Callable[[], Any]
_reports: dict[str, Report] = {}


def register(name: str, report: Report) -> None:
    """Adds what `report` returns to `/readyz` under `name`, as information: it never makes the service unready."""
    _reports[name] = report


def readiness() -> dict[str, Any]:
    """What `/readyz` says; raises django.db.Error when the database does not answer."""
    with connection.cursor() as cursor:
        cursor.execute("SELECT 1")
    return {"status": "ready", "database": "up"} | {name: _told(report) for name, report in _reports.items()}


def _told(report: Report) -> Any:
    try:
        return report()
    except Exception:
        log.exception("a health report failed")
        return None
