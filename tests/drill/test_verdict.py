"""The drill's verdict: a drill without a fault passes, and each fault fails the requirement that it offends."""

from collections import Counter
from datetime import UTC, datetime
from functools import partial

import pytest

from tests.drill.crowd import Call
from tests.drill.diners import Told
from tests.drill.evidence import HEALTHY, RECOVERY, Booked, Evidence, Look, Phase
from tests.drill.incidents import REQUIREMENTS as OF_INCIDENTS
from tests.drill.verdict import REQUIREMENTS, judged

SOLD, PROMISED, FAILED, REFUSED = 200, 202, 500, 503
VEGGIE = 380_000  # satoshi
DINER, STORE = 7, 1
LIMIT = 10.0
EPOCH = 1_000_000.0  # seconds since 1970 when the drill began
OPENED = 'jwtpizza_factory_breaker_transitions_total{from="closed",to="open"}'
OUTAGE = Phase("fail", 10, 20)
PHASES = [Phase(HEALTHY, 0, 10), OUTAGE, Phase(RECOVERY, 20, 30), Phase(HEALTHY, 30, 40)]


def calls(rate, *, status=200):
    """That many a second, all through the drill."""
    return [Call(number / rate, number / rate + 0.01, status) for number in range(40 * rate)]


def orders():
    """What diners are told: 25 pizzas a second when healthy; in the outage 10 promises, 5 failures, 20 refusals."""
    for number in range(250):
        yield Told(number / 25, number / 25 + 0.01, SOLD, number + 1, f"pizza {number + 1}", VEGGIE)
    for number in range(10):
        yield Told(10 + number, 10.01 + number, PROMISED, 1001 + number, worth=VEGGIE, who="patient")
    yield from [Told(10.5, 10.6, FAILED, worth=VEGGIE, who="hasty")] * 5
    yield from [Told(11, 11.01, REFUSED, worth=VEGGIE, who="hungry")] * 20
    yield Told(22, 22.01, REFUSED, worth=2 * VEGGIE, who="hungry")
    for number in range(250):
        order_id = 2001 + number
        yield Told(30 + number / 25, 30.01 + number / 25, SOLD, order_id, f"pizza {order_id}", VEGGIE)


def booked(order_id):
    return Booked("fulfilled", VEGGIE, 1, f"pizza {order_id}", DINER, STORE, 100.0)


def moment(at):
    return datetime.fromtimestamp(EPOCH + at, UTC).isoformat(timespec="milliseconds")


def incident():
    """What the service tells of the outage."""
    return {
        "state": "closed",
        "firstFailure": moment(10),
        "lastFailure": moment(22),
        "closedAt": moment(33),
        "openedBy": "promised",
        "orders": {"failed": 5, "refused": 21, "broken": 0, "promised": 10, "madeLater": 10},
        "diners": 2,
        "notTaken": 27 * 0.0038,
        "failures": {"server_error": 5},
        "canaries": {"server_error": 1, "ok": 1},
        "transitions": [{"at": moment(11), "was": "closed", "state": "open"}],
        "links": [{"id": 1, "followedAt": None, "by": ""}],
        "firstSuccess": {"at": moment(30), "orderId": 2001},
        "traffic": [
            {"name": "menu", "calls": 2000, "failed": 0},
            {"name": "login", "calls": 200, "failed": 0},
            {"name": "franchises", "calls": 400, "failed": 0},
        ],
    }


