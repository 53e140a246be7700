"""The world in which a case begins: what `given` says, and what its name tells of the requests before it."""

import json
import time
from collections.abc import Callable, Mapping
from contextlib import AbstractContextManager, ExitStack, nullcontext
from datetime import timedelta
from pathlib import Path
from typing import Any, NamedTuple
from unittest import mock
from urllib.parse import unquote_to_bytes

import requests
from django.db import transaction
from django.test import Client
from django.utils import timezone

from franchises.models import Franchise, Store
from jwtpizza.accounts.models import Session, User
from jwtpizza.accounts.services import open_session
from menu.models import MenuItem
from menu.services import MENU
from orders.models import Order, OrderItem
from tests.conftest import fresh_process
from tests.contract.cases import CASES, Case, content
from tests.contract.outages import STUBS, database_gone, factory_that, nobody

EMAIL = {"diner": "d@jwt.com", "franchisee": "f@jwt.com", "admin": "a@jwt.com"}
STORED = (User, Session, MenuItem, Franchise, Franchise.admins.through, Store, Order, OrderItem)
SERVICE = Client(raise_request_exception=False)


class Answer(NamedTuple):
    status: int
    headers: Mapping[str, str]
    content: bytes

    @property
    def body(self) -> Any:
        return json.loads(self.content) if self.content else None


class Scene:
    """One case on its stage: the demo data, the people, and the factory."""

    def __init__(self, case: Case, *, factory: Any, settings: Any, directory: Path, stack: ExitStack) -> None:
        self.case, self.factory, self.settings = case, factory, settings
        self.directory, self.stack = directory, stack
        self.request: dict[str, Any] = case["request"]
        self.who: str = case["as"]
        self.words: dict[str, str] = {}
        self._ids = {who: User.objects.get(email_key=email).pk for who, email in EMAIL.items()}
        self.tokens = {"anonymous": ""} | {who: open_session(self.user(who)) for who in EMAIL}
        self.outage: AbstractContextManager[None] = nullcontext()
        self.answer = Answer(0, {}, b"")
        self.before: dict[str, Any] = {}

    # --- who ---

    def user(self, who: str = "") -> User:
        return User.objects.get(pk=self._ids[who or self.who])

    # --- what is sent ---

    def send(self, request: dict[str, Any], *, who: str = "anonymous", to: str = "service") -> Answer:
        words = {"<token>": self.tokens[who], **self.words}
        path, headers = _filled(request["path"], words), dict(request.get("headers", {}))
        headers = {name: _filled(text, words) for name, text in headers.items()}
        body = _filled(content(request.get("body")), words).encode()
        return (self._to_factory if to == "factory" else _to_service)(request["method"], path, headers, body)

    def _to_factory(self, method: str, path: str, headers: dict[str, str], body: bytes) -> Answer:
        answer = requests.request(method, self.factory.url + path, data=body, headers=headers, timeout=10)
        return Answer(answer.status_code, answer.headers, answer.content)

    def play(self, name: str) -> Answer:
        """What another case sends, by its own caller, with its own answer for a condition."""
        case = CASES[name]
        answer = self.send(case["request"], who=case["as"], to=case["to"])
        assert answer.status == case["answer"]["status"], (name, answer.content)
        return answer

    def get(self, path: str, token: str) -> Answer:
        return _to_service("GET", path, {"Authorization": f"Bearer {token}"}, b"")

    # --- its three acts ---

    def arrange(self) -> None:
        given = GIVEN[self.case["given"]] if "given" in self.case else ()
        for step in (*given, *BEFORE.get(self.case["name"], ())):
            self.play(step) if isinstance(step, str) else step(self)
        self.before = self.books()

    def act(self) -> Answer:
        with self.outage:
            self.answer = self.send(self.request, who=self.who, to=self.case["to"])
        return self.answer

    def breaker(self, *, on: bool) -> None:
        """A circuit breaker that has seen nothing yet, or none."""
        self.settings.FACTORY_BREAKER_ENABLED = on
        fresh_process()

    def books(self) -> dict[str, Any]:
        """All that is stored, and how often the factory was asked."""
        rows = {model._meta.label: list(model._default_manager.order_by("pk").values()) for model in STORED}
        return {"factory": self.factory.books()["attempts"], **rows}


