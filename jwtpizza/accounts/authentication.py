"""Who is calling: a signed token, and the session that it stands for."""

import time
from functools import lru_cache
from typing import Any

from django.db import DatabaseError
from rest_framework.authentication import BaseAuthentication
from rest_framework.request import Request
from rest_framework_simplejwt.exceptions import TokenError
from rest_framework_simplejwt.tokens import AccessToken

from jwtpizza.accounts import selectors
from jwtpizza.accounts.models import Session, User
from jwtpizza.accounts.services import saw
from jwtpizza.observability import context


class SignedInRequest(Request):
    """A request to a view that lets nobody in unknown."""

    user: User
    auth: Session


# To verify a signature takes as long as to look the session up, and a client sends the same one again and again.
@lru_cache(maxsize=1024)
def _claims(token: bytes) -> dict[str, Any]:
    return AccessToken(token).payload  # type: ignore[arg-type]


def _session_of(token: bytes) -> str:
    """The id of the session that the token stands for; raises TokenError if it is not ours, or out of date."""
    claims = _claims(token)
    if claims["exp"] <= time.time():
        raise TokenError
    return str(claims["jti"])


class SessionTokenAuthentication(BaseAuthentication):
    """`request.user` and `request.auth` (the Session) from `Authorization: Bearer <token>`, in one query.

    A token that is no good is no caller; whether the view needs one is for its permission to say.
    Raises django.db.Error when the database does not answer: that is no reason to call anybody unauthorized.
    """

    def authenticate(self, request: Request) -> tuple[User, Session] | None:
        scheme, _, raw = request.headers.get("Authorization", "").partition(" ")
        if scheme.lower() != "bearer":
            return None
        try:
            jti = _session_of(raw.strip().encode())
        except TokenError:
            return None
        session = self.session(jti)
        if session is None:
            return None
        saw(session.user_id)
        context.note_caller(session.user_id)
        return session.user, session

    def session(self, jti: str) -> Session | None:
        return selectors.session(jti)

    def authenticate_header(self, request: Request) -> str:
        return "Bearer"


class WithRoles(SessionTokenAuthentication):
    """For what shows them: the user's `roles` come in the same query."""

    def session(self, jti: str) -> Session | None:
        return selectors.session_with_roles(jti)


class PublicAnyway(SessionTokenAuthentication):
    """For a list that everyone may see, where a caller who can't be looked up is an anonymous caller."""

    def authenticate(self, request: Request) -> Any:
        try:
            return super().authenticate(request)
        except DatabaseError:
            return None
