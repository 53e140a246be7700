"""Writes down what is known of an incident."""

from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo, available_timezones

from django.conf import settings
from django.core.management.base import BaseCommand, CommandError, CommandParser

from jwtpizza.charts import as_file
from jwtpizza.incidents.models import Incident
from jwtpizza.incidents.selectors import troubles
from jwtpizza.incidents.serializers import sections
from jwtpizza.incidents.serializers.formats import FORMATS, written
from jwtpizza.incidents.services.reports import Report, report
from jwtpizza.incidents.services.reports.words import utc
from jwtpizza.management.rehearsal import (
    HEALTHY_SECONDS,
    LEAST_SECONDS,
    MOST_SECONDS,
    ORDER_SECONDS,
    USUAL_SECONDS,
    RehearsalFailed,
    rehearse,
)

# Of the SVG files beside a report in Markdown, in the order of its charts.
PICTURES = ("orders", "latency")


class Command(BaseCommand):
    help = "Prints the report of an incident: made anew from orders and events, with the notes that people added."

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument(
            "incident", nargs="?", metavar="ID", help="its number; without one, those there are are named"
        )
        parser.add_argument("--format", choices=FORMATS, default="md")
        parser.add_argument("--timezone", metavar="ZONE", help="also tells times there, as in America/Denver")
        parser.add_argument(
            "--output", metavar="FILE", help="writes it there; the charts of md are SVG files beside it"
        )

        parser.add_argument(
            "--rehearse",
            action="store_true",
            help="that of an outage that is made up: the service runs on a new database, beside a practice factory"
            " that fails until its support link is followed; needs nothing that runs, touches nothing that is there",
        )
        parser.add_argument(
            "--seconds",
            type=float,
            metavar="N",
            help=f"for how long it fails: {LEAST_SECONDS:g} or more, {USUAL_SECONDS:g} if it is not said. Meanwhile one"
            f" order is placed in {ORDER_SECONDS:g} s; in a shorter outage 4, closer together. The incident is over"
            f" after {HEALTHY_SECONDS:g} s without a failure, or half as long as the outage, if that is less",
        )

    def handle(self, *args: Any, incident: str | None, timezone: str | None, **options: Any) -> None:
        """Raises CommandError for an incident or zone that there is not, and a file that can't be written."""
        zone = _zone(timezone)
        file = _file(options["output"], options["format"])
        if options["rehearse"]:
            if incident is not None:
                raise CommandError("A rehearsal reports an incident of its own, so that no other can be named.")
            self._rehearse(timezone, file, options)
            return
        if options["seconds"] is not None:
            raise CommandError("--seconds is for --rehearse.")
        told = report(_found(incident))
        if file:
            self._write(told, zone, options["format"], file)
        else:
            self.stdout.write(written(told, zone, form=options["format"]), ending="")

    def _rehearse(self, timezone: str | None, file: Path | None, options: dict[str, Any]) -> None:
        seconds = USUAL_SECONDS if options["seconds"] is None else options["seconds"]
        if settings.PRODUCTION:
            raise CommandError("There is no rehearsal in production: it has demo people order from a practice factory.")
        if not LEAST_SECONDS <= seconds <= MOST_SECONDS:
            raise CommandError(f"--seconds is a number from {LEAST_SECONDS:g} to {MOST_SECONDS:g}, not {seconds:g}.")
        flags = [f"--format={options['format']}"] + ([f"--timezone={timezone}"] if timezone else [])
        flags += [f"--output={file.absolute()}"] if file else []
        try:
            told = rehearse(seconds=seconds, report=flags, say=lambda line: self.stderr.write(line, str))
        except RehearsalFailed as failed:
            raise CommandError(str(failed)) from failed
        self.stdout.write(told, ending="")

    def _write(self, told: Report, zone: ZoneInfo | None, form: str, file: Path) -> None:
        charts = sections.of(told, zone).charts if form == "md" else []
        pictures = dict(zip(_pictures(file), charts, strict=False))
        linked = {path.name: chart for path, chart in pictures.items()}
        contents = {file: written(told, zone, form=form, pictures=linked)}
        contents |= {path: as_file(chart) for path, chart in pictures.items()}
        for path, content in contents.items():
            try:
                path.write_text(content, encoding="utf-8")
            except OSError as error:
                raise _unwritable(path, error) from error
        self.stdout.write(", ".join(map(str, contents)))


def _file(name: str | None, form: str) -> Path | None:
    """Where the report goes; tried at once, for a rehearsal takes minutes."""
    if name is None:
        return None
    file = Path(name)
    for path in [file, *(_pictures(file) if form == "md" else [])]:
        try:
            _try_to_write(path)
        except OSError as error:
            raise _unwritable(path, error) from error
    return file


def _try_to_write(path: Path) -> None:
    """Leaves what is there as it is, and nothing where nothing was."""
    is_new = not (path.exists() or path.is_symlink())
    path.open("a").close()
    if is_new:
        path.unlink()


def _unwritable(path: Path, error: OSError) -> CommandError:
    return CommandError(f"{path} can't be written: {error.strerror}.")


def _pictures(file: Path) -> list[Path]:
    return [file.parent / f"{file.stem}-{name}.svg" for name in PICTURES]


def _zone(name: str | None) -> ZoneInfo | None:
    if name is None:
        return None
    if name not in available_timezones():
        raise CommandError(f"There is no time zone {name!r}; one is written as America/Denver.")
    return ZoneInfo(name)


def _found(number: str | None) -> Incident:
    if number is None:
        raise CommandError(f"Which incident? {_newest()}")
    found = Incident.objects.filter(pk=int(number)).first() if number.isdecimal() and len(number) < 19 else None
    if found is None:
        raise CommandError(f"There is no incident {number!r}. {_newest()}")
    return found


def _newest() -> str:
    told = [f"  {each.pk}: first failure {utc(each.first_at)}, {sections.state(each)}" for each in troubles.newest(10)]
    return "\n".join(["The newest are", *told]) if told else "There was none yet."
