"""What a chat is told of an incident: both its ends, in order, at least once; and who waits for it: nobody."""

import io
import json
import logging
import threading
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta

import pytest
from django.db import OperationalError, connection
from django.db.models.functions import Now
from django.utils import timezone

from jwtpizza.accounts.models import User
from jwtpizza.incidents.models import Event, Incident, Kind, Notice
from jwtpizza.incidents.selectors import troubles
from jwtpizza.incidents.services import lifecycle, notices
from jwtpizza.observability import push
from jwtpizza.observability.logs import JsonFormatter
from orders.models import Order
from tests.orders.stage import apart
from tests.orders.wire import Wire, answering

SECRET = "T0/B0/a-secret"
DAY = timedelta(days=1)


@pytest.fixture
def chat(settings):
    """A webhook that answers its requests by these, one after the other, and all that follow by the last."""
    made = []

    def start(*behaviours):
        made.append(Wire(*behaviours))
        settings.INCIDENT_WEBHOOK_URL = f"{made[-1].url}/services/{SECRET}?thread_id=7"
        return made[-1]

    yield start
    for wire in made:
        wire.close()


WELL, GONE = answering("200 OK", b"ok"), answering("500 Internal Server Error")


def told(chat):
    """The text of each request."""
    return [json.loads(request[request.index(b"{") :])["text"] for request in chat.requests]


@pytest.fixture
def incident(demo, settings):
    """One that has just opened, with its notice."""
    settings.INCIDENT_WEBHOOK_URL = "https://chat.example/hook"
    return open_incident(timezone.now())


def open_incident(first):
    assert lifecycle._open(first, troubles.last_closed_at())
    return Incident.objects.latest("pk")


def close(incident):
    assert lifecycle._close(incident, timezone.now())
    incident.refresh_from_db()


def fall_due():
    Notice.objects.filter(sent_at=None).update(due_at=Now())


def waits():
    """Seconds until what is not sent is due."""
    return [(due - timezone.now()).total_seconds() for due in unsent().values_list("due_at", flat=True)]


def unsent():
    return Notice.objects.filter(sent_at=None)


# --- sent -----------------------------------------------------------------------------------------


def test_an_opening_is_told_once(incident, chat):
    chat = chat(WELL)
    assert [notices.send_due(), notices.send_due()] == [1, 0]
    [text] = told(chat)
    assert text.startswith(f"Incident {incident.pk} is open: ")
    notice = Notice.objects.get()
    assert (notice.answer, notice.tries) == ("it answered 200", 1)
    assert abs(notice.sent_at - timezone.now()) < timedelta(minutes=1)


def test_a_204_is_success_too(incident, chat):
    chat(answering("204 No Content"))
    assert notices.send_due() == 1


def test_the_request_names_its_host_its_agent_and_all_of_its_path(incident, chat):
    chat = chat(WELL)
    notices.send_due()
    head = chat.requests[0].decode().split("\r\n")
    assert head[0] == f"POST /services/{SECRET}?thread_id=7 HTTP/1.1"
    assert {
        f"Host: {chat.url[7:]}",
        "Content-Type: application/json",
        "User-Agent: jwt-pizza-service/20240518.154317",
    } <= set(head)


def test_of_two_workers_at_once_one_sends_it(incident, chat, monkeypatch):
    chat, together, due = chat(WELL), threading.Barrier(2), notices.notices.due

    class Seen:
        def first(self):
            try:
                return due().first()
            finally:
                together.wait(20)

    monkeypatch.setattr(notices.notices, "due", Seen)

    claimed = apart(lambda _: notices._claimed())
    with ThreadPoolExecutor(2) as pool:
        winners = [notice for notice in pool.map(claimed, range(2)) if notice]
    assert len(winners) == 1
    monkeypatch.setattr(notices.notices, "due", due)
    assert notices.send_due() == 0, "the winner has a lease on it"
    assert notices._send(winners[0])
    assert len(told(chat)) == 1


def test_one_whose_sender_died_before_it_was_noted_is_sent_again_after_the_lease(incident, chat, monkeypatch):
    chat = chat(WELL)

    def killed(*args, **how):
        post(*args, **how)
        raise KeyboardInterrupt

    post = push.post
    monkeypatch.setattr(push, "post", killed)
    with pytest.raises(KeyboardInterrupt):
        notices.send_due()
    monkeypatch.setattr(push, "post", post)
    assert notices.send_due() == 0
    assert waits() == [pytest.approx(60, abs=5)]
    fall_due()
    assert notices.send_due() == 1
    assert len(told(chat)) == 2


