"""A report as a page of its own."""

import re
from html.parser import HTMLParser
from zoneinfo import ZoneInfo

import pytest

from jwtpizza.incidents.serializers.html import as_html
from jwtpizza.incidents.services.reports import Moment
from tests.incidents import written
from tests.incidents.test_markdown import HEADINGS, HOSTILE, with_notes

VOID = {"meta", "link", "path", "rect", "img", "br"}


class Read(HTMLParser):
    """The tags with their attributes, and the text; each tag that was opened is closed."""

    def __init__(self, html):
        super().__init__()
        self.tags, self.text, self._open = [], "", []
        self.feed(html)
        assert self._open == []

    def handle_starttag(self, tag, attrs):
        self.tags.append((tag, dict(attrs)))
        self._open += [] if tag in VOID else [tag]

    def handle_endtag(self, tag):
        if tag not in VOID:
            assert self._open.pop() == tag

    def handle_data(self, data):
        self.text += data

    def all(self, tag):
        return [attrs for name, attrs in self.tags if name == tag]


@pytest.fixture
def page():
    return as_html(written.report(), ZoneInfo("America/Denver"))


def test_every_section_is_there_in_its_order(page):
    sections = [re.sub("<.*?>", "", heading) for heading in re.findall(r"<h[123]>(.*?)</h[123]>", page)]
    charts = ["Orders per 30 s (America/Denver)", "Latency per 30 s (America/Denver)"]
    at = HEADINGS.index("Action items")
    assert sections == [*HEADINGS[:at], *charts, *HEADINGS[at:]]


def test_it_needs_nothing_but_itself(page):
    read = Read(page)
    assert not {"script", "link", "img", "iframe"} & {tag for tag, _ in read.tags}
    assert {*re.findall(r"https?://[^\"')\s<]*", page)} == {"http://www.w3.org/2000/svg"}
    assert not re.search(r"url\(|@import|\son\w+=|\bsrc=", page)


def test_it_has_a_language_a_title_and_a_way_to_fit_a_phone(page):
    read = Read(page)
    assert read.all("html") == [{"lang": "en"}]
    assert "<title>Incident 7: SEV-2, closed | JWT Pizza</title>" in page
    assert {"name": "viewport", "content": "width=device-width, initial-scale=1"} in read.all("meta")


def test_each_chart_is_a_picture_with_a_name_and_its_figures_in_a_table(page):
    names = [svg["aria-label"] for svg in Read(page).all("svg") if svg["role"] == "img"]
    assert names == [
        "Orders per 30 s (America/Denver): 28 made, 3 failed, 12 refused",
        "Latency per 30 s (America/Denver): 0.258 s mean, 0.900 s slowest",
    ]
    assert page.count("<details>") == 2


def test_the_figures_leave_out_spans_in_which_no_order_was_decided_or_timed(page):
    counted, timed = [re.findall(r"<th scope=\"row\">2025.*?</tr>", table) for table in page.split("<details>")[1:]]
    assert (len(counted), len(timed)) == (21, 15)
    assert not [row for row in counted if row.count("<td>0</td>") == 3]
    assert not [row for row in timed if "–" in row]


def test_times_are_told_in_both_zones(page):
    assert '<th scope="row">2025-12-02 19:33:37</th><td>2025-12-02 12:33:37</td><td>The first order failed' in page


@pytest.mark.parametrize(
    "report",
    [
        pytest.param(with_notes(HOSTILE), id="notes"),
        pytest.param(written.report(timeline=[Moment(written.BEGAN, HOSTILE)]), id="timeline"),
        pytest.param(written.report(summary=HOSTILE), id="summary"),
        pytest.param(written.report(of=written.facts(examples=[written.answered(message="<script>")])), id="answer"),
    ],
)
def test_nothing_in_a_text_is_markup(report):
    read = Read(as_html(report, None))
    assert read.all("script") == []
    assert "<script>" in read.text


def test_notes_keep_their_lines():
    assert '<p class="notes">one\n\ntwo</p>' in as_html(with_notes("one\n\ntwo"), None)


def test_no_secret_stands_in_the_notes(settings):
    settings.FACTORY_API_KEY = "our-very-own-key"
    assert "our-very-own-key" not in as_html(with_notes("It was https://f/?k=our-very-own-key"), None)
