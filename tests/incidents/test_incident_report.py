"""manage.py incident_report."""

import json
import re
import sys
from pathlib import Path
from urllib.parse import unquote

import pytest
from django.core.management import CommandError, call_command
from markdown_it import MarkdownIt

from jwtpizza.incidents.models import Incident
from tests.incidents import written


@pytest.fixture
def incident(demo):
    over = written.incident(pk=None, notes="It was the factory.")
    over.save()
    return over


@pytest.fixture
def printed(capsys):
    """What it prints."""

    def printed(*arguments):
        call_command("incident_report", *map(str, arguments))
        return capsys.readouterr().out

    return printed


def refused(*arguments):
    with pytest.raises(CommandError) as error:
        call_command("incident_report", *map(str, arguments))
    assert error.value.returncode == 1
    return str(error.value)


def test_it_prints_markdown_in_utc(printed, incident):
    text = printed(incident.pk)
    assert text.startswith(f"# Incident {incident.pk}: SEV-")
    assert "| UTC | what happened |" in text
    assert text.endswith("> It was the factory.\n")
    assert "![" not in text


def test_it_prints_times_of_another_zone_too(printed, incident):
    assert "| UTC | America/Denver | what happened |" in printed(incident.pk, "--timezone", "America/Denver")


def test_it_prints_a_page(printed, incident):
    text = printed(incident.pk, "--format", "html")
    assert (text[:15], text[-8:]) == ("<!doctype html>", "</html>\n")


def test_it_prints_json(printed, incident):
    assert json.loads(printed(incident.pk, "--format=json"))["id"] == incident.pk


def test_into_a_file_with_its_charts_beside_it(printed, incident, tmp_path):
    file = tmp_path / "outage.md"
    told = printed(incident.pk, "--output", file)
    linked = re.findall(r"!\[.*?\]\((.*?)\)", file.read_text())
    assert linked == ["outage-orders.svg", "outage-latency.svg"]
    assert {each.name for each in tmp_path.iterdir()} == {"outage.md", *linked}
    assert all((tmp_path / name).read_text().startswith("<svg ") for name in linked)
    assert told == f"{file}, {tmp_path / linked[0]}, {tmp_path / linked[1]}\n"


def test_the_links_lead_there_whatever_the_file_is_called(printed, incident, tmp_path):
    printed(incident.pk, "--output", tmp_path / "2 Dec (SEV-2) é.md")
    html = MarkdownIt("commonmark").render((tmp_path / "2 Dec (SEV-2) é.md").read_text())
    linked = [unquote(address) for address in re.findall(r'<img src="(.*?)"', html)]
    assert linked == ["2 Dec (SEV-2) é-orders.svg", "2 Dec (SEV-2) é-latency.svg"]
    assert all((tmp_path / name).exists() for name in linked)


@pytest.mark.parametrize("form", ["html", "json"])
def test_what_has_its_charts_inside_is_one_file(printed, incident, tmp_path, form):
    printed(incident.pk, "--format", form, "--output", tmp_path / "outage")
    assert [each.name for each in tmp_path.iterdir()] == ["outage"]


def test_without_a_number_it_names_the_newest_ten(demo):
    for number in range(12):
        at = written.at(hours=number)
        Incident.objects.create(
            first_at=at, last_at=at, closed_at=at if number < 11 else None, is_open=None if number < 11 else True
        )
    lines = refused().splitlines()
    assert lines[0] == "Which incident? The newest are"
    assert lines[1] == "  12: first failure 2025-12-03 06:33:37 UTC, open"
    assert lines[2] == "  11: first failure 2025-12-03 05:33:37 UTC, closed"
    assert len(lines) == 11


def test_without_a_number_it_says_that_there_was_none(demo):
    assert refused() == "Which incident? There was none yet."


@pytest.mark.parametrize("number", ["99", "one", "-1", "1.5", "9" * 30, "²"])
def test_an_incident_that_there_is_not(demo, number):
    assert refused("--", number) == f"There is no incident {number!r}. There was none yet."


@pytest.mark.parametrize("zone", ["Denver", "", "../../etc/passwd"])
def test_a_zone_that_there_is_not(incident, zone):
    assert refused(incident.pk, f"--timezone={zone}") == (
        f"There is no time zone {zone!r}; one is written as America/Denver."
    )


def test_a_file_that_can_not_be_written(incident, tmp_path):
    assert refused(incident.pk, "--output", tmp_path).endswith("can't be written: Is a directory.")
    missing = tmp_path / "missing" / "report.md"
    assert refused(incident.pk, "--output", missing) == f"{missing} can't be written: No such file or directory."


@pytest.mark.parametrize("how", [[], ["--rehearse"]], ids=["of one", "rehearsed"])
def test_a_file_that_is_there_and_may_not_be_written_is_refused_at_once(demo, how):
    # A program that runs can be written by nobody, root included.
    running = Path(sys.executable).resolve()
    assert re.match(
        f"{re.escape(str(running))} can't be written: (Text file busy|Permission denied).$",
        refused(*how, "--output", running),
    )


def test_neither_may_a_chart_beside_it_be_a_folder(demo, tmp_path):
    (tmp_path / "outage-latency.svg").mkdir()
    refusal = f"{tmp_path / 'outage-latency.svg'} can't be written: Is a directory."
    assert refused("--output", tmp_path / "outage.md") == refusal
    assert [each.name for each in tmp_path.iterdir()] == ["outage-latency.svg"]


def test_what_stood_in_the_file_stays_if_there_is_no_such_incident(demo, tmp_path):
    file = tmp_path / "outage.md"
    file.write_text("Of the last one.")
    assert refused("99", "--output", file) == "There is no incident '99'. There was none yet."
    assert file.read_text() == "Of the last one."


@pytest.mark.parametrize("file", ["", ".", "/"])
def test_a_file_that_has_no_name(incident, file):
    assert refused(incident.pk, f"--output={file}") == f"{file or '.'} can't be written: Is a directory."
