"""What is to be seen beyond a status: rules for every answer, and for each `why` what it promises."""

import re
import time
from collections.abc import Callable
from typing import Any
from urllib.parse import parse_qs, urlsplit

from franchises.models import Franchise, Store
from orders.models import Order
from tests.contract.cases import CASES, Case
from tests.contract.compare import assert_documented, assert_like
from tests.contract.expected import AT_FAULT, METHODS, OTHER_IDS
from tests.contract.scene import Scene

Check = Callable[[Scene], object]

NO_STACK = re.compile(
    r"Traceback|File \"|\bat \w+ \(|SELECT |sqlite|psycopg|django|rest_framework|Expecting|line \d+ column"
)
CORS_HEADERS = {"authorization", "content-type", "idempotency-key", "prefer", "traceparent", "x-request-id"}
SEED_MENU = CASES["menu"]["answer"]["body"]
ANY_OF = {
    "401, 404 or 400, never 500": {400, 401, 404},
    "200 or 204 with Allow; no Access-Control-Allow-Origin without Origin": {200, 204},
}


def statuses(case: Case) -> set[int]:
    return ANY_OF.get(case["answer"].get("why"), {case["answer"]["status"]})


def compare(scene: Scene) -> None:
    """The recorded body. What requests before it left in the recorder's database is no part of the case."""
    recorded, path = scene.case["answer"]["body"], scene.request["path"]
    if path.startswith("/api/docs") and scene.case["to"] == "service" and recorded:
        return assert_documented(scene.answer.body, recorded)
    if path == "/api/order/menu" and scene.request["method"] == "PUT" and scene.answer.status == 200:
        recorded = SEED_MENU + [row for row in recorded if row["title"] == scene.request["body"]["title"]]
    return assert_like(scene.answer.body, recorded, ids=scene.case["name"] not in OTHER_IDS)


# --- for every answer of the service ---


def has_a_request_id(scene: Scene) -> None:
    assert re.fullmatch(r"[\w.:/+=@-]{1,128}", scene.answer.headers["X-Request-Id"])


def tells_of_errors_in_one_form(scene: Scene) -> None:
    answer = scene.answer
    if answer.status < 400 or scene.request["method"] == "HEAD":
        return
    body = answer.body
    assert body["statusCode"] == answer.status
    assert body["requestId"] == answer.headers["X-Request-Id"]
    assert body["message"]
    assert re.fullmatch(r"[A-Z][A-Za-z -]{3,40}", body["error"])
    assert not NO_STACK.search(answer.content.decode())


def names_the_fields_at_fault(scene: Scene) -> None:
    if scene.answer.status == 400:
        fields = scene.answer.body["fields"]
        assert set(fields) == set(AT_FAULT[scene.case["name"]].split())
        assert all(isinstance(sentence, str) for sentences in fields.values() for sentence in sentences)


def asks_for_a_token(scene: Scene) -> None:
    if scene.answer.status == 401:
        assert scene.answer.headers["WWW-Authenticate"] == "Bearer"


def tells_the_methods(scene: Scene) -> None:
    if scene.answer.status == 405:
        assert scene.answer.headers["Allow"] == METHODS[scene.request["path"]]


def keeps_the_api_key(scene: Scene) -> None:
    if scene.who == "admin" and _is_order(scene):
        return
    assert "key0001" not in scene.answer.content.decode()
    assert "/api/support/" not in scene.answer.content.decode()


def changes_nothing_unless_it_worked(scene: Scene) -> None:
    ordered = scene.request["path"].startswith("/api/order") and scene.answer.status in (500, 504)
    worked = scene.answer.status == 200 and scene.request["method"] in ("POST", "PUT", "DELETE")
    if not ordered and not worked:
        assert scene.books() == scene.before


def gives_tokens_that_work(scene: Scene) -> None:
    if scene.answer.status == 200 and scene.answer.content and "token" in scene.answer.body:
        me = scene.get("/api/user/me", scene.answer.body["token"]).body
        changed = scene.request["path"].startswith("/api/user/")
        assert me["id"] == (scene.user().pk if changed else scene.answer.body["user"]["id"])


