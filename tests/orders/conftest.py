from collections.abc import Callable, Iterator
from types import SimpleNamespace
from typing import Any

import pytest

from orders import selectors
from orders.factory import client, gateway, keys
from orders.services import outages
from tests.orders.stage import Clock, Counted, Kitchen, timed
from tests.orders.wire import Behaviour, Wire


def forget_all() -> None:
    """What is remembered for a second was remembered by another clock."""
    for remembered in (selectors.CHAOS, selectors.CIRCUITS, selectors.CANARY):
        remembered._known = None


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Iterator[Clock]:
    """The time by which this process guards its calls to the factory; the database has its own."""
    clock, new_guard = Clock(), gateway.new_guard
    for module in (gateway, selectors, outages):
        monkeypatch.setattr(module, "time", SimpleNamespace(monotonic=clock))
    monkeypatch.setattr(gateway, "new_guard", lambda: timed(new_guard(), clock))
    monkeypatch.setattr(gateway, "GUARD", gateway.new_guard())
    forget_all()
    yield clock
    forget_all()


@pytest.fixture
def kitchen(clock: Clock, monkeypatch: pytest.MonkeyPatch) -> Kitchen:
    """A factory that makes pizzas until it is told otherwise. They are genuine."""
    kitchen = Kitchen(clock)
    monkeypatch.setattr(client, "post_order", kitchen.post_order)
    monkeypatch.setattr(keys, "verify", lambda *_, **__: None)
    return kitchen


@pytest.fixture
def wired(settings: Any) -> Iterator[Callable[..., Wire]]:
    """Points the service at a factory on a real socket, which treats its connections so, one after the other."""
    wires: list[Wire] = []

    def point(*behaviours: Behaviour) -> Wire:
        wires.append(Wire(*behaviours))
        settings.FACTORY_URL, settings.FACTORY_API_KEY = wires[-1].url, "our-key"
        return wires[-1]

    yield point
    if session := client._thread.__dict__.pop("session", None):
        session.close()
    for wire in wires:
        wire.close()


@pytest.fixture
def counted() -> Counted:
    return Counted()
