def test_an_order_is_made_and_is_in_the_history(diner, factory):
    sale = diner.order(1, 2).json()
    assert sale["order"]["items"] == [
        {"menuId": 1, "description": "Veggie", "price": 0.0038},
        {"menuId": 2, "description": "Pepperoni", "price": 0.0042},
    ]
    assert factory("POST", "/api/order/verify", json={"jwt": sale["jwt"]}).json()["message"] == "valid"
    history = diner.get("/api/order").json()
    assert [order["id"] for order in history["orders"]] == [sale["order"]["id"]]
    assert history["orders"][0]["status"] == "fulfilled"
