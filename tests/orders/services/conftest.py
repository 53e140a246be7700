from collections.abc import Callable

import pytest

from jwtpizza.accounts.models import User
from orders.models import Order
from orders.services import sales
from tests.orders.stage import Crash, Gateway, age_lease


@pytest.fixture
def gateway(monkeypatch: pytest.MonkeyPatch) -> Gateway:
    gateway = Gateway()
    monkeypatch.setattr("orders.factory.gateway.make_pizza", gateway.make_pizza)
    return gateway


@pytest.fixture
def crashed(demo: None, gateway: Gateway) -> Callable[..., Order]:
    """Leaves an order that its process did not live to settle; its lease has run out."""

    def crashed(*menu_ids: int, key: str | None = None, email: str = "d@jwt.com") -> Order:
        diner, before = User.objects.get(email=email), gateway.outcome
        gateway.outcome = Crash()
        with pytest.raises(Crash):
            sales.place_order(diner=diner, franchise_id=1, store_id=1, menu_ids=menu_ids or [1], idempotency_key=key)
        gateway.outcome = before
        gateway.asked.clear()
        order = Order.objects.latest("pk")
        age_lease(order.pk)
        return order

    return crashed
