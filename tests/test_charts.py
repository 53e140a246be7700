"""What is drawn of spans of any width, and the picture that stands alone."""

import re
from datetime import UTC, datetime, timedelta
from xml.etree import ElementTree
from zoneinfo import ZoneInfo

import pytest
from django.utils import timezone

from jwtpizza.charts import as_file, spans

START = datetime(2025, 12, 2, 19, 33, 30, tzinfo=UTC)


def axis(count=4, **step):
    return spans([START + number * timedelta(**step) for number in range(count + 1)])


def heights(svg):
    """Of the bars, by series."""
    series = [each for each in ElementTree.fromstring(svg).iter() if each.get("class", "").startswith("series")]
    return [[float(bar.get("height")) for bar in each.iter() if bar.tag.endswith("rect")] for each in series]


def latency(mean, slowest):
    totals = {"mean": "0.150 s", "slowest": "0.400 s"}
    return axis(len(mean), seconds=30).latency("Latency", mean=mean, slowest=slowest, totals=totals)


def test_a_bar_is_as_high_as_the_slowest_and_the_mean_is_its_lower_part():
    lower, upper = heights(latency([0.1, 0.2], [0.4, 0.2]).svg)
    assert [low / (lower[0] + upper[0]) for low in lower] == pytest.approx([0.25, 0.5])
    assert upper[1] == 0


def test_where_nothing_was_made_is_a_gap_and_a_dash():
    chart = latency([None, 0.2, None], [None, 0.4, None])
    assert [[height > 0 for height in each] for each in heights(chart.svg)] == [[False, True, False]] * 2
    assert [row[1:] for row in chart.rows] == [("–", "–"), ("0.200 s", "0.400 s"), ("–", "–")]


def test_nothing_at_all_is_a_chart_of_gaps():
    assert heights(latency([None, None], [None, None]).svg) == [[0, 0], [0, 0]]


@pytest.mark.parametrize(
    ("step", "first"),
    [({"seconds": 10}, "19:33:30"), ({"minutes": 1}, "19:33:30"), ({"hours": 7}, "02 Dec 19:33")],
    ids=["seconds", "minutes", "more than a day"],
)
def test_the_label_of_a_span_tells_it_from_its_neighbours(step, first):
    assert axis(**step).short[0] == first
    assert len({*axis(**step).short}) == 4


def test_spans_that_begin_with_a_minute_need_no_seconds():
    bounds = [START.replace(second=0) + number * timedelta(minutes=5) for number in range(3)]
    assert spans(bounds).short == ["19:33", "19:38"]


def test_times_are_of_the_current_zone():
    with timezone.override(ZoneInfo("America/Denver")):
        assert axis(seconds=30).long[0] == "2025-12-02 12:33:30"


@pytest.mark.parametrize(("count", "labels"), [(1, 1), (5, 5), (60, 5), (61, 5)])
def test_however_many_spans_there_are_their_labels_have_room(count, labels):
    shown = axis(count, seconds=30)
    assert len(shown.short[:: shown.every]) == labels


def test_a_picture_that_stands_alone_has_its_colours_its_title_and_its_legend():
    picture = as_file(axis(2, seconds=30).chart("Orders <all>", {"made": [1, 2], "failed": [3, 0]}))
    root = ElementTree.fromstring(picture)
    assert [text.text for text in root.iter("{http://www.w3.org/2000/svg}text")][:3] == [
        "Orders <all>",
        "3 made",
        "3 failed",
    ]
    assert ".color-1 { fill: #c2571a; }" in picture
    assert not re.search(r"var\(|light-dark|<script|@import|url\(", picture)
    assert {*re.findall(r"https?://[^\"' ]*", picture)} == {"http://www.w3.org/2000/svg"}
    assert root.get("aria-label") == "Orders <all>: 3 made, 3 failed"
