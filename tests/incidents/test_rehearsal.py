"""manage.py incident_report --rehearse, as far as nothing is started; tests/e2e has the rest."""

import pytest
from django.core.management import CommandError, call_command


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        (["1", "--rehearse"], "A rehearsal reports an incident of its own, so that no other can be named."),
        (["1", "--seconds=12"], "--seconds is for --rehearse."),
        (["--rehearse", "--seconds=9"], "--seconds is a number from 10 to 3600, not 9."),
        (["--rehearse", "--seconds=nan"], "--seconds is a number from 10 to 3600, not nan."),
        (["--rehearse", "--timezone=Mars"], "There is no time zone 'Mars'; one is written as America/Denver."),
        (
            ["--rehearse", "--output=/nowhere/report.md"],
            "/nowhere/report.md can't be written: No such file or directory.",
        ),
        (["--rehearse", "--output=/"], "/ can't be written: Is a directory."),
    ],
)
def test_what_it_can_t_do_is_said_before_anything_starts(arguments, sentence):
    with pytest.raises(CommandError) as refused:
        call_command("incident_report", *arguments)
    assert str(refused.value) == sentence


def test_no_file_is_left_of_a_rehearsal_that_is_refused(tmp_path):
    with pytest.raises(CommandError, match="--seconds is a number"):
        call_command("incident_report", "--rehearse", "--seconds=9", f"--output={tmp_path / 'report.md'}")
    assert list(tmp_path.iterdir()) == []


def test_it_is_refused_in_production(settings):
    settings.PRODUCTION = True
    with pytest.raises(CommandError, match="There is no rehearsal in production"):
        call_command("incident_report", "--rehearse")