def enters_a_sale_in_the_books(scene: Scene) -> None:
    if not _is_order(scene) or scene.answer.status != 200:
        return
    told, order = scene.answer.body["order"], Order.objects.latest("pk")
    pizza = scene.factory("POST", "/api/order/verify", json={"jwt": scene.answer.body["jwt"]}).json()["payload"]
    assert pizza["order"] == told
    assert pizza["diner"] == {"id": scene.user().pk, "name": scene.user().name, "email": scene.user().email}
    assert set(told) == {"id", "franchiseId", "storeId", "items"}
    assert (order.pk, order.diner_id, order.status) == (told["id"], scene.user().pk, "fulfilled")
    kept = [(item.menu_item_id, item.description, float(item.price)) for item in order.items.order_by("pk")]
    assert kept == [(item["menuId"], item["description"], item["price"]) for item in told["items"]]
    assert order.store.revenue == sum(sale.total for sale in Order.objects.filter(status="fulfilled"))


def says_that_nothing_was_charged(scene: Scene) -> None:
    if not _is_order(scene) or scene.answer.status not in (500, 504):
        return
    begins = {500: "Failed to fulfill order at factory", 504: "The pizza factory is taking too long"}
    message = scene.answer.body["message"]
    assert message.startswith(begins[scene.answer.status])
    assert all(words in message for words in ("was not placed", "nothing was charged", "try again in"))
    assert scene.answer.body["error"] == "Factory request failed"
    _nothing_was_sold()
    history = scene.get("/api/order", scene.tokens[scene.who]).body
    assert history["orders"] == []


def is_refused_for_now(scene: Scene) -> None:
    assert scene.answer.status == 503
    message = scene.answer.body["message"]
    assert message.startswith("The pizza factory is not taking orders right now")
    assert all(words in message for words in ("was not placed", "nothing was charged", "try again in"))
    assert 1 <= int(scene.answer.headers["Retry-After"]) <= 12 + 5


def _is_order(scene: Scene) -> bool:
    return scene.request["method"] == "POST" and scene.request["path"].rstrip("/") == "/api/order"


def _nothing_was_sold() -> None:
    order = Order.objects.latest("pk")
    assert (order.status, order.jwt) == ("failed", None)
    assert set(Store.objects.values_list("revenue", flat=True)) == {0}


ALWAYS: dict[str, tuple[Check, ...]] = {
    "service": (
        has_a_request_id,
        tells_of_errors_in_one_form,
        names_the_fields_at_fault,
        asks_for_a_token,
        tells_the_methods,
        keeps_the_api_key,
        changes_nothing_unless_it_worked,
        gives_tokens_that_work,
        enters_a_sale_in_the_books,
        says_that_nothing_was_charged,
    ),
    "factory": (),
}

# --- for each `why` ---


def says(message: str) -> Check:
    def check(scene: Scene) -> None:
        assert scene.answer.body["message"] == message

    return check


def answers(expected: Any) -> Check:
    return lambda scene: assert_like(scene.answer.body, expected)


def names(field: str) -> Check:
    def check(scene: Scene) -> None:
        assert set(scene.answer.body["fields"]) == {field}

    return check


def then(name: str, status: int = 0) -> Check:
    """What another case sends is answered as recorded, or with the status given here."""

    def check(scene: Scene) -> None:
        case = CASES[name]
        after = scene.send(case["request"], who=case["as"])
        assert after.status == (status or case["answer"]["status"]), after.content
        if not status:
            assert_like(after.body, case["answer"]["body"])

    return check


def then_get(path: str, expected: Any) -> Check:
    def check(scene: Scene) -> None:
        request = {"method": "GET", "path": path, "headers": {"Authorization": "Bearer <token>"}}
        assert_like(scene.send(request, who=scene.who).body, expected)

    return check


def an_unknown_path_is_still_404(scene: Scene) -> None:
    nowhere = scene.send({"method": scene.request["method"], "path": "/api/nowhere"})
    assert (nowhere.status, nowhere.body["message"]) == (404, "unknown endpoint")


def echoes_no_other_origin(scene: Scene) -> None:
    assert "Access-Control-Allow-Origin" not in scene.answer.headers
    assert_like(scene.answer.body, SEED_MENU)


def lets_the_web_app_in(scene: Scene) -> None:
    headers = scene.answer.headers
    assert headers["Access-Control-Allow-Origin"] == "http://localhost:5173"
    assert headers["Access-Control-Allow-Credentials"] == "true"
    assert "origin" in headers["Vary"].lower()
    methods = headers["Access-Control-Allow-Methods"].replace(" ", "").split(",")
    assert {"GET", "POST", "PUT", "DELETE", scene.request["headers"]["Access-Control-Request-Method"]} <= set(methods)
    assert set(headers["Access-Control-Allow-Headers"].replace(" ", "").split(",")) == CORS_HEADERS


