"""The factory's support links: kept once, followed once, and shown to nobody whole."""

import logging
from types import SimpleNamespace

import pytest
from django.db import DatabaseError, InterfaceError, OperationalError
from django.db.models import QuerySet
from django.db.models.functions import Now

from jwtpizza.accounts.models import User
from jwtpizza.fields import from_now
from jwtpizza.observability.logs import JsonFormatter
from orders.factory import gateway
from orders.factory.errors import ServerError, TooSlow
from orders.models import Order, Status, SupportLink, WorkerCircuit, digest_of
from orders.services import links
from tests.orders.stage import LATER, apart
from tests.orders.wire import answer, answering
from tests.ports import free_port
from tests.resilience.kit import together

PATH = "/api/support/our-key/report/code"
LINK = f"http://factory{PATH}"
OTHER = f"{LINK}2"
ENDED = answering("200 OK", {"message": "Chaos ended"})
TOLD = "the factory answered 200 Chaos ended"


@pytest.fixture
def boss(demo):
    return User.objects.get(email="a@jwt.com")


def kept(link=LINK, **how):
    return SupportLink.objects.create(link=link, digest=digest_of(link), **how)


def followed(link):
    """When, by whom, and with what answer."""
    link.refresh_from_db()
    return link.followed_at is not None, link.followed_by, link.answer


# --- kept -----------------------------------------------------------------------------------------


def test_the_link_of_a_failed_order_is_kept_once(diner, kitchen):
    kitchen.does(*[ServerError("no", support_link=LINK)] * 4, ServerError("no", support_link=OTHER))
    for _ in range(3):
        diner.order(1)
    assert list(SupportLink.objects.order_by("pk").values_list("link", flat=True)) == [LINK, OTHER]


def test_so_is_that_of_an_order_that_is_promised(diner, kitchen):
    kitchen.does(TooSlow("late", support_link=LINK))
    assert diner.order(1, **LATER).status_code == 202
    assert SupportLink.objects.get().link == LINK


def test_that_of_an_order_that_was_made_is_not(diner, kitchen):
    diner.order(1)
    assert Order.objects.get().support_link == LINK
    assert not SupportLink.objects.exists()


def test_it_is_told_when_it_was_seen_and_that_nobody_followed_it(demo):
    links.keep(LINK)
    link = SupportLink.objects.annotate(now=Now()).get()
    assert abs((link.now - link.seen_at).total_seconds()) < 5
    assert followed(link) == (False, None, "")


def test_a_link_that_is_known_is_no_news(demo, caplog):
    links.keep(LINK)
    links.keep(LINK)
    assert [record.message for record in caplog.records] == ["the factory gave a support link"]


def test_many_that_come_at_once_with_one_link_keep_it_once(demo, caplog):
    together(8, apart(lambda _: links.keep(LINK)))
    assert SupportLink.objects.count() == 1
    assert "could not be kept" not in caplog.text


def test_who_was_not_quick_enough_to_keep_it_does_not_mind(demo, monkeypatch, caplog):
    links.keep(LINK)
    monkeypatch.setattr(QuerySet, "exists", lambda _: False)
    links.keep(LINK)
    assert SupportLink.objects.count() == 1
    assert "could not be kept" not in caplog.text


@pytest.mark.parametrize(
    "link", ["http://factory/api/vendor", "http://factory/api/support/../../x", "junk", "http://["]
)
def test_what_is_no_support_link_is_not_kept_and_the_order_answered(diner, kitchen, caplog, link):
    kitchen.does(ServerError("no", support_link=link))
    assert diner.order(1).status_code == 500
    assert not SupportLink.objects.exists()
    assert "the factory gave a support link that is none" in caplog.text


@pytest.mark.parametrize("gone", [OperationalError, InterfaceError, DatabaseError])
def test_an_order_is_answered_whether_or_not_its_link_can_be_kept(diner, kitchen, monkeypatch, caplog, gone):
    def fail(**_):
        raise gone("gone")

    kitchen.does(ServerError("no", support_link=LINK))
    monkeypatch.setattr(links, "SupportLink", SimpleNamespace(objects=SimpleNamespace(filter=fail)))
    answer = diner.order(1)
    assert (answer.status_code, answer.json()["error"]) == (500, "Factory request failed")
    assert Order.objects.get().status == Status.FAILED
    assert "a support link could not be kept" in caplog.text


