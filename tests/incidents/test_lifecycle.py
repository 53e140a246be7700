"""An incident opens with the first failure and closes after five minutes of health, whoever looks, and whenever."""

from datetime import timedelta
from types import SimpleNamespace

import pytest
from django.db import OperationalError, connection
from django.utils import timezone

from franchises.models import Store
from jwtpizza.incidents.models import Event, Incident, Notice
from jwtpizza.incidents.selectors import troubles
from jwtpizza.incidents.services import events, lifecycle
from jwtpizza.observability import journal
from jwtpizza.observability.journal import JOURNAL
from orders.factory.errors import ServerError
from orders.models import Order, Reason, Status
from tests.orders.stage import Clock, apart
from tests.resilience.kit import together

NOW = timezone.now()

pytestmark = pytest.mark.usefixtures("demo")


@pytest.fixture(autouse=True)
def now(monkeypatch):
    """However long a test takes; and whatever is told late is all that there is."""
    monkeypatch.setattr(lifecycle, "database_now", lambda: NOW)
    monkeypatch.setattr(lifecycle, "TOLD_SECONDS", 0.0)


def ago(minutes):
    return NOW - timedelta(minutes=minutes)


def failed(minutes, *, reason=Reason.SERVER_ERROR):
    """An order that failed so many minutes ago."""
    decided = {"status": Status.FAILED, "reason": reason, "settled_at": ago(minutes)}
    return Order.objects.create(diner_id=2, store_id=1, total=1, created_at=ago(minutes), **decided)


def made(minutes):
    decided = {"status": Status.FULFILLED, "jwt": "x", "settled_at": ago(minutes)}
    Store.objects.filter(pk=1).update(revenue=Order.objects.filter(status=Status.FULFILLED).count() + 1)
    return Order.objects.create(diner_id=2, store_id=1, total=1, created_at=ago(minutes), **decided)


def event(kind, minutes, *, trouble=True, **how):
    return Event.objects.create(
        key=f"{kind}{Event.objects.count()}", kind=kind, at=ago(minutes), trouble=trouble, **how
    )


def incidents():
    """When each began, last failed and closed, in minutes ago; None for one that is open."""
    lifecycle.watch()

    def minutes(at):
        return at and round((NOW - at) / timedelta(minutes=1), 1)

    rows = Incident.objects.order_by("first_at").values_list("first_at", "last_at", "closed_at")
    return [tuple(map(minutes, row)) for row in rows]


def test_without_a_failure_there_is_none():
    made(10)
    event("canary", 5, trouble=False, outcome="ok")

    assert incidents() == []


FIRST = {
    "a failed order": lambda: failed(1),
    "a refused order": lambda: event("refused", 1),
    "a canary that failed": lambda: event("canary", 1, outcome="server_error"),
    "an order that we broke": lambda: event("broken", 1),
    "a promise": lambda: event("promised", 1),
}


@pytest.mark.parametrize("what", FIRST)
def test_it_opens_with(what):
    FIRST[what]()

    assert incidents() == [(1, 1, None)]


def test_an_order_that_was_called_off_with_its_diner_is_no_failure():
    failed(1, reason=Reason.DINER_DELETED)

    assert incidents() == []


def test_the_first_of_all_failures_opens_it():
    event("refused", 2)
    failed(3)
    event("canary", 2.5, outcome="timeout")

    assert incidents() == [(3, 2, None)]


def test_it_takes_in_what_fails_later():
    failed(4)
    assert incidents() == [(4, 4, None)]
    failed(2)
    event("refused", 1)

    assert incidents() == [(4, 1, None)]


def test_it_closes_five_minutes_after_the_first_success():
    failed(20)
    made(19)
    made(18)

    assert incidents() == [(20, 20, 14)]


def test_a_canary_is_a_success():
    failed(20)
    event("canary", 19, trouble=False, outcome="ok")

    assert incidents() == [(20, 20, 14)]


def test_while_nothing_succeeds_it_stays_open():
    failed(60)

    assert incidents() == [(60, 60, None)]


def test_before_five_minutes_are_over_it_stays_open():
    failed(4.9)
    made(4.8)

    assert incidents() == [(4.9, 4.9, None)]


def test_a_flap_is_the_same_incident():
    failed(30)
    made(29)
    failed(25)
    made(24)
    failed(20)
    made(19)

    assert incidents() == [(30, 20, 14)]


