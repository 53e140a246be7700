"""The people of the tests, who talk to the service as its clients do."""

import json
from typing import Any

from django.test import Client


class Actor:
    """Somebody with a token, or nobody; sends JSON and reads the answer."""

    def __init__(self, token: str | None = None, *, user: dict[str, Any] | None = None) -> None:
        self.token, self.user = token, user
        self.client = Client(raise_request_exception=False)

    def __call__(self, method: str, path: str, body: Any = None, **headers: str) -> Any:
        if self.token is not None:
            headers = {"Authorization": f"Bearer {self.token}"} | headers
        if body is None:
            return self.client.generic(method, path, headers=headers)
        content = body if isinstance(body, bytes) else json.dumps(body).encode()
        return self.client.generic(method, path, content, content_type="application/json", headers=headers)

    def get(self, path: str, **headers: str) -> Any:
        return self("GET", path, **headers)

    def post(self, path: str, body: Any = None, **headers: str) -> Any:
        return self("POST", path, body, **headers)

    def put(self, path: str, body: Any = None, **headers: str) -> Any:
        return self("PUT", path, body, **headers)

    def delete(self, path: str, **headers: str) -> Any:
        return self("DELETE", path, **headers)

    def order(self, *menu_ids: int, store: int = 1, franchise: int = 1, **headers: str) -> Any:
        items = [{"menuId": menu_id} for menu_id in menu_ids]
        return self.post("/api/order", {"franchiseId": franchise, "storeId": store, "items": items}, **headers)


def logged_in(email: str, password: str) -> Actor:
    answer = Actor().put("/api/auth", {"email": email, "password": password}).json()
    return Actor(answer["token"], user=answer["user"])


def registered(name: str) -> Actor:
    body = {"name": name, "email": f"{name.replace(' ', '.')}@jwt.com", "password": "secret"}
    answer = Actor().post("/api/auth", body).json()
    return Actor(answer["token"], user=answer["user"])
