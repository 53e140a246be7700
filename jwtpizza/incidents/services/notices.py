"""Telling a chat that an incident has opened, and that it is over.

What is to be told was written by the transaction that opened or closed the incident; the worker sends it, for as long
as it is news. Each notice is sent at least once: one whose sender is killed after the answer came is sent again.
"""

import json
import logging
from http.client import HTTPException
from random import uniform
from typing import Any
from urllib.parse import urlsplit

from django.conf import settings
from django.db.models.functions import Now

from jwtpizza.fields import from_now
from jwtpizza.incidents.models import Notice
from jwtpizza.incidents.selectors import notices
from jwtpizza.incidents.selectors.facts import Facts, facts
from jwtpizza.incidents.services.reports.detection import OPENED_BY
from jwtpizza.observability import push

log = logging.getLogger("jwtpizza.incidents")

# For all of one exchange; a resolver may take as long again, and the lease is longer than both.
TOTAL_SECONDS = 10.0
LEASE_SECONDS = 60.0
WAIT_LEAST, WAIT_MOST = 5.0, 300.0
ASKS_TO_WAIT = (429, 503)
# Discord's gate answers 403 to some agents, and to none at all.
HEADERS = {"Content-Type": "application/json", "User-Agent": f"jwt-pizza-service/{settings.VERSION}"}
MOMENT = "%Y-%m-%d %H:%M:%S UTC"


def send_due() -> int:
    """Sends what is due, until there is nothing or one could not be sent; how many were. Raises django.db.Error.

    Of several workers at once, one sends each notice. An address that refuses is tried again as one that is gone: it
    may be the wrong one, until an operator corrects it.
    """
    sent = 0
    while (notice := _claimed()) and _send(notice):
        sent += 1
    return sent


def _claimed() -> Notice | None:
    """One that is due, which is this worker's for `LEASE_SECONDS`; None if there is none, or somebody was quicker."""
    notice = notices.due().first()
    if notice is None:
        return None
    mine = Notice.objects.filter(pk=notice.pk, sent_at=None, tries=notice.tries)
    notice.tries += 1
    return notice if mine.update(tries=notice.tries, due_at=from_now(LEASE_SECONDS)) else None


def _send(notice: Notice) -> bool:
    body = json.dumps(message(notice)).encode()
    wait = min(WAIT_MOST, WAIT_LEAST * 2 ** (notice.tries - 1))
    try:
        answer = push.post(urlsplit(settings.INCIDENT_WEBHOOK_URL), body, HEADERS, total=TOTAL_SECONDS)
    except (OSError, HTTPException, ValueError) as error:
        # Their words may have the address in them, which is a secret.
        return _put_off(notice, type(error).__name__, wait)
    told = f"it answered {answer.status}"
    if not 200 <= answer.status < 300:
        asked = answer.retry_after if answer.status in ASKS_TO_WAIT else 0.0
        return _put_off(notice, told, min(WAIT_MOST, max(wait, asked)))
    Notice.objects.filter(pk=notice.pk, sent_at=None).update(sent_at=Now(), answer=told)
    log.info("%s: its notice is sent", notice)
    return True


def _put_off(notice: Notice, why: str, seconds: float) -> bool:
    log.warning("%s: its notice could not be sent, try %d: %s", notice, notice.tries, why)
    due_at = from_now(seconds * uniform(0.9, 1.1))  # noqa: S311
    # Unless its lease ran out, and somebody else tries now.
    Notice.objects.filter(pk=notice.pk, sent_at=None, tries=notice.tries).update(due_at=due_at, answer=why)
    return False


def message(notice: Notice) -> dict[str, Any]:
    """JSON that says the same to Slack, which reads `text`, and to Discord, which reads the rest; it calls nobody."""
    known = facts(notice.incident)
    lines = _opened(known) if notice.word == Notice.Word.OPENED else _closed(known)
    text = "\n".join([*lines, f"`manage.py incident_report {notice.incident_id}` writes its report."])
    return {"text": text, "content": text, "allowed_mentions": {"parse": []}}


def _opened(known: Facts) -> list[str]:
    began = f"began with {OPENED_BY[known.opened_by]} at {known.first_failure:{MOMENT}}"
    if known.incident.closed_at:
        return [f"Incident {known.incident.pk} {began}; it is over by now.", _orders("Orders", known)]
    return [f"Incident {known.incident.pk} is open: it {began}.", _orders("Orders so far", known)]


def _closed(known: Facts) -> list[str]:
    first, last = known.first_failure.replace(microsecond=0), known.last_failure.replace(microsecond=0)
    return [
        f"Incident {known.incident.pk} is over.",
        f"It lasted {last - first} (h:mm:ss), {first:{MOMENT}} to {last:{MOMENT}}.",
        _orders("Orders", known),
        *([f"First success after it: {known.success.at:{MOMENT}}."] if known.success else []),
    ]


def _orders(name: str, known: Facts) -> str:
    later = [f"{known.made_later} made by now"] if known.promised else []
    later += [f"{known.given_up} failed later"] if known.given_up else []
    kept = f" ({', '.join(later)})" if later else ""
    others = f", {known.broken} met an error of ours" if known.broken else ""
    others += f", {known.undecided} undecided" if known.undecided else ""
    return f"{name}: {known.failed_at_once} failed, {known.refused} refused{others}, {known.promised} promised{kept}."
