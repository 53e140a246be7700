"""The dashboard: what its code makes, valid for Grafana, about metrics that exist, in one set of colours."""

import json
import re
import warnings
from typing import Any

import pytest
import yaml

from jwtpizza.resilience.retry import RESULTS
from orders import metrics
from tests.live import PROJECT

# Its makers would rather have dashboards in their second format, which Grafana does not read from files by default.
with warnings.catch_warnings(action="ignore", category=DeprecationWarning):
    from grafana_foundation_sdk.cog.encoder import JSONEncoder
    from grafana_foundation_sdk.cog.plugins import register_default_plugins
    from grafana_foundation_sdk.models.dashboard import Dashboard

    from ops.grafana import dashboard

PAGE = json.loads(dashboard.JSON.read_text())
PANELS = [panel for panel in PAGE["panels"] if panel["type"] != "row"]
TARGETS = [(panel, target) for panel in PANELS for target in panel["targets"]]
EXPRESSIONS = [target["expr"] for _, target in TARGETS] + [mark["expr"] for mark in PAGE["annotations"]["list"]]
METRICS = [expression for expression in EXPRESSIONS if "source=" not in expression]
OVERRIDES = [(panel, change) for panel in PANELS for change in panel.get("fieldConfig", {}).get("overrides", [])]


def test_the_file_is_what_the_code_makes():
    assert dashboard.JSON.read_text() == dashboard.made(), "run: python -m ops.grafana.dashboard"


def test_grafanas_own_types_read_it_and_lose_nothing():
    register_default_plugins()

    read = Dashboard.from_json(PAGE)

    assert json.loads(json.dumps(read, cls=JSONEncoder)) == PAGE


def documented() -> set[str]:
    return set(re.findall(r"^\| `(jwtpizza_\w+)` \|", (PROJECT / "docs/metrics.md").read_text(), re.MULTILINE))


def named(expression: str) -> set[str]:
    return set(re.findall(r"\b(?:jwtpizza|django)_\w+", expression))


def test_each_metric_of_ours_is_documented_and_each_that_is_documented_is_drawn():
    drawn = {name.removesuffix("_bucket") for expression in METRICS for name in named(expression)}

    assert {name for name in drawn if name.startswith("jwtpizza_")} == documented()


@pytest.mark.parametrize("expression", METRICS)
def test_counters_are_asked_for_what_they_grow_by(expression):
    for name in re.findall(r"\b\w+_(?:total|bucket)\b[^[]*?\[([^]]*)\]", expression):
        assert name in {"$__rate_interval", "$__range", "1m"}
    bare = re.findall(r"(?<!rate\()(?<!increase\()\b(?:jwtpizza|django)_\w+_(?:total|bucket)\b", expression)
    assert not bare


def test_each_graph_of_a_counter_uses_the_rate_interval():
    for panel, target in TARGETS:
        if panel["type"] == "timeseries" and re.search(r"_(total|bucket)\b", target["expr"]):
            assert "[$__rate_interval]" in target["expr"], panel["title"]
            assert "[$__range]" not in target["expr"], panel["title"]


def test_every_data_source_is_a_variable():
    variables = {variable["name"]: variable["query"] for variable in PAGE["templating"]["list"]}
    assert variables == {"prometheus": "prometheus", "loki": "loki"}
    for asked in (*PANELS, *(target for _, target in TARGETS), *PAGE["annotations"]["list"]):
        kind = asked["datasource"]["type"]
        assert asked["datasource"] == {"type": kind, "uid": f"${{{kind}}}"}


def test_the_panels_fill_the_page_without_a_gap_or_an_overlap():
    covered: set[tuple[int, int]] = set()
    for panel in PAGE["panels"]:
        at = panel["gridPos"]
        own = {(x, y) for x in range(at["x"], at["x"] + at["w"]) for y in range(at["y"], at["y"] + at["h"])}
        assert not own & covered, panel["title"]
        covered |= own
    depth = max(y for _, y in covered) + 1
    assert covered == {(x, y) for x in range(24) for y in range(depth)}


def test_each_panel_says_what_it_is():
    titles = [panel["title"] for panel in PANELS]
    assert len(set(titles)) == len(titles)
    for panel in PANELS:
        assert panel["description"].endswith("."), panel["title"]


def test_the_order_of_the_rows_is_an_operators():
    assert [row["title"] for row in PAGE["panels"] if row["type"] == "row"] == list(dashboard.ROWS)


def test_each_value_of_a_label_has_its_colour():
    assert set(dashboard.ATTEMPTS) == set(metrics.ATTEMPTS)
    assert set(dashboard.RETRIES) == set(RESULTS)
    for counter, label, colours in (
        (metrics.orders, "outcome", {*dashboard.OUTCOMES} - {"promised"}),
        (metrics.refusals, "reason", set(dashboard.REFUSALS)),
        (metrics.transitions, "to", set(dashboard.CIRCUITS)),
    ):
        assert {sample.labels[label] for family in counter.collect() for sample in family.samples} == colours


def colours_of(name: str) -> set[str]:
    return {
        change["value"]["fixedColor"]
        for _, override in OVERRIDES
        for change in override["properties"]
        if override["matcher"]["options"] == name and change["id"] == "color"
    }


def test_one_meaning_has_one_colour():
    assert colours_of("fulfilled") == {"green"}
    assert colours_of("failed") == {"red"}
    assert colours_of("refused") == {"orange"}
    for panel, override in OVERRIDES:
        assert len(colours_of(override["matcher"]["options"])) == 1, panel["title"]


@pytest.mark.parametrize("expression", [expression for expression in EXPRESSIONS if "source=" in expression])
def test_the_logs_are_found_by_the_labels_that_they_are_pushed_with(expression):
    selector, _, rest = expression.removeprefix("{").partition("}")
    assert set(re.findall(r"(\w+)=~?\"", selector)) <= {"source", "component", "level", "type"}
    assert 'source="jwt-pizza-service"' in selector
    assert rest == " | json"


def provisioned(file: str) -> Any:
    return yaml.safe_load((PROJECT / "ops/grafana/provisioning" / file).read_text())


def test_a_source_of_each_kind_is_provisioned():
    sources = {source["uid"]: source for source in provisioned("datasources/datasources.yml")["datasources"]}
    assert {source["type"] for source in sources.values()} == {"prometheus", "loki"}
    scraped = yaml.safe_load((PROJECT / "ops/prometheus/prometheus.yml").read_text())
    assert sources["prometheus"]["jsonData"]["timeInterval"] == scraped["global"]["scrape_interval"]
