"""The operator's dashboard: `python -m ops.grafana.dashboard` writes dashboards/jwt-pizza.json out of what stands here.

It is read from top to bottom: is something wrong, what do diners feel, is it the factory or us, what do the logs say.
"""

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from types import MappingProxyType
from typing import NamedTuple

from grafana_foundation_sdk.builders import common as build
from grafana_foundation_sdk.builders import dashboard as builders
from grafana_foundation_sdk.builders import logs, loki, prometheus, stat, timeseries
from grafana_foundation_sdk.cog.encoder import JSONEncoder
from grafana_foundation_sdk.models import common, dashboard

JSON = Path(__file__).parent / "dashboards" / "jwt-pizza.json"
PROMETHEUS = common.DataSourceRef("prometheus", "${prometheus}")
LOKI = common.DataSourceRef("loki", "${loki}")
# Where Prometheus serves the pages of ops/runbooks.
RUNBOOKS = "http://localhost:9090/user"

A_MINUTE, A_SECOND, SECONDS, RATIO, COUNT, BITCOIN = "opm", "reqps", "s", "percentunit", "short", "prefix:₿ "

# One colour for one meaning, wherever it is drawn.
GOOD, BAD, REFUSED, WAITING, PROBING = "green", "red", "orange", "blue", "yellow"
OUTCOMES = {"fulfilled": GOOD, "failed": BAD, "refused": REFUSED, "promised": WAITING}
ATTEMPTS = {
    "ok": GOOD,
    "server_error": BAD,
    "unreachable": "dark-red",
    "timeout": "dark-orange",
    "bad_response": "light-red",
    "bad_jwt": "dark-purple",
    "unverified": "light-purple",
    "rejected": "light-yellow",
    "unauthorized": "dark-yellow",
    "chaos": "light-orange",
}
CIRCUITS = {"closed": GOOD, "half-open": PROBING, "open": BAD}
RETRIES = {"ok": GOOD, "failed": BAD, "refused": REFUSED, "no_budget": "dark-yellow", "no_time": "light-yellow"}
REFUSALS = {"open": BAD, "probing": PROBING, "bulkhead": "dark-orange", "deadline": "dark-red"}
LOGINS = {"success": GOOD, "failure": BAD, "refused": REFUSED}
QUANTILES = {"p50": "light-blue", "p95": "blue", "p99": "dark-blue"}
WHOSE = {"the factory's": BAD, "orders answered 5xx": "dark-orange", "our own": "purple"}

# The deadline of a call is 5 s, and the breaker calls 2 s slow.
ORDER_STEPS = {GOOD: None, "yellow": 2, BAD: 5}
# Our own endpoints take 1 to 5 ms, a login 60.
ENDPOINT_STEPS = {GOOD: None, "yellow": 0.25, BAD: 1}
ANY_IS_BAD = {GOOD: None, BAD: 1}
BUSY_STEPS = {GOOD: None, "yellow": 0.75, BAD: 0.9}

Steps = Mapping[str, float | None]


class Query(NamedTuple):
    """What is asked, and the name under which the answer is drawn."""

    expr: str
    legend: str = ""


def rate(metric: str, *matchers: str) -> str:
    """By how much it grows, a second."""
    return f"rate({_of(metric, matchers)}[$__rate_interval])"


def a_minute(*by: str, metric: str, matchers: Sequence[str] = ()) -> str:
    """How many a minute, of all processes; one for each value of the labels `by`."""
    return f"{_sum(by)}({rate(metric, *matchers)}) * 60"


def in_range(metric: str, *matchers: str) -> str:
    """How many in the time that the dashboard shows."""
    return f"sum(increase({_of(metric, matchers)}[$__range]))"


def quantiles(rates: str) -> list[Query]:
    """The median, and what 1 in 20 and 1 in 100 exceed."""
    shares = {"p50": 0.5, "p95": 0.95, "p99": 0.99}
    return [Query(f"histogram_quantile({share}, sum by (le) ({rates}))", name) for name, share in shares.items()]


