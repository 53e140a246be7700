"""A franchisee sees what is theirs. Each address that the admin has is tried with the ids of another's."""

import re
from datetime import UTC, datetime
from urllib.parse import quote

import pytest
from django.contrib.admin import site
from django.contrib.admin.models import CHANGE, LogEntry
from django.contrib.contenttypes.models import ContentType
from django.urls import URLPattern, get_resolver
from django.utils.http import urlencode

from franchises.models import Franchise, Store
from jwtpizza.accounts.models import Session, User
from jwtpizza.incidents.models import Incident
from menu.models import MenuItem
from orders.models import FactoryKey, Order, SupportLink, WorkerCircuit
from tests.admin_site.conftest import sold

# What only the other franchise has: its names, an address, its orders' numbers and sums.
THEIRS = re.compile(r"rival|76543\d\d|7\.77777", re.IGNORECASE)
LONG_AGO = datetime(2025, 12, 2, 19, 33, 37, tzinfo=UTC)
# Addresses that show nobody anything of a franchise: whoever may work here may have them.
OPEN = {"index", "login", "logout", "password_change", "password_change_done", "jsi18n", "search"}
REFUSED = {403, 404}


def patterns(resolver=None, prefix=""):
    """Each address of the admin as (path with <names>, name)."""
    for pattern in (resolver or get_resolver()).url_patterns:
        path = prefix + str(pattern.pattern)
        if isinstance(pattern, URLPattern):
            yield path, pattern.name
        else:
            yield from patterns(pattern, path)


ADDRESSES = [(path, name) for path, name in patterns() if path.startswith("admin/")]
WITH_IDS = [(path, name) for path, name in ADDRESSES if "<" in path]
WITHOUT = [(path, name) for path, name in ADDRESSES if "<" not in path]


@pytest.fixture
def theirs(rival):
    """By model, the rows that are the rival's, or an admin's alone."""
    LogEntry.objects.create(
        user=rival.owner,
        content_type=ContentType.objects.get_for_model(Store),
        object_id=rival.store.pk,
        object_repr="rival store",
        action_flag=CHANGE,
        change_message="rival rename",
    )
    Session.objects.create(jti="rival", user=rival.owner, expires_at=rival.owner.created_at)
    rows = {
        Franchise: [rival.franchise],
        Store: [rival.store, rival.gone],
        Order: rival.orders,
        User: [rival.owner, rival.regular],
        Session: list(Session.objects.filter(pk="rival")),
        SupportLink: [SupportLink.objects.create(link="https://rival.example/api/support/k/report/c", digest="rival")],
        WorkerCircuit: [WorkerCircuit.objects.create(worker="rival", state="open")],
        FactoryKey: [FactoryKey.objects.create(kid="rival", jwk={})],
        MenuItem: list(MenuItem.objects.all()[:1]),
        Incident: [Incident.objects.create(first_at=LONG_AGO, last_at=LONG_AGO, notes="rival notes")],
    }
    assert set(rows) == set(site._registry), "a model that is new in the admin has no row here"
    return rows


def model_of(path):
    """Whose page that is; None for a page of the site itself."""
    for model in site._registry:
        if path.startswith(f"admin/{model._meta.app_label}/{model._meta.model_name}/"):
            return model
    return None


def filled(path, theirs):
    """That address for each row of the rival's that could stand in it."""
    model = model_of(path)
    if model:
        assert re.findall("<.*?>", path) in (["<path:object_id>"], ["<int:pk>"], ["<id>"]), (
            f"{path}: a parameter that is new"
        )
        return [re.sub("<.*?>", str(row.pk), path) for row in theirs[model]]
    if "content_type_id" in path:
        kinds = {each: ContentType.objects.get_for_model(each).pk for each in theirs}
        return [f"admin/r/{kinds[each]}/{row.pk}/" for each, rows in theirs.items() for row in rows]
    if path.startswith("admin/^(?P<app_label>"):
        return [f"admin/{each}/" for each in ("accounts", "menu")]
    assert path == "admin/(?P<url>.*)$", f"{path}: an address that is new"
    return ["admin/rival/store/", "admin/franchises/store/rival/"]


def shown(answer):
    content = b"".join(answer.streaming_content) if answer.streaming else answer.content
    return content.decode() + str(answer.headers)


@pytest.mark.parametrize(("path", "name"), WITH_IDS, ids=[path for path, _ in WITH_IDS])
def test_no_address_opens_what_is_anothers(path, name, counter, theirs):
    for address in filled(path, theirs):
        for method in ("get", "post"):
            answer = getattr(counter, method)("/" + address.replace("$", ""), follow=False)
            if answer.status_code == 301:
                continue
            seen = shown(answer)
            assert answer.status_code in REFUSED or is_a_way_to(answer, address), (address, method, answer.status_code)
            assert not THEIRS.search(seen.replace(address, "")), (address, method)


def is_a_way_to(answer, address):
    """Django's way from an object's old address to its page, which is then refused by itself."""
    return answer.status_code == 302 and answer.headers["Location"] == f"/{address}change/"


@pytest.mark.parametrize(("path", "name"), WITHOUT, ids=[path for path, _ in WITHOUT])
def test_no_list_shows_what_is_anothers(path, name, counter, theirs):
    answer = counter.get("/" + path, follow=False)
    model = model_of(path)
    if name in OPEN or name == "autocomplete":
        assert not THEIRS.search(shown(answer))
        return
    assert model, f"{path}: a page of the site that is new"
    allowed = {Order, Store, Franchise} if not path.endswith("add/") else {Store}
    assert answer.status_code == (200 if model in allowed else 403), path
    assert not THEIRS.search(shown(answer))