# --- followed -------------------------------------------------------------------------------------


def test_following_a_link_asks_the_configured_factory_for_its_path(boss, wired):
    wire = wired(ENDED)
    link = kept(f"http://somebody.else:81{PATH}")
    assert links.follow(link=link, who=boss) == TOLD
    [request] = wire.requests
    assert request.startswith(f"GET {PATH} HTTP/1.1\r\n".encode())
    assert f"Host: {wire.url.removeprefix('http://')}".encode() in request


def test_what_it_answered_is_kept_with_who_asked_and_when(boss, wired):
    wired(ENDED)
    link = kept()
    links.follow(link=link, who=boss)
    assert followed(link) == (True, boss, TOLD)


def in_turn(*answers):
    def behave(line):
        for status, message in answers:
            line.read_request()
            line.send(answer(status, {"message": message}))

    return behave


def test_who_follows_it_again_is_answered_and_it_stays_the_firsts(boss, wired):
    wired(in_turn(("200 OK", "Chaos ended"), ("200 OK", "There is none")))
    link = kept()
    links.follow(link=link, who=None)
    assert links.follow(link=link, who=boss) == "the factory answered 200 There is none"
    assert followed(link) == (True, None, "the factory answered 200 Chaos ended")


def test_one_that_the_factory_refused_is_whose_who_follows_it_with_success(boss, wired):
    wired(in_turn(("400 Bad Request", "Problem unresolved"), ("200 OK", "Problem resolved")))
    link = kept()
    links.follow(link=link, who=None)
    assert followed(link) == (False, None, "the factory answered 400 Problem unresolved")
    links.follow(link=link, who=boss)
    assert followed(link) == (True, boss, "the factory answered 200 Problem resolved")


@pytest.mark.parametrize(
    ("behaviour", "told"),
    [
        (answering("404 Not Found", {"message": "unknown endpoint"}), "404 unknown endpoint"),
        (answering("500 Internal Server Error", {"message": "chaos"}), "500 chaos"),
        (answering("200 OK", b"<html>"), "200"),
        (answering("200 OK", {"message": {"not": "a sentence"}}), "200"),
        (answering("200 OK", {"message": "in\ntwo\x00 lines"}), "200 intwo lines"),
        (answering("200 OK", {"message": "x" * 501}), f"200 {'x' * 500}"),
        (answering("204 No Content"), "204"),
    ],
    ids=["an unknown path", "an error", "HTML", "no sentence", "unprintable", "long", "nothing"],
)
def test_whatever_it_answers_is_kept(boss, wired, behaviour, told):
    wired(behaviour)
    link = kept()
    assert links.follow(link=link, who=boss) == f"the factory answered {told}"
    assert followed(link) == (told.startswith("2"), boss, f"the factory answered {told}")


@pytest.mark.parametrize("status", ["301 Moved Permanently", "302 Found", "307 Temporary Redirect", "308 Gone"])
def test_a_redirect_is_not_followed(boss, wired, status):
    elsewhere = wired(ENDED)
    factory = wired(answering(status, b"", f"Location: {elsewhere.url}/api/support/our-key/report/code"))
    assert links.follow(link=kept(), who=boss) == f"the factory answered {status[:3]}"
    assert (len(factory.requests), elsewhere.connections) == (1, 0)


def test_a_redirect_to_the_factory_itself_is_not_followed_either(boss, wired):
    factory = wired(answering("302 Found", b"", "Location: /api/vendor/chaos/fail"))
    links.follow(link=kept(), who=boss)
    assert len(factory.requests) == 1


def test_while_the_factory_can_not_be_reached_the_link_is_not_followed(boss, settings):
    settings.FACTORY_URL = f"http://127.0.0.1:{free_port()}"
    link = kept()
    assert "can't be reached" in links.follow(link=link, who=boss)
    at, who, told = followed(link)
    assert (at, who) == (False, boss)
    assert "can't be reached" in told


# --- followed by the worker -----------------------------------------------------------------------


@pytest.fixture
def outage(demo):
    """Of two processes that take orders, one has its circuit open."""
    for state in ("closed", "open"):
        WorkerCircuit.objects.create(worker=state, state=state)