@pytest.fixture
def evidence():
    """Of a drill without a fault."""
    told = list(orders())
    made = [answer.order_id for answer in told if answer.order_id]
    books = {order_id: booked(order_id) for order_id in made}
    books[2001] = books[2001]._replace(settled_at=EPOCH + 30)
    books |= {9001 + number: Booked("failed", VEGGIE, 1, None, DINER, STORE, 100.0) for number in range(5)}
    return Evidence(
        limit=LIMIT,
        phases=list(PHASES),
        calls={"menu": calls(100), "login": calls(10), "franchises": calls(20), "metrics": calls(1)}
        | {"order": [Call(answer.begun, answer.ended, answer.status) for answer in told], "promise": []},
        told=told,
        looks=[Look(5, "up"), Look(12, "down"), Look(35, "up")],
        orders=books,
        earned={STORE: len(made) * VEGGIE, 2: 0},
        metrics={
            'jwtpizza_orders_total{outcome="fulfilled"}': 510.0,
            'jwtpizza_orders_total{outcome="failed"}': 5.0,
            'jwtpizza_orders_total{outcome="refused"}': 21.0,
            "jwtpizza_orders_promised_total": 10.0,
            "jwtpizza_pizzas_sold_total": 510.0,
            "jwtpizza_revenue_total": 510 * 0.0038,
            OPENED: 2.0,
        },
        logged=Counter({SOLD: 500, PROMISED: 10, FAILED: 5, REFUSED: 21}),
        failures_logged=26,
        lines=1000,
        verified={f"pizza {order_id}": {"order": {"id": order_id}, "diner": {"id": DINER}} for order_id in made},
        asked=Counter(map(str, made)),
        link_said="Problem resolved. Pizza is back on the menu!",
        incidents=[incident()],
        circuits=Counter({(EPOCH + 11, "closed", "open"): 1, (EPOCH + 35, "closed", "open"): 1}),
        canaries={"canary-1": (EPOCH + 12, "server_error"), "canary-2": (EPOCH + 25, "ok")},
        epoch=EPOCH,
    )


def failed(evidence):
    return [row.requirement for row in judged(evidence) if not row.passed]


def test_a_drill_without_a_fault_passes_each_requirement(evidence):
    assert failed(evidence) == []
    assert len(judged(evidence)) == len(REQUIREMENTS)


def fewer_orders(evidence):
    evidence.told[:] = [told for told in evidence.told if told.status != SOLD or told.order_id % 2]


def answers(kind, status):
    return lambda evidence: evidence.calls[kind].__setitem__(5, Call(1, 2, status))


def slower(kind, evidence):
    """Three quarters of it during the outage."""
    taken = [call for call in evidence.calls[kind] if 10 <= call.ended < 20]
    for call in taken[::4]:
        evidence.calls[kind].remove(call)


def no_scrape_in_the_outage(evidence):
    evidence.calls["metrics"] = [call for call in evidence.calls["metrics"] if not 10 <= call.ended < 20]


def tell(index, **what):
    """One of the answers was another one."""
    return lambda evidence: evidence.told.__setitem__(index, evidence.told[index]._replace(**what))


def book(order_id, **what):
    """An order is otherwise in the books."""
    return lambda evidence: evidence.orders.__setitem__(order_id, evidence.orders[order_id]._replace(**what))


def forget(order_id):
    return lambda evidence: evidence.orders.pop(order_id)


def one_more_order(evidence):
    evidence.orders[5000] = Booked("failed", VEGGIE, 1, None, DINER, STORE, 100.0)


def signed_for(evidence, **what):
    evidence.verified["pizza 3"] = evidence.verified["pizza 3"] | what


def find(name, value):
    """The incident says something else."""
    return lambda evidence: evidence.incidents[0].__setitem__(name, value)


def count(name, change):
    """One of the incident's counts of orders is another one."""
    return lambda evidence: evidence.incidents[0]["orders"].__setitem__(
        name, evidence.incidents[0]["orders"][name] + change
    )


def traffic(name, **what):
    def spoil(evidence):
        next(row for row in evidence.incidents[0]["traffic"] if row["name"] == name).update(what)

    return spoil