def queries(model, rows):
    """What somebody may try behind a list's address to get at another's."""
    for row in rows:
        yield from ({"q": str(row)}, {"q": row.pk}, {"id": row.pk}, {"id__exact": row.pk}, {"pk__in": row.pk})
    yield from ({"q": "rival"}, {"all": ""}, {"_to_field": "id", "_popup": "1"}, {"o": "-1"}, {"p": "2"}, {"e": "1"})
    yield from ({"store": pk} for pk in Store.objects.values_list("pk", flat=True))
    for path in (
        "store__id__exact",
        "store__franchise__name__contains",
        "diner__name__contains",
        "diner__email__contains",
        "franchise__name__contains",
        "franchise__admins__email__contains",
        "admins__email__contains",
        "name__contains",
        "items__description__contains",
    ):
        yield {path: "rival"}


LISTED = pytest.mark.parametrize("model", [Franchise, Store, Order], ids=lambda model: model._meta.label)


@LISTED
def test_no_question_to_a_list_finds_what_is_anothers(model, counter, theirs):
    for page in ("", "export/") if model is Order else ("",):
        for query in queries(model, theirs[model]):
            address = f"/admin/{model._meta.app_label}/{model._meta.model_name}/{page}?{urlencode(query)}"
            answer = counter.get(address)
            # What was asked is in the answer, as it was typed and in links.
            seen = shown(answer)
            for echo in (quote(urlencode(query)), urlencode(query), *map(str, query.values())):
                seen = seen.replace(echo, "")
            assert answer.status_code in {200, 302, 400}, address
            found = THEIRS.search(seen)
            assert not found, (address, seen[found.start() - 200 : found.end() + 50])


@LISTED
def test_no_column_answers_whether_it_begins_with_what_was_guessed(model, counter, theirs):
    """Letter by letter, a column that a page masks or leaves out would tell all of it."""
    page = site._registry[model]
    shown = {getattr(each, "parameter_name", None) or each[0] for each in page.list_filter}
    for field in model._meta.get_fields():
        for name in (field.name, f"{field.name}__startswith", f"{field.name}__gte", f"{field.name}__isnull"):
            if field.name not in shown:
                answer = counter.get(f"/admin/{model._meta.app_label}/{model._meta.model_name}/", {name: "1"})
                assert answer.status_code == 400, name


def kept(model, rows):
    return list(model.objects.filter(pk__in=[row.pk for row in rows]).order_by("pk").values())


@pytest.mark.parametrize("model", site._registry, ids=lambda model: model._meta.label)
def test_no_action_touches_what_is_anothers(model, counter, theirs):
    """Each that any list or page has, for everybody's rows."""
    page, rows = site._registry[model], theirs[model]
    before = kept(model, rows)
    ids = [row.pk for row in rows]
    address = f"/admin/{model._meta.app_label}/{model._meta.model_name}/"
    names = {"delete_selected", *(page._extract_action_names(page.actions)), *page.list_editable}
    for name in names:
        counter.post(address, {"action": name, "_selected_action": ids, "select_across": "1", "post": "yes"})
    form = {"form-TOTAL_FORMS": len(ids), "form-INITIAL_FORMS": len(ids), "_save": "Save"}
    for number, pk in enumerate(ids):
        form |= {f"form-{number}-id": pk, f"form-{number}-name": "taken over", f"form-{number}-position": 3}
    counter.post(address, form)
    assert kept(model, rows) == before


def test_the_search_of_the_sidebar_finds_nothing_that_is_anothers(counter, theirs):
    for query in ({"s": "rival"}, {"s": "rival", "extended": "1"}, {"s": "7654321"}):
        assert not THEIRS.search(shown(counter.get("/admin/search/", query)).replace(query["s"], ""))


def test_no_autocompletion_offers_what_is_anothers(counter, theirs):
    for model in site._registry:
        for field in model._meta.get_fields():
            if not field.is_relation or field.auto_created:
                continue
            asked = {"app_label": model._meta.app_label, "model_name": model._meta.model_name, "field_name": field.name}
            for term in ("", "rival"):
                answer = counter.get("/admin/autocomplete/", asked | {"term": term})
                assert answer.status_code in {200, 403}, asked
                assert not THEIRS.search(shown(answer)), asked


def test_no_form_puts_a_store_into_anothers_franchise(counter, rival):
    form = {"franchise": rival.franchise.pk, "name": "Trojan"}
    answer = counter.post("/admin/franchises/store/add/", form)
    assert "franchise" in answer.context["adminform"].errors
    assert not THEIRS.search(answer.text)
    assert not Store.objects.filter(name="Trojan").exists()


def test_a_name_that_another_franchise_has_is_free(counter, rival):
    answer = counter.post("/admin/franchises/store/add/", {"franchise": 1, "name": "rival store"})
    assert answer.status_code == 302
    assert Store.objects.filter(name="rival store", franchise=1).exists()


def test_two_franchises_of_ones_own_are_both_seen(counter, rival):
    rival.franchise.admins.add(User.objects.get(email="f@jwt.com"))
    sold(Store.objects.get(name="SLC"), description="mine", pk=11)
    page = counter.get("/admin/orders/order/").text
    assert "7654321" in page
    assert "/11/change/" in page
    assert counter.get(f"/admin/franchises/store/{rival.store.pk}/change/").status_code == 200


def test_what_is_ones_own_is_seen(counter, rival):
    order = sold(Store.objects.get(name="SLC"), total="0.0038")
    page = counter.get(f"/admin/orders/order/{order.pk}/change/")
    assert page.status_code == 200
    assert "₿\xa00.0038" in page.text