def test_after_five_minutes_of_health_the_next_failure_is_another():
    failed(30)
    made(29)
    failed(23)
    made(22)

    assert incidents() == [(30, 30, 24), (23, 23, 17)]


def test_silence_is_no_health():
    failed(60)
    failed(30)
    made(29)

    assert incidents() == [(60, 30, 24)]


def test_looking_late_and_looking_often_finds_the_same(monkeypatch):
    history = [(failed, 50), (made, 49), (failed, 48), (made, 47.5), (failed, 40), (made, 39), (failed, 20), (made, 10)]
    for what, minutes in history:
        what(minutes)
        with monkeypatch.context() as then:
            then.setattr(lifecycle, "database_now", lambda minutes=minutes: ago(minutes))
            lifecycle.watch()
    often = incidents()
    Incident.objects.all().delete()

    assert incidents() == often == [(50, 48, 42.5), (40, 40, 34), (20, 20, 5)]


def test_a_journal_that_comes_late_moves_its_beginning():
    failed(3)
    assert incidents() == [(3, 3, None)]
    event("refused", 4)

    assert incidents() == [(4, 3, None)]


def tell_late():
    """A journal tells of what failed hours before the open one, when all was well again soon."""
    failed(2)
    lifecycle.watch()
    event("refused", 300)
    event("refused", 298)
    made(290)
    event("refused", 286)
    made(285)


def test_what_is_told_late_is_an_incident_of_its_own_if_all_was_well_in_between():
    tell_late()

    assert incidents() == [(300, 286, 280), (2, 2, None)]


def test_it_is_the_same_as_if_it_had_been_told_in_time():
    tell_late()
    late = incidents()
    Incident.objects.all().delete()

    assert incidents() == late


@pytest.fixture
def clock(monkeypatch):
    """By which it is known for how long nothing more was told."""
    clock = Clock()
    monkeypatch.setattr(lifecycle, "TOLD_SECONDS", 30.0)
    monkeypatch.setattr(lifecycle, "time", SimpleNamespace(monotonic=clock))
    monkeypatch.setattr(lifecycle, "_found", {"late": None, "at": 0.0})
    return clock


def test_it_waits_until_nothing_earlier_or_later_of_it_has_been_told_for_half_a_minute(clock):
    tell_late()
    assert incidents() == [(2, 2, None)]
    clock.now += 29
    event("refused", 302)
    assert incidents() == [(2, 2, None)]
    clock.now += 29
    event("refused", 284)
    made(283)
    assert incidents() == [(2, 2, None)]
    clock.now += 30
    assert incidents() == [(302, 284, 278), (2, 2, None)]


def test_what_fails_meanwhile_is_taken_in_and_the_open_one_stays_open(clock):
    failed(20)
    lifecycle.watch()
    event("refused", 300)
    made(290)
    failed(18)
    made(17)
    assert incidents() == [(20, 18, None)]
    clock.now += 30
    assert incidents() == [(300, 300, 285), (20, 18, 12)]


def test_two_that_are_told_late_are_two():
    tell_late()
    event("refused", 400)
    made(399)

    assert incidents() == [(400, 400, 394), (300, 286, 280), (2, 2, None)]


def test_where_nothing_is_known_to_have_been_well_in_between_it_moves_the_beginning():
    failed(2)
    lifecycle.watch()
    event("refused", 300)

    assert incidents() == [(300, 2, None)]


def test_one_that_is_told_late_is_no_news_and_its_books_are_not_looked_at(settings):
    settings.INCIDENT_WEBHOOK_URL = "http://hooks.example/x"
    tell_late()
    lifecycle.watch()

    late = Incident.objects.earliest("first_at")
    assert (late.stores_wrong, late.wrong_before, late.notices.count()) == (None, [], 0)
    assert Notice.objects.count() == 1


def test_of_many_who_look_at_once_one_writes_down_what_was_told_late():
    tell_late()
    together(4, apart(lambda _: lifecycle.watch()))

    assert incidents() == [(300, 286, 280), (2, 2, None)]


def test_one_that_was_told_late_and_that_somebody_wrote_down_meanwhile_is_not_written_again(monkeypatch):
    tell_late()
    real = lifecycle._course

    def slowly(first, **until):
        found = real(first, **until)
        monkeypatch.setattr(lifecycle, "_course", real)
        lifecycle.watch()
        return found

    monkeypatch.setattr(lifecycle, "_course", slowly)

    assert incidents() == [(300, 286, 280), (2, 2, None)]


