"""Who is calling: a signed token, and the session that it stands for."""

from typing import Any

from django.db import DatabaseError
from rest_framework.authentication import BaseAuthentication
from rest_framework.request import Request
from rest_framework_simplejwt.exceptions import TokenError
from rest_framework_simplejwt.tokens import AccessToken

from jwtpizza.accounts.models import Session, User
from jwtpizza.accounts.services import saw
from jwtpizza.observability import context


class SignedInRequest(Request):
    """A request to a view that lets nobody in unknown."""

    user: User
    auth: Session


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
            jti = AccessToken(raw.strip().encode())["jti"]  # type: ignore[arg-type]
        except TokenError:
            return None
        session = Session.objects.select_related("user").filter(jti=jti, user__is_active=True).first()
        if session is None:
            return None
        saw(session.user_id)
        context.note_caller(session.user_id)
        return session.user, session

    def authenticate_header(self, request: Request) -> str:
        return "Bearer"


class PublicAnyway(SessionTokenAuthentication):
    """For a list that everyone may see, where a caller who can't be looked up is an anonymous caller."""

    def authenticate(self, request: Request) -> Any:
        try:
            return super().authenticate(request)
        except DatabaseError:
            return None
