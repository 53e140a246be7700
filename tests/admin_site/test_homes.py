"""The admin's home: what it says of the factory and of the sales, and that it is there whatever is wrong."""

import re
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import NamedTuple
from xml.etree import ElementTree

import pytest
import time_machine
from django.db import OperationalError, connection
from django.db.models.functions import Now
from django.test.utils import CaptureQueriesContext
from django.utils import timezone

from franchises.models import Franchise, Store
from jwtpizza.admin_site import homes
from jwtpizza.incidents.models import Event, Incident, Kind
from orders import selectors
from orders.models import Canary, Order, Status, SupportLink, WorkerCircuit, from_now
from tests.api.test_queries import counted, fill
from tests.conftest import fresh_process

NOON = datetime(2026, 6, 5, 12, tzinfo=UTC)
NOW = NOON + timedelta(minutes=30)
SVG = "{http://www.w3.org/2000/svg}"
NUMBER = {"orders by hour": 0, "revenue by hour": 1, "orders by day": 2, "revenue by day": 3}


class Home(NamedTuple):
    """The page, and its charts: what each is called, its bars by series, and the table's rows with the totals last."""

    text: str

    @property
    def charts(self):
        return [ElementTree.fromstring(svg) for svg in re.findall(r"<svg[^>]* role=\"img\".*?</svg>", self.text)]

    def table(self, name):
        table = re.findall(r"<table>.*?</table>", self.text, re.DOTALL)[NUMBER[name]]
        rows = [re.findall(r"<t[hd][^>]*>(.*?)</t[hd]>", row) for row in re.findall(r"<tr>.*?</tr>", table, re.DOTALL)]
        return {row[0]: row[1:] for row in rows[1:]}

    def sold(self, name):
        """The rows of the table that are not all 0."""
        return {when: amounts for when, amounts in self.table(name).items() if {*amounts} - {"0", "₿\xa00"}}

    @property
    def words(self):
        return re.sub(r"\s+", " ", re.sub(r"<[^>]+>", "", self.text)).replace("&nbsp;", " ")


@pytest.fixture
def home(desk):
    """Opens it, as a process sees it that remembers nothing."""

    def home():
        fresh_process()
        answer = desk.get("/admin/")
        assert answer.status_code == 200
        return Home(answer.text)

    return home


@pytest.fixture
def now(demo):
    """It is half past twelve, for us and for the browser's session; the database has a clock of its own."""
    with time_machine.travel(NOW, tick=False):
        yield


def place(*, at, status=Status.FULFILLED, total="0.0038", store=1, settled=None):
    order = Order(diner_id=2, store_id=store, created_at=at, total=Decimal(total), status=status)
    if status == Status.PENDING:
        order.lease_until = at
    else:
        order.settled_at = settled or at
        order.jwt, order.reason = ("pizza", "") if status == Status.FULFILLED else (None, "timeout")
    order.save()


def tell(state="closed", *, left=None):
    WorkerCircuit.objects.create(
        worker=f"worker {WorkerCircuit.objects.count()}", state=state, open_until=left and from_now(left)
    )


def fly(*, outcome="ok", well=True, seconds=0.25):
    Canary.objects.create(outcome=outcome, well=well, seconds=seconds, flown_at=timezone.now())


# --- sales ----------------------------------------------------------------------------------------


def test_each_order_counts_in_the_hour_and_on_the_day_when_it_was_placed(now, home):
    for total in ("0.0038", "0.1"):
        place(at=NOON + timedelta(minutes=5), total=total)
    place(at=NOON, status=Status.FAILED)
    place(at=NOON - timedelta(hours=3), settled=NOW)
    place(at=NOON - timedelta(days=2), status=Status.FAILED)
    seen = home()
    hours = {"2026-06-05 09:00": ["1", "0"], "2026-06-05 12:00": ["2", "1"], "all": ["3", "1"]}
    assert seen.sold("orders by hour") == hours
    assert seen.sold("orders by day") == {"2026-06-03": ["0", "1"], "2026-06-05": ["3", "1"], "all": ["3", "2"]}
    earned = {"2026-06-05 09:00": ["₿\xa00.0038"], "2026-06-05 12:00": ["₿\xa00.1038"], "all": ["₿\xa00.1076"]}
    assert seen.sold("revenue by hour") == earned
    assert seen.sold("revenue by day") == {"2026-06-05": ["₿\xa00.1076"], "all": ["₿\xa00.1076"]}


def test_what_failed_or_is_pending_earned_nothing(now, home):
    place(at=NOON, status=Status.FAILED)
    place(at=NOON, status=Status.PENDING)
    seen = home()
    assert seen.sold("revenue by hour") == {}
    assert seen.sold("orders by hour") == {"2026-06-05 12:00": ["0", "1"], "all": ["0", "1"]}


