"""A report as JSON: all of it, in the API's words, and nothing that is nobody's business."""

import json

import jsonschema_rs
import pytest

from jwtpizza.api.schema import description
from jwtpizza.incidents.serializers.json import as_json
from jwtpizza.incidents.serializers.openapi import EXAMPLE
from jwtpizza.incidents.services.reports import report
from tests.incidents.stage import at, one_order, the_outage

KEY = "sk-7h1s-1s-0ur-k3y"
NAME, ADDRESS, ADMIN = "Zaphod Beeblebrox", "zaphod@heartofgold.example", "Tricia McMillan"
SECRET = "correct-horse-battery-staple-of-the-secret-key"


def of(incident):
    """As a client reads it."""
    return json.loads(json.dumps(as_json(report(incident))))


def test_the_outage_as_json(stage):
    told = of(the_outage(stage))
    assert (told["state"], told["severity"], told["openedBy"]) == ("closed", "SEV-2", "order")
    assert told["firstFailure"] == "2025-12-02T19:33:37.000Z"
    assert (told["lastFailure"], told["seconds"]) == ("2025-12-02T19:36:32.000Z", 175)
    assert (told["noticedAt"], told["closedAt"]) == ("2025-12-02T19:33:38.000Z", "2025-12-02T19:44:00.000Z")
    nothing = {"made": 0, "refused": 0, "broken": 0, "promised": 0, "madeLater": 0}
    nothing |= {"givenUp": 0, "stillPending": 0, "undecided": 0}
    assert told["orders"] == {"asked": 4, "failed": 4, **nothing}
    assert (told["diners"], told["notTaken"], told["longestWithout"]) == (4, 0.0152, 175)
    assert told["failures"] == {"server_error": 4}
    assert told["traffic"][0] == {"name": "menu", "calls": 540, "failed": 0}
    assert told["firstSuccess"]["at"] == "2025-12-02T19:39:00.000Z"
    assert told["links"][1] | {"id": 0} == {
        "id": 0,
        "link": "https://factory.example/api/support/***/report/c3",
        "seenAt": "2025-12-02T19:36:32.100Z",
        "followedAt": "2025-12-02T19:38:02.000Z",
        "by": f"user {stage.admin.pk}, an admin",
        "answer": "the factory answered 200 Problem resolved. Pizza is back on the menu!",
    }


def test_what_became_of_promises_and_what_nobody_knows_is_told(stage):
    stage.promised(0)
    stage.failed(1, "rejected", promised=True, created_at=at(0))
    stage.broken(2, "Undecided")
    stage.event(3, "dropped", count=4)
    told = of(stage.incident(last=3, closed=303))
    assert [told["orders"][name] for name in ("givenUp", "stillPending", "undecided", "broken")] == [1, 1, 1, 0]
    assert told["dropped"] == 4


def test_an_open_one_has_no_end(stage):
    stage.failed(0)
    told = of(stage.incident())
    assert told["state"] == "open"
    assert (told["closedAt"], told["firstSuccess"], told["storesWrong"]) == (None, None, None)


@pytest.mark.parametrize("story", [the_outage, one_order], ids=lambda story: story.__name__)
def test_it_is_what_the_description_says(stage, story):
    schema = description()["components"]["schemas"]["IncidentOut"]
    told = of(story(stage))
    jsonschema_rs.validator_for(schema | {"components": description()["components"]}).validate(told)
    assert set(told) == set(schema["properties"])


@pytest.mark.django_db(transaction=True, reset_sequences=True)
def test_the_description_s_example_is_what_is_written(stage):
    told = of(one_order(stage))
    first, *others = told["spans"]
    told["spans"] = [first, *(span for span in others if span["made"] or span["failed"])]
    assert told == EXAMPLE


def test_peoples_notes_are_in_it_without_secrets(stage, settings):
    settings.FACTORY_API_KEY = KEY
    stage.failed(0)
    told = of(stage.incident(closed=300, notes=f"We changed the key {KEY} on Monday."))
    assert told["notes"] == "We changed the key *** on Monday."


@pytest.fixture
def secretive(stage, settings):
    """An incident of somebody with a name, in which our keys stand wherever text can stand."""
    settings.FACTORY_API_KEY, settings.SECRET_KEY = KEY, SECRET
    diner = stage.person(NAME)
    admin = stage.person(ADMIN, is_superuser=True)
    type(diner).objects.filter(pk=diner.pk).update(email=ADDRESS)
    link = stage.link(1, key=KEY, followed=2, followed_by=admin, answer=f"the factory answered 200 for {KEY}")
    stage.started(-3600, FACTORY_URL="digest 0123456789ab")
    stage.started(-60, FACTORY_URL="digest ba9876543210", RELEASE=KEY, LOG_SOURCE=KEY, release=KEY)
    stage.failed(0, diner=diner, support_link=link.link)
    stage.refused(1, diner=diner)
    stage.promised(1, made=5, diner=diner)
    stage.broken(2)
    stage.canary(3, "bad_jwt")
    stage.made(4, diner=diner)
    return stage.incident(0, 3, closed=304, notes=f"{KEY} {SECRET} Bearer {KEY}")


@pytest.mark.parametrize("secret", [KEY, SECRET, NAME, "Zaphod", ADDRESS, ADMIN, "0123456789ab", "ba9876543210"])
def test_no_secret_and_no_name_is_in_it(secretive, secret):
    assert secret not in json.dumps(as_json(report(secretive)), ensure_ascii=False)
    assert secret not in repr(report(secretive)._replace(facts=report(secretive).facts._replace(incident=secretive)))


def test_but_what_was_masked_is_there(secretive):
    told = of(secretive)
    assert told["links"][0]["link"] == "https://factory.example/api/support/***/report/code"
    assert told["links"][0]["answer"] == "the factory answered 200 for ***"
    assert told["starts"][0]["changes"]["FACTORY_URL"] == ["***", "*** (changed)"]
    assert told["starts"][0]["release"] == "***"