def _filled(text: str, words: Mapping[str, str]) -> str:
    for word, meaning in words.items():
        text = text.replace(word, meaning)
    return text


def _to_service(method: str, path: str, headers: dict[str, str], body: bytes) -> Answer:
    path, _, query = path.partition("?")
    answer = SERVICE.generic(
        method,
        "/",
        body,
        headers=headers,
        # As a server gives them: a path of two slashes is no host, and %zz stays what it is.
        PATH_INFO=unquote_to_bytes(path).decode("latin-1"),
        QUERY_STRING=query,
    )
    return Answer(answer.status_code, answer.headers, answer.content)


# --- steps: the name of a case that is played before, or one of these ---

Step = str | Callable[[Scene], object]


def chaos(kind: str, **how: float) -> Step:
    return lambda scene: scene.factory.chaos(kind, **how)


def another_session_ends(scene: Scene) -> None:
    other = open_session(scene.user())
    assert _to_service("DELETE", "/api/auth", {"Authorization": f"Bearer {other}"}, b"").status == 200


def impatience(scene: Scene) -> None:
    scene.settings.FACTORY_READ_TIMEOUT = 0.15


def wrong_key(scene: Scene) -> None:
    scene.settings.FACTORY_API_KEY = "a key that the factory does not know"


def nobody_listens(scene: Scene) -> None:
    scene.settings.FACTORY_URL = nobody()


def stub(name: str) -> Step:
    def point_at(scene: Scene) -> None:
        scene.settings.FACTORY_URL = scene.stack.enter_context(factory_that(STUBS[name]))

    return point_at


def orders(count: int) -> Step:
    """Fulfilled ones of one pizza, a second apart, the oldest first."""

    def place(scene: Scene) -> None:
        diner, store, veggie = scene.user("diner"), Store.objects.get(), MenuItem.objects.get(title="Veggie")
        began = timezone.now() - timedelta(minutes=1)
        with transaction.atomic():
            for second in range(count):
                moment = began + timedelta(seconds=second)
                outcome = {"status": "fulfilled", "jwt": "a.b.c", "created_at": moment, "settled_at": moment}
                order = Order.objects.create(diner=diner, store=store, total=veggie.price, **outcome)
                order.items.create(menu_item=veggie, description=veggie.title, price=veggie.price)
            store.revenue += count * veggie.price
            Store.objects.filter(pk=store.pk).update(revenue=store.revenue)

    return place


def other_franchisee(scene: Scene) -> None:
    User.objects.create(name="other franchisee", email="f2@jwt.com", password="!")


def other_store(scene: Scene) -> None:
    Store.objects.create(franchise=Franchise.objects.get(name="otherFranchise"), name="other store")


def store_closed(scene: Scene) -> None:
    request = {"method": "DELETE", "path": "/api/franchise/1/store/1", "headers": {"Authorization": "Bearer <token>"}}
    assert scene.send(request, who="franchisee").status == 200


def hundred_franchises(scene: Scene) -> None:
    with transaction.atomic():
        for number in range(1, 101):
            Franchise.objects.create(name=f"bulk{number:03}")


def a_pizza(word: str, *, spoil: Callable[[str], str] = str) -> Step:
    def order(scene: Scene) -> None:
        scene.words[word] = spoil(scene.play("factory order ok").body["jwt"])

    return order


def tampered(jwt: str) -> str:
    """Another signature of the same length; the last letter alone may carry no more than padding."""
    head, payload, signature = jwt.split(".")
    return ".".join((head, payload, signature[::-1]))


def the_link(word: str) -> Step:
    """`word` stands for the fix code in the link that the factory reports with an order."""

    def order(scene: Scene) -> None:
        reported = scene.send(CASES["factory order ok"]["request"], to="factory").body["reportUrl"]
        scene.words[word] = reported.rpartition("/")[2]

    return order


def chaos_ended(kind: str, word: str) -> tuple[Step, ...]:
    def follow(scene: Scene) -> None:
        scene.factory("GET", f"/api/support/key0001/report/{scene.words[word]}").raise_for_status()

    return chaos(kind, delay=1), the_link(word), follow


def an_hour_later(scene: Scene) -> None:
    """For what is kept rendered; it is good for a second before the database is asked again."""
    scene.stack.enter_context(mock.patch.object(MENU, "_clock", return_value=time.monotonic() + 3600))


