"""A report as Markdown, as GitHub and most others read it."""

import re
from collections.abc import Mapping
from datetime import tzinfo
from typing import Any
from urllib.parse import quote

from django.template import Context, Engine
from django.utils.safestring import SafeString

from jwtpizza.charts import Chart
from jwtpizza.incidents.serializers import sections
from jwtpizza.incidents.services.reports import Report

ENGINE = Engine(app_dirs=True)
MARKUP = re.compile(r"[\\`*\[\]<>|~$]|(?<!\w)_|_(?!\w)|&(?=#?\w+;)|^(?:[-+#=]|\d+(?=[.)]\s))")


def as_markdown(report: Report, zone: tzinfo | None, *, charts: Mapping[str, Chart] | None = None) -> str:
    """Times are UTC, and in that zone too. `charts` are pictures by their addresses; without them it is all text."""
    told = sections.of(report, zone)
    context = {name: _escaped(part) for name, part in told._asdict().items() if name not in ("answers", "notes")}
    pictures = [(quote(address), _escaped(chart.name)) for address, chart in (charts or {}).items()]
    context |= {"answers": [(_line(each.what), _fenced(each.body)) for each in told.answers]}
    context |= {"notes": _quoted(told.notes), "pictures": pictures}
    text = ENGINE.get_template("incidents/report.md").render(Context(context, autoescape=False))
    return re.sub(r"\n{3,}", "\n\n", text).strip() + "\n"


def _escaped(value: Any) -> Any:
    """The same with each text in it on one line, in which nothing is markup."""
    if isinstance(value, str):
        return _line(value)
    if isinstance(value, tuple) and hasattr(value, "_fields"):
        return type(value)(*map(_escaped, value))
    if isinstance(value, (list, tuple)):
        return [_escaped(each) for each in value]
    return value


def _line(text: str) -> SafeString:
    line = " ".join(text.split())
    return SafeString(MARKUP.sub(lambda found: _literal(found[0]), line))


def _literal(sign: str) -> str:
    """A number before a dot would begin a list: it is the dot that is escaped then."""
    return f"{sign}\\" if sign.isdigit() else f"\\{sign}"


def _fenced(text: str) -> str:
    """In a fence that is longer than any in the text."""
    longest = max(map(len, re.findall("`+", text)), default=0)
    fence = "`" * max(3, longest + 1)
    return f"{fence}json\n{text}\n{fence}"


def _quoted(text: str) -> str:
    """Its paragraphs, with their lines as they are broken."""
    paragraphs = [part.splitlines() for part in re.split(r"\n\s*\n", text)]
    return "\n>\n".join("\\\n".join(f"> {_line(line)}" for line in lines) for lines in paragraphs) if text else ""
