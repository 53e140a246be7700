"""A report as Markdown, and as what a reader of Markdown makes of it."""

import re
from zoneinfo import ZoneInfo

import pytest
from markdown_it import MarkdownIt

from jwtpizza.incidents.serializers import sections
from jwtpizza.incidents.serializers.markdown import as_markdown
from jwtpizza.incidents.services.reports import Action, Moment
from tests.incidents import written

DENVER = ZoneInfo("America/Denver")
HOSTILE = "<script>alert(1)</script> | `x` *b* [a](http://b) _c_ ~~d~~ &lt; \\ # e $x$"
HEADINGS = [
    "Incident 7: SEV-2, closed",
    "Summary",
    "Severity",
    "Impact",
    "Symptoms",
    "Unaffected",
    "Detection",
    "Timeline",
    "Root cause",
    "Resolution",
    "Orders and latency",
    "Action items",
    "Notes",
]


def read(report, zone=None, **how):
    """As HTML, as CommonMark with tables has it."""
    return MarkdownIt("commonmark").enable("table").render(as_markdown(report, zone, **how))


def rows(html, heading):
    """Of the first table under that heading."""
    table = re.search(rf"<h\d>{heading}</h\d>.*?<tbody>(.*?)</tbody>", html, re.DOTALL)[1]
    return [re.findall(r"<td>(.*?)</td>", row) for row in re.findall(r"<tr>.*?</tr>", table, re.DOTALL)]


def with_notes(notes):
    return written.report(of=written.facts(incident=written.incident(notes=notes)))


def test_every_section_is_there_in_its_order():
    assert re.findall(r"<h\d>(.*?)</h\d>", read(written.report())) == HEADINGS


def test_the_timeline_has_a_column_for_the_zone_that_was_asked_for():
    html = read(written.report(), DENVER)
    assert rows(html, "Timeline")[0] == [
        "2025-12-02 19:33:37",
        "2025-12-02 12:33:37",
        "The first order failed (server_error).",
    ]
    assert "<th>America/Denver</th>" in html


def test_without_a_zone_times_are_utc_alone():
    assert rows(read(written.report()), "Timeline")[0] == [
        "2025-12-02 19:33:37",
        "The first order failed (server_error).",
    ]


def test_the_figures_are_those_of_the_facts():
    figures = dict(rows(read(written.report()), "Impact"))
    assert figures["Orders that diners sent meanwhile"] == "18"
    assert figures["Promised"] == "1, 1 of them made later"
    assert figures["Revenue not taken, at menu prices"] == "₿ 0.0624"
    assert figures["Canary pizzas, by outcome"] == "ok 6, server_error 3"
    assert figures["From the first failure to the last"] == "2 min 55 s"
    assert "Our own errors, by name" not in figures


def test_each_cause_says_whether_it_is_evidence_or_inference():
    html = read(written.report())
    assert "<strong>evidence:</strong> The factory answered 3 of 3 orders" in html
    assert "<strong>inference:</strong> It stood still on purpose" in html


def test_a_real_answer_is_shown_as_json():
    assert '"message": "Failed to fulfill order at factory",\n' in as_markdown(written.report(), None)


def test_an_incident_that_is_open_says_so():
    report = written.report(of=written.facts(incident=written.incident(closed_at=None, is_open=True)), resolution=[])
    html = read(report)
    assert "Incident 7: SEV-2, open" in html
    assert dict(rows(html, "Impact"))["Closed"] == "not yet"
    assert "It is not over yet." in html


def test_spans_in_which_no_order_was_decided_are_left_out():
    told = rows(read(written.report()), "Orders and latency")
    assert len(told) == 21
    assert told[0] == ["2025-12-02 19:32:30", "1", "0", "0", "0.120 s", "0.300 s"]
    assert told[3][1:] == ["0", "1", "2", "–", "–"]