def _sum(by: Sequence[str]) -> str:
    return f"sum by ({', '.join(by)}) " if by else "sum"


def _of(metric: str, matchers: Sequence[str]) -> str:
    return f"{metric}{{{', '.join(matchers)}}}" if matchers else metric


# django-prometheus's names are those of any Django that is scraped: hence the job.
JOB = 'job="jwtpizza"'
FULFILLED = 'outcome="fulfilled"'
SERVER_ERROR = 'status=~"5.."'
PLACING = ('view="orders.views.OrderViewSet"', 'method="POST"')
RESPONSES = "django_http_responses_total_by_status_view_method_total"
LATENCY = "django_http_requests_latency_seconds_by_view_method_bucket"


def elsewhere(metric: str, *matchers: str) -> str:
    """The rates of all endpoints but the one that waits for the factory."""
    return f"{rate(metric, JOB, *matchers)} unless {rate(metric, JOB, *PLACING)}"


def _thresholds(steps: Steps) -> builders.ThresholdsConfig:
    bounds = [dashboard.Threshold(value, colour) for colour, value in steps.items()]
    return builders.ThresholdsConfig().mode(dashboard.ThresholdsMode.ABSOLUTE).steps(bounds)


def number(
    title: str,
    expr: str,
    description: str,
    *,
    unit: str = COUNT,
    steps: Steps | None = None,
    texts: Mapping[str, tuple[str, str]] | None = None,
    nothing: str = "none",
    decimals: int | None = 0,
    legend: str = "",
) -> stat.Panel:
    """One number as it is now; `texts` has a word and a colour for some, `nothing` the word for no answer."""
    panel = stat.Panel().title(title).description(description).unit(unit).no_value(nothing).span(3).height(4)
    panel.datasource(PROMETHEUS).thresholds(_thresholds(steps or {"text": None}))
    panel.color_mode(common.BigValueColorMode.BACKGROUND if steps else common.BigValueColorMode.NONE)
    panel.graph_mode(common.BigValueGraphMode.NONE)
    panel.reduce_options(build.ReduceDataOptions().calcs(["lastNotNull"]))
    if decimals is not None:
        panel.decimals(decimals)
    if texts:
        options = {value: dashboard.ValueMappingResult(text, colour) for value, (text, colour) in texts.items()}
        panel.mappings([dashboard.ValueMap(options)])
    return panel.with_target(_target(Query(expr, legend)).instant())


def _target(query: Query, name: str = "A") -> prometheus.Dataquery:
    target = prometheus.Dataquery().datasource(PROMETHEUS).ref_id(name)
    return target.expr(query.expr).legend_format(query.legend or "__auto")


def graph(
    title: str,
    unit: str,
    queries: Sequence[Query],
    description: str,
    *,
    width: int = 8,
    colours: Mapping[str, str] = MappingProxyType({}),
    stacked: bool = False,
    steps: Steps | None = None,
    most: float | None = None,
    right: Mapping[str, str] = MappingProxyType({}),
) -> timeseries.Panel:
    """Curves over time. `steps` draws its bounds as lines; `right` has curves with an axis and a unit of their own."""
    panel = timeseries.Panel().title(title).description(description).unit(unit).span(width).height(8).min(0)
    panel.datasource(PROMETHEUS).legend(_legend()).tooltip(_tooltip()).fill_opacity(60 if stacked else 10)
    panel.line_width(1).show_points(common.VisibilityMode.NEVER)
    if stacked:
        panel.stacking(build.StackingConfig().mode(common.StackingMode.NORMAL).group("A"))
    if steps:
        lines = build.GraphThresholdsStyleConfig().mode(common.GraphThresholdsStyleMode.DASHED)
        panel.thresholds(_thresholds(steps)).thresholds_style(lines)
    if most is not None:
        panel.max(most)
    for letter, query in zip("ABCDEF", queries, strict=False):
        panel.with_target(_target(query, letter).range())
    for name, colour in colours.items():
        panel.override_by_name(name, [_set("color", {"mode": "fixed", "fixedColor": colour})])
    for name, other in right.items():
        panel.override_by_name(name, [_set("unit", other), _set("custom.axisPlacement", "right")])
    return panel


