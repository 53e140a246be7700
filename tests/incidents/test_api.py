"""GET /api/incident/:id, for admins."""

import pytest

from tests.incidents.stage import Stage, one_order


@pytest.fixture
def incident(demo):
    return one_order(Stage())


def test_an_admin_reads_an_incident(admin, incident):
    answer = admin.get(f"/api/incident/{incident.pk}")
    assert answer.status_code == 200
    assert answer.json()["id"] == incident.pk
    assert answer.json()["orders"]["failed"] == 1


@pytest.mark.parametrize("at", ["999", "0", "latest"])
def test_one_that_is_not_there_is_404(admin, incident, at):
    answer = admin.get(f"/api/incident/{at}")
    assert answer.status_code == 404
    assert answer.json()["message"] == "There is no such incident."


@pytest.mark.parametrize("who", ["diner", "franchisee"])
def test_nobody_else_may_read_it(request, incident, who):
    answer = request.getfixturevalue(who).get(f"/api/incident/{incident.pk}")
    assert (answer.status_code, answer.json()["message"]) == (403, "unable to read incidents")


def test_who_is_not_signed_in_may_not_either(anonymous, incident):
    assert anonymous.get(f"/api/incident/{incident.pk}").status_code == 401
