"""Time that the test tells, and callers in threads of their own, for none of whom a test waits for ever."""

import time
from collections.abc import Callable
from concurrent.futures import Future
from threading import Barrier, Thread
from typing import Any

# Long enough for a busy machine; no test gets near it unless something hangs.
BOUND = 30.0


class Clock:
    """Stands still until `now` is moved."""

    def __init__(self) -> None:
        self.now = 1000.0

    def __call__(self) -> float:
        return self.now


def aside(job: Callable[..., Any], *args: Any, **kwargs: Any) -> "Future[Any]":
    """`job` in a thread of its own; its `result(BOUND)` is what it returned or raised."""
    outcome: Future[Any] = Future()

    def run() -> None:
        try:
            outcome.set_result(job(*args, **kwargs))
        except BaseException as error:
            outcome.set_exception(error)

    Thread(target=run, daemon=True).start()
    return outcome


def together(count: int, job: Callable[[int], Any]) -> list[Any]:
    """What `job(number)` returned in each of `count` threads that began at once; raises the first one's error."""
    start = Barrier(count)

    def one(number: int) -> Any:
        start.wait(BOUND)
        return job(number)

    callers = [aside(one, number) for number in range(count)]
    return [caller.result(BOUND) for caller in callers]


def others_first() -> None:
    """Lets other threads go on, if any can. No time passes."""
    time.sleep(0)