def test_the_figures_of_spans_have_both_columns_of_time_as_all_tables_have():
    html = read(written.report(), DENVER)
    assert rows(html, "Orders and latency")[0][:3] == ["2025-12-02 19:32:30", "2025-12-02 12:32:30", "1"]
    headers = re.findall(r"<th>(.*?)</th>", html.partition("<h2>Orders and latency</h2>")[2])
    assert headers == ["UTC", "America/Denver", "made", "failed", "refused", "mean", "slowest"]


def test_where_our_own_errors_broke_orders_they_are_drawn_and_told():
    spans = [written.span(number)._replace(broken=int(number == 11)) for number in (10, 11, 12)]
    report = written.report(of=written.facts(spans=spans))
    told = rows(read(report), "Orders and latency")
    assert [row[1:5] for row in told] == [["2", "0", "0", "0"], ["0", "0", "0", "1"], ["1", "0", "0", "0"]]
    assert sections.of(report, None).charts[0].totals == {"made": "3", "failed": "0", "refused": "0", "broken": "1"}


def test_pictures_are_linked_and_the_figures_stay():
    report = written.report()
    charts = dict(zip(("a.svg", "b.svg"), sections.of(report, None).charts, strict=True))
    html = read(report, charts=charts)
    assert '<img src="a.svg" alt="Orders per 30 s (UTC): 28 made, 3 failed, 12 refused" />' in html
    assert "<summary>The figures</summary>" in html
    assert len(rows(html, "Orders and latency")) == 21


def test_an_incident_without_any_order_needs_no_chart():
    assert "No order was decided." in read(written.report(of=written.facts(spans=[])))


@pytest.mark.parametrize("text", [HOSTILE, "# a", "- a", "1. a", "2) a", "+ a", "> a", "===", "---", "a\nb"], ids=repr)
@pytest.mark.parametrize("put", [lambda text: {"summary": text}, lambda text: {"unaffected": [text]}], ids=["p", "li"])
def test_nothing_in_a_sentence_is_markup(text, put):
    plain = " ".join(text.split()).replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;")
    assert f">{plain}</" in read(written.report(**put(text)))


def test_nothing_in_a_table_is_markup():
    html = read(written.report(timeline=[Moment(written.BEGAN, f"{HOSTILE}\nand more")]))
    [[_, what]] = rows(html, "Timeline")
    assert what.startswith("&lt;script&gt;alert(1)&lt;/script&gt; | `x` *b* [a](http://b) _c_ ~~d~~ &amp;lt; \\ # e")
    assert what.endswith("and more")


def test_names_with_underscores_are_left_readable():
    report = written.report(actions=[Action("See server_error", "FACTORY_READ_TIMEOUT")])
    assert "See server_error: FACTORY_READ_TIMEOUT" in as_markdown(report, None)


def test_an_answer_can_not_end_its_own_fence():
    report = written.report(of=written.facts(examples=[written.answered(message="```\n</code><b>````")]))
    assert read(report).count("<pre>") == 1
    assert "<b>" not in read(report)


def test_notes_keep_their_lines_and_are_no_markup():
    html = read(with_notes("It was *us*.\n<script>alert(1)</script>\n\n| a | `b` |\n1. c\n===\n    d"))
    quoted = html.partition("<h2>Notes</h2>")[2]
    lines = re.sub(r"<(?!/?(?:p|br /)>)[^>]*>", "", quoted).split("\n")
    assert [re.sub(r"<.*?>", "", line) for line in lines if line] == [
        "It was *us*.",
        "&lt;script&gt;alert(1)&lt;/script&gt;",
        "| a | `b` |",
        "1. c",
        "===",
        "d",
    ]
    assert not re.search(r"<(script|em|code|table|ol|h1)", quoted)


def test_no_secret_stands_in_the_notes(settings):
    settings.FACTORY_API_KEY = "our-very-own-key"
    assert "our-very-own-key" not in as_markdown(with_notes("It was https://f/?k=our-very-own-key"), None)
