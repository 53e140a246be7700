"""A report in the format that is asked for."""

import json
from collections.abc import Mapping
from datetime import tzinfo

from jwtpizza.charts import Chart
from jwtpizza.incidents.serializers.html import as_html
from jwtpizza.incidents.serializers.json import as_json
from jwtpizza.incidents.serializers.markdown import as_markdown
from jwtpizza.incidents.services.reports import Report

FORMATS = {"md": "text/markdown", "html": "text/html", "json": "application/json"}


def written(report: Report, zone: tzinfo | None, *, form: str, pictures: Mapping[str, Chart] | None = None) -> str:
    """As one of FORMATS, which has the media type of each. `pictures` are for md: charts by their addresses."""
    if form == "md":
        return as_markdown(report, zone, charts=pictures)
    if form == "html":
        return as_html(report, zone)
    return json.dumps(as_json(report), ensure_ascii=False, indent=2) + "\n"
