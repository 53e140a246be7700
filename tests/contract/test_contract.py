import pytest

from tests.contract.cases import CASES, Case
from tests.contract.checks import ALWAYS, CHECKS, compare, statuses
from tests.contract.expected import AT_FAULT, OTHER_IDS
from tests.contract.scene import BEFORE, GIVEN, Scene


@pytest.mark.parametrize("case", [pytest.param(case, id=name) for name, case in CASES.items()])
def test_case(case: Case, scene: Scene):
    scene.arrange()

    scene.act()

    assert scene.answer.status in statuses(case), scene.answer.content
    if "body" in case["answer"]:
        compare(scene)
    for check in dict.fromkeys((*ALWAYS[case["to"]], *CHECKS.get(case["answer"].get("why"), ()))):
        check(scene)


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