def _set(field: str, value: object) -> dashboard.DynamicConfigValue:
    return dashboard.DynamicConfigValue(field, value)


def _legend() -> build.VizLegendOptions:
    legend = build.VizLegendOptions().show_legend(True).placement(common.LegendPlacement.BOTTOM)
    return legend.display_mode(common.LegendDisplayMode.LIST).calcs([])


def _tooltip() -> build.VizTooltipOptions:
    return build.VizTooltipOptions().mode(common.TooltipDisplayMode.MULTI).sort(common.SortOrder.DESCENDING)


def lines(title: str, expr: str, description: str) -> logs.Panel:
    """Log lines, the newest first; what a line holds opens beneath it."""
    panel = logs.Panel().title(title).description(description).datasource(LOKI).span(12).height(12)
    panel.show_time(True).enable_log_details(True).wrap_log_message(True).sort_order(common.LogsSortOrder.DESCENDING)
    return panel.with_target(_logql(expr))


def _logql(expr: str) -> loki.Dataquery:
    return loki.Dataquery().datasource(LOKI).ref_id("A").expr(expr).query_type("range").max_lines(200)


NOW = (
    number(
        "Alerts firing",
        'sum(ALERTS{alertstate="firing"}) or vector(0)',
        "Of this Prometheus. What each means and what to do is in its runbook, linked above.",
        steps=ANY_IS_BAD,
    ),
    number(
        "Canary",
        "max(jwtpizza_factory_up)",
        "Whether a diner would have got the pizza that the worker last had made for nobody. It needs no traffic.",
        texts={"0": ("fails", BAD), "1": ("makes pizza", GOOD)},
        steps={BAD: None, GOOD: 1},
        nothing="flies none",
    ),
    number(
        "Circuits not closed",
        'sum(max by (state) (jwtpizza_factory_breaker_workers{state!="closed"}))',
        "Processes that take orders and refuse some or all, for they found the factory broken.",
        steps=ANY_IS_BAD,
    ),
    number(
        "Last pizza",
        "time() - max(jwtpizza_factory_last_success_timestamp_seconds > 0)",
        "How long ago the factory last made one that verified.",
        unit=SECONDS,
        decimals=None,
        steps={GOOD: None, "yellow": 120, BAD: 300},
        nothing="never",
    ),
    number(
        "Orders fulfilled",
        f"{in_range('jwtpizza_orders_total', FULFILLED)} / ({in_range('jwtpizza_orders_total')} > 0)",
        "Of all that were decided in the time shown. The aim is 99.9 %.",
        unit=RATIO,
        decimals=2,
        steps={BAD: None, "yellow": 0.99, GOOD: 0.999},
        nothing="no orders",
    ),
    number(
        "Pending",
        "max(jwtpizza_orders_pending)",
        "Orders that nobody has decided yet: under way, or promised.",
        steps={"text": None, "yellow": 20, BAD: 100},
    ),
    number(
        "Oldest pending",
        "max(jwtpizza_orders_oldest_pending_seconds)",
        "An order under way takes 5 s at most, an abandoned one is decided after 30. A promised one may wait a day.",
        unit=SECONDS,
        decimals=None,
        steps={GOOD: None, "yellow": 60, BAD: 600},
    ),
    number(
        "Scraped",
        'sum(up{job=~"jwtpizza.*"}) / count(up{job=~"jwtpizza.*"})',
        "The service's and the worker's pages that answer Prometheus. What does not is missing in all that follows.",
        unit=RATIO,
        steps={BAD: None, GOOD: 1},
        nothing="nothing",
    ),
)
TOTALS = (
    number("Fulfilled", in_range("jwtpizza_orders_total", FULFILLED), "In the time shown."),
    number(
        "Failed",
        in_range("jwtpizza_orders_total", 'outcome="failed"'),
        "In the time shown: written, and told to the diner as not made. Nothing was charged.",
        steps=ANY_IS_BAD,
    ),
    number(
        "Refused",
        in_range("jwtpizza_orders_total", 'outcome="refused"'),
        "In the time shown: answered 503 at once, with nothing written.",
        steps={GOOD: None, REFUSED: 1},
    ),
    number(
        "Promised", in_range("jwtpizza_orders_promised_total"), "In the time shown: answered 202, to be made later."
    ),
    number("Pizzas sold", in_range("jwtpizza_pizzas_sold_total"), "In the time shown."),
    number("Revenue", in_range("jwtpizza_revenue_total"), "In the time shown.", unit=BITCOIN, decimals=4),
    number("Active users", "max(jwtpizza_active_users)", "Distinct users seen in the last 5 minutes."),
    number(
        "Database, and Redis if there is one",
        "min(jwtpizza_database_up)",
        "Whether each answered when the page was last scraped. Nothing fails while Redis is down.",
        texts={"0": ("down", BAD), "1": ("up", GOOD)},
        steps={BAD: None, GOOD: 1},
        legend="database",
    ).with_target(_target(Query("min(jwtpizza_redis_up)", "Redis"), "B").instant()),
)
ORDERS = (
    graph(
        "Orders fulfilled against failed",
        A_MINUTE,
        [
            Query(a_minute("outcome", metric="jwtpizza_orders_total"), "{{outcome}}"),
            Query(a_minute(metric="jwtpizza_orders_promised_total"), "promised"),
        ],
        "Each order once, when it is decided. Promised orders are decided later, so they are counted twice here.",
        colours=OUTCOMES,
        width=12,
    ),
    graph(
        "Creation failures",
        A_MINUTE,
        [Query(a_minute("status", metric=RESPONSES, matchers=(JOB, *PLACING, 'status!~"2.."')), "{{status}}")],
        "POST /api/order by its answer: 500 and 504 are the factory's failures, 503 refusals, 4xx the caller's own.",
        width=12,
        stacked=True,
    ),
    graph(
        "Pizzas sold per minute",
        A_MINUTE,
        [Query(a_minute(metric="jwtpizza_pizzas_sold_total"), "pizzas")],
        "Pizzas of fulfilled orders.",
        colours={"pizzas": GOOD},
    ),
    graph(
        "Revenue per hour",
        BITCOIN,
        [Query(f"sum({rate('jwtpizza_revenue_total')}) * 3600", "revenue")],
        "What fulfilled orders cost, at the pace of the moment.",
        colours={"revenue": GOOD},
    ),
    graph(
        "Order latency",
        SECONDS,
        quantiles(rate("jwtpizza_order_seconds_bucket")),
        "From an order's arrival to what its diner is told. The lines: what the breaker calls slow, and our deadline.",
        colours=QUANTILES,
        steps=ORDER_STEPS,
    ),
    graph(
        "Orders pending",
        COUNT,
        [
            Query("max(jwtpizza_orders_pending)", "pending"),
            Query("max(jwtpizza_orders_oldest_pending_seconds)", "oldest"),
        ],
        "How many, and on the right how long the oldest of them has waited.",
        colours={"pending": WAITING, "oldest": REFUSED},
        right={"oldest": SECONDS},
        width=12,
    ),
    graph(
        "Whose failures",
        A_MINUTE,
        [
            Query(a_minute(metric="jwtpizza_orders_total", matchers=('outcome=~"failed|refused"',)), "the factory's"),
            Query(a_minute(metric=RESPONSES, matchers=(JOB, *PLACING, SERVER_ERROR)), "orders answered 5xx"),
            Query(f"sum({elsewhere(RESPONSES, SERVER_ERROR)}) * 60 or vector(0)", "our own"),
        ],
        "Orders that the factory failed or could not take, against 5xx answers of every other endpoint. "
        "Where more orders were answered 5xx than the factory failed, we broke them ourselves.",
        colours=WHOSE,
        width=12,
    ),
)
FACTORY = (
    graph(
        "Attempts by outcome",
        A_MINUTE,
        [Query(a_minute("outcome", metric="jwtpizza_factory_attempts_total"), "{{outcome}}")],
        "Requests for a diner's pizza. unauthorized is our key, rejected our order, chaos our switch; all others "
        "but ok are the factory's.",
        colours=ATTEMPTS,
        stacked=True,
    ),
    graph(
        "Factory latency",
        SECONDS,
        [
            *quantiles(rate("jwtpizza_factory_attempt_seconds_bucket")),
            Query("max(jwtpizza_factory_canary_seconds)", "canary"),
        ],
        "Of one attempt, whatever came of it. The canary may take two, as an order may.",
        colours=QUANTILES | {"canary": PROBING},
        steps=ORDER_STEPS,
    ),
    graph(
        "Circuits by state",
        COUNT,
        [Query("max by (state) (jwtpizza_factory_breaker_workers)", "{{state}}")],
        "How many processes that take orders have theirs closed (all is well), open (all is refused) or half-open.",
        colours=CIRCUITS,
        stacked=True,
    ),
    graph(
        "Circuit changes",
        COUNT,
        [
            Query(
                "sum by (from, to) (increase(jwtpizza_factory_breaker_transitions_total[$__rate_interval]))",
                "{{from}} → {{to}}",
            )
        ],
        "half-open → open is a probe that failed: the circuit then stays open for twice as long.",
        width=6,
    ),
    graph(
        "Retries",
        A_MINUTE,
        [Query(a_minute("result", metric="jwtpizza_factory_retries_total"), "{{result}}")],
        "Second attempts that were due. no_budget: more than 1 call in 10 would have been tried again.",
        colours=RETRIES,
        stacked=True,
        width=6,
    ),
    graph(
        "Refusals",
        A_MINUTE,
        [Query(a_minute("reason", metric="jwtpizza_factory_refusals_total"), "{{reason}}")],
        "Calls that were not made: the circuit is open or probing, too many wait, or the deadline had passed.",
        colours=REFUSALS,
        stacked=True,
        width=6,
    ),
    graph(
        "Calls under way",
        COUNT,
        [Query("sum(jwtpizza_factory_in_flight)", "in flight")],
        "Requests for a pizza at this moment; 8 for each process at most, and a canary.",
        width=6,
    ),
    graph(
        "Canary over time",
        COUNT,
        [Query("max(jwtpizza_factory_up)", "up")],
        "1 while the last canary pizza was good. A gap is a worker that flies none.",
        colours={"up": GOOD},
        most=1,
        width=12,
    ),
    graph(
        "Since the last success",
        SECONDS,
        [
            Query("time() - max(jwtpizza_factory_last_success_timestamp_seconds > 0)", "pizza"),
            Query("time() - max(jwtpizza_factory_canary_timestamp_seconds)", "canary's return"),
        ],
        "How old the last good pizza and the canary's last word are.",
        colours={"pizza": GOOD, "canary's return": PROBING},
        width=12,
    ),
)
SERVICE = (
    graph(
        "Endpoint latency",
        SECONDS,
        quantiles(elsewhere(LATENCY)),
        "Of every endpoint but POST /api/order, which waits for the factory.",
        colours=QUANTILES,
        steps=ENDPOINT_STEPS,
    ),
    graph(
        "p95 by endpoint",
        SECONDS,
        [
            Query(
                f"histogram_quantile(0.95, sum by (le, method, view) ({rate(LATENCY, JOB)}))",
                "{{method}} {{view}}",
            )
        ],
        "The view that answers, by its name in the code.",
    ),
    graph(
        "Requests by method",
        A_SECOND,
        [Query(f"sum by (method) ({rate('django_http_requests_total_by_method_total', JOB)})", "{{method}}")],
        "Requests that reached a view: no files, preflights, redirects to HTTPS or bodies that are too large.",
        stacked=True,
    ),
    graph(
        "Answers by status",
        A_SECOND,
        [Query(f"sum by (status) ({rate('django_http_responses_total_by_status_total', JOB)})", "{{status}}")],
        "Answers of the views: no files, preflights, redirects to HTTPS or bodies that are too large.",
        stacked=True,
    ),
    graph(
        "Logins",
        A_MINUTE,
        [Query(a_minute("result", metric="jwtpizza_auth_attempts_total"), "{{result}}")],
        "To the API and to the admin. Many failures are somebody who guesses passwords, and is refused after some.",
        colours=LOGINS,
        stacked=True,
    ),
    graph(
        "Active users over time",
        COUNT,
        [Query("max(jwtpizza_active_users)", "users")],
        "Distinct users seen in the last 5 minutes, to within a minute.",
    ),
    graph(
        "CPU",
        RATIO,
        [Query("jwtpizza_machine_cpu_ratio", "{{job}} {{instance}}")],
        "How busy the machine's processors are.",
        most=1,
        steps=BUSY_STEPS,
    ),
    graph(
        "Memory",
        RATIO,
        [Query("jwtpizza_machine_memory_ratio", "{{job}} {{instance}}")],
        "How much of the machine's memory is in use.",
        most=1,
        steps=BUSY_STEPS,
    ),
    graph(
        "Log lines lost",
        A_MINUTE,
        [Query(a_minute(metric="jwtpizza_log_lines_dropped_total"), "lost")],
        "Lines that could not be delivered to Loki: what stands below is not all.",
        colours={"lost": BAD},
    ),
)
LINES = '{source="jwt-pizza-service"'
LOGS = (
    lines(
        "Errors",
        f'{LINES}, level=~"error|critical"}} | json',
        "All that was logged as an error: 5xx answers, exceptions with their traceback. The factory's are warnings.",
    ),
    lines(
        "What the factory said",
        f'{LINES}, type="factory"}} | json',
        "A line for each attempt. reportUrl is the support link, its key masked; the admin's button follows it.",
    ),
)
ROWS: Mapping[str, Sequence[stat.Panel | timeseries.Panel | logs.Panel]] = {
    "Now": NOW,
    "In the time shown": TOTALS,
    "Orders: what diners feel": ORDERS,
    "The factory: somebody else's": FACTORY,
    "The service: our own": SERVICE,
    "Logs": LOGS,
}