def tells_the_methods_to_anybody(scene: Scene) -> None:
    assert scene.answer.headers["Allow"] == METHODS[scene.request["path"]]
    assert "Access-Control-Allow-Origin" not in scene.answer.headers


def gives_no_token(scene: Scene) -> None:
    assert "token" not in scene.answer.body


def lets_the_whole_password_in(scene: Scene) -> None:
    body = {**scene.request["body"], "password": "p" * 80}
    assert scene.send({**scene.request, "body": body}).status == 200


def lists_the_users(scene: Scene) -> None:
    users = [CASES[f"me as {who}"]["answer"]["body"] for who in ("admin", "diner", "franchisee")]
    assert_like(scene.answer.body, {"users": users, "more": False})


def ends_older_sessions(scene: Scene) -> None:
    assert scene.get("/api/user/me", scene.tokens["diner"]).status == 401


def changes_what_was_sent(scene: Scene) -> None:
    """Each name that was sent, and no other; neither of this user nor of anybody else."""
    sent = {name: text for name, text in scene.request["body"].items() if name != "password"}
    pk = int(scene.request["path"].rpartition("/")[2])
    before = {row["id"]: row for row in scene.before["accounts.User"]}
    after = {row["id"]: row for row in scene.books()["accounts.User"]}
    assert_like(scene.answer.body["user"], {"id": pk, **sent})
    free = {"name_key", "password"} if "password" in scene.request["body"] else {"name_key"}
    assert {**after[pk], **dict.fromkeys(free)} == {**before[pk], **sent, **dict.fromkeys(free)}
    assert [after[other] for other in after if other != pk] == [before[other] for other in before if other != pk]
    password = scene.request["body"].get("password", "diner")
    login = {"method": "PUT", "path": "/api/auth", "headers": {"Content-Type": "application/json"}}
    assert scene.send(login | {"body": {"email": after[pk]["email"], "password": password}}).status == 200


def adds_to_the_menu(scene: Scene) -> None:
    assert_like(scene.answer.body, [*SEED_MENU, {"id": 6, **scene.request["body"]}])
    assert scene.send(CASES["menu"]["request"]).body == scene.answer.body


def is_a_page_of_the_history(scene: Scene) -> None:
    """Ten of the orders that the books have, newest first, and whether older ones are left."""
    page = int(_query(scene).get("page", ["1"])[0])
    newest = list(Order.objects.filter(status="fulfilled").order_by("-created_at").values_list("pk", flat=True))
    veggie = {"id": 1, "menuId": 1, "description": "Veggie", "price": 0.0038}
    date = "2026-06-05T05:14:40.000Z"
    row = {"id": 1, "franchiseId": 1, "storeId": 1, "date": date, "status": "fulfilled", "items": [veggie]}
    told, wanted = scene.answer.body, newest[(page - 1) * 10 : page * 10]
    assert [order["id"] for order in told["orders"]] == wanted
    more = len(newest) > page * 10
    assert_like(told, {"dinerId": 2, "orders": [row] * len(wanted), "page": page, "more": more}, ids=False)


def has_the_two_that_were_made(scene: Scene) -> None:
    is_a_page_of_the_history(scene)
    assert Order.objects.count() == len(scene.answer.body["orders"]) == 2


def is_that_order(scene: Scene) -> None:
    is_a_page = scene.send(CASES["orders"]["request"], who="diner").body["orders"][0]
    assert_like(scene.answer.body, {**is_a_page, "status": "fulfilled", "jwt": "<jwt>"})


def has_all_that_was_ordered(scene: Scene) -> None:
    assert scene.answer.body["order"]["items"] == scene.request["body"]["items"]


def echoes_no_unknown_names(scene: Scene) -> None:
    told = scene.answer.body.get("order", scene.answer.body)
    known = {"id", "franchiseId", "storeId", "items", "name", "admins"}
    assert set(told) <= known
    assert told["id"] != scene.request["body"]["id"]
    assert all(set(item) == {"menuId", "description", "price"} for item in told.get("items", []))


def answers_ids_as_numbers(scene: Scene) -> None:
    recorded = CASES["order one item"]["answer"]["body"]
    assert_like(scene.answer.body, recorded, ids=False)


