"""Each alert tells of something that is measured, leads to a page that helps, and is seen to fire and to be quiet."""

import re
from itertools import chain

import pytest
import yaml

from orders import metrics
from tests.live import PROJECT

OPS = PROJECT / "ops"
RUNBOOKS = OPS / "runbooks"
HEADINGS = ["What it means", "What to look at", "What to do"]


def rules_of(*patterns):
    files = chain.from_iterable(OPS.glob(pattern) for pattern in patterns)
    groups = chain.from_iterable(yaml.safe_load(file.read_text())["groups"] for file in files)
    return [rule for group in groups for rule in group["rules"]]


RULES = rules_of("prometheus/rules/**/*.yml")
LOG_RULES = rules_of("loki/rules.yml")
RECORDED = {rule["record"] for rule in RULES if "record" in rule}
ALERTS = [rule for rule in RULES + LOG_RULES if "alert" in rule]
CASES = [case for file in OPS.glob("prometheus/tests/*.yml") for case in yaml.safe_load(file.read_text())["tests"]]
each_alert = pytest.mark.parametrize("alert", ALERTS, ids=lambda alert: alert["alert"])


def documented():
    """The series of docs/metrics.md, with the values of each label; none where these are not known beforehand."""
    found = {"up": {}}
    rows = re.findall(r"^\| `(\w+)` \| (\w+).*? \| (.*?) \|", (PROJECT / "docs/metrics.md").read_text(), re.MULTILINE)
    for name, kind, labels in rows:
        values = dict(re.findall(r"`([\w]+)`(?:: ([^`]*\w))?", labels))
        known = {label: set(filter(None, told.split(", "))) for label, told in values.items()}
        suffixes = ("_bucket", "_count", "_sum") if kind == "histogram" else ("",)
        found |= {name + suffix: known for suffix in suffixes}
    return found


def selected(expression):
    """Each series that an expression asks for, with what it asks of its labels."""
    for name, conditions in re.findall(r"\b((?:jwtpizza|django)[\w:]*|up)\b(?:\{([^}]*)\})?", expression):
        yield name, re.findall(r'(\w+)(?:=~|!~|!=|=)"([^"]*)"', conditions)


@each_alert
def test_it_says_who_is_woken_what_is_wrong_and_where_to_read_on(alert):
    assert alert["labels"]["severity"] in {"page", "ticket"}
    told = alert["annotations"]
    assert set(told) == {"summary", "description", "runbook_url"}
    base, _, page = told["runbook_url"].rpartition("/user/")
    assert base in {"{{ $externalURL }}", "http://localhost:9090"}
    assert f"`{alert['alert']}`" in (RUNBOOKS / page).read_text().split("##")[0]


@each_alert
def test_it_stands_in_the_index(alert):
    page = alert["annotations"]["runbook_url"].rsplit("/", 1)[1]
    row = rf"\| `{alert['alert']}` \({alert['labels']['severity']}\) \| \[.+\]\({page}\) \|"
    assert re.search(row, (RUNBOOKS / "README.md").read_text())


def test_each_page_has_its_three_parts_and_its_links_lead_somewhere():
    pages = set(RUNBOOKS.glob("*.md"))
    for page in pages - {RUNBOOKS / "README.md"}:
        text = page.read_text()
        assert re.findall(r"^## (.+)", text, re.MULTILINE) == HEADINGS, page.name
        assert {RUNBOOKS / link for link in re.findall(r"\]\((\w+\.md)\)", text)} <= pages, page.name


def test_each_page_is_linked():
    linked = {alert["annotations"]["runbook_url"].rsplit("/", 1)[1] for alert in ALERTS}
    assert {page.name for page in RUNBOOKS.glob("*.md")} == linked | {"README.md"}


def test_each_panel_that_a_page_names_is_on_the_dashboard():
    board = (OPS / "grafana/dashboards/jwt-pizza.json").read_text()
    panels = set(re.findall(r'"title": "(.+)"', board)) | {"JWT Pizza"}
    named = {
        name
        for page in RUNBOOKS.glob("*.md")
        for name in re.findall(r"(?<![*\w])\*([^*\n]+)\*(?!\*)", page.read_text())
    }
    assert named - {"Status → Targets"} <= panels


def test_the_button_that_the_pages_name_is_the_admins():
    template = (PROJECT / "orders/templates/admin/orders/follow_support_link.html").read_text()
    assert "Follow the factory's support link" in template
    assert "**Follow the factory's support link**" in (RUNBOOKS / "orders_lost.md").read_text()


@pytest.mark.parametrize("rule", RULES, ids=lambda rule: rule.get("alert") or rule["record"])
def test_it_asks_for_what_docs_metrics_md_has(rule):
    known = documented()
    queries = re.findall(r'query "(.*?)" *}}', str(rule.get("annotations", "")))
    for name, conditions in chain.from_iterable(selected(text) for text in [rule["expr"], *queries]):
        assert name in set(known) | RECORDED
        for label, wanted in conditions:
            values = known.get(name, {}).get(label)
            if values:
                assert set(wanted.split("|")) <= values, f"{name}: {label}"


def test_the_bounds_that_rules_go_by_are_those_of_the_histograms():
    bounds = {str(bound) for bound in metrics.SECONDS}
    asked = set(re.findall(r'le="([\d.]+)"', str(RULES)))
    assert asked == {"2.0"}
    assert asked <= bounds


@pytest.mark.parametrize("alert", [rule["alert"] for rule in RULES if "alert" in rule])
def test_it_is_seen_to_fire_and_to_be_quiet(alert):
    seen = [
        bool(judged.get("exp_alerts"))
        for case in CASES
        for judged in case["alert_rule_test"]
        if judged["alertname"] == alert
    ]
    assert set(seen) == {True, False}


@pytest.mark.parametrize("record", sorted(RECORDED))
def test_it_is_seen_to_be_something_and_nothing(record):
    values = {
        sample["value"]
        for case in CASES
        for judged in case.get("promql_expr_test", [])
        if re.search(rf"{record}(?![\w:])", judged["expr"])
        for sample in judged["exp_samples"]
    }
    assert len(values) > 1


def test_what_is_off_is_one_line_away():
    text = (OPS / "prometheus/prometheus.yml").read_text()
    [line] = re.findall(r"^  # - (rules/off/.*\.yml)$", text, re.MULTILINE)
    assert (OPS / "prometheus" / line).exists()
    assert yaml.safe_load(text)["rule_files"] == ["rules/*.yml"]


def test_the_chains_alert_on_the_log_stands_as_it_was_given():
    chains, lenient = LOG_RULES
    assert chains["expr"] == 'sum(count_over_time({source="jwt-pizza-service"} | json | statusCode >= 500 [5m])) > 0'
    assert lenient["expr"] == chains["expr"].replace("| json |", '| json | __error__="" |')


def test_pages_and_tickets_have_a_receiver_each():
    config = yaml.safe_load((OPS / "alertmanager/alertmanager.yml").read_text())
    assert {receiver["name"] for receiver in config["receivers"]} == {"page", "ticket"}
    assert config["route"]["receiver"] == "ticket"
    [page] = config["route"]["routes"]
    assert (page["receiver"], page["matchers"]) == ("page", ['severity="page"'])


def test_no_word_waits_for_longer_than_30_seconds_because_another_was_just_sent():
    route = yaml.safe_load((OPS / "alertmanager/alertmanager.yml").read_text())["route"]
    for each in (route, *({**route, **child} for child in route["routes"])):
        for wait in ("group_wait", "group_interval"):
            assert int(re.fullmatch(r"(\d+)s", each[wait])[1]) <= 30, each["receiver"]
