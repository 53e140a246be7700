"""What the API's description says of an incident: its fields, and how one of a single order that failed reads."""

from typing import Any

from rest_framework import serializers


class OrdersOut(serializers.Serializer):
    asked = serializers.IntegerField()
    made = serializers.IntegerField()
    failed = serializers.IntegerField()
    refused = serializers.IntegerField()
    broken = serializers.IntegerField()
    promised = serializers.IntegerField()
    madeLater = serializers.IntegerField()
    givenUp = serializers.IntegerField(help_text="Promised, maybe in an earlier incident, and failed in this one.")
    stillPending = serializers.IntegerField()
    undecided = serializers.IntegerField(help_text="Not in `asked`: each is in the books as what became of it.")


class TransitionOut(serializers.Serializer):
    at = serializers.DateTimeField()
    was = serializers.CharField()
    state = serializers.CharField()


class LinkOut(serializers.Serializer):
    id = serializers.IntegerField()
    link = serializers.CharField()
    seenAt = serializers.DateTimeField()
    followedAt = serializers.DateTimeField(allow_null=True)
    by = serializers.CharField()
    answer = serializers.CharField()


class SuccessOut(serializers.Serializer):
    at = serializers.DateTimeField()
    orderId = serializers.IntegerField(allow_null=True, help_text="null where it was a canary.")


class CallsOut(serializers.Serializer):
    name = serializers.ChoiceField(["menu", "login", "franchises"])
    calls = serializers.IntegerField()
    failed = serializers.IntegerField()


class StartOut(serializers.Serializer):
    at = serializers.DateTimeField()
    role = serializers.CharField()
    release = serializers.CharField()
    changes = serializers.DictField(child=serializers.ListField(), help_text="Before and after, by setting.")


class SwitchOut(serializers.Serializer):
    at = serializers.DateTimeField()
    state = serializers.ChoiceField(["on", "off"])


class ExampleOut(serializers.Serializer):
    orderId = serializers.IntegerField(allow_null=True)
    status = serializers.IntegerField()
    body = serializers.DictField()


class AlertOut(serializers.Serializer):
    name = serializers.CharField()
    severity = serializers.ChoiceField(["page", "ticket"])
    at = serializers.DateTimeField()


class MomentOut(serializers.Serializer):
    at = serializers.DateTimeField()
    what = serializers.CharField()


class FindingOut(serializers.Serializer):
    sentence = serializers.CharField()
    basis = serializers.ChoiceField(["evidence", "inference"])


class ActionOut(serializers.Serializer):
    what = serializers.CharField()
    figure = serializers.CharField()


class SpanOut(serializers.Serializer):
    start = serializers.DateTimeField()
    made = serializers.IntegerField()
    failed = serializers.IntegerField()
    refused = serializers.IntegerField()
    broken = serializers.IntegerField()
    mean = serializers.FloatField(allow_null=True)
    slowest = serializers.FloatField(allow_null=True)


class IncidentOut(serializers.Serializer):
    """What happened, what it did to diners, why, and what to do about it."""

    id = serializers.IntegerField()
    state = serializers.ChoiceField(["open", "closed"])
    severity = serializers.ChoiceField(["SEV-1", "SEV-2", "SEV-3"])
    rule = serializers.CharField()
    summary = serializers.CharField()
    firstFailure = serializers.DateTimeField()
    lastFailure = serializers.DateTimeField()
    seconds = serializers.FloatField()
    noticedAt = serializers.DateTimeField()
    closedAt = serializers.DateTimeField(allow_null=True)
    openedBy = serializers.ChoiceField(["order", "refused", "broken", "promised", "canary"])
    orders = OrdersOut()
    diners = serializers.IntegerField()
    notTaken = serializers.FloatField(help_text="₿")
    failures = serializers.DictField(child=serializers.IntegerField())
    refusals = serializers.DictField(child=serializers.IntegerField())
    breakages = serializers.DictField(child=serializers.IntegerField())
    canaries = serializers.DictField(child=serializers.IntegerField())
    traffic = CallsOut(many=True)
    longestWithout = serializers.FloatField(help_text="Seconds in which nothing succeeded that was tried.")
    transitions = TransitionOut(many=True, help_text="The first 200.")
    circuits = serializers.DictField(child=serializers.IntegerField(), help_text="All of them, by the new state.")
    retriesDenied = serializers.IntegerField()
    dropped = serializers.IntegerField(help_text="So many events or more could not be noted.")
    links = LinkOut(many=True, help_text="20 at most.")
    linksSeen = serializers.IntegerField()
    linksFollowed = serializers.IntegerField()
    firstSuccess = SuccessOut(allow_null=True)
    starts = StartOut(many=True)
    chaos = SwitchOut(many=True)
    endpoint = serializers.CharField()
    symptoms = serializers.ListField(child=serializers.CharField())
    unaffected = serializers.ListField(child=serializers.CharField())
    examples = ExampleOut(many=True)
    detection = serializers.ListField(child=serializers.CharField())
    alerts = AlertOut(many=True)
    timeline = MomentOut(many=True)
    causes = FindingOut(many=True)
    resolution = FindingOut(many=True)
    actions = ActionOut(many=True)
    spans = SpanOut(many=True)
    span = serializers.FloatField(help_text="Seconds of each span.")
    storesWrong = serializers.IntegerField(allow_null=True, help_text="null until it is closed, or if nobody looked.")
    notes = serializers.CharField(allow_blank=True)


