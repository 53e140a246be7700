"""/api/status and /readyz: how the factory is, the same whichever worker is asked."""

from datetime import UTC, datetime, timedelta

import pytest

from jwtpizza.api.body import iso
from jwtpizza.fields import from_now
from orders import selectors
from orders.models import Canary, WorkerCircuit
from orders.selectors import ORDERING
from tests.orders.stage import open_circuit

NOON = datetime(2026, 6, 5, 12, tzinfo=UTC)


@pytest.fixture
def workers(demo, clock):
    """Workers that told just now how their circuits stand: a state, and for how many seconds each refuses."""

    def workers(*circuits, since=()):
        for number, (state, left) in enumerate(circuits):
            WorkerCircuit.objects.create(
                worker=f"worker {number}",
                state=state,
                since=since[number] if since else NOON,
                open_until=None if left is None else from_now(left),
            )

    return workers


@pytest.fixture
def canary(demo):
    """The last canary: whether it was well, and how many seconds after (or, below 0, before) noon."""

    def canary(*, well, after=0.0):
        outcome = "ok" if well else "timeout"
        Canary.objects.create(outcome=outcome, well=well, seconds=0.5, flown_at=NOON + timedelta(seconds=after))

    return canary


@pytest.fixture(autouse=True)
def noon(monkeypatch):
    """Whatever the database's clock says, a canary of noon is recent."""
    monkeypatch.setattr(selectors, "CANARY", selectors.Remembered(Canary.objects.first))


CLOSED, HALF_OPEN, THROTTLED = ("closed", None), ("half-open", None), ("closed", 20)


def opened(seconds):
    return "open", seconds


def status(who):
    return who.get("/api/status").json()


@pytest.mark.parametrize(
    ("circuits", "ordering"),
    [
        ([CLOSED], "up"),
        ([CLOSED, CLOSED], "up"),
        ([CLOSED, opened(20)], "degraded"),
        ([CLOSED, HALF_OPEN], "degraded"),
        ([HALF_OPEN, HALF_OPEN], "degraded"),
        ([opened(20), HALF_OPEN], "degraded"),
        ([opened(20)], "down"),
        ([opened(20), opened(8)], "down"),
        # Whose time is over lets the next order through as a probe.
        ([opened(20), opened(-1)], "degraded"),
        ([opened(-1)], "degraded"),
        # The factory wants none for a while.
        ([THROTTLED], "down"),
        ([THROTTLED, opened(20)], "down"),
        ([THROTTLED, CLOSED], "degraded"),
        # Nobody who takes orders has told anything.
        ([], "degraded"),
    ],
)
def test_ordering_is_up_degraded_or_down(workers, anonymous, circuits, ordering):
    workers(*circuits)
    told = status(anonymous)
    assert (told["ordering"], told["message"]) == (ordering, ORDERING[ordering])
    assert (told["retryAfter"] is None) == (ordering != "down")


@pytest.mark.parametrize(
    ("circuits", "ordering"),
    [
        ([CLOSED], "up"),
        # Nobody has ordered since their time was over, and the factory is back.
        ([HALF_OPEN, CLOSED], "up"),
        ([opened(-1)], "up"),
        ([opened(20), CLOSED], "degraded"),
        ([opened(20)], "down"),
        ([THROTTLED], "down"),
        ([], "degraded"),
    ],
)
def test_a_canary_that_came_back_since_a_circuit_opened_says_that_all_is_well(
    workers, canary, anonymous, circuits, ordering
):
    workers(*circuits)
    canary(well=True, after=1)
    assert status(anonymous)["ordering"] == ordering


@pytest.mark.parametrize(("circuits", "ordering"), [([HALF_OPEN, CLOSED], "degraded"), ([CLOSED], "up")])
def test_one_that_came_back_before_says_nothing_of_it(workers, canary, anonymous, circuits, ordering):
    workers(*circuits)
    canary(well=True, after=-1)
    assert status(anonymous)["ordering"] == ordering


@pytest.mark.parametrize(
    ("circuits", "ordering"), [([CLOSED, CLOSED], "degraded"), ([HALF_OPEN], "degraded"), ([opened(20)], "down")]
)
def test_one_that_was_lost_says_that_orders_may_be_lost_too(workers, canary, anonymous, circuits, ordering):
    workers(*circuits)
    canary(well=False, after=1)
    assert status(anonymous)["ordering"] == ordering


def test_who_finds_it_down_is_told_when_the_first_worker_takes_orders_again(workers, anonymous):
    workers(opened(20), opened(7.5))
    assert 5 <= status(anonymous)["retryAfter"] <= 8


def test_the_answer_is_this_and_nothing_else(workers, anonymous):
    workers(CLOSED)
    answer = anonymous.get("/api/status")
    told = {"ordering": "up", "message": ORDERING["up"], "since": iso(NOON), "retryAfter": None}
    assert (answer.status_code, answer.json()) == (200, told)


def test_before_any_worker_told_anything_nobody_knows_since_when(anonymous):
    assert status(anonymous)["since"] is None


def test_trouble_is_as_old_as_the_first_circuit_that_opened(workers, anonymous):
    one, two, three = (NOON.replace(minute=minute) for minute in (1, 2, 3))
    workers(CLOSED, opened(20), HALF_OPEN, since=(one, two, three))
    assert status(anonymous)["since"] == iso(two)


def test_all_is_well_since_the_last_circuit_closed(workers, anonymous):
    one, two = (NOON.replace(minute=minute) for minute in (1, 2))
    workers(CLOSED, CLOSED, since=(one, two))
    assert status(anonymous)["since"] == iso(two)


def test_the_circuit_of_the_worker_that_is_asked_is_one_of_many(workers, anonymous):
    workers(CLOSED, CLOSED)
    open_circuit()
    assert status(anonymous)["ordering"] == "up"


def test_it_is_a_second_old_at_most(workers, anonymous, clock):
    workers(CLOSED)
    assert status(anonymous)["ordering"] == "up"
    WorkerCircuit.objects.update(state="open", open_until=from_now(20))
    clock.now += 0.9
    assert status(anonymous)["ordering"] == "up"
    clock.now += 0.1
    assert status(anonymous)["ordering"] == "down"


def test_a_worker_that_is_gone_counts_no_more(workers, anonymous):
    workers(CLOSED, opened(100))
    WorkerCircuit.objects.filter(state="open").update(told_at=from_now(-31))
    assert status(anonymous)["ordering"] == "up"


@pytest.mark.parametrize("who", ["anonymous", "diner", "admin"])
def test_it_is_for_everybody(who, request):
    assert request.getfixturevalue(who).get("/api/status").status_code == 200


def test_readyz_tells_of_the_factory_and_stays_ready_while_all_circuits_are_open(workers, canary, anonymous):
    workers(opened(20), opened(20))
    canary(well=False)
    answer = anonymous.get("/readyz")
    assert (answer.status_code, answer.json()["status"]) == (200, "ready")
    lost = {"outcome": "timeout", "seconds": 0.5, "at": iso(NOON)}
    factory = {"ordering": "down", "since": iso(NOON), "workers": ["open", "open"], "canary": lost, "lastOrder": None}
    assert answer.json()["factory"] == factory


def test_it_stays_ready_while_nothing_is_known(anonymous):
    answer = anonymous.get("/readyz")
    assert (answer.status_code, answer.json()["status"]) == (200, "ready")
    factory = {"ordering": "degraded", "since": None, "workers": [], "canary": None, "lastOrder": None}
    assert answer.json()["factory"] == factory
