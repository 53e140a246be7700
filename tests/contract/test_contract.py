import pytest

from tests.contract.cases import CASES, Case
from tests.contract.checks import ALWAYS, CHECKS, compare, is_refused_for_now, statuses
from tests.contract.expected import AT_FAULT, OTHER_IDS
from tests.contract.scene import BEFORE, GIVEN, Scene

FAILED_BY_THE_FACTORY = {
    name: case
    for name, case in CASES.items()
    if case["to"] == "service" and case["request"]["method"] == "POST" and case["answer"]["status"] in (500, 504)
}
OURS_TO_MEND = {"order, factory refuses our apiKey (401 there)"}


def params(cases: dict[str, Case]) -> list[object]:
    return [pytest.param(case, id=name) for name, case in cases.items()]


def play(scene: Scene) -> None:
    scene.arrange()

    scene.act()

    case = scene.case
    assert scene.answer.status in statuses(case), scene.answer.content
    if "body" in case["answer"]:
        compare(scene)
    for check in dict.fromkeys((*ALWAYS[case["to"]], *CHECKS.get(case["answer"].get("why"), ()))):
        check(scene)


@pytest.mark.parametrize("case", params(CASES))
def test_case(case: Case, scene: Scene):
    if case["name"] in FAILED_BY_THE_FACTORY:
        scene.breaker(on=False)

    play(scene)


@pytest.mark.parametrize("case", params(FAILED_BY_THE_FACTORY))
def test_what_the_factory_fails_is_answered_alike_with_the_breaker_on(case: Case, scene: Scene):
    scene.breaker(on=True)

    play(scene)


@pytest.mark.parametrize("case", params(FAILED_BY_THE_FACTORY))
def test_it_is_503_once_the_breaker_has_opened(case: Case, scene: Scene):
    scene.breaker(on=True)
    scene.arrange()

    told = [scene.act().status for _ in range(5)]
    scene.before = scene.books()
    scene.act()

    failed = case["answer"]["status"]
    if case["name"] in OURS_TO_MEND:
        assert [*told, scene.answer.status] == [failed] * 6
        return
    assert told == sorted(told, key=[failed, 503].index)
    assert told[0] == failed
    is_refused_for_now(scene)
    for check in ALWAYS["service"]:
        check(scene)


def test_thirteen_are_failed_by_the_factory():
    assert len(FAILED_BY_THE_FACTORY) == 13
    assert set(FAILED_BY_THE_FACTORY) > OURS_TO_MEND


def test_there_are_448_of_them():
    assert len(CASES) == 448


def test_each_has_a_body_to_compare_or_a_check():
    assert not [
        name for name, case in CASES.items() if "body" not in case["answer"] and not CHECKS.get(case["answer"]["why"])
    ]


def test_nothing_is_expected_of_a_case_that_is_not_there():
    assert set(CHECKS) <= {case["answer"].get("why") for case in CASES.values()}
    assert set(GIVEN) == {case["given"] for case in CASES.values() if "given" in case}
    assert set(BEFORE) | set(AT_FAULT) | OTHER_IDS <= set(CASES)