def test_who_was_too_slow_does_not_put_off_what_another_sends(incident, chat):
    chat(GONE)
    first = notices._claimed()
    fall_due()
    second = notices._claimed()
    assert not notices._send(first)
    assert waits() == [pytest.approx(60, abs=5)], "the second one's lease"
    assert not notices._send(second)
    assert waits() == [pytest.approx(10, abs=5)]


def test_it_is_sent_outside_of_any_transaction(incident, chat, monkeypatch):
    chat(WELL)
    seen = []
    post = push.post
    monkeypatch.setattr(push, "post", lambda *a, **k: (seen.append(connection.in_atomic_block), post(*a, **k))[1])
    notices.send_due()
    assert seen == [False]


# --- not sent -------------------------------------------------------------------------------------


def test_a_failure_is_made_up_for(incident, chat):
    chat = chat(GONE, WELL)
    assert notices.send_due() == 0
    assert (unsent().get().answer, unsent().get().tries) == ("it answered 500", 1)
    assert notices.send_due() == 0, "not yet"
    fall_due()
    assert notices.send_due() == 1
    assert len(told(chat)) == 2


@pytest.mark.parametrize(("tries", "seconds"), [(0, 5), (1, 10), (5, 160), (6, 300), (300, 300)])
def test_it_is_asked_more_and_more_rarely(incident, chat, tries, seconds):
    chat(GONE)
    Notice.objects.update(tries=tries)
    notices.send_due()
    [wait] = waits()
    assert 0.9 * seconds - 2 <= wait <= 1.1 * seconds + 2


@pytest.mark.parametrize(
    ("status", "header", "seconds"),
    [
        ("429 Too Many Requests", "30", 30),
        ("503 Service Unavailable", "30", 30),
        ("429 Too Many Requests", "1", 5),
        ("429 Too Many Requests", "9" * 5000, 300),
        ("429 Too Many Requests", "soon", 5),
        ("404 Not Found", "30", 5),
    ],
    ids=["429", "503", "sooner than we would", "for ever", "no number", "another status"],
)
def test_a_chat_that_asks_for_time_gets_it(incident, chat, status, header, seconds):
    chat(answering(status, b"", f"Retry-After: {header}"))
    notices.send_due()
    [wait] = waits()
    assert 0.9 * seconds - 2 <= wait <= 1.1 * seconds + 2


@pytest.mark.parametrize("status", ["400 Bad Request", "403 Forbidden", "404 Not Found", "410 Gone"])
def test_an_address_that_refuses_is_tried_until_somebody_corrects_it(incident, chat, status):
    chat(answering(status))
    assert notices.send_due() == 0
    right = chat(WELL)
    fall_due()
    assert notices.send_due() == 1
    assert len(told(right)) == 1


def test_no_redirect_is_followed(incident, chat):
    elsewhere = chat(WELL)
    chat = chat(answering("307 Temporary Redirect", b"", f"Location: {elsewhere.url}/"))
    assert notices.send_due() == 0
    assert (len(chat.requests), elsewhere.requests) == (1, [])
    assert unsent().get().answer == "it answered 307"


def test_no_proxy_is_asked(incident, chat, monkeypatch):
    chat = chat(WELL)
    for name in ("http_proxy", "HTTP_PROXY", "ALL_PROXY"):
        monkeypatch.setenv(name, "http://127.0.0.1:9")
    assert notices.send_due() == 1


def silent(line):
    line.read_request()
    line.silence()


def trickling(line):
    line.read_request()
    line.send(b"HTTP/1.1 200 OK\r\nX-Slow: ")
    line.trickle(b"z", seconds=0.01)


@pytest.mark.parametrize("behaviour", [silent, trickling])
def test_one_that_does_not_finish_is_given_up_in_time(incident, chat, behaviour, monkeypatch):
    monkeypatch.setattr(notices, "TOTAL_SECONDS", 0.3)
    chat(behaviour)
    assert notices.send_due() == 0
    assert unsent().get().answer == "TimeoutError"


def test_nobody_waits_for_a_body_that_trickles(incident, chat):
    def behaviour(line):
        line.read_request()
        line.send(b"HTTP/1.1 200 OK\r\nContent-Length: 1000000\r\n\r\n")
        line.silence()

    chat(behaviour)
    assert notices.send_due() == 1


