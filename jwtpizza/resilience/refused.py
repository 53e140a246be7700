"""The call that was not made."""

from typing import Literal

Why = Literal["open", "probing", "bulkhead", "deadline"]


class Refused(Exception):
    """Nobody was called, and nothing is known of the other side that wasn't known before.

    `why` is "open" (the circuit), "probing" (others are finding out whether it can close), "bulkhead" (too many
    calls wait already) or "deadline" (the wait took all the time there was). `seconds` is how long it takes at least
    until another try makes sense.
    """

    def __init__(self, why: Why, seconds: float) -> None:
        super().__init__(f"refused: {why}, for {seconds:.1f} s")
        self.why = why
        self.seconds = seconds
