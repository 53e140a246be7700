"""Times, durations and numbers as people read them."""

from datetime import UTC, datetime, timedelta

UNITS = ((86400, "d"), (3600, "h"), (60, "min"), (1, "s"))
# Below that, tenths of a second matter.
FINE_SECONDS = 10


def utc(moment: datetime) -> str:
    """A moment with its day: 2025-12-02 19:33:37 UTC."""
    return f"{moment.astimezone(UTC):%Y-%m-%d %H:%M:%S} UTC"


def clock(moment: datetime, day: datetime) -> str:
    """The same without its day, if it is the same as `day`'s."""
    same = moment.astimezone(UTC).date() == day.astimezone(UTC).date()
    return f"{moment.astimezone(UTC):%H:%M:%S} UTC" if same else utc(moment)


def lasting(duration: timedelta) -> str:
    """A duration in its two largest units: 2 min 55 s."""
    seconds = duration.total_seconds()
    if seconds < FINE_SECONDS:
        return f"{seconds:.1f}".removesuffix(".0") + " s"
    left = round(seconds)
    parts: list[tuple[int, str]] = []
    for size, unit in UNITS:
        count, left = divmod(left, size)
        if count or parts:
            parts.append((count, unit))
    return " ".join(f"{count} {unit}" for count, unit in parts[:2] if count)


def many(count: int, what: str, plural: str = "") -> str:
    """1 order, 1,234 orders."""
    return f"{count:,} {what if count == 1 else plural or what + 's'}"


def were(count: int) -> str:
    """was, for one; were."""
    return "was" if count == 1 else "were"


def share(part: int, whole: int) -> str:
    """A part in per cent, never rounded to none or to all; whatever the whole is."""
    if part == 0 or part >= whole:
        return "100 %" if part else "0 %"
    return f"{min(99.9, max(0.1, 100 * part / whole)):.1f} %"


def listed(counts: dict[str, int]) -> str:
    """Counts by name: OperationalError 3, Undecided 1."""
    return ", ".join(f"{name} {count:,}" for name, count in counts.items())


def joined(clauses: list[str]) -> str:
    """a, b and c."""
    *first, last = clauses
    return f"{', '.join(first)} and {last}" if first else last


def sentence(clause: str) -> str:
    """The clause with a capital letter and a full stop."""
    return clause[:1].upper() + clause[1:] + ("" if clause.endswith((".", "!", "?")) else ".")