@pytest.mark.parametrize(
    "behaviour",
    [lambda line: line.reset(), lambda line: line.close(), lambda line: (line.read_request(), line.send(b"pizza"))],
    ids=["reset", "hung up", "no HTTP"],
)
def test_one_that_hangs_up_is_tried_again(incident, chat, behaviour):
    chat(behaviour, WELL)
    assert notices.send_due() == 0
    fall_due()
    assert notices.send_due() == 1


def test_after_a_day_it_is_no_news(incident, chat):
    chat = chat(WELL)
    Incident.objects.update(opened_at=timezone.now() - DAY - timedelta(minutes=1))
    assert notices.send_due() == 0
    assert chat.requests == []
    Incident.objects.update(opened_at=timezone.now() - DAY + timedelta(minutes=1))
    assert notices.send_due() == 1


# --- in order -------------------------------------------------------------------------------------


def test_a_closing_waits_for_its_opening(incident, chat):
    chat = chat(GONE, WELL)
    close(incident)
    assert notices.send_due() == 0
    assert notices.send_due() == 0, "the closing is due, and held back"
    fall_due()
    assert notices.send_due() == 2
    said = [" ".join(text.replace(".", " ").split()[2:4]) for text in told(chat)]
    assert said == ["began with", "began with", "is over"]


def test_and_for_one_that_is_being_sent(incident):
    close(incident)
    assert notices._claimed().word == "opened"
    assert notices._claimed() is None
    Incident.objects.update(opened_at=timezone.now() - DAY - timedelta(minutes=1))
    assert notices._claimed() is None, "its last try is under way"


def test_it_does_not_wait_for_an_opening_that_was_given_up(incident, chat):
    chat = chat(WELL)
    Incident.objects.update(first_at=timezone.now() - 2 * DAY, opened_at=timezone.now() - 2 * DAY)
    close(incident)
    assert notices.send_due() == 1
    assert f"Incident {incident.pk} is over." in told(chat)[0]


def test_another_incident_does_not_wait(incident, chat):
    chat = chat(GONE, WELL)
    close(incident)
    notices.send_due()
    later = open_incident(timezone.now())
    assert notices.send_due() == 1
    assert told(chat)[-1].startswith(f"Incident {later.pk} is open")


# --- in nobody's way ------------------------------------------------------------------------------


def test_without_an_address_nothing_is_queued(demo, settings):
    settings.INCIDENT_WEBHOOK_URL = ""
    close(open_incident(timezone.now()))
    assert not Notice.objects.exists()


def test_opening_and_closing_ask_nobody(demo, chat):
    chat = chat(silent)
    close(open_incident(timezone.now()))
    assert unsent().count() == 2
    assert chat.connections == 0


def test_an_incident_that_is_not_kept_is_not_told_of(demo, settings, monkeypatch):
    settings.INCIDENT_WEBHOOK_URL = "https://chat.example/hook"

    def broken(*_):
        raise OperationalError("gone")

    monkeypatch.setattr(lifecycle, "_tell", broken)
    with pytest.raises(OperationalError):
        open_incident(timezone.now())
    assert not Incident.objects.exists()


# --- what is said ---------------------------------------------------------------------------------

NINE = datetime(2025, 12, 2, 19, 33, 37, 500_000, tzinfo=UTC)


def note(kind, seconds, **how):
    key = f"{kind}{seconds}"
    Event.objects.create(key=key, kind=kind, at=NINE + timedelta(seconds=seconds), **({"trouble": True} | how))


def order_failed(seconds):
    at = NINE + timedelta(seconds=seconds)
    return Order.objects.create(
        diner=User.objects.get(email="d@jwt.com"),
        store_id=1,
        total=1,
        status="failed",
        reason="server_error",
        settled_at=at,
        created_at=at,
    )


@pytest.fixture
def outage(demo, settings):
    """The webhook is known, and an incident is open since the first of some failures."""
    settings.INCIDENT_WEBHOOK_URL = "https://chat.example/hook"
    return open_incident(NINE)


def said(word):
    return notices.message(Notice.objects.get(word=word))


