"""What a report says of facts: how severe, why, and what to do."""

import re

import pytest

from jwtpizza.incidents.services.reports import report
from jwtpizza.incidents.services.reports.words import lasting, share
from tests.incidents.stage import PRICE, at, one_order, the_outage
from tests.ops.test_alerts import rules_of

MINUTE = 60


def told(stage, first=0.0, last=None, **how):
    """The report of an incident that closed 5 minutes after its last failure, unless told otherwise."""
    last = first if last is None else last
    return report(stage.incident(first, last, **{"closed": last + 300, **how}))


def evidence(findings):
    return [finding.sentence for finding in findings if finding.basis == "evidence"]


def inference(findings):
    return [finding.sentence for finding in findings if finding.basis == "inference"]


# --- severity -------------------------------------------------------------------------------------


@pytest.mark.parametrize(("minutes", "severity"), [(15, "SEV-1"), (14.99, "SEV-2")])
def test_a_quarter_of_an_hour_without_a_pizza_is_sev_1(stage, minutes, severity):
    for when in (0, 5 * MINUTE, minutes * MINUTE):
        stage.failed(when)
    stage.made(16 * MINUTE)
    assert told(stage, last=minutes * MINUTE).severity == severity


def test_sev_1_says_for_how_long_nothing_succeeded(stage):
    for when in range(0, 1001, 200):
        stage.failed(when)
    stage.made(1001)
    rule = "Nothing that was tried for 16 min 40 s succeeded: 15 minutes or more are SEV-1."
    assert told(stage, last=1000).rule == rule


@pytest.mark.parametrize(("failures", "severity"), [(12, "SEV-1"), (11, "SEV-2")])
def test_an_hour_in_which_hardly_anybody_ordered_is_no_hour_in_which_nobody_could(stage, failures, severity):
    for number in range(failures):
        stage.failed(60 * MINUTE * number / (failures - 1))
    stage.made(61 * MINUTE)
    assert told(stage, last=60 * MINUTE).severity == severity


def test_canaries_do_not_save_an_hour_in_which_our_database_broke_all_orders(stage):
    for when in range(0, 60 * MINUTE, 50):
        stage.broken(when)
        stage.canary(when + 10)
    stage.made(60 * MINUTE)
    assert told(stage, last=3550).severity == "SEV-1"


def test_a_canary_that_flew_well_in_it_makes_it_less(stage):
    stage.failed(0)
    stage.canary(8 * MINUTE)
    stage.failed(16 * MINUTE)
    stage.made(17 * MINUTE)
    assert told(stage, last=16 * MINUTE).severity == "SEV-2"


def test_wrong_books_are_sev_1(stage):
    stage.refused(0)
    stage.made(1)
    found = told(stage, stores_wrong=2)
    assert found.severity == "SEV-1"
    assert found.rule == "The revenue of 2 stores is not what the orders cost: wrong books are SEV-1."
    assert ("Set the books right", "the revenue of 2 stores is not what the orders cost") in found.actions


def test_an_order_that_failed_is_sev_2(stage):
    found = report(one_order(stage))
    assert (found.severity, found.rule) == ("SEV-2", "1 order failed: orders that fail are SEV-2.")


@pytest.mark.parametrize(
    ("error", "rule"),
    [
        ("KeyError", "1 order met an error of ours: orders that fail are SEV-2."),
        ("Undecided", "1 order was answered as undecided: orders that fail are SEV-2."),
    ],
)
def test_an_order_that_met_an_error_of_ours_is_sev_2(stage, error, rule):
    stage.broken(0, error)
    stage.made(1)
    assert (told(stage).severity, report(stage.incident(is_open=None, closed_at=at(9))).rule) == ("SEV-2", rule)


@pytest.mark.parametrize(
    ("made", "severity", "rate"), [(95, "SEV-2", "5.0 %"), (100, "SEV-3", "4.8 %"), (0, "SEV-2", "100 %")]
)
def test_under_five_per_cent_refused_is_sev_3(stage, made, severity, rate):
    for when in range(made):
        stage.made(when)
    for when in (0, 0, 0, 0, 100):
        stage.refused(when)
    stage.made(101)
    found = told(stage, last=100)
    assert found.severity == severity
    assert f"5 of {made + 5} orders were refused ({rate})" in found.rule