def is_exactly_that_page(scene: Scene) -> None:
    bulk = [f"bulk{number:03}" for number in range(1, 101)] if "105" in scene.case["given"] else []
    every = ["alpha", "Beta", *bulk, "gamma_x", "pizzaHut", "pizzaPocket"]
    query = _query(scene)
    limit = int(query.get("limit", ["10"])[0])
    start = int(query.get("page", ["0"])[0]) * limit
    assert [row["name"] for row in scene.answer.body["franchises"]] == every[start : start + limit]
    assert scene.answer.body["more"] is (len(every) > start + limit)


def lists_admins_once(scene: Scene) -> None:
    franchisee = {"email": "f@jwt.com", "id": 3, "name": "pizza franchisee"}
    assert_like(scene.answer.body, {"name": "x5", "admins": [franchisee]})


def gives_the_link_to_admins(scene: Scene) -> None:
    told = scene.send(scene.request, who="admin").body
    assert told["followLinkToEndChaos"].startswith(f"{scene.factory.url}/api/support/key0001/report/")
    assert Order.objects.filter(diner=scene.user()).latest("pk").support_link == told["followLinkToEndChaos"]


def does_not_ask_the_factory(scene: Scene) -> None:
    assert scene.factory.books()["attempts"] == 0
    assert not Order.objects.exists()


def never_sells_the_pizza_that_comes_too_late(scene: Scene) -> None:
    give_up = time.monotonic() + 10
    while not scene.factory.books()["made"]:
        assert time.monotonic() < give_up
    _nothing_was_sold()


def is_our_own_fault(scene: Scene) -> None:
    assert scene.answer.body["error"] == "Service unavailable"
    assert int(scene.answer.headers["Retry-After"]) > 0


def _query(scene: Scene) -> dict[str, list[str]]:
    return parse_qs(urlsplit(scene.request["path"]).query)


def refuses(scene: Scene) -> None:
    thing = "user" if scene.request["path"].startswith("/api/user/") else "franchise"
    words = {401: "unauthorized", 403: f"unable to delete a {thing}"}
    assert scene.answer.body["message"] == words[scene.answer.status]


def tells_what_is_missing(scene: Scene) -> None:
    assert scene.answer.body["message"].startswith("There is no such ")


def is_a_franchisee_now(scene: Scene) -> None:
    role = {"role": "franchisee", "objectId": Franchise.objects.get(name="x4").pk}
    assert scene.answer.body["roles"] == [{"role": "diner"}, role]


FRANCHISE_PAGE = CASES["franchises ?foo=bar"]["answer"]["body"]
LITERAL = CASES["franchises ?page=1&limit=2"]["answer"]["body"]["franchises"][:1]