def gone(how: str) -> Step:
    def lose(scene: Scene) -> None:
        scene.outage = database_gone(how, scene.directory)

    return lose


FRANCHISES: tuple[Step, ...] = tuple(
    f"create franchise {name} as admin" for name in ("alpha", "Beta", "gamma_x", "pizzaHut")
)

GIVEN: dict[str, tuple[Step, ...]] = {
    "that token has logged out": ("logout ok",),
    "another session of the diner has logged out": (another_session_ends,),
    "the diner has changed the password": ("update own all fields",),
    "the diner has 3 orders": (orders(3),),
    "the diner has 17 orders": (orders(17),),
    "the diner has 23 orders of one pizza, a second apart": (orders(23),),
    "franchises alpha, Beta, gamma_x, pizzaHut besides the seed's": FRANCHISES,
    "105 franchises: the five before and bulk001 to bulk100": (*FRANCHISES, hundred_franchises),
    "a second franchisee f2@jwt.com, who runs otherFranchise (id 2) with a store (id 2)": (
        other_franchisee,
        "create franchise for another franchisee",
        other_store,
    ),
    "factory: fail": (chaos("fail"),),
    "factory: badjwt": (chaos("badjwt"),),
    "factory: throttle": (chaos("throttle", delay=400), impatience),
    "factory: connection refused": (nobody_listens,),
    "factory refuses our key (401)": (wrong_key,),
    "factory answers html502": (stub("html502"),),
    "factory answers html200": (stub("html200"),),
    "factory answers empty200": (stub("empty200"),),
    "factory answers noJwt": (stub("noJwt"),),
    "factory answers reset": (stub("reset"),),
    "factory accepts and never answers": (stub("never"), impatience),
    "the database is gone": (gone("down"),),
}
BEFORE: dict[str, tuple[Step, ...]] = {
    "login with the first 72 of 80 chars (bcrypt cut)": ("register password of 80 chars",),
    "me with the token from before the update (stale)": ("update own all fields",),
    "update own email, name empty (empty = unchanged)": ("update own name only",),
    "menu add same title again": ("menu add as admin",),
    "order by id (no such route)": ("order one item",),
    "orders of another user are not seen": ("order one item",),
    "orders after those": (
        "order menuId as string",
        'order menuId "1abc" (numeric coercion)',
        "order unknown storeId (accepted)",
        "order unknown franchiseId (accepted)",
        "order storeId as string",
    ),
    "franchises as admin with revenue": ("order to give revenue",),
    "franchises as admin name filter": ("order to give revenue",),
    "create franchise for another franchisee": (other_franchisee,),
    "create franchise duplicate name": ("create franchise as admin",),
    "create franchise duplicate name, other case": ("create franchise as admin",),
    "user franchises of the diner made franchise admin": ("create franchise two admins",),
    "me of that diner, old token": ("create franchise two admins",),
    "login of that diner: roles": ("create franchise two admins",),
    "delete store no token": ("create store as own franchisee",),
    "delete store as diner": ("create store as own franchisee",),
    "delete store own": ("create store as own franchisee",),
    "delete store again": ("create store as own franchisee", "delete store own"),
    "delete store as admin": ("create store as own franchisee", "create store as admin"),
    "order at the deleted store (accepted)": (store_closed,),
    "delete franchise again": ("delete franchise as admin",),
    "factory verify good jwt": (a_pizza("<jwt>"),),
    "factory verify tampered jwt": (a_pizza("<jwt>", spoil=tampered),),
    "factory verify the bad jwt": (chaos("badjwt"), a_pizza("<badjwt>")),
    "factory vendor under chaos (fixCode hidden)": (chaos("fail"),),
    "order still fails": (chaos("fail"),),
    "factory support: follow the reported link": (the_link("fixcodefail"),),
    "factory support: again": chaos_ended("fail", "fixcodefail"),
    "factory vendor after chaos ended": chaos_ended("fail", "fixcodefail"),
    "factory support ends badjwt": (chaos("badjwt"), the_link("fixcodebad")),
    "order right after (fast)": chaos_ended("throttle", "fixcode"),
    # A menu is cold until somebody has asked for it.
    "database down: menu": ("menu", an_hour_later),
    "database down: menu with token": ("menu", an_hour_later),
    "database dropped: menu": (gone("dropped"),),
    "database at max_connections: menu": (gone("taken"),),
}