def test_the_open_one_stays_the_present_and_the_newest_one():
    tell_late()
    lifecycle.watch()

    present = troubles.present(NOW)
    assert present == Incident.objects.get(is_open=True)
    assert troubles.newest(1).get() == present


def test_one_that_is_told_late_waits_for_other_journals_as_each_does(monkeypatch):
    failed(0)
    lifecycle.watch()
    event("refused", 5.06)
    made(5.05)
    assert incidents() == [(0, 0, None)]
    monkeypatch.setattr(lifecycle, "database_now", lambda: NOW + timedelta(seconds=5))

    assert [closed is None for *_, closed in incidents()] == [False, True]


def test_what_failed_in_the_healthy_time_and_is_told_late_keeps_it_from_closing():
    failed(7)
    made(5.01)
    failed(0)
    assert incidents() == [(7, 7, None)]
    event("refused", 3)

    assert incidents() == [(7, 0, None)]


@pytest.mark.parametrize("microsecond", [0, 123_000, 123_456])
def test_to_the_last_digit_of_a_time_no_failure_is_taken_for_a_later_one(microsecond):
    """SQLite compares times as texts, and its own clock writes fewer digits than Python."""
    order, at = failed(20), ago(20).replace(microsecond=microsecond)
    made(19)
    Order.objects.filter(pk=order.pk).update(settled_at=at)
    if connection.vendor == "sqlite":
        digits = "%Y-%m-%d %H:%M:%S." + f"{microsecond // 1000:03}"
        with connection.cursor() as cursor:
            cursor.execute("UPDATE orders_order SET settled_at = %s WHERE id = %s", [at.strftime(digits), order.pk])

    assert [closed for *_, closed in incidents()] == [14]


def test_what_failed_more_than_a_day_ago_is_history():
    failed(25 * 60)

    assert incidents() == []


def test_ten_thousand_failures_take_a_few_queries(django_assert_max_num_queries):
    decided = {"status": Status.FAILED, "reason": "timeout", "diner_id": 2, "store_id": 1, "total": 1}
    Order.objects.bulk_create(
        Order(created_at=ago(200 - n / 60), settled_at=ago(200 - n / 60), **decided) for n in range(10_000)
    )
    with django_assert_max_num_queries(400):
        assert incidents() == [(200, 33.4, None)]
    with django_assert_max_num_queries(12):
        lifecycle.watch()


def test_of_many_who_look_at_once_one_opens_it():
    failed(1)
    together(4, apart(lambda _: lifecycle.watch()))

    assert Incident.objects.count() == 1


def test_of_many_who_look_at_once_one_closes_it(settings):
    settings.INCIDENT_WEBHOOK_URL = "http://hooks.example/x"
    failed(20)
    made(19)
    together(4, apart(lambda _: lifecycle.watch()))

    assert incidents() == [(20, 20, 14)]
    assert sorted(Notice.objects.values_list("word", flat=True)) == ["closed", "opened"]


def test_one_that_somebody_opened_and_closed_meanwhile_is_not_opened_again(monkeypatch):
    failed(20)
    made(19)
    real = troubles.first_trouble

    def slowly(**span):
        found = real(**span)
        monkeypatch.setattr(troubles, "first_trouble", real)
        lifecycle.watch()
        return found

    monkeypatch.setattr(troubles, "first_trouble", slowly)

    assert incidents() == [(20, 20, 14)]


@pytest.mark.parametrize("killed_at", range(1, 4))
def test_whoever_is_killed_between_two_steps_leaves_one_to_go_on_with(monkeypatch, killed_at):
    failed(30)
    failed(27)
    made(26)
    steps = iter([True] * killed_at)
    real = lifecycle._step
    monkeypatch.setattr(lifecycle, "_step", lambda: next(steps, False) and real())
    lifecycle.watch()
    monkeypatch.setattr(lifecycle, "_step", real)

    assert incidents() == [(30, 27, 21)]


