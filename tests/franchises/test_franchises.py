"""Opening and closing franchises and stores, and who sees what of them."""

import pytest

from franchises.models import Franchise, Store
from tests.actors import registered


def listed(actor, query=""):
    return actor.get(f"/api/franchise?{query}").json()["franchises"]


def open_franchise(admin, name, *emails):
    return admin.post("/api/franchise", {"name": name, "admins": [{"email": email} for email in emails]})


def test_everybody_sees_franchises_and_stores_and_no_more(anonymous, diner, franchisee):
    for actor in (anonymous, diner, franchisee):
        assert listed(actor) == [{"id": 1, "name": "pizzaPocket", "stores": [{"id": 1, "name": "SLC"}]}]


def test_an_admin_also_sees_who_runs_them_and_what_they_earn(admin):
    assert listed(admin) == [
        {
            "id": 1,
            "name": "pizzaPocket",
            "admins": [{"id": 3, "name": "pizza franchisee", "email": "f@jwt.com"}],
            "stores": [{"id": 1, "name": "SLC", "totalRevenue": 0}],
        }
    ]


def test_a_list_kept_for_everybody_is_not_shown_to_an_admin_nor_theirs_to_anybody(admin, anonymous):
    assert "admins" not in listed(anonymous)[0]
    assert "admins" in listed(admin)[0]
    assert "admins" not in listed(anonymous)[0]


def test_franchises_come_by_name_whatever_its_case(admin, anonymous):
    for name in ("beta", "Alpha", "gamma", "Ölandia"):
        open_franchise(admin, name)
    assert [each["name"] for each in listed(anonymous)] == ["Alpha", "beta", "gamma", "pizzaPocket", "Ölandia"]


def test_pages_count_from_0(admin, anonymous):
    for name in ("a", "b", "c"):
        open_franchise(admin, name)
    first = anonymous.get("/api/franchise?page=0&limit=2").json()
    assert ([each["name"] for each in first["franchises"]], first["more"]) == (["a", "b"], True)
    second = anonymous.get("/api/franchise?page=1&limit=2").json()
    assert ([each["name"] for each in second["franchises"]], second["more"]) == (["c", "pizzaPocket"], False)


def test_names_are_searched(admin, anonymous):
    open_franchise(admin, "Straße")
    assert [each["name"] for each in listed(anonymous, "name=STRASSE")] == ["Straße"]
    assert [each["name"] for each in listed(anonymous, "name=*pocket*")] == ["pizzaPocket"]


def test_an_owner_sees_their_own_with_revenue(franchisee, diner, factory):
    diner.order(1, 5)
    assert franchisee.get("/api/franchise/3").json() == [
        {
            "id": 1,
            "name": "pizzaPocket",
            "admins": [{"id": 3, "name": "pizza franchisee", "email": "f@jwt.com"}],
            "stores": [{"id": 1, "name": "SLC", "totalRevenue": 0.0137}],
        }
    ]


def test_an_admin_sees_anybodys(admin):
    assert [each["id"] for each in admin.get("/api/franchise/3").json()] == [1]
    assert admin.get("/api/franchise/2").json() == []


def test_of_others_one_sees_nothing(diner):
    assert diner.get("/api/franchise/3").json() == []


def test_an_owner_of_two_sees_both_oldest_first(admin, franchisee):
    open_franchise(admin, "another", "f@jwt.com")
    assert [each["name"] for each in franchisee.get("/api/franchise/3").json()] == ["pizzaPocket", "another"]


def test_a_franchise_is_opened_with_those_who_run_it_in_their_order(admin):
    answer = open_franchise(admin, "new", "f@jwt.com", "d@jwt.com", "a@jwt.com").json()
    assert [person["id"] for person in answer["admins"]] == [3, 2, 1]
    assert [person["id"] for person in admin.get("/api/franchise/2").json()[0]["admins"]] == [3, 2, 1]


def test_who_is_named_twice_runs_it_once(admin):
    answer = open_franchise(admin, "new", "f@jwt.com", "F@JWT.COM", " f@jwt.com ")
    assert [person["id"] for person in answer.json()["admins"]] == [3]


def test_nobody_need_run_it(admin):
    assert open_franchise(admin, "new").json()["admins"] == []


def test_an_unknown_address_is_named_and_nothing_is_opened(admin):
    answer = open_franchise(admin, "new", "f@jwt.com", "nobody@jwt.com")
    assert answer.status_code == 404
    assert "nobody@jwt.com" in answer.json()["message"]
    assert Franchise.objects.count() == 1


@pytest.mark.parametrize("name", ["pizzaPocket", "PIZZAPOCKET", " pizzapocket "])
def test_a_name_is_one_open_franchises_whatever_its_case(admin, name):
    answer = open_franchise(admin, name, "f@jwt.com")
    assert answer.status_code == 409
    assert answer.json()["fields"].keys() == {"name"}
    assert Franchise.objects.count() == 1