@pytest.mark.parametrize(("made", "severity"), [(20, "SEV-3"), (19, "SEV-2")])
def test_a_burst_of_refusals_is_weighed_against_what_was_asked_in_five_minutes(stage, made, severity):
    for when in range(made):
        stage.made(-290 + when)
    stage.refused(0)
    stage.made(1)
    found = told(stage)
    assert found.severity == severity
    assert found.rule.startswith(f"1 of {made + 1} orders was refused ({100 / (made + 1):.1f} %) in 5 minutes")


def test_canaries_alone_are_sev_3(stage):
    stage.canary(0, "timeout")
    stage.canary(60)
    found = told(stage)
    assert (found.severity, found.rule) == ("SEV-3", "No diner was hit, only canaries failed: that is SEV-3.")


# --- the summary ----------------------------------------------------------------------------------


def test_the_summary_of_the_outage(stage):
    assert report(the_outage(stage)).summary == (
        "From 2025-12-02 19:33:37 UTC to 19:36:32 UTC, for 2 min 55 s, the pizza factory answered with errors of its "
        "own (5xx). Of 4 orders that diners sent, 4 failed. 4 diners were hit. Orders of "
        "₿\N{NO-BREAK SPACE}0.0152 were not taken. "
        'Diners read (status 500): "Failed to fulfill order at factory. Your order was not placed and nothing was '
        'charged. Please try again in a minute." The menu, login and the franchises were not hit: none of the 666 '
        "calls that were recorded failed. It ended, as it seems, because the factory's support link was followed by "
        f"user {stage.admin.pk}, an admin; the first pizza after it was made at 19:39:00 UTC (order "
        f"{stage.store.orders.latest('settled_at').pk})."
    )


def test_the_summary_of_canaries_alone(stage):
    stage.canary(0, "unreachable")
    stage.canary(60)
    assert told(stage).summary == (
        "At 2025-12-02 19:33:37 UTC the pizza factory could not be reached. No diner was hit, only canaries failed; "
        "nobody ordered meanwhile. It ended by itself, as far as the books know; the first pizza after it was made at "
        "19:34:37 UTC (a canary)."
    )


def test_the_summary_while_it_is_open(stage):
    stage.failed(0)
    summary = report(stage.incident()).summary
    assert summary.startswith("Since 2025-12-02 19:33:37 UTC, for ")
    assert summary.endswith("No pizza has been made since the last failure. It is still open.")


def test_that_other_calls_were_hit_is_said(stage):
    stage.failed(0)
    stage.calls(0, "login", 10, failed=1)
    stage.made(1)
    found = told(stage)
    assert "Not only orders were hit: login (PUT /api/auth): 1 of 10 calls failed (5xx), 10.0 %." in found.summary
    assert "Login (PUT /api/auth): 1 of 10 calls failed (5xx), 10.0 %." in found.symptoms
    assert not any("ogin" in each for each in found.unaffected)


def test_what_went_on_as_usual_is_told_with_its_rate(stage):
    found = report(one_order(stage))
    assert found.unaffected == [
        "The menu (GET /api/order/menu): 30 calls, all of which succeeded (100 %).",
        "Login (PUT /api/auth): no calls recorded.",
        "The franchises (GET /api/franchise): no calls recorded.",
        "The books: each store's revenue is what its orders cost.",
    ]
    assert found.symptoms == ["1 of 1 order took too long (504): 100 %.", "Orders took up to 5.0 s."]


def test_a_promise_of_an_earlier_incident_that_failed_is_told_once(stage):
    stage.failed(0, "rejected", promised=True, created_at=at(-9000))
    stage.canary(60)
    found = told(stage)
    assert (found.severity, found.rule) == ("SEV-2", "1 promised order failed later: orders that fail are SEV-2.")
    assert found.symptoms == ["1 promised order failed later."]
    assert " (4xx). 1 promised order failed later. 1 diner was hit. " in found.summary


def test_who_was_answered_202_is_not_told_to_have_failed_at_once(stage):
    stage.failed(0, "timeout")
    for _ in range(2):
        stage.event(1, "promised")
        stage.failed(2, "timeout", promised=True, created_at=at(1))
    stage.made(3)
    found = told(stage, last=2)
    assert "Of 3 orders that diners sent, 1 failed and 2 were promised for later. " in found.summary
    assert found.symptoms == [
        "1 of 3 orders took too long (504): 33.3 %.",
        "2 of 3 orders were promised for later (202): 66.7 %.",
        "2 promised orders failed later.",
    ]


def counted(sentence):
    """Of how many, and how many of each."""
    whole, *parts = [int(number) for number in re.findall(r"\d+", sentence)]
    return whole, parts


