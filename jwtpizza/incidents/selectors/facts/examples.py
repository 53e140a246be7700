"""How diners were answered: made again by the code that answered them, from what the books know."""

import re
from collections.abc import Iterable, Iterator
from typing import Any

from django.db import InterfaceError, OperationalError

from jwtpizza.api.handler import problem_of
from jwtpizza.incidents.models import Kind
from jwtpizza.incidents.selectors.facts.counts import Failures, Happened
from jwtpizza.incidents.selectors.facts.known import Example
from orders.errors import Undecided, order_failed, order_refused
from orders.models import Reason

MASK = "***"
# By the name under which a broken order is noted; to the diner all others look alike.
OURS = {error.__name__: error for error in (OperationalError, InterfaceError, Undecided)}


def examples(failed: Iterable[Failures], happened: Iterable[Happened]) -> list[Example]:
    """The first answer of each status and title."""
    found: dict[Any, Example] = {}
    for example in _answers(failed, happened):
        found.setdefault((example.status, example.body["error"]), example)
    return list(found.values())


def _answers(failed: Iterable[Failures], happened: Iterable[Happened]) -> Iterator[Example]:
    # Whose order was promised was answered 202, and who was abandoned as undecided or not at all.
    answered = ((row.first_id, row.reason) for row in failed if row.first_id and row.reason != Reason.ABANDONED)
    for order_id, reason in sorted(answered):
        yield _answer(order_failed(reason, support_link=""), order_id)
    for row in happened:
        if row.kind == Kind.REFUSED:
            answer = _answer(order_refused(2), None)
            yield answer._replace(body=answer.body | {"message": re.sub(r"\d+", MASK, answer.body["message"])})
        elif row.kind == Kind.BROKEN:
            yield _answer(OURS.get(row.outcome, Exception)(), None)


def _answer(error: Exception, order_id: int | None) -> Example:
    problem = problem_of(error)
    return Example(order_id, problem.status, problem.body() | {"requestId": MASK})