def test_only_admins_open_and_close_franchises(anonymous, diner, franchisee):
    for actor, status in ((anonymous, 401), (diner, 403), (franchisee, 403)):
        assert open_franchise(actor, "new").status_code == status
        assert actor.delete("/api/franchise/1").status_code == status


@pytest.fixture
def closed(admin, diner, factory):
    """The franchise has sold a pizza and was closed."""
    diner.order(5)
    assert admin.delete("/api/franchise/1").json() == {"message": "franchise deleted"}


def test_a_closed_franchise_is_in_no_list(closed, anonymous, admin, franchisee):
    assert listed(anonymous) == []
    assert listed(admin) == []
    assert franchisee.get("/api/franchise/3").json() == []


def test_a_closed_franchise_is_not_there(closed, admin, franchisee):
    assert admin.delete("/api/franchise/1").status_code == 404
    assert admin.post("/api/franchise/1/store", {"name": "Provo"}).status_code == 404
    assert admin.delete("/api/franchise/1/store/1").status_code == 404
    assert franchisee.post("/api/franchise/1/store", {"name": "Provo"}).status_code == 403


def test_nothing_is_sold_in_a_closed_franchise(closed, diner, factory):
    assert diner.order(1).status_code == 404
    assert factory.books()["attempts"] == 1


def test_a_closed_franchises_name_is_free(closed, admin, anonymous):
    answer = open_franchise(admin, "pizzaPocket")
    assert answer.status_code == 200
    assert [each["id"] for each in listed(anonymous)] == [answer.json()["id"]]


def test_orders_and_revenue_of_a_closed_franchise_stay(closed, diner):
    order = diner.get("/api/order").json()["orders"][0]
    assert (order["franchiseId"], order["storeId"], order["status"]) == (1, 1, "fulfilled")
    assert float(Store.objects.get(pk=1).revenue) == 0.0099


def test_its_franchisee_opens_and_closes_stores(franchisee, anonymous):
    answer = franchisee.post("/api/franchise/1/store", {"name": "Provo"}).json()
    assert answer == {"id": answer["id"], "franchiseId": 1, "name": "Provo"}
    assert franchisee.delete(f"/api/franchise/1/store/{answer['id']}").json() == {"message": "store deleted"}
    assert listed(anonymous)[0]["stores"] == [{"id": 1, "name": "SLC"}]


def test_an_admin_does_too(admin):
    assert admin.post("/api/franchise/1/store", {"name": "Provo"}).status_code == 200
    assert admin.delete("/api/franchise/1/store/1").status_code == 200


def test_nobody_else_does(anonymous, diner, admin):
    other = registered("other franchisee")
    open_franchise(admin, "other", "other.franchisee@jwt.com")
    for actor, status in ((anonymous, 401), (diner, 403), (other, 403)):
        assert actor.post("/api/franchise/1/store", {"name": "Provo"}).status_code == status
        assert actor.delete("/api/franchise/1/store/1").status_code == status


def test_who_runs_it_no_longer_does_not_either(franchisee):
    Franchise.objects.get().admins.clear()
    assert franchisee.post("/api/franchise/1/store", {"name": "Provo"}).status_code == 403


@pytest.mark.parametrize("name", ["SLC", "slc", " Slc "])
def test_a_name_is_one_open_stores_of_a_franchise(franchisee, name):
    assert franchisee.post("/api/franchise/1/store", {"name": name}).status_code == 409


def test_another_franchise_may_have_a_store_of_that_name(admin):
    second = open_franchise(admin, "second").json()["id"]
    assert admin.post(f"/api/franchise/{second}/store", {"name": "SLC"}).status_code == 200


def test_a_closed_stores_name_is_free(franchisee):
    franchisee.delete("/api/franchise/1/store/1")
    assert franchisee.post("/api/franchise/1/store", {"name": "SLC"}).status_code == 200


def test_a_closed_store_is_not_there(franchisee, diner, factory):
    franchisee.delete("/api/franchise/1/store/1")
    assert franchisee.delete("/api/franchise/1/store/1").status_code == 404
    assert diner.order(1).status_code == 404


def test_a_store_is_found_in_its_own_franchise_alone(admin, diner, factory):
    second = open_franchise(admin, "second").json()["id"]
    assert admin.delete(f"/api/franchise/{second}/store/1").status_code == 404
    assert diner.order(1, franchise=second).status_code == 404
    assert Store.objects.get(pk=1).closed_at is None


def test_a_store_saved_by_who_read_it_before_a_sale_keeps_what_that_earned(demo):
    read_before = Store.objects.get(pk=1)
    Store.objects.update(revenue=5)
    read_before.name = "renamed"
    read_before.save()
    assert Store.objects.values_list("name", "revenue").get() == ("renamed", 5)