def test_the_worker_follows_the_latest_link_once(outage, wired):
    wire = wired(ENDED)
    first, last = kept(), kept(OTHER)
    links.follow_latest()
    links.follow_latest()
    assert followed(first) == (False, None, "")
    assert followed(last) == (True, None, TOLD)
    [request] = wire.requests
    assert request.startswith(f"GET {PATH}2 ".encode())


def test_it_does_so_while_a_circuit_is_half_open_too(outage, wired):
    wire = wired(ENDED)
    kept()
    WorkerCircuit.objects.filter(state="open").update(state="half-open")
    links.follow_latest()
    assert len(wire.requests) == 1


def test_while_all_circuits_are_closed_it_follows_none(outage, wired):
    wire = wired(ENDED)
    kept()
    WorkerCircuit.objects.update(state="closed")
    links.follow_latest()
    assert wire.connections == 0


def test_nor_while_nobody_takes_orders(demo, wired):
    wire = wired(ENDED)
    kept()
    links.follow_latest()
    assert wire.connections == 0


def test_it_follows_none_that_an_admin_has_followed(outage, boss, wired):
    wire = wired(ENDED)
    links.follow(link=kept(), who=boss)
    links.follow_latest()
    assert len(wire.requests) == 1
    assert SupportLink.objects.get().followed_by == boss


def test_it_follows_the_next_that_comes(outage, wired):
    wire = wired(ENDED)
    kept()
    links.follow_latest()
    kept(OTHER)
    links.follow_latest()
    assert len(wire.requests) == 2


def test_where_there_is_no_link_it_follows_none(outage, wired):
    wire = wired(ENDED)
    links.follow_latest()
    assert wire.connections == 0


def test_of_several_workers_at_once_one_follows_it(outage, wired):
    wire = wired(ENDED)
    kept()
    together(6, apart(lambda _: links.follow_latest()))
    assert len(wire.requests) == 1


def test_one_that_could_not_be_followed_is_followed_once_it_can(outage, settings, wired):
    settings.FACTORY_URL = f"http://127.0.0.1:{free_port()}"
    link = kept()
    links.follow_latest()
    assert followed(link)[0] is False
    wire = wired(ENDED)
    for seconds, connections in ((10, 0), (40, 1)):
        SupportLink.objects.update(asked_at=from_now(-seconds))
        links.follow_latest()
        assert wire.connections == connections
    assert followed(link) == (True, None, TOLD)


def test_one_whose_worker_was_killed_at_it_is_followed_by_the_next(outage, wired, monkeypatch):
    def die(_):
        raise KeyboardInterrupt

    wired(ENDED)
    link = kept()
    with monkeypatch.context() as killed:
        killed.setattr(gateway, "follow", die)
        with pytest.raises(KeyboardInterrupt):
            links.follow_latest()
    assert followed(link) == (False, None, "")
    SupportLink.objects.update(asked_at=from_now(-40))
    links.follow_latest()
    assert followed(link) == (True, None, TOLD)


# --- masked ---------------------------------------------------------------------------------------


def lines(caplog):
    return [JsonFormatter().format(record) for record in caplog.records]


def test_no_line_of_a_failed_order_has_our_key_in_it(diner, kitchen, caplog):
    kitchen.does(ServerError("no", support_link=LINK))
    diner.order(1)
    assert "/api/support/***/report/code" in "".join(lines(caplog))
    assert "our-key" not in "".join(lines(caplog))


def test_nor_has_the_line_of_a_link_that_is_followed_whatever_the_factory_answers(boss, wired, caplog):
    wired(answering("200 OK", {"message": f"ended for our-key at {LINK}"}))
    links.follow(link=kept(), who=boss)
    [line] = [line for line in lines(caplog) if "a support link was followed" in line]
    assert "our-key" not in line
    assert f'"userId": {boss.pk}' in line


def test_a_link_that_is_followed_is_a_warning(boss, wired, caplog):
    wired(ENDED)
    links.follow(link=kept(), who=None)
    [record] = [record for record in caplog.records if record.name == "orders"]
    assert (record.levelno, record.data["answer"], record.data["userId"]) == (logging.WARNING, TOLD, None)
