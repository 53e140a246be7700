"""A report as it comes of an outage of 2 min 55 s, made by hand: what is written of it needs no history behind it."""

from datetime import UTC, datetime, timedelta
from decimal import Decimal

from jwtpizza.incidents.models import Incident
from jwtpizza.incidents.selectors.facts import Example, Facts, Link, Span, Start, Success, Traffic, Transition
from jwtpizza.incidents.services.reports import Action, Alert, Finding, Moment, Report

BEGAN = datetime(2025, 12, 2, 19, 33, 37, tzinfo=UTC)
STEP = timedelta(seconds=30)


def at(**later):
    return BEGAN + timedelta(**later)


def incident(**how):
    """One that is over, not in the database."""
    dated = {"first_at": BEGAN, "last_at": at(seconds=175), "opened_at": at(seconds=1), "closed_at": at(minutes=10)}
    return Incident(**({"pk": 7, "is_open": None} | dated | how))


def span(number):
    lost = 2 <= number < 8
    made = 0 if lost or number % 4 == 3 else 1 + number % 3
    mean = 0.12 + number / 100 if made else None
    start = at(seconds=30 * number - 67)
    return Span(start, made, int(lost and number % 2), int(lost) * 2, 0, mean, mean and mean * 2.5)


def answered(order_id=12, status=500, **body):
    told = {"message": "Failed to fulfill order at factory", "error": "Factory request failed", "statusCode": status}
    return Example(order_id, status, told | body)


def facts(**how):
    link = Link(1, "http://factory/api/support/***/report/x", at(seconds=1), at(minutes=4), "the worker", "200 back")
    known = {
        "incident": incident(),
        "first_failure": BEGAN,
        "last_failure": at(seconds=175),
        "until": at(minutes=10),
        "opened_by": "order",
        "failed": 3,
        "refused": 12,
        "broken": 0,
        "promised": 1,
        "made_later": 1,
        "made": 2,
        "diners": 4,
        "not_taken": Decimal("0.0624"),
        "failures": {"server_error": 3},
        "refusals": {"open": 12},
        "breakages": {},
        "canaries": {"ok": 6, "server_error": 3},
        "lost_at": [at(seconds=10 * number) for number in range(15)],
        "canary_failed_at": at(seconds=20),
        "transitions": [Transition(at(seconds=5), "closed", "open"), Transition(at(minutes=5), "open", "closed")],
        "retries_denied": 4,
        "links": [link],
        "success": Success(at(minutes=5), 20),
        "traffic": [Traffic("menu", 1234, 0), Traffic("login", 56, 1)],
        "starts": [Start(at(seconds=30), "web", "1.2.0", {"FACTORY_DEADLINE": ["5", "6"]})],
        "switches": [],
        "spans": [span(number) for number in range(25)],
        "span": STEP,
        "examples": [answered()],
        "longest_without": timedelta(seconds=190),
    }
    return Facts(**(known | how))


def report(*, of=None, **how):
    """The report of these facts, or of what went wrong on 2 December 2025."""
    told = {
        "facts": of or facts(),
        "severity": "SEV-2",
        "rule": "Orders failed: 15 of 18 were lost.",
        "summary": "For 2 min 55 s the pizza factory answered every order with an error, and 15 orders were lost.",
        "endpoint": "POST /api/order",
        "symptoms": ["3 orders were answered 500 (server_error).", "12 orders were refused with 503."],
        "unaffected": ["Of 1,234 calls for the menu none failed.", "Of 56 logins 1 failed (98.2 % succeeded)."],
        "detection": ["The first failed order opened the incident 1 s after it was placed."],
        "alerts": [Alert("OrdersFailing", "page", at(seconds=60)), Alert("FactoryDown", "ticket", at(seconds=90))],
        "timeline": [
            Moment(BEGAN, "The first order failed (server_error)."),
            Moment(at(seconds=5), "A circuit went from closed to open."),
            Moment(at(minutes=4), "The worker followed the support link: 200 back"),
            Moment(at(minutes=5), "Order 20 was made."),
        ],
        "causes": [
            Finding("The factory answered 3 of 3 orders with an error of its own.", "evidence"),
            Finding("It stood still on purpose until its support link was followed.", "inference"),
        ],
        "resolution": [Finding("The factory worked again 60 s after its support link was followed.", "evidence")],
        "actions": [Action("Have the support link followed sooner", "nobody followed it for 239 s")],
    }
    return Report(**(told | how))