def test_slack_and_discord_read_the_same_and_nobody_is_called(outage):
    message = said("opened")
    assert set(message) == {"text", "content", "allowed_mentions"}
    assert message["text"] == message["content"]
    assert message["allowed_mentions"] == {"parse": []}
    assert not set(message["text"]) & set("@<>&*~")
    assert len(message["content"]) <= 2000


def test_an_opening_says_what_happened_so_far(outage):
    order_failed(0)
    order_failed(50)
    order_failed(-600)
    note(Kind.REFUSED, 60, count=3)
    assert said("opened")["text"].splitlines() == [
        f"Incident {outage.pk} is open: it began with an order that failed at 2025-12-02 19:33:37 UTC.",
        "Orders so far: 2 failed, 3 refused, 0 promised.",
        f"`manage.py incident_report {outage.pk}` writes its report.",
    ]


def test_an_opening_that_is_told_once_it_is_over_says_so(outage):
    order_failed(0)
    close(outage)
    assert said("opened")["text"].splitlines()[:2] == [
        f"Incident {outage.pk} began with an order that failed at 2025-12-02 19:33:37 UTC; it is over by now.",
        "Orders: 1 failed, 0 refused, 0 promised.",
    ]


@pytest.mark.parametrize(
    ("kind", "words"),
    [
        (Kind.REFUSED, "an order that was refused"),
        (Kind.BROKEN, "an order that met an error of ours"),
        (Kind.PROMISED, "an order that could not be made at once"),
        (Kind.CANARY, "a canary that failed"),
    ],
)
def test_it_says_what_opened_it(outage, kind, words):
    note(kind, 0)
    note(Kind.CIRCUIT, 0, trouble=False)
    assert f"is open: it began with {words} at 2025" in said("opened")["text"]


def test_a_closing_says_how_long_and_how_many(outage):
    order_failed(0)
    order_failed(174)
    note(Kind.BROKEN, 102)
    diner = User.objects.get(email="d@jwt.com")
    for created, settled in ((100, 400), (101, None), (-3600, -3000)):
        made = {"status": "fulfilled", "jwt": "j", "settled_at": settled and NINE + timedelta(seconds=settled)}
        how = made if settled else {"lease_until": NINE}
        placed = NINE + timedelta(seconds=created)
        Order.objects.create(diner=diner, store_id=1, total=1, promised=True, created_at=placed, **how)
    note(Kind.PROMISED, 174.9)
    close(outage)
    lasted = "0:02:55 (h:mm:ss), 2025-12-02 19:33:37 UTC to 2025-12-02 19:36:32 UTC"
    assert said("closed")["text"].splitlines() == [
        f"Incident {outage.pk} is over.",
        f"It lasted {lasted}.",
        "Orders: 2 failed, 0 refused, 1 met an error of ours, 2 promised (1 made by now).",
        "First success after it: 2025-12-02 19:40:17 UTC.",
        f"`manage.py incident_report {outage.pk}` writes its report.",
    ]


def test_a_promise_that_failed_and_an_order_that_is_undecided_are_told_apart(outage):
    order_failed(0)
    order_failed(1)
    Order.objects.filter(settled_at=NINE + timedelta(seconds=1)).update(promised=True)
    note(Kind.BROKEN, 2, outcome="Undecided")
    assert (
        "Orders so far: 1 failed, 0 refused, 1 undecided, 1 promised (0 made by now, 1 failed later)."
        in said("opened")["text"]
    )


def test_a_closing_without_a_success_names_none(outage):
    close(outage)
    assert "success" not in said("closed")["text"]


# --- the address ----------------------------------------------------------------------------------


@pytest.fixture
def printed():
    """All that is logged, as it is printed."""
    stream = io.StringIO()
    handler = logging.StreamHandler(stream)
    handler.setFormatter(JsonFormatter())
    logging.getLogger().addHandler(handler)
    yield stream
    logging.getLogger().removeHandler(handler)


@pytest.mark.parametrize(
    "behaviour",
    [
        GONE,
        answering("404 Not Found", f"no hook at /services/{SECRET}".encode()),
        lambda line: (line.read_request(), line.send(f"/services/{SECRET}".encode())),
        lambda line: line.reset(),
    ],
    ids=["500", "404", "no HTTP", "reset"],
)
def test_the_address_is_in_no_line_and_no_row(incident, chat, printed, behaviour):
    chat(behaviour)
    notices.send_due()
    assert "could not be sent, try 1: " in printed.getvalue()
    assert "a-secret" not in printed.getvalue() + unsent().get().answer