CHECKS: dict[str, tuple[Check, ...]] = {
    'a known path with another method: 405 with Allow; an unknown path stays 404 "unknown endpoint"': (
        an_unknown_path_is_still_404,
    ),
    "GET and HEAD only, 405 with Allow": (tells_the_methods,),
    "an unknown path": (says("unknown endpoint"),),
    "paths are case-sensitive": (says("unknown endpoint"),),
    "only a configured origin is echoed": (echoes_no_other_origin,),
    "a correct preflight for the configured origins (2xx, Allow-Methods, Allow-Headers)": (lets_the_web_app_in,),
    "200 or 204 with Allow; no Access-Control-Allow-Origin without Origin": (tells_the_methods_to_anybody,),
    "401, 404 or 400, never 500": (tells_of_errors_in_one_form,),
    "as it was: the body is a JSON object": (names_the_fields_at_fault,),
    "JSON only": (changes_nothing_unless_it_worked,),
    "an email address belongs to one user": (names("email"), gives_no_token),
    "a field of the wrong type, blank or too long is refused by name": (names_the_fields_at_fault, gives_no_token),
    "the whole password counts, not its first 72 bytes": (says("unknown user"), lets_the_whole_password_in),
    "both fields are required strings: no login without a password": (names_the_fields_at_fault, gives_no_token),
    "addresses are compared case-insensitively, nothing more": (says("unknown user"),),
    "Bearer only": (says("unauthorized"),),
    "the list is for admins": (says("unable to list users"),),
    'implemented: {"users": [...], "more": bool}': (lists_the_users,),
    "admins only": (refuses,),
    'implemented: {"message": "user deleted"}': (
        says("user deleted"),
        then("login diner", 404),
        then("me as diner", 401),
    ),
    "no such user": (says("There is no such user."),),
    "as it was; a changed password also ends the other sessions of that user": (
        changes_what_was_sent,
        ends_older_sessions,
    ),
    "the password was changed: every older token has ended": (says("unauthorized"),),
    "each field can be changed alone": (changes_what_was_sent,),
    "nothing to change": (
        names_the_fields_at_fault,
        changes_nothing_unless_it_worked,
    ),
    "the text is stored as it is; no SQL is built from it": (changes_what_was_sent,),
    "a field of the wrong type is refused by name": (names_the_fields_at_fault, gives_no_token),
    "an id is a plain decimal number": (changes_nothing_unless_it_worked,),
    "as it was, but the token returned is always the caller's own, never the changed user's": (
        changes_what_was_sent,
        ends_older_sessions,
    ),
    "a title stands on the menu once": (names("title"), then("menu add as diner")),
    "title, image, price needed; price 0 or more, at most 8 decimals": (names_the_fields_at_fault, then("menu")),
    "title, description, image and price are needed": (names_the_fields_at_fault, then("menu")),
    "any price that a decimal(18,8) holds (give it a title of its own)": (adds_to_the_menu,),
    "who may is checked before what was sent": (says("unable to add menu item"),),
    "newest first, so that the page which the web app shows holds the latest; 10 a page": (is_a_page_of_the_history,),
    "new: one order of the caller, with its status": (is_that_order,),
    "as it was": (has_all_that_was_ordered,),
    "unknown fields are ignored, not echoed": (echoes_no_unknown_names,),
    "an id in quotes is accepted, answered as a number": (answers_ids_as_numbers,),
    "an id is a whole number": (names_the_fields_at_fault,),
    "no such store in that franchise": (says("There is no such store in that franchise."),),
    "the refused ones left no row; ids in quotes come back as numbers": (has_the_two_that_were_made,),
    "the field at fault is named; nothing is stored": (
        names_the_fields_at_fault,
        changes_nothing_unless_it_worked,
    ),
    "no such menu item; nothing is stored": (says("There is no item 9999 on the menu."),),
    "page is answered as a number": (is_a_page_of_the_history,),
    "a page is a whole number from 1": (names_the_fields_at_fault,),
    "exactly `limit` rows (the recording asks MySQL for more than it says)": (is_exactly_that_page,),
    "page is a whole number from 0, limit from 1 to 1000; a parameter is given once (unknown ones are ignored)": (
        names_the_fields_at_fault,
    ),
    "only * is a wildcard: the rest is literal": (
        answers({"franchises": [], "more": False}),
        then_get("/api/franchise?name=Gamma_x", {"franchises": LITERAL, "more": False}),
    ),
    "name[x] is an unknown parameter, and those are ignored": (answers(FRANCHISE_PAGE),),
    "names are unique, case-insensitively, among open franchises": (names("name"),),
    "as it was, no stack": (says("unknown user for franchise admin nobody@jwt.com provided"),),
    'name a non-blank string; admins a list of {"email"}': (
        names_the_fields_at_fault,
        changes_nothing_unless_it_worked,
    ),
    "listed once": (lists_admins_once,),
    "roles are read live: franchisee of it now": (is_a_franchisee_now,),
    "a name is used once among the open stores of a franchise": (names("name"),),
    "name a non-blank string": (
        names_the_fields_at_fault,
        changes_nothing_unless_it_worked,
    ),
    "no such franchise": (says("There is no such franchise."),),
    "the store is not in that franchise": (says("There is no such store in that franchise."),),
    "no such store": (tells_what_is_missing,),
    "asked again, after an admin closed it: no such franchise": (says("There is no such franchise."),),
    "as it was; the support link goes to operators only (it holds the API key)": (gives_the_link_to_admins,),
    "an order takes 1 to 20 pizzas; the factory is not asked": (does_not_ask_the_factory,),
    "a pizza whose signature does not verify is a failed order, never sold": (says_that_nothing_was_charged,),
    "a slow factory is given up at the deadline": (never_sells_the_pizza_that_comes_too_late,),
    'title "Factory request failed"': (says_that_nothing_was_charged,),
    'title "Factory request failed": no pizza, no sale': (says_that_nothing_was_charged,),
    "a warm menu needs no database (cold: 503)": (answers(SEED_MENU),),
    "an error of ours, said so: never 401, never a stack": (is_our_own_fault,),
    "given up at the deadline": (says_that_nothing_was_charged,),
    "an error of ours, said so: never a stack": (is_our_own_fault,),
}