ONE, ORDERS, DINERS, KINDS, BOUNDS, OPENERS, SUCCESS, TRAFFIC, CANARIES, CIRCUITS, COUNTED, LINK = OF_INCIDENTS
LOST = "no order is lost, neither one that was sold nor one that was promised"
TWICE = "no order is made twice, and a refused one is written nowhere"
FORGED = "no pizza is forged"
FACTORY = "the factory's books have each pizza"
REVENUE = "each store's revenue is what its orders cost"
LOGS = "the request log agrees with what diners were told"
JSON = "each line that a process of the house printed is JSON"
ALERTED = "lines with a statusCode of 500 or more are as many as the failed answers that clients saw"
METRICS = "the metrics agree with what diners were told"
STATUS = "/api/status says down in each outage and up at the end"
ANSWERED = "each order is answered, a failure with a sentence, a refusal with when to come back"
FOUND = {
    "too few orders": ("at least 20 orders are made a second while the factory is healthy", fewer_orders),
    "a menu that failed": ("each call for the menu, a login or the franchises succeeds", answers("menu", 503)),
    "a login without an answer": ("each call for the menu, a login or the franchises succeeds", answers("login", 0)),
    "a slower menu": ("the menu is answered at 0.8 of its healthy throughput or more", partial(slower, "menu")),
    "slower logins": ("logins are answered at 0.8 of their healthy throughput or more", partial(slower, "login")),
    "slower franchises": (
        "franchises are answered at 0.8 of their healthy throughput or more",
        partial(slower, "franchises"),
    ),
    "metrics that failed": ("/metrics answers in each phase", answers("metrics", 500)),
    "no metrics in the outage": ("/metrics answers in each phase", no_scrape_in_the_outage),
    "an order without an answer": (ANSWERED, answers("order", 0)),
    "a refusal without words": (ANSWERED, tell(-251, polite=False)),
    "a key that was shown": ("no diner is shown the factory's key", tell(0, leaked=True)),
    "a pizza that the books don't have": (LOST, forget(1)),
    "a pizza that the books have as failed": (LOST, book(1, status="failed")),
    "a pizza of another price": (LOST, tell(0, total=1)),
    "another pizza than the one in the books": (LOST, tell(0, jwt="pizza 2")),
    "a promise that is pending": (LOST, book(1001, status="pending", jwt=None)),
    "an id told twice": (TWICE, tell(1, order_id=1)),
    "an order that nobody placed": (TWICE, one_more_order),
    "a failed order that was made": (
        "no order that was told as failed is made later",
        book(9001, status="fulfilled", jwt="pizza 9001"),
    ),
    "a forged pizza": (FORGED, lambda evidence: evidence.verified.pop("pizza 3")),
    "a pizza of another order": (FORGED, partial(signed_for, order={"id": 4})),
    "a pizza of another diner": (FORGED, partial(signed_for, diner={"id": 8})),
    "one pizza sold twice": (FORGED, book(2, jwt="pizza 1")),
    "an order that the factory never saw": (FACTORY, lambda evidence: evidence.asked.pop("3")),
    "revenue that was not earned": (REVENUE, lambda evidence: evidence.earned.update({2: 1})),
    "revenue that was lost": (REVENUE, lambda evidence: evidence.earned.update({STORE: 1})),
    "a metric that counts one too many": (
        METRICS,
        lambda evidence: evidence.metrics.update({"jwtpizza_orders_promised_total": 11.0}),
    ),
    "a metric that is missing": (METRICS, lambda evidence: evidence.metrics.pop("jwtpizza_revenue_total")),
    "a line that was not logged": (LOGS, lambda evidence: evidence.logged.update({SOLD: -1})),
    "a line that is no JSON": (JSON, lambda evidence: evidence.unreadable.append("Traceback")),
    "no line at all": (JSON, lambda evidence: setattr(evidence, "lines", 0)),
    "a failure that was logged twice": (ALERTED, lambda evidence: setattr(evidence, "failures_logged", 27)),
    "a failure of the status page that was not logged": (ALERTED, answers("metrics", 503)),
    "an outage that the status page missed": (STATUS, lambda evidence: evidence.looks.pop(1)),
    "a status page that stays down": (STATUS, lambda evidence: evidence.looks.append(Look(39, "down"))),
    "an order refused long after": (
        "after each outage and the open period each order succeeds",
        tell(-251, begun=31.0, ended=31.01),
    ),
    "a link that ended nothing": (
        "the support link of an admin's failed order ends the first outage",
        lambda evidence: setattr(evidence, "link_said", "Problem unresolved"),
    ),
    "no incident": (ONE, lambda evidence: evidence.incidents.clear()),
    "an incident too many": (ONE, lambda evidence: evidence.incidents.append(incident())),
    "an incident that is not over": (ONE, find("state", "open")),
    "a failed order that is in no incident": (ORDERS, count("failed", -1)),
    "a refused order that is in it twice": (ORDERS, count("refused", 1)),
    "an order that our own error broke": (ORDERS, count("broken", 1)),
    "a promise that is in no incident": (ORDERS, count("promised", -1)),
    "a promise that an incident takes for unkept": (ORDERS, count("madeLater", -1)),
    "a diner who is missing": (DINERS, find("diners", 1)),
    "an amount that is a satoshi short": (DINERS, find("notTaken", 27 * 0.0038 - 0.00000001)),
    "a failure of another kind": (KINDS, find("failures", {"server_error": 4, "timeout": 1})),
    "failures without a kind": (KINDS, find("failures", {"server_error": 4})),
    "an incident that begins too early": (BOUNDS, find("firstFailure", moment(9.7))),
    "an incident that begins too late": (BOUNDS, find("firstFailure", moment(10.1))),
    "an incident that ends too early": (BOUNDS, find("lastFailure", moment(21.7))),
    "an incident that ends too late": (BOUNDS, find("lastFailure", moment(22.1))),
    "an incident that is opened by another": (OPENERS, find("openedBy", "refused")),
    "a success that came late": (SUCCESS, find("firstSuccess", {"at": moment(31), "orderId": 2001})),
    "a success in the middle of it": (SUCCESS, find("firstSuccess", {"at": moment(21), "orderId": None})),
    "a success of another order": (SUCCESS, find("firstSuccess", {"at": moment(30), "orderId": 2002})),
    "a call too few": (TRAFFIC, traffic("menu", calls=1100)),
    "a call too many": (TRAFFIC, traffic("franchises", calls=700)),
    "a login that failed": (TRAFFIC, traffic("login", failed=1)),
    "calls that nobody counted": (TRAFFIC, find("traffic", [])),
    "a canary that is missing": (CANARIES, find("canaries", {"ok": 1})),
    "a canary that failed otherwise": (CANARIES, find("canaries", {"timeout": 1})),
    "a change of a circuit that is missing": (CIRCUITS, find("transitions", [])),
    "a change of a circuit that came later": (
        CIRCUITS,
        lambda evidence: evidence.incidents[0]["transitions"].append({"was": "closed", "state": "open"}),
    ),
    "a change of a circuit that the metrics alone know": (
        COUNTED,
        lambda evidence: evidence.metrics.update({OPENED.replace("closed", "half-open"): 1.0}),
    ),
    "a change of a circuit that the events have twice": (
        COUNTED,
        lambda evidence: evidence.circuits.update({(EPOCH + 11, "closed", "open"): 1}),
    ),
    "no link": (LINK, find("links", [])),
    "a link that the service followed": (LINK, find("links", [{"followedAt": moment(20), "by": "the worker"}])),
}


@pytest.mark.parametrize("fault", FOUND)
def test_a_fault_is_found(fault, evidence):
    requirement, spoil = FOUND[fault]
    spoil(evidence)

    assert requirement in failed(evidence)


def test_a_pizza_made_just_before_the_factory_died_may_be_missing_in_its_books(evidence):
    evidence.blind = (99.5, 100.5)
    del evidence.asked["3"]

    assert failed(evidence) == []


def test_each_requirement_can_fail():
    assert {requirement for requirement, _ in FOUND.values()} == set(REQUIREMENTS)