def test_revenue_is_exact_to_the_satoshi(now, home):
    for total in ("0.00000001", "20999999.99999998", "0.1", "0.2"):
        place(at=NOON, total=total)
    assert home().sold("revenue by day")["all"] == ["₿\xa021,000,000.29999999"]


@pytest.mark.parametrize(
    ("at", "hour", "day"),
    [
        (NOON, "2026-06-05 12:00", "2026-06-05"),
        (NOON - timedelta(milliseconds=1), "2026-06-05 11:00", "2026-06-05"),
        (NOON - timedelta(hours=12), "2026-06-05 00:00", "2026-06-05"),
        (NOON - timedelta(hours=12, milliseconds=1), "2026-06-04 23:00", "2026-06-04"),
        (NOON - timedelta(hours=23), "2026-06-04 13:00", "2026-06-04"),
        (NOON - timedelta(hours=23, milliseconds=1), None, "2026-06-04"),
        (NOON - timedelta(days=29, hours=12), None, "2026-05-07"),
        (NOON - timedelta(days=29, hours=12, milliseconds=1), None, None),
    ],
)
def test_a_span_begins_with_its_first_instant_and_ends_before_the_next(now, home, at, hour, day):
    place(at=at)
    seen = home()
    for name, when in (("orders by hour", hour), ("orders by day", day)):
        assert seen.sold(name) == ({when: ["1", "0"], "all": ["1", "0"]} if when else {})


def test_without_an_order_each_hour_and_each_day_is_there_with_0(now, home):
    seen = home()
    hours, days = list(seen.table("orders by hour")), list(seen.table("revenue by day"))
    assert (hours[0], hours[-2], len(hours)) == ("2026-06-04 13:00", "2026-06-05 12:00", 25)
    assert (days[0], days[-2], len(days)) == ("2026-05-07", "2026-06-05", 31)
    assert all(seen.sold(name) == {} for name in NUMBER)
    assert "Last order made None yet." in seen.words
    assert "Pending orders 0" in seen.words


def test_the_sales_can_be_those_of_some_stores(now):
    other = Store.objects.create(franchise=Franchise.objects.get(), name="Provo")
    place(at=NOON, total="0.5")
    place(at=NOON, total="0.25", store=other.pk)
    place(at=NOON, status=Status.FAILED, store=other.pk)
    [sold] = selectors.sales(orders=Order.objects.filter(store=other), bounds=[NOON, NOW])
    assert sold == (NOON, 1, 1, Decimal("0.25"))


# --- charts ---------------------------------------------------------------------------------------


def bars(svg):
    """By series: for each bar its height, and what it is called."""
    return [
        [
            (float(bar[0].get("height")), bar.find(f"{SVG}title").text)
            for bar in group.iter(f"{SVG}g")
            if bar.get("class") == "bar"
        ]
        for group in svg.iter(f"{SVG}g")
        if group.get("class", "").startswith("series")
    ]


def test_the_bars_are_as_high_as_their_figures_in_the_table_say(now, home):
    for hours in (0, 0, 0, 1, 5, 23):
        place(at=NOON - timedelta(hours=hours), total="0.5")
    for hours in (0, 5, 5):
        place(at=NOON - timedelta(hours=hours), status=Status.FAILED)
    seen = home()
    for name, svg in zip(NUMBER, seen.charts, strict=True):
        rows = [(when, row) for when, row in seen.table(name).items() if when != "all"]
        for number, drawn in enumerate(bars(svg)):
            figures = [float(row[number].lstrip("₿\xa0")) for _, row in rows]
            scale = sum(height for height, _ in drawn) / sum(figures)
            assert [height for height, _ in drawn] == pytest.approx([figure * scale for figure in figures])
            assert [title.rpartition(" ")[0] for _, title in drawn] == [f"{when}: {row[number]}" for when, row in rows]


def test_each_chart_says_in_its_name_what_it_amounts_to(now, home):
    place(at=NOON)
    place(at=NOON - timedelta(days=3), status=Status.FAILED)
    assert [svg.get("aria-label") for svg in home().charts] == [
        "Orders by hour: 1 fulfilled, 0 failed",
        "Revenue by hour: ₿\xa00.0038 revenue",
        "Orders by day: 1 fulfilled, 1 failed",
        "Revenue by day: ₿\xa00.0038 revenue",
    ]


def test_the_axis_of_orders_counts_in_whole_ones(now, home):
    place(at=NOON)
    labels = re.findall(r"<text[^>]*>([^<]*)</text>", ElementTree.tostring(home().charts[0], encoding="unicode"))
    assert all(re.fullmatch(r"\d\d:00|\d+", label.strip()) for label in labels), labels