def test_what_is_said_adds_up_to_what_was_asked(stage):
    stage.failed(0)
    stage.failed(0, "timeout")
    stage.failed(0, "abandoned")
    stage.failed(1, "rejected", promised=True, created_at=at(-9000))
    stage.promised(0)
    stage.event(0, "promised")
    stage.failed(2, "abandoned", promised=True, created_at=at(0))
    stage.refused(1, count=4)
    stage.broken(1)
    stage.broken(1, "Undecided")
    stage.made(1)
    found = told(stage, last=2)
    asked = found.facts.asked
    assert asked == 11
    [sentence] = re.findall(r"Of \d+ orders that diners sent, .*?\.", found.summary)
    whole, parts = counted(sentence)
    assert (whole, sum(parts)) == (asked, asked)
    shares = [re.match(r"(\d+) of (\d+) orders? ", each) for each in [*found.symptoms, *found.unaffected]]
    assert {int(each[2]) for each in shares if each} == {asked}
    assert sum(int(each[1]) for each in shares if each) == asked


def test_whose_connection_broke_got_no_answer(stage):
    stage.failed(0, "abandoned")
    stage.made(1)
    found = told(stage)
    assert found.symptoms == ["1 of 1 order got no answer: 100 %."]
    assert "Diners read" not in found.summary


def test_what_became_of_an_order_that_we_could_not_tell_of_is_said_to_be_unknown_to_its_diner(stage):
    stage.broken(0, "Undecided")
    stage.made(0)
    stage.made(1)
    found = told(stage)
    sentence = "1 order was answered that we could not tell what became of it."
    assert sentence in evidence(found.causes)
    assert ("Find out why the database failed", "Undecided 1") in found.actions
    assert "the pizza factory was not asked" not in found.summary
    assert "1 order was answered as undecided. " in found.summary


def left(stage, *, abandoned, undecided, made=0):
    """The report of orders that failed since nobody settled them, and of answers that these or others are undecided."""
    orders = [stage.failed(31, "abandoned").pk for _ in range(abandoned)][:undecided]
    for order in [*orders, *(stage.made(35).pk for _ in range(made))]:
        stage.broken(0, "Undecided", detail={"orders": [order]})
    stage.made(40)
    return told(stage, last=31)


def test_whom_our_database_left_undecided_got_an_answer(stage):
    assert left(stage, abandoned=3, undecided=2).symptoms == [
        "1 of 3 orders got no answer: 33.3 %.",
        "2 of 3 orders were answered that we could not tell (503): 66.7 %.",
    ]


def test_what_was_undecided_and_became_something_else_is_told_beside_the_rates(stage):
    assert left(stage, abandoned=1, undecided=1, made=2).symptoms == [
        "1 of 1 order was answered that we could not tell (503): 100 %.",
        "2 orders were answered that we could not tell (503), and counted as what became of them.",
    ]


def test_who_got_no_answer_is_not_told_to_have_had_one_because_others_were_undecided(stage):
    assert left(stage, abandoned=2, undecided=0, made=9).symptoms[0] == "2 of 2 orders got no answer: 100 %."


ENDED, LEFT = "Processes of ours ended in the middle of an order", "rrors of ours left orders undecided"


@pytest.mark.parametrize(
    ("undecided", "sentence"),
    [
        (0, f"{ENDED}: 2 orders (all that failed)."),
        (1, f"{ENDED}, or e{LEFT} (1 of them): 2 orders (all that failed)."),
        (2, f"E{LEFT}: 2 orders (all that failed)."),
    ],
)
def test_an_order_that_nobody_settled_has_the_cause_of_which_its_diner_was_told(stage, undecided, sentence):
    assert sentence in evidence(left(stage, abandoned=2, undecided=undecided).causes)


@pytest.mark.parametrize(("undecided", "ended"), [(0, ["2 orders failed"]), (1, ["1 order failed"]), (2, [])])
def test_only_what_nothing_explains_was_ended_with_its_process(stage, undecided, ended):
    actions = left(stage, abandoned=2, undecided=undecided).actions
    assert [action.figure for action in actions if action.what == "Find out what ended our processes"] == ended


def test_what_our_database_left_undecided_is_no_headline_of_processes(stage):
    summary = left(stage, abandoned=2, undecided=2).summary
    assert "for 31 s, our own database failed. " in summary


def test_an_order_that_was_answered_as_undecided_pages_nobody_a_second_time(stage):
    found = left(stage, abandoned=1, undecided=1)
    assert [(alert.name, alert.at) for alert in found.alerts] == [("OrderFailed", at(0))]