def test_a_new_notice_is_written_with_the_incident_or_not_at_all(settings, monkeypatch):
    settings.INCIDENT_WEBHOOK_URL = "http://hooks.example/x"
    failed(1)

    def gone(**_):
        raise OperationalError("the database is gone")

    with monkeypatch.context() as outage:
        outage.setattr(Notice.objects, "create", gone)
        with pytest.raises(OperationalError):
            lifecycle.watch()
    assert not Incident.objects.exists()
    lifecycle.watch()

    assert list(Notice.objects.values_list("word", flat=True)) == ["opened"]


def test_when_it_closes_the_books_are_looked_at():
    failed(20)
    lifecycle.watch()
    made(19)
    Store.objects.filter(pk=1).update(revenue=7)
    lifecycle.watch()

    assert Incident.objects.get().stores_wrong == 1


def test_books_that_were_wrong_before_are_not_its_doing():
    failed(20)
    made(19)
    Store.objects.filter(pk=1).update(revenue=7)
    lifecycle.watch()

    assert (Incident.objects.get().wrong_before, Incident.objects.get().stores_wrong) == ([1], 0)


def test_books_that_agree_are_not_wrong():
    failed(20)
    made(19)
    made(18)
    lifecycle.watch()

    assert Incident.objects.get().stores_wrong == 0


def test_what_failed_before_anything_was_recorded_is_history():
    failed(60)
    event("start", 30, trouble=False, outcome="web")
    failed(20)
    made(19)

    assert incidents() == [(20, 20, 14)]


def test_what_failed_more_than_a_day_ago_is_history_after_an_incident_too():
    first = ago(50 * 60)
    Incident.objects.create(first_at=first, last_at=first, closed_at=first, is_open=None)
    failed(25 * 60)

    assert incidents() == [(50 * 60, 50 * 60, 50 * 60)]


def test_one_turn_keeps_what_was_noted_and_opens_an_incident():
    journal.note("refused", outcome="open", diner=2, items=[1])
    lifecycle._keep(look=False)

    assert Incident.objects.count() == 1
    assert JOURNAL.own() is None


def test_a_turn_in_which_nothing_was_noted_asks_the_database_nothing(django_assert_num_queries):
    with django_assert_num_queries(0):
        lifecycle._keep(look=False)


@pytest.mark.parametrize("broken", ["drain", "adopt", "keep_traffic"])
def test_whatever_fails_the_rest_is_done(monkeypatch, caplog, broken):
    def fails():
        raise OperationalError("the database is gone")

    fails.__name__ = broken
    monkeypatch.setattr(events, broken, fails)
    failed(1)
    lifecycle._keep(look=True)

    assert Incident.objects.count() == 1
    assert [record.message for record in caplog.records if "looked after" in record.message] == [
        f"incidents could not be looked after: {broken}"
    ]


@pytest.mark.parametrize(
    ("broken", "done"),
    [
        ("", ["drain", "adopt", "watch", "keep_traffic"]),
        ("drain", ["drain", "adopt", "watch"]),
        ("watch", ["drain", "adopt", "watch"]),
    ],
)
def test_how_calls_fared_is_kept_once_it_is_known_whether_there_is_an_incident(monkeypatch, broken, done):
    """It is forgotten where there is none, and after an outage of the database nobody has opened it yet."""
    turns = []

    def turn(name):
        def run():
            turns.append(name)
            if name == broken:
                raise OperationalError("the database is gone")
            return 0

        run.__name__ = name
        return run

    for module, name in ((events, "drain"), (events, "adopt"), (lifecycle, "watch"), (events, "keep_traffic")):
        monkeypatch.setattr(module, name, turn(name))
    lifecycle._keep(look=True)

    assert turns == done


def test_it_looks_at_once_and_then_now_and_again(monkeypatch):
    turns = []

    class Over(BaseException): ...

    def pause(_):
        if len(turns) == 3:
            raise Over

    monkeypatch.setattr(lifecycle, "_keep", lambda *, look: turns.append(look))
    monkeypatch.setattr(lifecycle.time, "sleep", pause)
    with pytest.raises(Over):
        lifecycle.keep(look_seconds=3600)

    assert turns == [True, False, False]


def test_an_orders_own_failure_opens_one(diner, monkeypatch):
    """From the API to the incident, with nothing in between but what runs in production."""

    def fails(payload, **_):
        raise ServerError("the factory answered 500")

    monkeypatch.setattr("orders.factory.gateway.make_pizza", fails)
    assert diner.order(1).status_code == 500
    events.drain()
    lifecycle.watch()

    assert Incident.objects.get().is_open
