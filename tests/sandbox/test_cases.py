"""The factory's recorded answers, from the contract's own file."""

import json
import re
from pathlib import Path

import pytest

from .conftest import VEGGIE, an_order

FILE = Path(__file__).parents[1] / "contract" / "cases.json"
CASES = [case for case in json.loads(FILE.read_text()) if case["to"] == "factory"] if FILE.exists() else []
CHAOS = {
    "factory vendor under chaos": "fail",
    "factory support: follow": "fail",
    "factory support ends": "badjwt",
}
# Dates and keys are each factory's own.
OPEN = {"jwt", "created", "initiatedDate", "startDate", "fixDate", "n", "kid"}


def assert_like(answered, recorded, name=""):
    assert type(answered) is type(recorded), name
    if isinstance(recorded, dict):
        for key, value in recorded.items():
            assert key in answered, key
            assert_like(answered[key], value, key)
    elif isinstance(recorded, list):
        assert len(answered) == len(recorded), name
        for one, other in zip(answered, recorded, strict=True):
            assert_like(one, other, name)
    elif name not in OPEN and recorded != "<any>":
        assert answered == recorded, name


def recorded_order():
    asked = an_order()
    return {**asked, "order": {"franchiseId": 1, "storeId": 1, "items": [VEGGIE], "id": 1}}


def arrange(case, vendor):
    """Bring the factory to where the case begins; the request with its placeholders filled in."""
    name, request = case["name"], dict(case["request"])
    kind = case.get("given", "").removeprefix("factory: ") or next(
        (kind for begin, kind in CHAOS.items() if name.startswith(begin)), ""
    )
    if kind or "after chaos" in name or "bad jwt" in name:
        vendor.chaos(kind or "badjwt")
    answer = vendor("POST", "/api/order", recorded_order()).json
    if "after chaos" in name:
        vendor.follow(answer["reportUrl"])
    request["path"] = re.sub("fixcode.*", answer["reportUrl"].rpartition("/")[2], request["path"])
    if name.startswith("factory verify") and "<" in str(request["body"]):
        request["body"] = {"jwt": answer["jwt"] + ("x" if "tampered" in name else "")}
    return request


@pytest.mark.skipif(not CASES, reason=f"there is no {FILE.name} in tests/contract")
@pytest.mark.parametrize("case", CASES, ids=lambda case: case["name"])
def test_the_factory_answers_as_the_real_one_did(case, vendor, stranger):
    request = arrange(case, vendor)
    body = request["body"].encode() if isinstance(request["body"], str) else request["body"]
    headers = {f"HTTP_{name.upper().replace('-', '_')}": text for name, text in request.get("headers", {}).items()}

    answer = stranger(request["method"], request["path"], body, **headers)

    assert answer.status == case["answer"]["status"]
    assert_like(answer.json, case["answer"]["body"])