def test_of_broken_orders_it_is_said_how_many_are_nobodys(stage):
    stage.broken(0, diner=stage.diner, total=PRICE)
    stage.broken(0)
    stage.broken(0)
    stage.made(1)
    sentence = "Of 2 broken orders it is not known whose they were, or what they would have cost."
    assert sentence in told(stage).summary


def test_the_summary_quotes_no_sentence_with_a_hole_in_it(stage):
    stage.refused(0)
    stage.made(1)
    assert "Diners read" not in told(stage).summary
    stage.failed(0)
    assert 'Diners read (status 500): "Failed' in told(stage).summary


def test_failed_orders_are_slow_too(stage):
    stage.failed(0, "timeout", took=5)
    stage.made(1, took=0.1)
    assert "Orders took up to 5.0 s." in told(stage).symptoms


@pytest.mark.parametrize(("slow", "said"), [(-30, False), (0, True), (20, True), (60, False)])
def test_what_was_slow_before_or_after_it_is_no_symptom_of_it(stage, slow, said):
    stage.failed(0)
    stage.failed(20)
    stage.made(slow, took=5)
    stage.made(61)
    assert any("Orders took up to 5.0 s." in each for each in told(stage, last=20).symptoms) == said


def test_canaries_are_told_of_until_it_was_over_or_by_now(stage):
    stage.canary(0, "timeout")
    incident = stage.incident()
    assert "1 of the 1 canary that flew by now failed." in report(incident).symptoms
    stage.canary(1)
    type(incident).objects.update(is_open=None, closed_at=at(301))
    incident.refresh_from_db()
    assert "1 of the 2 canaries that flew until it was over failed." in report(incident).symptoms


def test_that_more_happened_than_could_be_noted_is_said(stage):
    stage.refused(0)
    stage.event(1, "dropped", count=1200)
    stage.made(1)
    sentence = (
        "1,200 things or more that happened could not be noted: the figures of refused orders are at least these."
    )
    assert sentence in told(stage).symptoms


# --- detection ------------------------------------------------------------------------------------


def test_each_alert_is_one_of_the_rules_with_their_severity(stage):
    stage.failed(0, "bad_jwt")
    stage.failed(1, "unauthorized")
    stage.canary(2, "timeout")
    stage.circuit(3, "closed", "open")
    stage.made(4)
    found = told(stage, last=3)
    rules = {
        rule["alert"]: rule["labels"]["severity"] for rule in rules_of("prometheus/rules/*.yml") if "alert" in rule
    }
    assert [(alert.name, (alert.at - at(0)).total_seconds()) for alert in found.alerts] == [
        ("OrderFailed", 0),
        ("PizzaNotGenuine", 0),
        ("OrdersFailing", 1),
        ("FactoryKeyRefused", 1),
        ("FactoryDown", 2),
        ("BreakerOpen", 3),
    ]
    assert all(rules[alert.name] == alert.severity for alert in found.alerts)


@pytest.mark.parametrize(("second", "paged"), [(300, True), (301, False)])
def test_the_second_order_that_is_lost_within_five_minutes_pages(stage, second, paged):
    stage.failed(0)
    stage.failed(second)
    stage.made(302)
    assert ("OrdersFailing" in {alert.name for alert in told(stage, last=second).alerts}) == paged


ALERTS = "OrderFailed, OrdersFailing, FactoryDown, BreakerOpen, PizzaNotGenuine and FactoryKeyRefused"


def test_that_no_alert_is_known_to_have_paged_is_said_of_those_that_could_be(stage):
    stage.failed(0)
    stage.made(1)
    assert f"Of the alerts that the books can tell of ({ALERTS}), none that pages was due." in told(stage).detection


def test_a_page_that_came_late_is_to_come_sooner(stage):
    stage.failed(0)
    stage.failed(90)
    stage.made(91)
    found = told(stage, last=90, noticed=2)
    first = "OrdersFailing was the first that pages: its rule held at 19:35:07 UTC, 1 min 30 s after the first failure"
    assert found.detection == [
        "It was opened by an order that failed, at 19:33:37 UTC.",
        "The service noticed it at 19:33:39 UTC, 2 s after the first failure.",
        f"Of the alerts that the books can tell of ({ALERTS}), {first}.",
        "Prometheus scrapes and evaluates every 10 s each, so an alert comes up to 20 s after its rule held.",
    ]
    assert ("Have somebody woken sooner", "OrdersFailing paged 1 min 30 s after the first failure") in found.actions