def _source(name: str, label: str) -> builders.DatasourceVariable:
    return builders.DatasourceVariable(name).label(label).type(name)


def _marks(name: str, expr: str, colour: str, title: str, text: str) -> builders.AnnotationQuery:
    """Marks on every graph, where the expression has a value."""
    mark = builders.AnnotationQuery().name(name).datasource(PROMETHEUS).enable(True).icon_color(colour)
    return mark.expr(expr).step("30s").title_format(title).text_format(text)


def _link(title: str, url: str) -> builders.DashboardLink:
    link = builders.DashboardLink(title).type(dashboard.DashboardLinkType.LINK).icon("doc").url(url)
    return link.target_blank(True)


def _empty() -> builders.Dashboard:
    """The dashboard without its panels."""
    page = builders.Dashboard("JWT Pizza").uid("jwt-pizza").tags(["jwt-pizza"]).readonly()
    page.description("Orders, the factory that makes them, and the service in between.")
    page.time("now-1h", "now").refresh("10s").timezone("utc").tooltip(dashboard.DashboardCursorSync.CROSSHAIR)
    page.with_variable(_source("prometheus", "Prometheus")).with_variable(_source("loki", "Loki"))
    changes = "increase(jwtpizza_factory_breaker_transitions_total[1m])"
    page.annotation(_marks("Circuit", f"sum by (from, to) ({changes}) > 0", REFUSED, "Circuit", "{{from}} → {{to}}"))
    page.annotation(_marks("Alerts", 'ALERTS{alertstate="firing"}', BAD, "{{alertname}}", "{{severity}}"))
    return page.link(_link("Runbooks", f"{RUNBOOKS}/README.md"))


def made() -> str:
    """The dashboard as Grafana reads it: JSON."""
    page = _empty()
    for title, panels in ROWS.items():
        page.with_row(builders.Row(title))
        for panel in panels:
            page.with_panel(panel)
    return json.dumps(page.build(), cls=JSONEncoder, indent=2, ensure_ascii=False) + "\n"


if __name__ == "__main__":
    JSON.write_text(made())