def test_nobody_but_us_is_asked_and_no_script_stands_in_the_page(home, diner, factory):
    factory.chaos("fail")
    diner.order(1)
    page = home().text
    addresses = set(re.findall(r"[=(][\"']?((?:https?:)?//[^\"')\s>]*)", page))
    assert addresses == {"http://www.w3.org/2000/svg"}
    assert all('src="/static/' in script for script in re.findall(r"<script[^>]*>", page))
    assert not re.search(r"\son\w+=", page)


# --- the factory ----------------------------------------------------------------------------------


def test_all_is_well(home):
    tell()
    tell()
    fly()
    seen = home().words
    assert "Ordering is up. Pizzas are made as usual. Since " in seen
    assert "Circuits 2 closed" in seen
    assert "Canary pizza ok in 0.250 s, now" in seen
    assert "Support link The factory has given none." in seen


def test_an_outage_is_shown_with_its_way_out(home, desk, diner, factory):
    factory.chaos("fail")
    diner.order(1)
    tell("open", left=20)
    tell("open", left=20)
    fly(outcome="server_error", well=False)
    seen = home()
    assert "Ordering is down. The pizza factory is not taking orders right now." in seen.words
    assert "Circuits 2 open" in seen.words
    assert "Canary pizza server_error in 0.250 s" in seen.words
    assert "Nobody has followed it yet." in seen.words
    assert factory.api_key not in seen.text
    link = SupportLink.objects.get()
    assert f'<form method="post" action="/admin/orders/supportlink/{link.pk}/follow/"' in seen.text

    desk.post(f"/admin/orders/supportlink/{link.pk}/follow/")
    followed = r"a@jwt\.com followed it \(.*?\): the factory answered 200 Problem resolved\. Pizza is back on the menu!"
    assert re.search(followed, home().words)
    assert diner.order(1).status_code == 200


def test_some_workers_may_be_worse_off_than_others(home):
    tell()
    tell("open", left=20)
    seen = home().words
    assert "Ordering is degraded." in seen
    assert "Circuits 1 closed, 1 open" in seen


def test_a_canary_that_did_not_come_is_not_well(home):
    fly(well=False, outcome="timeout", seconds=3)
    assert "Canary pizza timeout in 3.000 s" in home().words


def test_a_canary_that_nobody_heard_of_lately_is_missed(home):
    fly()
    Canary.objects.update(flown_at=from_now(-1000))
    assert "Canary pizza No word of it. The worker makes one every 60 s: is it running?" in home().words


def test_that_there_is_no_canary_is_said(home, settings):
    settings.FACTORY_CANARY_SECONDS = 0.0
    assert "Canary pizza Off (FACTORY_CANARY_SECONDS is 0)." in home().words


def test_orders_that_wait_are_counted_with_the_age_of_the_oldest(now, home):
    for minutes in (3, 8, 1):
        place(at=NOW - timedelta(minutes=minutes), status=Status.PENDING)
    place(at=NOW - timedelta(minutes=20))
    assert "Pending orders 3, the oldest placed 8 minutes ago" in home().words


def test_the_last_order_that_was_made_is_no_failed_one(now, home):
    place(at=NOW - timedelta(minutes=9), settled=NOW - timedelta(minutes=7))
    place(at=NOW - timedelta(minutes=2), status=Status.FAILED)
    assert "Last order made 7 minutes ago (2026-06-05 12:23:00)" in home().words


# --- an incident ----------------------------------------------------------------------------------


def go_wrong(*, first, last, closed=None):
    return Incident.objects.create(first_at=first, last_at=last, closed_at=closed, is_open=None if closed else True)


def happen(kind=Kind.REFUSED, *, at, outcome="open", count=1):
    Event.objects.create(key=f"{kind} {at}", kind=kind, at=at, trouble=True, outcome=outcome, count=count)


def test_while_an_incident_is_open_it_is_said_first(now, home):
    for minutes in (20, 10, 9, 5, 4):
        place(at=NOW - timedelta(minutes=minutes), status=Status.FAILED)
    for minutes, count in ((11, 100), (8, 3)):
        happen(at=NOW - timedelta(minutes=minutes), count=count)
    happen(Kind.BROKEN, at=NOW - timedelta(minutes=6))
    happen(Kind.CANARY, at=NOW - timedelta(minutes=6))
    incident = go_wrong(first=NOW - timedelta(minutes=10), last=NOW - timedelta(minutes=5))
    seen = home()
    assert (
        f"Incident {incident.pk} is open: 4 orders failed and 4 were refused or met an error of ours so far."
        in seen.words
    )
    assert "Since 2026-06-05 12:20:00, 10 minutes ago; the last failure was 5 minutes ago." in seen.words
    assert f'href="/admin/incidents/incident/{incident.pk}/change/"' in seen.text
    assert seen.words.index("is open:") < seen.words.index("Ordering is")


