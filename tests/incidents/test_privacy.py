"""What no report may hold, in any of its formats."""

import html
import json
import re

import pytest

from jwtpizza.incidents.serializers.formats import FORMATS, written
from jwtpizza.incidents.services.reports import report

KEY, WEBHOOK = "the-chains-api-key", "https://hooks.example/T0/B0/s3cr3t"
PEOPLE = {"Zebulon Quix": "zebulon@quix.example", "<b>Ö'Dell</b> | `x`": "ödell+1@dell.example"}
NOTES = f"Called {WEBHOOK}, then https://factory.example/api/support/{KEY}/report/abc with Bearer {KEY}."


@pytest.fixture
def told(stage, settings):
    """An incident that met them, with secrets wherever somebody could have put one."""
    settings.FACTORY_API_KEY, settings.INCIDENT_WEBHOOK_URL = KEY, WEBHOOK
    stage.admin.name, stage.admin.email = "Prunella Boss", "prunella@boss.example"
    stage.admin.save()
    for number, (name, email) in enumerate(PEOPLE.items()):
        diner = stage.person(name)
        type(diner).objects.filter(pk=diner.pk).update(email=email)
        stage.failed(10 * number, diner=diner)
        stage.refused(10 * number + 1, diner=diner)
    answer = f"the factory answered 200 thanks, {KEY}, eyJhbGciOi.eyJuYW1lIjoi.c2lnbmF0dXJl"
    stage.link(1, key=KEY, followed=60, followed_by=stage.admin, answer=answer)
    stage.made(120)
    return report(stage.incident(0, 11, closed=420, notes=NOTES))


@pytest.mark.parametrize("form", FORMATS)
def test_no_name_no_address_and_no_secret(told, form):
    text = written(told, None, form=form)
    read = html.unescape(text).replace("\\", "")
    personal = [*PEOPLE, *PEOPLE.values(), "Prunella", "prunella", "quix", "dell.example", "pizzaPocket"]
    for secret in (*personal, KEY, WEBHOOK, "eyJhbGciOi"):
        assert secret not in text
        assert secret not in read
    assert "Called ***, then https://factory.example/api/support/***/report/abc" in read


def test_the_link_and_its_answer_are_told_without_the_key(told, stage):
    text = written(told, None, form="md")
    assert "thanks, \\*\\*\\*" in text
    assert json.loads(written(told, None, form="json"))["links"][0]["by"] == f"user {stage.admin.pk}, an admin"


@pytest.mark.parametrize("form", FORMATS)
def test_an_address_in_the_factorys_answer_is_masked(stage, form):
    stage.failed(0)
    stage.link(1, followed=60, answer="the factory answered 200 thanks, o'dell@localhost!")
    stage.made(120)
    read = html.unescape(written(report(stage.incident(closed=420)), None, form=form)).replace("\\", "")
    assert "the factory answered 200 thanks, ***!" in read
    assert "dell" not in read


@pytest.mark.parametrize("form", FORMATS)
@pytest.mark.parametrize(
    "address",
    [*PEOPLE.values(), "a_b.c@mail.dell.example", "mailto:x@dell.example", "<x-y@dell.example>", "o'd@localhost"],
)
def test_an_address_in_peoples_notes_is_masked(stage, form, address):
    stage.failed(0)
    incident = stage.incident(closed=300, notes=f"We wrote to {address}, and @ten.\nAt 5 @ home.")
    read = html.unescape(written(report(incident), None, form=form)).replace("\\", "")
    assert re.search(r"We wrote to (mailto:|<)?\*\*\*>?, and @ten\.", read)
    assert ".example" not in read
    assert "localhost" not in read
    assert "At 5 @ home." in read


def test_notes_of_any_length_are_read_once(stage):
    stage.failed(0)
    incident = stage.incident(closed=300, notes="a" * 1_000_000 + "@")
    assert len(written(report(incident), None, form="json")) > 1_000_000
