"""The service without its telemetry: what that costs is measured against it."""

from jwtpizza.settings import *  # noqa: F403
from jwtpizza.settings import LOGGING, MIDDLEWARE

TELEMETRY = (
    "jwtpizza.observability.middleware.RequestLog",
    "jwtpizza.observability.middleware.RequestTimer",
    "jwtpizza.observability.middleware.RequestMetrics",
)
MIDDLEWARE = [middleware for middleware in MIDDLEWARE if middleware not in TELEMETRY]
LOGGING = LOGGING | {"root": {"handlers": [], "level": "CRITICAL"}}
