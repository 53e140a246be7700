"""The running service answers as its own description says, whatever it is sent and whoever sends it."""

import re
import sqlite3
import unicodedata
from collections.abc import Iterator
from contextlib import closing
from typing import Any

import pytest
import schemathesis
from schemathesis.engine import StopReason, events, from_schema

pytestmark = pytest.mark.slow

EXAMPLES = 15  # for each operation and way to go wrong; some 20 seconds for each caller
CONFIG = {
    "seed": 20251202,
    "cache": {"enabled": False},
    "generation": {"deterministic": True, "database": "none", "max-examples": EXAMPLES},
    "output": {"sanitization": {"enabled": False}},
    "operations": [
        {
            # A word where an id belongs is nobody's, so PUT /api/user/me is 403 like PUT /api/user/you, and no 405.
            "include-path": "/api/user/me",
            "checks": {"allow_header_conformance": {"enabled": False}, "unsupported_method": {"enabled": False}},
        },
        {
            # DELETE closes the franchise of that id, GET lists those of the user of that id, who is there afterwards.
            "include-path-regex": r"^/api/franchise/\{\w+\}$",
            "checks": {"use_after_free": {"enabled": False}},
        },
        {
            # Also a valid order may come with the Idempotency-Key of another: 422.
            "include-path": "/api/order",
            "checks": {
                "positive_data_acceptance": {
                    "expected-statuses": ["2xx", "3xx", "401", "403", "404", "409", "422", "429", "5xx"],
                }
            },
        },
    ],
}
# What is done for whom. Not here: /api/schema, which schemathesis leaves out as its own source, and what needs ids that
# belong together (oneself, one's own order, a store of its franchise): chance seldom finds them, test_docs.py has them.
EVERYONES = {
    "GET /",
    "GET /api/docs",
    "POST /api/auth",
    "PUT /api/auth",
    "GET /api/order/menu",
    "GET /api/franchise",
}
DINERS = EVERYONES | {
    "DELETE /api/auth",
    "GET /api/user/me",
    "GET /api/order",
    "POST /api/order",
    "GET /api/franchise/{id}",
}
ADMINS = DINERS | {
    "GET /api/user",
    "PUT /api/user/{id}",
    "DELETE /api/user/{id}",
    "PUT /api/order/menu",
    "POST /api/franchise",
    "DELETE /api/franchise/{id}",
    "POST /api/franchise/{id}/store",
}


class Newcomers:
    """A token of somebody who registered, and of the next one as soon as a request has ended that session."""

    def __init__(self, service: Any, *, admins: bool) -> None:
        self.service, self.admins = service, admins
        self.count, self.token = 0, ""

    def current(self) -> str:
        if not self.token or self.service("GET", "/api/user/me", token=self.token).status_code == 401:
            self.token = self._register()
        return self.token

    def _register(self) -> str:
        self.count += 1
        body = {"name": f"newcomer {self.count}", "email": f"newcomer{self.count}@jwt.com", "password": "secret"}
        answer = self.service("POST", "/api/auth", body).json()
        if self.admins:
            database = self.service.environment["DATABASE_URL"].removeprefix("sqlite:///")
            with closing(sqlite3.connect(database, timeout=10)) as books, books:
                books.execute("UPDATE accounts_user SET is_superuser = 1 WHERE id = ?", [answer["user"]["id"]])
        return str(answer["token"])


def authenticate(schema: Any, newcomers: Newcomers) -> None:
    class Token:
        def get(self, case: Any, context: Any) -> str:
            return newcomers.current()

        def set(self, case: Any, token: str, context: Any) -> None:
            case.headers["Authorization"] = f"Bearer {token}"

    schema.auth.auth(refresh_interval=None)(Token)


def assigned(context: Any, value: Any) -> Any:
    """schemathesis writes signs for a pattern's \\p{M} that Unicode has not assigned yet."""
    match value:
        case dict():
            return {key: assigned(context, inner) for key, inner in value.items()}
        case list():
            return [assigned(context, inner) for inner in value]
        case str() if "@" in value:
            return "".join("é" if unicodedata.category(sign) == "Cn" else sign for sign in value)
    return value


def description(service: Any) -> Any:
    config = schemathesis.Config.from_dict(CONFIG)
    schema = schemathesis.openapi.from_url(service.url + "/api/schema", config=config)
    schema.hook("map_body")(assigned)
    return schema


def faults(event: Any) -> Iterator[str]:
    """What is wrong, with the request to try it again."""
    match event:
        case events.ScenarioFinished():
            yield from failed_checks(event.recorder)
        case events.NonFatalError():
            yield f"{event.label}: {event.value}"
        case events.FatalError():
            yield repr(event.exception)
        case events.EngineFinished() if event.stop_reason != StopReason.COMPLETED:
            yield event.stop_reason.value


def failed_checks(recorder: Any) -> Iterator[str]:
    for case_id, checks in recorder.checks.items():
        for check in checks:
            if check.failure_info:
                failure, request = check.failure_info.failure, check.failure_info.code_sample
                answer = recorder.interactions[case_id].response
                told = answer and (answer.status_code, answer.content)
                yield f"{check.name}: {failure.title}: {failure.message}\n{request}\n{told}"


def answered(event: Any) -> Iterator[str]:
    """The operations that did what they were asked for."""
    if isinstance(event, events.ScenarioFinished):
        for case_id, exchange in event.recorder.interactions.items():
            if exchange.response is not None and exchange.response.status_code == 200:
                yield re.sub(r"{\w+}", "{id}", event.recorder.cases[case_id].value.operation.label)


def play(schema: Any) -> set[str]:
    """Which operations were answered with 200; fails if any answer is not as described."""
    wrong, done = [], set()
    for event in from_schema(schema).execute():
        wrong += faults(event)
        done |= set(answered(event))
    assert not wrong, "\n\n".join(dict.fromkeys(wrong))
    return done


def test_each_answer_to_nobody_is_described(serve):
    assert play(description(serve())) >= EVERYONES


def test_each_answer_to_a_diner_is_described(serve):
    service = serve()
    schema = description(service)
    authenticate(schema, Newcomers(service, admins=False))
    assert play(schema) >= DINERS


def test_each_answer_to_an_admin_is_described(serve):
    service = serve()
    schema = description(service)
    authenticate(schema, Newcomers(service, admins=True))
    assert play(schema) >= ADMINS