# --- the timeline ---------------------------------------------------------------------------------


def test_the_timeline_of_the_outage(stage):
    lines = [(int((line.at - at(0)).total_seconds()), line.what) for line in report(the_outage(stage)).timeline]
    assert [(when, what.partition(" by ")[0]) for when, what in lines] == [
        (0, "First failure: an order that failed"),
        (0, "The rule of the alert OrderFailed (ticket) holds"),
        (0, "The factory gives a support link, the first of 2"),
        (1, "The service notices it: the incident is open"),
        (20, "The first canary that failed"),
        (20, "The rule of the alert FactoryDown (page) holds"),
        (50, "The rule of the alert OrdersFailing (page) holds"),
        (175, "Last failure"),
        (265, lines[8][1].partition(" by ")[0]),
        (323, lines[9][1]),
        (623, "The incident is closed"),
    ]
    assert "is followed" in lines[8][1]
    assert lines[9][1].endswith("is made, 2 min 28 s after the last failure")


def test_the_timeline_tells_when_the_first_order_was_promised(stage):
    stage.failed(0)
    stage.promised(4)
    assert (at(4), "The first order that could not be made at once") in told(stage, last=4).timeline


def test_of_a_storm_the_timeline_has_no_more_than_forty_lines(stage):
    for when in range(0, 300, 2):
        stage.failed(when, ["server_error", "bad_jwt", "unauthorized"][when % 3])
        stage.circuit(when, "closed", "open")
        stage.circuit(when + 1, "open", "closed")
        stage.chaos(when, ["on", "off"][when % 4 // 2])
        stage.started(when, ["web", "worker"][when % 4 // 2], release=f"r{when}")
        stage.link(when, code=str(when), followed=when + 1)
        stage.promised(when, made=400)
    stage.refused(1)
    stage.broken(2)
    stage.canary(3, "timeout")
    found = told(stage, last=298, closed=700)
    assert 30 < len(found.timeline) <= 40
    assert found.timeline == sorted(found.timeline, key=lambda line: line.at)
    assert any("circuits change 292 times more; in all: " in line.what for line in found.timeline)


# --- causes ---------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("reason", "sentence"),
    [
        ("server_error", "The pizza factory answered with errors of its own (5xx)"),
        ("timeout", "The pizza factory did not answer in time"),
        ("bad_jwt", "The pizza factory sent pizzas that were not genuine"),
        ("unauthorized", "The pizza factory refused our API key (401 or 403)"),
        ("unreachable", "The pizza factory could not be reached"),
        ("bad_response", "The pizza factory's answers made no sense"),
        ("unverified", "The pizza factory's pizzas could not be verified, for its keys could not be had"),
        ("rejected", "The pizza factory did not accept our orders (4xx)"),
        ("chaos", "Calls failed on purpose, for the chaos switch was on"),
        ("abandoned", "Processes of ours ended in the middle of an order"),
    ],
)
def test_what_failed_is_evidence_with_its_figure(stage, reason, sentence):
    stage.failed(0, reason)
    stage.canary(1, "timeout")
    stage.made(2)
    found = told(stage, last=1)
    assert sentence in "\n".join(evidence(found.causes))
    if reason == "timeout":
        assert f"{sentence}: 1 order and 1 canary (all that failed)." in evidence(found.causes)
    else:
        assert f"{sentence}: 1 order (1 of 2 failures)." in evidence(found.causes)


def test_a_promise_that_ran_out_is_told_as_that(stage):
    stage.failed(0, "abandoned", promised=True, created_at=at(-86400))
    stage.canary(5)
    found = told(stage)
    assert "Orders that were promised could not be made within 24 hours: 1 order (all that failed)." in evidence(
        found.causes
    )
    assert "orders that were promised could not be made within 24 hours. 1 promised" in found.summary
    assert not any("ended our processes" in action.what for action in found.actions)


@pytest.mark.parametrize(("others", "said"), [(9, True), (10, False)])
def test_a_second_cause_is_in_the_headline_if_it_is_a_tenth_of_the_failures(stage, others, said):
    for _ in range(others):
        stage.failed(0)
    stage.failed(0, "timeout")
    stage.made(1)
    assert ("did not answer in time" in told(stage).summary) == said


def test_what_the_factory_did_is_not_said_of_our_database(stage):
    stage.failed(0, "timeout")
    stage.broken(0)
    stage.broken(0)
    stage.made(1)
    headline = "our own database failed and the pizza factory did not answer in time."
    assert headline in told(stage).summary


def test_two_faults_of_the_factorys_are_told_in_one_sentence(stage):
    stage.failed(0, "timeout")
    stage.failed(0)
    stage.made(1)
    headline = "the pizza factory did not answer in time and answered with errors of its own (5xx)."
    assert headline in told(stage).summary


def test_of_very_many_causes_the_first_is_the_headline(stage):
    for reason in (
        "server_error",
        "unreachable",
        "timeout",
        "bad_response",
        "bad_jwt",
        "unverified",
        "rejected",
        "chaos",
    ):
        stage.failed(0, reason)
    for error in ("OperationalError", "KeyError"):
        stage.broken(0, error)
    stage.refused(0, "bulkhead")
    stage.made(1)
    assert "we had an error of our own. Of 11 orders" in told(stage).summary


def test_that_circuits_opened_because_of_it_is_inference(stage):
    stage.failed(0)
    stage.refused(1, count=2)
    stage.made(2)
    found = told(stage, last=1)
    assert "2 orders were refused while circuits were open or tried whether they can close." in evidence(found.causes)
    assert "The circuits opened because of the failures above." in inference(found.causes)


def test_our_own_database_is_told_apart_from_the_factory(stage):
    stage.broken(0)
    stage.broken(1, "InterfaceError")
    stage.broken(2, "KeyError")
    stage.made(3)
    found = told(stage, last=2)
    assert evidence(found.causes) == [
        "2 orders met our own database failing (InterfaceError 1, OperationalError 1), not the factory.",
        "1 order met an error in our own code (KeyError 1), not the factory.",
    ]
    assert ("Mend the error of ours", "KeyError 1") in found.actions


def test_our_own_bulkhead_is_told_with_its_size(stage, settings):
    settings.FACTORY_PLACES, settings.FACTORY_QUEUE = 2, 3
    stage.refused(0, "bulkhead")
    stage.made(1)
    found = told(stage)
    [sentence] = evidence(found.causes)
    assert sentence.startswith("1 order was refused because too many waited for the factory already: ")
    assert sentence.endswith("each process has FACTORY_PLACES=2 and FACTORY_QUEUE=3 now.")
    what = "See whether FACTORY_PLACES and FACTORY_QUEUE are too small for the traffic"
    assert (what, "1 order refused by the bulkhead") in found.actions


def test_a_release_shortly_before_may_be_behind_it(stage):
    stage.started(-3600, release="r1")
    stage.started(-120, release="r2")
    stage.failed(0)
    stage.made(1)
    found = told(stage)
    sentence = (
        "A web process began with release r2 after r1, 2 min before the first failure: that may have brought it about."
    )
    assert inference(found.causes) == [sentence]
    figure = "release r2 after r1, 2 min before the first failure"
    assert ("Look at the change that came before it", figure) in found.actions


NO_SIGN = (
    "No process is known to have begun with another release or other settings in the half hour before it, or while it "
    "lasted: no sign of a change of ours."
)


@pytest.mark.parametrize("again", [True, False], ids=["the same began again", "nothing began"])
def test_where_nothing_was_changed_that_is_known_no_sign_is_told_of(stage, again):
    stage.started(-3600, release="r1")
    if again:
        stage.started(-60, release="r1")
    stage.failed(0)
    stage.made(1)
    assert NO_SIGN in inference(told(stage).causes)


@pytest.mark.parametrize(
    "ours",
    [
        lambda stage: stage.failed(0, "chaos"),
        lambda stage: stage.chaos(-10, "on"),
        lambda stage: stage.broken(0),
        lambda stage: stage.broken(0, "Undecided"),
        lambda stage: stage.failed(0, "abandoned"),
    ],
    ids=["chaos", "switch", "broken", "undecided", "abandoned"],
)
def test_where_it_was_ours_there_is_no_word_of_no_sign(stage, ours):
    ours(stage)
    stage.failed(0)
    stage.made(1)
    assert not any("a change of ours" in finding.sentence for finding in told(stage).causes)


@pytest.mark.parametrize(
    ("switched", "said"),
    [
        ([(-60, "on")], True),
        ([(-60, "on"), (-1, "off")], False),
        ([(-60, "on"), (-30, "off"), (-10, "on")], True),
        ([(-60, "on"), (5, "off")], True),
        ([(10, "on")], True),
        ([(21, "on")], False),
        ([(-14 * MINUTE, "on")], True),
    ],
)
def test_chaos_is_a_cause_if_it_was_on_while_something_failed(stage, switched, said):
    for when, state in switched:
        stage.chaos(when, state)
    stage.failed(0)
    stage.failed(20)
    stage.made(30)
    found = told(stage, last=20).causes
    assert any("switched chaos on" in finding.sentence for finding in found) == said
    assert (NO_SIGN in inference(found)) == (not said)


def test_of_processes_whose_release_is_unknown_nobody_can_tell_that_it_is_the_same(stage):
    stage.started(-3600, release="unknown")
    stage.started(-61, release="unknown")
    stage.started(-60, "worker", release="unknown")
    stage.failed(0)
    stage.made(1)
    found = told(stage).causes
    assert "2 processes began in the half hour before it; which release they run is not known." in evidence(found)
    assert inference(found) == []


# --- resolution -----------------------------------------------------------------------------------


def test_the_link_that_was_followed_ended_it_as_it_seems(stage):
    found = report(the_outage(stage))
    link = found.facts.links[1]
    assert evidence(found.resolution)[0] == (
        f"Support link {link.pk} was followed at 19:38:02 UTC by user {stage.admin.pk}, an admin: the factory answered "
        "200 Problem resolved. Pizza is back on the menu!"
    )
    who = f"user {stage.admin.pk}, an admin"
    how = f"the factory's support link was followed by {who}, 58 s before the first success, as it seems"
    assert inference(found.resolution) == [f"It ended because {how}."]


def test_a_link_after_which_the_factory_went_on_failing_ended_nothing(stage):
    stage.failed(0)
    stage.link(0, followed=10)
    stage.failed(60)
    stage.made(70)
    found = told(stage, last=60)
    assert inference(found.resolution) == [
        "Calls to the factory failed after all that was done here: it ended by itself, or by what others did."
    ]


@pytest.mark.parametrize(("off", "ended"), [(5, "chaos was switched off"), (None, "chaos was over after 15 minutes")])
def test_chaos_ends_when_it_is_switched_off_or_over(stage, off, ended):
    stage.chaos(-14 * MINUTE, "on")
    stage.failed(0, "chaos")
    if off:
        stage.chaos(off, "off")
    stage.made(62)
    found = told(stage)
    assert f"because {ended}" in found.summary
    assert ("Switch chaos on only while nobody orders", "1 order failed") in found.actions


def test_it_closed_once_all_had_been_well_for_a_while(stage):
    stage.failed(0)
    stage.made(10)
    assert "It closed at 19:38:47 UTC, once all had been well for 5 min." in evidence(
        told(stage, closed=310).resolution
    )


def test_a_success_after_a_failure_that_was_told_late_is_not_why_it_closed(stage):
    stage.failed(0)
    stage.made(10)
    stage.refused(300)
    stage.made(305)
    assert "It closed at 19:38:47 UTC; a failure that was told later came in this time." in evidence(
        told(stage, last=0, closed=310).resolution
    )


@pytest.mark.parametrize("well", [330, None], ids=["well after it", "not well since"])
def test_a_failure_that_was_told_once_it_was_closed_is_said_to_be_one(stage, well):
    stage.failed(0)
    stage.made(10)
    stage.refused(300)
    if well:
        stage.made(well)
    sentence = "It closed at 19:38:47 UTC; a failure that was told later came in this time."
    assert sentence in evidence(told(stage, closed=310).resolution)


def test_what_became_of_promised_orders_is_told(stage):
    stage.promised(0, made=5)
    stage.promised(1)
    stage.event(1, "promised")
    stage.failed(2, "rejected", promised=True, created_at=at(1))
    found = told(stage, last=2)
    assert "Of 3 promised orders, 1 was made by now; 1 pending and 1 failed." in evidence(found.resolution)
    what = "See why the worker has not made all promised orders"
    assert (what, "1 promised order still pending") in found.actions


def test_all_promised_orders_made_is_told_with_the_time(stage):
    stage.promised(0, made=5)
    stage.promised(1, made=6)
    assert "All 2 promised orders were made by 19:33:43 UTC." in evidence(told(stage, last=1).resolution)


# --- actions --------------------------------------------------------------------------------------


def test_where_nothing_is_to_be_learnt_nothing_is_to_be_done(stage):
    stage.failed(0)
    stage.canary(5)
    assert told(stage).actions == []


@pytest.mark.parametrize("by_itself", [True, False])
def test_a_link_that_nobody_followed_for_long_is_the_workers_to_follow(stage, settings, by_itself):
    settings.FACTORY_FOLLOW_SUPPORT_LINK = by_itself
    stage.failed(0)
    stage.link(0)
    stage.canary(61)
    [action] = told(stage).actions
    assert action.figure == "1 link, none followed in 1 min 1 s"
    assert ("Find out why" in action.what) == by_itself


def test_a_link_that_was_followed_late_is_told_with_how_late(stage):
    stage.failed(0)
    stage.link(0, followed=240)
    stage.canary(241)
    [action] = told(stage).actions
    assert action.figure == "the link was followed 4 min after it came"


@pytest.mark.parametrize("pressed", [110, 86400], ids=["after the first success", "days later"])
def test_a_link_that_was_followed_once_it_was_over_was_not_followed_in_it(stage, pressed):
    stage.failed(0)
    stage.link(0, code="a")
    stage.link(1, code="b", followed=pressed)
    stage.canary(100)
    [action] = [action for action in told(stage).actions if "support link" in action.what]
    assert action.figure == "2 links, none followed in 1 min 40 s"


def test_of_two_links_another_than_the_first_may_have_been_followed(stage):
    [action] = [action for action in report(the_outage(stage)).actions if "support link" in action.what]
    figure = "the first of 2 links came at 19:33:37 UTC, and one was followed first 4 min 25 s later"
    assert action.figure == figure


def test_a_retry_budget_that_ran_dry_is_told_with_how_often(stage):
    stage.failed(0)
    stage.retry_denied(0)
    stage.retry_denied(0)
    stage.canary(5)
    [action] = told(stage).actions
    assert action.figure == "the retry budget had run dry 2 times; where all calls fail, it is meant to run dry"


def test_without_a_canary_the_worker_is_to_run(stage):
    stage.failed(0)
    stage.made(5)
    [action] = told(stage).actions
    assert action.figure == "no canary is known to have flown in 5 min"


@pytest.mark.parametrize(("success", "late"), [(72, False), (73, True)])
def test_a_success_later_than_the_longest_open_period_is_late(stage, success, late):
    stage.failed(0)
    stage.canary(success)
    figures = [action.figure for action in told(stage).actions]
    assert figures == (["the first success came 1 min 13 s after the last failure"] if late else [])


@pytest.mark.parametrize(
    "ours",
    [
        lambda stage: stage.broken(0),
        lambda stage: stage.failed(0, "abandoned"),
        lambda stage: stage.refused(0, "bulkhead"),
    ],
    ids=["database", "abandoned", "bulkhead"],
)
def test_of_what_was_no_fault_of_the_factorys_nobody_waits_for_it(stage, ours):
    ours(stage)
    stage.canary(1000)
    assert not any("factory is back" in action.what for action in told(stage).actions)


@pytest.mark.parametrize(
    ("reason", "what"),
    [
        ("unauthorized", "Check FACTORY_API_KEY"),
        ("unverified", "Ask the factory about pizzas that do not verify"),
        ("rejected", "Find out what the factory did not accept"),
    ],
)
def test_a_canary_calls_for_it_as_an_order_does(stage, reason, what):
    stage.failed(0, reason)
    stage.canary(5, reason)
    stage.canary(6, reason)
    stage.canary(7)
    assert (what, "1 order and 2 canaries failed") in told(stage, last=6).actions


@pytest.mark.parametrize(
    ("reason", "what"),
    [
        ("unauthorized", "Check FACTORY_API_KEY"),
        ("bad_jwt", "Ask the factory about pizzas that do not verify"),
        ("abandoned", "Find out what ended our processes"),
        ("rejected", "Find out what the factory did not accept"),
    ],
)
def test_what_is_ours_to_mend_is_named(stage, reason, what):
    stage.failed(0, reason)
    stage.canary(5)
    assert told(stage).actions == [(what, "1 order failed")]


# --- words ----------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("seconds", "words"),
    [(0, "0 s"), (0.44, "0.4 s"), (9, "9 s"), (59.6, "1 min"), (175, "2 min 55 s"), (3600, "1 h"), (90061, "1 d 1 h")],
)
def test_a_duration_is_told_in_its_two_largest_units(seconds, words):
    assert lasting(at(seconds) - at(0)) == words


@pytest.mark.parametrize(
    ("part", "whole", "words"),
    [(0, 0, "0 %"), (1, 0, "100 %"), (0, 9, "0 %"), (9, 9, "100 %"), (9999, 10000, "99.9 %"), (1, 10**6, "0.1 %")],
)
def test_a_share_is_never_rounded_to_none_or_all(part, whole, words):
    assert share(part, whole) == words
