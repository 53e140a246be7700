"""The documentation: one description in three forms, whose every example works."""

import re
import shlex

import jsonschema_rs
import pytest
from drf_spectacular.validation import validate_schema

from jwtpizza.api import docs
from jwtpizza.api.schema import description
from tests.incidents.stage import Stage, one_order

ROWS = docs.endpoints("http://localhost:3000")
OPERATIONS = [
    pytest.param(operation, id=f"{method.upper()} {path}")
    for path, operations in description()["paths"].items()
    for method, operation in operations.items()
]


def row_id(row):
    return f"{row['method']} {row['path']}"


def parsed(curl):
    """The method, path, body and headers of a curl line, as a shell and curl read it."""
    command, *words = shlex.split(curl)
    assert command == "curl"
    sent = {"method": "GET", "body": None, "headers": {}}
    while words:
        match words:
            case ["-X", method, *words]:
                sent["method"] = method
            case ["-d", body, *words]:
                sent["body"] = body.encode()
            case ["-H", header, *words]:
                name, _, value = header.partition(": ")
                sent["headers"][name] = value
            case [url, *words]:
                sent["path"] = url.removeprefix("http://localhost:3000")
    return sent


def matches(documented, answered):
    """Whether an answer has the names and JSON types that are documented.

    Each of a list is like one of those documented; an empty list or object promises nothing of what is in it.
    """
    match documented:
        case {} | [] if not documented:
            return type(documented) is type(answered)
        case dict():
            same_names = documented.keys() == answered.keys()
            return same_names and all(matches(documented[name], answered[name]) for name in documented)
        case list():
            return bool(answered) and all(any(matches(each, one) for each in documented) for one in answered)
        case bool() | str() | None:
            return type(documented) is type(answered)
    return isinstance(answered, int | float) and not isinstance(answered, bool)


@pytest.fixture
def caller(request, diner, factory):
    """Orders are the diner's, who has one; the admin may do everything else."""

    def who(path):
        diners = path.startswith("/api/order") and not re.search("menu|chaos", path)
        return diner if diners else request.getfixturevalue("admin")

    assert diner.order(1).status_code == 200
    one_order(Stage())
    return who


@pytest.mark.parametrize("row", ROWS, ids=row_id)
def test_each_curl_line_answers_as_documented(row, caller, anonymous):
    sent = parsed(row["example"])
    who = caller(sent["path"]) if row["requiresAuth"] else anonymous
    assert ("Authorization" in sent["headers"]) == row["requiresAuth"]
    assert sent["method"] == row["method"]
    if sent["body"] is not None:
        assert sent["headers"]["Content-Type"] == "application/json"

    answer = who(sent["method"], sent["path"], sent["body"])

    assert answer.status_code == 200, answer.content
    assert matches(row["response"], answer.json()), (row["response"], answer.json())


@pytest.mark.parametrize("row", [row for row in ROWS if row["requiresAuth"]], ids=row_id)
def test_what_is_said_to_need_a_token_needs_one(row, anonymous):
    sent = parsed(row["example"])
    assert anonymous(sent["method"], sent["path"], sent["body"]).status_code == 401


def test_the_schema_is_valid_openapi(anonymous):
    validate_schema(anonymous.get("/api/schema").json())


@pytest.mark.parametrize("operation", OPERATIONS)
def test_each_example_fits_its_own_schema(operation):
    told = [operation["responses"]["200"], *([operation["requestBody"]] if "requestBody" in operation else [])]
    for media in (each["content"]["application/json"] for each in told):
        validator = jsonschema_rs.validator_for(media["schema"] | {"components": description()["components"]})
        for example in media["examples"].values():
            validator.validate(example["value"])


@pytest.mark.parametrize("operation", OPERATIONS)
def test_each_operation_has_an_example_of_what_it_takes_and_answers(operation):
    assert operation["responses"]["200"]["content"]["application/json"]["examples"]
    if "requestBody" in operation:
        assert operation["requestBody"]["content"]["application/json"]["examples"]


def test_the_docs_list_the_operations_of_the_schema(anonymous):
    rows = anonymous.get("/api/docs").json()["endpoints"]
    listed = [(row["method"], row["description"], row["requiresAuth"]) for row in rows]
    paths = anonymous.get("/api/schema").json()["paths"]
    assert listed == [
        (method.upper(), operation["summary"], operation.get("security") == [{"bearer": []}])
        for path, operations in paths.items()
        if path.startswith("/api/")
        for method, operation in operations.items()
    ]


def test_the_page_shows_the_schema(anonymous):
    page = anonymous.get("/api/docs/ui")
    assert page.status_code == 200
    assert page["Content-Type"].startswith("text/html")
    assert re.findall(r'url: "([^"]*)"', page.text) == ["/api/schema"]


def files_of(page):
    return re.findall(r'(?:src|href)="([^"]+)"', page)


def test_the_page_loads_our_own_files_alone(anonymous):
    page = anonymous.get("/api/docs/ui").text
    assert len(files_of(page)) == 4
    assert all(file.startswith("/static/") for file in files_of(page))
    assert not re.search(r"https?://|//\w", page)


def test_each_file_of_the_page_is_served(anonymous):
    for file in files_of(anonymous.get("/api/docs/ui").text):
        answer = anonymous.get(file)
        assert answer.status_code == 200, file
        content = b"".join(answer.streaming_content)
        assert len(content) > 500
        if file.endswith(".css"):
            assert not re.search(rb"@import|url\((?!\"?data:)", content)
