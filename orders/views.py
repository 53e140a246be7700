"""/api/order and /api/status."""

import re
from collections.abc import Sequence

from drf_spectacular.utils import OpenApiParameter
from rest_framework.request import Request
from rest_framework.response import Response

from jwtpizza.accounts.authentication import SignedInRequest
from jwtpizza.accounts.permissions import SIGNED_IN, Admin
from jwtpizza.api.errors import Invalid
from jwtpizza.api.handler import problem_of
from jwtpizza.api.schema import operation
from jwtpizza.api.serializers import checked, checked_query
from jwtpizza.api.viewsets import EVERYONE, ApiViewSet
from jwtpizza.observability import context, journal
from orders import selectors
from orders.errors import OrderFailed, OrderRefused, Undecided
from orders.models import Status
from orders.serializers import (
    ChaosOut,
    HistoryOut,
    HistoryPage,
    OrderIn,
    OrderingOut,
    OrderOut,
    PromiseOut,
    SaleOut,
    order_out,
    promise_out,
    sale_out,
)
from orders.services import outages, sales

VISIBLE_ASCII = re.compile(r"[\x21-\x7e]{1,255}")
VEGGIE = {"menuId": 1, "description": "Veggie", "price": 0.0038}
BOUGHT = {
    "id": 1,
    "franchiseId": 1,
    "storeId": 1,
    "date": "2026-06-05T05:14:40.000Z",
    "status": "fulfilled",
    "items": [{"id": 1, **VEGGIE}],
}
IDEMPOTENCY_KEY = OpenApiParameter(
    "Idempotency-Key",
    {"type": "string", "pattern": "^[!-~]{1,255}$"},
    OpenApiParameter.HEADER,
    description="1 to 255 visible ASCII characters. The same key and order answer the stored outcome for 24 hours.",
)
PREFER = OpenApiParameter(
    "Prefer",
    str,
    OpenApiParameter.HEADER,
    description="respond-async: an order that can't be made now is answered 202, and made when the factory is back.",
)
LATER = re.compile(r"\s*respond-async\s*(;.*)?", re.IGNORECASE | re.DOTALL)


class OrderViewSet(ApiViewSet):
    access = {
        "list": SIGNED_IN,
        "retrieve": SIGNED_IN,
        "place": SIGNED_IN,
        "chaos": Admin("unable to toggle chaos"),
    }
    # What is ordered, once that is known.
    wanted: Sequence[int] = ()

    def handle_exception(self, exc: Exception) -> Response:
        """An order that failed by an error of ours stands in no book, not even if it is the database that is gone."""
        known = isinstance(exc, (OrderFailed, OrderRefused))
        if self.action == "place" and not known and problem_of(exc).status >= 500:
            caller = context.current()
            wanted = {"orders": [exc.order_id]} if isinstance(exc, Undecided) else {"items": self.wanted}
            journal.note("broken", outcome=type(exc).__name__, diner=caller and caller.user_id, **wanted)
        return super().handle_exception(exc)

    @operation(
        "Get the orders for the authenticated user",
        at="/api/order",
        query=HistoryPage,
        response=HistoryOut,
        answer={"dinerId": 2, "orders": [BOUGHT], "page": 1, "more": False},
    )
    def list(self, request: SignedInRequest) -> Response:
        query = checked_query(HistoryPage, request.META["QUERY_STRING"])
        page = query["page"]
        found, more = selectors.history(diner=request.user, statuses=query.get("status", ""), page=page)
        return Response({"dinerId": request.user.pk, "orders": list(map(order_out, found)), "page": page, "more": more})

    @operation(
        "Get one order",
        at="/api/order/1",
        response=OrderOut,
        answer={**BOUGHT, "jwt": "1111111111"},
        errors=[404],
    )
    def retrieve(self, request: SignedInRequest, order_id: int) -> Response:
        order = selectors.order(order_id=order_id, reader=request.user)
        return Response(order_out(order) | ({} if order.jwt is None else {"jwt": order.jwt}))

    @operation(
        "Create an order for the authenticated user",
        at="/api/order",
        request=OrderIn,
        response=SaleOut,
        example={"franchiseId": 1, "storeId": 1, "items": [{"menuId": 1}]},
        answer={"order": {"franchiseId": 1, "storeId": 1, "items": [VEGGIE], "id": 1}, "jwt": "1111111111"},
        parameters=[IDEMPOTENCY_KEY, PREFER],
        others={202: PromiseOut},
        errors=[404, 409, 422, 504],
    )
    def place(self, request: SignedInRequest) -> Response:
        sent = checked(OrderIn, request.data)
        self.wanted = [item["menuId"] for item in sent["items"]]
        sale = sales.place_order(
            diner=request.user,
            franchise_id=sent["franchiseId"],
            store_id=sent["storeId"],
            menu_ids=self.wanted,
            idempotency_key=_idempotency_key(request),
            later=any(map(LATER.fullmatch, request.headers.get("Prefer", "").split(","))),
        )
        if sale.order.status == Status.PENDING:
            return Response(promise_out(sale), status=202, headers={"Location": f"/api/order/{sale.order.pk}"})
        return Response(sale_out(sale))

    @operation(
        "Have half of the calls to the factory fail, for 15 minutes at most",
        at="/api/order/chaos/true",
        parameters=[OpenApiParameter("state", str, OpenApiParameter.PATH, enum=["true", "false"])],
        response=ChaosOut,
        answer={"chaos": True},
    )
    def chaos(self, request: Request, state: str) -> Response:
        if state not in ("true", "false"):
            sentence = "This has to be true or false."
            raise Invalid(f"state: {sentence}", fields={"state": [sentence]})
        return Response({"chaos": outages.switch_chaos(on=state == "true")})


class StatusViewSet(ApiViewSet):
    authentication_classes = []
    access = {"retrieve": EVERYONE}

    @operation(
        "Tell whether pizzas can be ordered",
        at="/api/status",
        response=OrderingOut,
        answer={"ordering": "up", "message": "Pizzas are made as usual.", "since": None, "retryAfter": None},
    )
    def retrieve(self, request: Request) -> Response:
        return Response(selectors.ordering())


def _idempotency_key(request: Request) -> str | None:
    key = request.headers.get("Idempotency-Key")
    if key is not None and not VISIBLE_ASCII.fullmatch(key):
        sentence = "This has to be 1 to 255 visible ASCII characters."
        raise Invalid(f"Idempotency-Key: {sentence}", fields={"Idempotency-Key": [sentence]})
    return key