def test_an_account_that_was_deleted_is_no_failure(now, home):
    place(at=NOW, status=Status.FAILED)
    Order.objects.update(reason="diner_deleted")
    go_wrong(first=NOW, last=NOW)
    assert "is open: only canaries failed so far." in home().words


@pytest.mark.parametrize(
    ("kind", "said"),
    [
        (Kind.BROKEN, "0 orders failed and 2 were refused or met an error of ours so far."),
        (Kind.PROMISED, "2 orders were promised so far."),
        (Kind.CANARY, "only canaries failed so far."),
    ],
)
def test_it_says_what_there_is_without_a_failed_order(now, home, kind, said):
    happen(kind, at=NOW, count=2)
    go_wrong(first=NOW, last=NOW)
    assert f"is open: {said}" in home().words


def test_the_first_order_that_failed_is_one_by_the_databases_own_clock_too(home, demo):
    place(at=NOW, status=Status.FAILED)
    Order.objects.update(settled_at=Now())
    first = Order.objects.get().settled_at
    go_wrong(first=first, last=first)
    assert "1 order failed and 0 were refused" in home().words


@pytest.mark.parametrize(("hours", "said"), [(23, True), (25, False)])
def test_for_a_day_after_its_end_it_is_said_still(now, home, hours, said):
    closed = NOW - timedelta(hours=hours)
    place(at=closed, status=Status.FAILED)
    go_wrong(first=closed, last=closed, closed=closed)
    assert ("is over: 1 order failed and 0 were refused or met an error of ours." in home().words) == said


def test_one_that_is_open_comes_before_one_that_is_over(now, home):
    over = NOW - timedelta(hours=1)
    go_wrong(first=over, last=over, closed=over)
    incident = go_wrong(first=NOW, last=NOW)
    seen = home().words
    assert f"Incident {incident.pk} is open" in seen
    assert "is over" not in seen


def test_an_order_whose_answer_was_that_nobody_can_tell_is_told_as_what_became_of_it(now, home):
    happen(Kind.BROKEN, at=NOW, outcome="Undecided")
    go_wrong(first=NOW, last=NOW)
    assert "is open: 1 order was answered as undecided so far." in home().words
    place(at=NOW, status=Status.FAILED)
    assert "is open: 1 order failed and 0 were refused or met an error of ours so far." in home().words


def test_what_failed_until_it_closed_and_was_told_late_is_counted(now, home):
    first, last, closed = (NOW - timedelta(minutes=minutes) for minutes in (30, 29, 23))
    for minutes in (30, 25, 22):
        happen(at=NOW - timedelta(minutes=minutes))
    go_wrong(first=first, last=last, closed=closed)
    assert "is over: 0 orders failed and 2 were refused" in home().words


def test_a_franchisee_is_told_of_none(now, counter):
    go_wrong(first=NOW, last=NOW)
    assert "Incident" not in counter.get("/admin/").text


# --- whatever is wrong ----------------------------------------------------------------------------


@pytest.mark.parametrize("error", [OperationalError("gone"), ZeroDivisionError()], ids=repr)
@pytest.mark.parametrize("name", homes.ADMIN)
def test_a_part_that_fails_takes_no_other_with_it(home, monkeypatch, caplog, name, error):
    def fails():
        raise error

    tell()
    Incident.objects.create(first_at=NOW, last_at=NOW)
    monkeypatch.setitem(homes.ADMIN, name, fails)
    seen = home()
    told = {"ordering": "Ordering is", "circuits": "Circuits", "canary": "Canary pizza", "pending": "Pending orders"}
    told |= {
        "incident": "Incident 1",
        "last_made": "Last order made",
        "support_link": "Support link The",
        "charts": "Orders by hour",
    }
    assert [part for part, words in told.items() if words not in seen.words] == [name]
    assert f"the log says why: {name.replace('_', ' ')}." in seen.words
    assert "/admin/orders/order/" in seen.text
    assert f"a part of the admin's home failed: {name}" in caplog.text


@pytest.mark.parametrize("rows", [1, 200])
def test_it_costs_eleven_queries_and_two_more_in_an_incident(home, diner, factory, rows):
    diner.order(1)
    fill(rows)
    with CaptureQueriesContext(connection) as meanwhile:
        home()
    Incident.objects.all().delete()
    with CaptureQueriesContext(connection) as otherwise:
        home()
    assert [len(counted(each)) for each in (otherwise, meanwhile)] == [11, 13]
