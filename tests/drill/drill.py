"""Plays the phases of the drill."""

import time
from collections import Counter
from collections.abc import Callable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from typing import NamedTuple

import requests

from tests.drill import findings
from tests.drill.evidence import HEALTHY, RECOVERY, Evidence, Phase
from tests.drill.house import House
from tests.drill.load import Load

WARM_UP = 4.0
# The service varies its open period by a fifth.
JITTER = 1.2
# Two probes, and a margin for who asked while they were made.
PROBING = 1.0

Act = Callable[[], object]
Stage = tuple[str, float, Act, Act]


def nothing() -> None:
    """Begins and ends what goes on by itself."""


class Pace(NamedTuple):
    """Seconds of a healthy phase and of an outage, of the circuit's open period (the first, the longest) and between
    two canaries, and how long promised orders may take to be made in the end."""

    healthy: float
    outage: float
    open_first: float
    open_longest: float
    canary: float
    patience: float

    @property
    def limit(self) -> float:
        """Seconds after an outage in which each worker has to find that the factory is back, probes included."""
        return self.open_longest * JITTER + PROBING

    @property
    def incident(self) -> float:
        """Seconds without a failure after which an incident is over: in the middle of a healthy phase."""
        return self.healthy / 2

    @property
    def environment(self) -> dict[str, str]:
        """What makes the service keep this pace."""
        return {
            "FACTORY_BREAKER_OPEN_SECONDS": str(self.open_first),
            "FACTORY_BREAKER_OPEN_SECONDS_MOST": str(self.open_longest),
            "FACTORY_CANARY_SECONDS": str(self.canary),
            "INCIDENT_HEALTHY_SECONDS": str(self.incident),
        }


PACES = {
    "real": Pace(healthy=60, outage=175, open_first=10, open_longest=60, canary=60, patience=900),
    "compressed": Pace(healthy=6, outage=10, open_first=2, open_longest=8, canary=10, patience=60),
}


class Drill:
    """One drill in one house. `say` is given the line of a phase each second, and whether it is the last one."""

    def __init__(self, house: House, pace: Pace, say: Callable[[str, bool], object]) -> None:
        self._house, self._pace, self._say = house, pace, say
        self._factory = house.factory
        self._evidence = Evidence(limit=pace.limit)
        self._load = Load(house, self._evidence)
        self._admin = ThreadPoolExecutor(1)
        self._link: Future[str]

    def run(self) -> Evidence:
        """Plays it all; what was seen."""
        before = self._house.books()
        self._evidence.epoch = time.time() - time.monotonic()
        self._load.begin()
        try:
            time.sleep(WARM_UP)
            for stage in self._plan():
                self._play(*stage)
        finally:
            self._load.stop()
            self._admin.shutdown()
        findings.gather(self._house, self._evidence, before=before, patience=self._pace.patience)
        return self._evidence

    def _plan(self) -> Iterator[Stage]:
        """Each phase: its name and seconds, what begins it and what ends it."""
        outages = {
            "fail": (self._fail, self._follow_the_link),
            "throttle": (lambda: self._factory.chaos("throttle"), self._calm),
            "badjwt": (lambda: self._factory.chaos("badjwt"), self._calm),
            "killed": (self._kill, self._factory.start),
        }
        yield HEALTHY, self._pace.healthy, nothing, nothing
        for name, (begin, end) in outages.items():
            yield name, self._pace.outage, begin, end
            yield RECOVERY, self._evidence.limit, nothing, nothing
            yield HEALTHY, self._pace.healthy, nothing, nothing

    def _fail(self) -> None:
        self._factory.chaos("fail")
        self._link = self._admin.submit(self._load.support_link)

    def _follow_the_link(self) -> None:
        if link := self._link.result():
            self._evidence.link_said = str(requests.get(link, timeout=30).json()["message"])
        else:
            self._calm()

    def _calm(self) -> None:
        self._factory.chaos("none")

    def _kill(self) -> None:
        begun = time.time()
        self._factory.note_ids()
        self._factory.kill()
        # A pizza that it made just before it died is settled a moment later.
        self._evidence.blind = (begun, time.time() + 1)

    def _play(self, name: str, seconds: float, begin: Act, end: Act) -> None:
        begun = time.monotonic()
        begin()
        while (left := begun + seconds - time.monotonic()) > 0:
            time.sleep(min(left, 1))
            self._say(self._line(Phase(name, begun, time.monotonic())), False)
        end()
        phase = Phase(name, begun, time.monotonic())
        self._evidence.phases.append(phase)
        self._say(self._line(phase), True)

    def _line(self, phase: Phase) -> str:
        """What is seen of a phase so far."""
        seconds, calls = phase.ended - phase.begun, self._evidence.calls
        told = [told for told in self._evidence.told if phase.begun <= told.ended < phase.ended]
        answers = ", ".join(f"{status}: {count}" for status, count in sorted(Counter(t.status for t in told).items()))
        ordering = self._evidence.looks[-1].ordering if self._evidence.looks else "?"
        menu, logins = phase.throughput(calls["menu"]), phase.throughput(calls["login"])
        return (
            f"{phase.name:9}{seconds:4.0f} s   {len(told) / seconds:4.1f} orders/s ({answers})   "
            f"ordering {ordering}, circuits {self._load.circuits() or 'not told'}   "
            f"menu {menu:.0f}/s, p99 {1000 * phase.p99(calls['menu']):.0f} ms   {logins:.0f} logins/s"
        )
