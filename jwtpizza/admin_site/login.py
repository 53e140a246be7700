"""The way into the admin."""

from typing import Any

from django.core.exceptions import ValidationError
from unfold.forms import AuthenticationForm

from jwtpizza.accounts.limits import LimitedLogin
from jwtpizza.accounts.metrics import auth_attempts


class LoginForm(LimitedLogin, AuthenticationForm):
    """For who has a shop to run; everybody else is told so, and who failed too often is told when to come back."""

    def confirm_login_allowed(self, user: Any) -> None:
        """Raises ValidationError for a diner."""
        if not user.is_staff:
            auth_attempts.labels("failure").inc()
            raise ValidationError(
                "This is where shops are run, and your account runs none. Pizzas are ordered in the shop's web app."
            )