AT, NOTICED = "2025-12-02T19:33:37.000Z", "2025-12-02T19:33:38.000Z"
AGAIN, OVER = "2025-12-02T19:35:37.000Z", "2025-12-02T19:40:37.000Z"
TOO_LONG = (
    "The pizza factory is taking too long. Your order was not placed and nothing was charged. "
    "Please try again in a minute."
)
NOT_TAKEN = {"refused": 0, "broken": 0}
# All of the answer; of the spans in which no order was decided the first alone.
EXAMPLE: dict[str, Any] = {
    "id": 1,
    "state": "closed",
    "severity": "SEV-2",
    "rule": "1 order failed: orders that fail are SEV-2.",
    "summary": (
        "At 2025-12-02 19:33:37 UTC the pizza factory did not answer in time. Of 1 order that diners sent, 1 failed. "
        f'1 diner was hit. Orders of ₿\xa00.0038 were not taken. Diners read (status 504): "{TOO_LONG}" The menu was '
        "not hit: none of the 30 calls that were recorded failed. It ended by itself, as far as the books know; the "
        "first pizza after it was made at 19:35:37 UTC (order 2)."
    ),
    "firstFailure": AT,
    "lastFailure": AT,
    "seconds": 0.0,
    "noticedAt": NOTICED,
    "closedAt": OVER,
    "openedBy": "order",
    "orders": {"asked": 1, "made": 0, "failed": 1, "refused": 0, "broken": 0, "promised": 0, "madeLater": 0}
    | {"givenUp": 0, "stillPending": 0, "undecided": 0},
    "diners": 1,
    "notTaken": 0.0038,
    "failures": {"timeout": 1},
    "refusals": {},
    "breakages": {},
    "canaries": {},
    "traffic": [
        {"name": "menu", "calls": 30, "failed": 0},
        {"name": "login", "calls": 0, "failed": 0},
        {"name": "franchises", "calls": 0, "failed": 0},
    ],
    "longestWithout": 0.0,
    "transitions": [],
    "circuits": {},
    "retriesDenied": 0,
    "dropped": 0,
    "links": [],
    "linksSeen": 0,
    "linksFollowed": 0,
    "firstSuccess": {"at": AGAIN, "orderId": 2},
    "starts": [],
    "chaos": [],
    "endpoint": "POST /api/order",
    "symptoms": ["1 of 1 order took too long (504): 100 %.", "Orders took up to 5.0 s."],
    "unaffected": [
        "The menu (GET /api/order/menu): 30 calls, all of which succeeded (100 %).",
        "Login (PUT /api/auth): no calls recorded.",
        "The franchises (GET /api/franchise): no calls recorded.",
        "The books: each store's revenue is what its orders cost.",
    ],
    "examples": [
        {
            "orderId": 1,
            "status": 504,
            "body": {
                "message": TOO_LONG,
                "error": "Factory request failed",
                "statusCode": 504,
                "requestId": "***",
            },
        }
    ],
    "detection": [
        "It was opened by an order that failed, at 19:33:37 UTC.",
        "The service noticed it at 19:33:38 UTC, 1 s after the first failure.",
        (
            "Of the alerts that the books can tell of (OrderFailed, OrdersFailing, FactoryDown, BreakerOpen, "
            "PizzaNotGenuine and FactoryKeyRefused), none that pages was due."
        ),
        "Prometheus scrapes and evaluates every 10 s each, so an alert comes up to 20 s after its rule held.",
    ],
    "alerts": [{"name": "OrderFailed", "severity": "ticket", "at": AT}],
    "timeline": [
        {"at": AT, "what": "First failure: an order that failed"},
        {"at": AT, "what": "The rule of the alert OrderFailed (ticket) holds"},
        {"at": NOTICED, "what": "The service notices it: the incident is open"},
        {"at": AGAIN, "what": "First success: order 2 is made, 2 min after the last failure"},
        {"at": OVER, "what": "The incident is closed"},
    ],
    "causes": [
        {
            "sentence": "The pizza factory did not answer in time: 1 order (all that failed).",
            "basis": "evidence",
        },
        {
            "sentence": (
                "No process is known to have begun with another release or other settings in the half hour before it, "
                "or while it lasted: no sign of a change of ours."
            ),
            "basis": "inference",
        },
    ],
    "resolution": [
        {
            "sentence": (
                "Nothing that was done here is in the books between the first failure and the first success: it "
                "ended by itself, or by what others did."
            ),
            "basis": "inference",
        },
        {
            "sentence": "The first pizza after the last failure was order 2, at 19:35:37 UTC, 2 min after it.",
            "basis": "evidence",
        },
        {"sentence": "It closed at 19:40:37 UTC, once all had been well for 5 min.", "basis": "evidence"},
    ],
    "actions": [
        {
            "what": "Run the worker (manage.py fulfil_orders) with FACTORY_CANARY_SECONDS above 0",
            "figure": "no canary is known to have flown in 7 min",
        },
        {
            "what": ("Have it known sooner that the factory is back: fly canaries more often (FACTORY_CANARY_SECONDS)"),
            "figure": "the first success came 2 min after the last failure",
        },
    ],
    "spans": [
        {"start": "2025-12-02T19:32:30.000Z", "made": 0, "failed": 0, **NOT_TAKEN, "mean": None, "slowest": None},
        {"start": "2025-12-02T19:33:30.000Z", "made": 0, "failed": 1, **NOT_TAKEN, "mean": 5.0, "slowest": 5.0},
        {"start": "2025-12-02T19:35:30.000Z", "made": 1, "failed": 0, **NOT_TAKEN, "mean": 0.0, "slowest": 0.0},
    ],
    "span": 10.0,
    "storesWrong": 0,
    "notes": "",
}
