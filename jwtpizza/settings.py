"""All settings, all of them from the environment; README.md lists the names with their meaning."""

import sys
import warnings
from collections.abc import Callable
from datetime import timedelta
from importlib.util import find_spec
from ipaddress import IPv4Network, IPv6Network, ip_network
from math import inf, isfinite
from pathlib import Path
from typing import Any, ClassVar
from urllib.parse import unquote, urlsplit

import environ
from django.core.exceptions import ImproperlyConfigured

BASE_DIR = Path(__file__).resolve().parent.parent


def _number(text: str) -> float:
    number = float(text)
    if not isfinite(number):
        raise ValueError
    return number


def _yes(text: str) -> bool:
    return {"true": True, "1": True, "yes": True, "on": True, "false": False, "0": False, "no": False, "off": False}[
        text.strip().lower()
    ]


def _is_push_address(url: str) -> bool:
    try:
        parts = urlsplit(url)
        _ = parts.port
    except ValueError:
        return False
    readable = url.isascii() and url.isprintable() and " " not in url and "@" not in parts.netloc
    return readable and parts.scheme in ("http", "https") and bool(parts.hostname) and parts.path > "/"


def _is_redis_address(url: str) -> bool:
    # Options would take the place of ours, timeouts among them.
    try:
        parts = urlsplit(url)
        database = int(parts.path.removeprefix("/") or 0)
        somewhere = parts.scheme in ("redis", "rediss") and parts.hostname and parts.port != 0
    except ValueError:
        return False
    return bool(somewhere) and database >= 0 and not parts.query and not parts.fragment


def _network(text: str) -> IPv4Network | IPv6Network | None:
    try:
        return ip_network(text.strip())
    except ValueError:
        return None


class Environment(environ.Env):  # type: ignore[misc]
    """The process's variables; one that can't be read is named in a sentence, without its value (it may be secret)."""

    # By the beginning of DATABASE_URL. Django has no pool for MariaDB, and one for PostgreSQL that is slow to mend.
    DB_SCHEMES: ClassVar = {
        "sqlite": "jwtpizza.databases.sqlite",
        "postgres": "jwtpizza.databases.postgresql",
        "postgresql": "jwtpizza.databases.postgresql",
        "mysql": "jwtpizza.databases.mysql",
    }
    # django-environ reads "500ms" as 500, and "ture" as false.
    STRICT: ClassVar = {float: _number, bool: _yes}

    def __init__(self) -> None:
        super().__init__()
        # All that was asked for, as it is: the incidents' reports tell what has changed.
        self.known: dict[str, Any] = {}

    def get_value(self, var: str, cast: Any = None, **kwargs: Any) -> Any:
        try:
            value = super().get_value(var, cast=self.STRICT.get(cast, cast), **kwargs)
        except ValueError as error:
            raise ImproperlyConfigured(f"{var} is not a number, where one is needed.") from error
        except KeyError as error:
            raise ImproperlyConfigured(f"{var} is neither true nor false.") from error
        self.known[var] = value
        return value

    def db(self, var: str, **kwargs: Any) -> Any:
        try:
            with warnings.catch_warnings(action="error"):
                return super().db(var, **kwargs)
        except (ValueError, Warning):
            # What they say has the password in it.
            raise ImproperlyConfigured(
                f"{var} is no address of a database, as postgres://user:password@host:5432/name and sqlite:///file are."
            ) from None


env = Environment()

# Of the service that this one replaces: its clients compare it.
VERSION = "20240518.154317"


def _commit() -> str:
    """The commit that is checked out here, as git's own files say; "" where it is no checkout."""
    folder = BASE_DIR / ".git"
    try:
        head = (folder / "HEAD").read_text().strip()
        ref = head.removeprefix("ref: ")
        if ref == head:
            return head[:10]
        if (folder / ref).exists():
            return (folder / ref).read_text()[:10]
        return next((line[:10] for line in (folder / "packed-refs").read_text().splitlines() if line.endswith(ref)), "")
    except OSError:
        return ""


# Which code runs, for people.
RELEASE = env.str("RELEASE", default="") or _commit() or "unknown"
DJANGO_ENV = env.str("DJANGO_ENV", default="development")
PRODUCTION = DJANGO_ENV == "production"
# Never on: its error pages would answer in place of the one error handler, and show settings.
DEBUG = False

DEVELOPMENT_SECRET = "development-only-secret-key-that-production-refuses-to-start-with"  # noqa: S105
DEVELOPMENT_API_KEY = "practice-factory-key"
SECRET_KEY = env.str("SECRET_KEY", default=DEVELOPMENT_SECRET)
ALLOWED_HOSTS = env.list("ALLOWED_HOSTS", default=[] if PRODUCTION else ["localhost", "127.0.0.1", "[::1]"])

# --- what runs -----------------------------------------------------------------------------------

INSTALLED_APPS = [
    # Before Django's admin and after our templates, of which some take the place of the theme's.
    "jwtpizza",
    "unfold.apps.BasicAppConfig",
    "unfold.contrib.filters",
    "jwtpizza.apps.AdminConfig",
    "django.contrib.auth",
    "django.contrib.contenttypes",
    "django.contrib.sessions",
    "django.contrib.messages",
    "django.contrib.staticfiles",
    "django.contrib.humanize",
    "corsheaders",
    "rest_framework",
    "drf_spectacular",
    "drf_spectacular_sidecar",
    "django_prometheus",
    "axes",
    "jwtpizza.accounts",
    "menu",
    "franchises",
    "orders",
    "jwtpizza.incidents",
]

MIDDLEWARE = [
    "jwtpizza.observability.middleware.RequestLog",
    "jwtpizza.observability.middleware.RequestTimer",
    "jwtpizza.api.middleware.Cors",
    "jwtpizza.api.middleware.ApiRules",
    "django.middleware.security.SecurityMiddleware",
    "jwtpizza.admin_site.pages.BrowserPages",
    "jwtpizza.observability.middleware.RequestMetrics",
]
# Of pages for people alone, inside `BrowserPages`.
BROWSER_MIDDLEWARE = [
    "jwtpizza.admin_site.pages.AdminPages",
    "whitenoise.middleware.WhiteNoiseMiddleware",
    "django.contrib.sessions.middleware.SessionMiddleware",
    "django.middleware.common.CommonMiddleware",
    "django.middleware.csrf.CsrfViewMiddleware",
    "django.contrib.auth.middleware.AuthenticationMiddleware",
    "django.contrib.messages.middleware.MessageMiddleware",
    "django.middleware.clickjacking.XFrameOptionsMiddleware",
]

ROOT_URLCONF = "jwtpizza.urls"
TEMPLATES = [
    {
        "BACKEND": "django.template.backends.django.DjangoTemplates",
        "APP_DIRS": True,
        "OPTIONS": {
            "context_processors": [
                "django.template.context_processors.request",
                "django.contrib.auth.context_processors.auth",
                "django.contrib.messages.context_processors.messages",
            ]
        },
    }
]

# The admin's look is django-unfold's.
UNFOLD = {
    "SITE_TITLE": "JWT Pizza",
    "SITE_HEADER": "JWT Pizza",
    "SITE_SYMBOL": "local_pizza",
    "SITE_URL": None,
    "SITE_FAVICONS": [{"rel": "icon", "type": "image/png", "href": lambda _: f"{STATIC_URL}menu/pizza3.png"}],
    "SHOW_VIEW_ON_SITE": False,
    "SHOW_BACK_BUTTON": True,
    "STYLES": [lambda _: f"{STATIC_URL}jwtpizza/charts.css", lambda _: f"{STATIC_URL}jwtpizza/admin.css"],
    "SCRIPTS": [lambda _: f"{STATIC_URL}jwtpizza/admin.js"],
    # The theme's own can't be read well enough on a dark page: this is its next lighter one.
    "COLORS": {"primary": {"500": "oklch(71.4% .203 305.504)"}},
    "SIDEBAR": {"navigation": "jwtpizza.admin_site.site.navigation"},
}
# Before the name of a menu item's picture, where the admin shows it; the web app has pictures of its own.
MENU_IMAGES_URL = env.str("MENU_IMAGES_URL", default="/static/menu/")

TIME_ZONE = "UTC"
# Sentences are English, as the API is.
USE_I18N = False
STATIC_URL = "/static/"
WHITENOISE_USE_FINDERS = True

# What the processes of one machine share in memory-mapped files, and how several machines tell one another.
RUN_DIR = Path(env.str("RUN_DIR", default=str(BASE_DIR / ".run")))
REDIS_URL = env.str("REDIS_URL", default="")

# --- data ----------------------------------------------------------------------------------------

DB_POOL_MAX = env.int("DB_POOL_MAX", default=16)
DB_POOL_TIMEOUT = env.float("DB_POOL_TIMEOUT", default=1.0)
# Together these are what the service takes of the database's connections: COPIES * (WEB_CONCURRENCY + 1) * DB_POOL_MAX.
COPIES = env.int("COPIES", default=1)
WEB_CONCURRENCY = env.int("WEB_CONCURRENCY", default=2)
# Whoever waits longer for somebody else's lock is answered 503. A statement may take its time, a report's does.
LOCK_SECONDS = 5
DATABASES = {"default": env.db("DATABASE_URL", default=f"sqlite:///{BASE_DIR / 'db.sqlite3'}")}
DATABASES["default"].setdefault("OPTIONS", {})
match DATABASES["default"].setdefault("ENGINE", ""):
    case "jwtpizza.databases.sqlite":
        DATABASES["default"]["CONN_MAX_AGE"] = None
        DATABASES["default"]["OPTIONS"] |= {
            "transaction_mode": "IMMEDIATE",
            # In line, and then for whoever writes without it.
            "timeout": LOCK_SECONDS / 2,
            # Pages are kept for each connection, of which a process has 64; the system keeps them for all.
            "init_command": "PRAGMA journal_mode=WAL; PRAGMA synchronous=NORMAL; PRAGMA cache_size=-256;",
        }
    case "jwtpizza.databases.postgresql":
        DATABASES["default"]["OPTIONS"] |= {
            "pool": {
                "min_size": 1,
                "max_size": DB_POOL_MAX,
                "timeout": DB_POOL_TIMEOUT,
                # Else its next try is as late again as the server has been gone, up to minutes.
                "reconnect_timeout": 1.0,
            },
            "connect_timeout": 2,
            # What `jwtpizza.databases.prepared` has asked on a connection so often the server parses and plans no more.
            "prepare_threshold": 5,
            # It takes longer to compile any statement of ours than to run it.
            "options": f"-c jit=off -c lock_timeout={LOCK_SECONDS}s",
        }
    case "jwtpizza.databases.mysql":
        DATABASES["default"]["OPTIONS"] |= {
            "pool": {"pool_size": DB_POOL_MAX, "max_overflow": 0, "timeout": DB_POOL_TIMEOUT},
            "charset": "utf8mb4",
            "isolation_level": "read committed",
            # Its clock is asked for dates, which are UTC here whatever the server's time zone is.
            "init_command": "SET time_zone = '+00:00', "
            f"innodb_lock_wait_timeout = {LOCK_SECONDS}, lock_wait_timeout = {LOCK_SECONDS}",
            "connect_timeout": 2,
        }
DEFAULT_AUTO_FIELD = "django.db.models.BigAutoField"

# --- people --------------------------------------------------------------------------------------

AUTH_USER_MODEL = "accounts.User"
SILENCED_SYSTEM_CHECKS = [
    "auth.W004",  # asks for unique=True on the e-mail itself; ours is unique in its case-folded key (User.email_key)
    # These three are among BROWSER_MIDDLEWARE.
    "admin.E408",
    "admin.E409",
    "admin.E410",
    "security.W002",
    "security.W003",
    "axes.W002",  # asks for a middleware whose answer would replace ours
]
PASSWORD_HASHERS = [
    "jwtpizza.accounts.passwords.Argon2id",
    "django.contrib.auth.hashers.PBKDF2PasswordHasher",
    "jwtpizza.accounts.passwords.LegacyBcrypt",
]
PASSWORD_MIN_LENGTH = env.int("PASSWORD_MIN_LENGTH", default=8 if PRODUCTION else 1)
AUTH_PASSWORD_VALIDATORS: list[dict[str, object]] = [
    {
        "NAME": "django.contrib.auth.password_validation.MinimumLengthValidator",
        "OPTIONS": {"min_length": PASSWORD_MIN_LENGTH},
    },
    {"NAME": "jwtpizza.accounts.passwords.EndsSessions"},
]
if PRODUCTION:
    AUTH_PASSWORD_VALIDATORS += [
        {
            "NAME": "django.contrib.auth.password_validation.UserAttributeSimilarityValidator",
            "OPTIONS": {"user_attributes": ["name", "email"]},
        },
        {"NAME": "django.contrib.auth.password_validation.CommonPasswordValidator"},
        {"NAME": "django.contrib.auth.password_validation.NumericPasswordValidator"},
    ]

LOGIN_REDIRECT_URL = "/admin/"
LOGIN_FAILURES = env.int("LOGIN_FAILURES", default=50)
TRUSTED_PROXIES: list[Any] = [_network(text) for text in env.list("TRUSTED_PROXIES", default=[])]
# The first refuses whom the limit on failed logins does; it lets nobody in.
AUTHENTICATION_BACKENDS = ["axes.backends.AxesStandaloneBackend", "franchises.permissions.Roles"]
AXES_HANDLER = "jwtpizza.accounts.limits.Handler"
AXES_FAILURE_LIMIT = LOGIN_FAILURES
AXES_COOLOFF_TIME = timedelta(minutes=15)
AXES_LOCKOUT_PARAMETERS = [["username", "ip_address"]]
AXES_RESET_ON_SUCCESS = True
AXES_RESET_COOL_OFF_ON_FAILURE_DURING_LOCKOUT = False
AXES_CLIENT_IP_CALLABLE = "jwtpizza.accounts.limits.address_of"
AXES_USERNAME_CALLABLE = "jwtpizza.accounts.limits.account_in"
# Under which the admin's form and Django's own backend have it, whatever the model calls it.
AXES_USERNAME_FORM_FIELD = "username"
AXES_DISABLE_ACCESS_LOG = True
AXES_ENABLE_ADMIN = False
AXES_VERBOSE = False

SIMPLE_JWT = {
    "ACCESS_TOKEN_LIFETIME": timedelta(
        seconds=env.int("ACCESS_TOKEN_LIFETIME", default=30 * 24 * 60 * 60),
    ),
}

# --- API -----------------------------------------------------------------------------------------

BODY_LIMIT = 100 * 1024
DATA_UPLOAD_MAX_MEMORY_SIZE = BODY_LIMIT
REST_FRAMEWORK = {
    "DEFAULT_AUTHENTICATION_CLASSES": ["jwtpizza.accounts.authentication.SessionTokenAuthentication"],
    "DEFAULT_PARSER_CLASSES": ["jwtpizza.api.body.JsonParser"],
    "DEFAULT_RENDERER_CLASSES": ["rest_framework.renderers.JSONRenderer"],
    "DEFAULT_CONTENT_NEGOTIATION_CLASS": "jwtpizza.api.body.AlwaysJson",
    "DEFAULT_SCHEMA_CLASS": "jwtpizza.api.schema.Operation",
    "EXCEPTION_HANDLER": "jwtpizza.api.handler.answer",
}
SPECTACULAR_SETTINGS = {
    "TITLE": "JWT Pizza",
    "DESCRIPTION": "Orders pizzas at a factory that signs them, and stays up while the factory does not.",
    "VERSION": VERSION,
    "OAS_VERSION": "3.1.0",
    "SERVE_INCLUDE_SCHEMA": False,
    "SERVE_AUTHENTICATION": [],
    "SORT_OPERATIONS": False,
    "SWAGGER_UI_DIST": "SIDECAR",
    "SWAGGER_UI_FAVICON_HREF": "SIDECAR",
    "COMPONENT_SPLIT_REQUEST": True,
    "PATH_CONVERTER_OVERRIDES": {"id": {"type": "integer", "minimum": 0, "maximum": 10**18 - 1}},
    "APPEND_COMPONENTS": {"securitySchemes": {"bearer": {"type": "http", "scheme": "bearer", "bearerFormat": "JWT"}}},
}
SECURE_REDIRECT_EXEMPT = [r"^(livez|readyz|metrics)/?$"]

CORS_ALLOWED_ORIGINS = env.list("CORS_ALLOWED_ORIGINS", default=[])
CORS_ALLOWED_ORIGIN_REGEXES = [] if PRODUCTION else [r"^https?://(localhost|127\.0\.0\.1|\[::1\])(:\d+)?$"]
CORS_ALLOW_CREDENTIALS = True
CORS_ALLOW_HEADERS = [
    "authorization",
    "content-type",
    "idempotency-key",
    "prefer",
    "traceparent",
    "x-request-id",
]
CORS_EXPOSE_HEADERS = ["Retry-After", "Location", "X-Request-Id", "ETag"]

# --- the factory ---------------------------------------------------------------------------------

FACTORY_URL = env.str("FACTORY_URL", default="" if PRODUCTION else "http://127.0.0.1:4000").rstrip("/")
FACTORY_API_KEY = env.str("FACTORY_API_KEY", default=DEVELOPMENT_API_KEY)
FACTORY_CONNECT_TIMEOUT = env.float("FACTORY_CONNECT_TIMEOUT", default=1.2)
FACTORY_READ_TIMEOUT = env.float("FACTORY_READ_TIMEOUT", default=3.0)
FACTORY_DEADLINE = env.float("FACTORY_DEADLINE", default=5.0)
FACTORY_PLACES = env.int("FACTORY_PLACES", default=8)
FACTORY_QUEUE = env.int("FACTORY_QUEUE", default=24)
FACTORY_QUEUE_SECONDS = env.float("FACTORY_QUEUE_SECONDS", default=1.0)
FACTORY_ATTEMPTS = env.int("FACTORY_ATTEMPTS", default=2)
FACTORY_RETRY_JITTER = env.float("FACTORY_RETRY_JITTER", default=0.2)
FACTORY_RETRY_LEAST = env.float("FACTORY_RETRY_LEAST", default=1.5)
FACTORY_RETRY_RATE = env.float("FACTORY_RETRY_RATE", default=0.1)
FACTORY_RETRY_SAVED = env.int("FACTORY_RETRY_SAVED", default=10)
FACTORY_BREAKER_ENABLED = env.bool("FACTORY_BREAKER_ENABLED", default=True)
FACTORY_BREAKER_WINDOW = env.float("FACTORY_BREAKER_WINDOW", default=30.0)
FACTORY_BREAKER_CALLS = env.int("FACTORY_BREAKER_CALLS", default=10)
FACTORY_BREAKER_FAILURE_RATE = env.float("FACTORY_BREAKER_FAILURE_RATE", default=0.5)
FACTORY_BREAKER_SLOW_RATE = env.float("FACTORY_BREAKER_SLOW_RATE", default=0.8)
FACTORY_BREAKER_SLOW = env.float("FACTORY_BREAKER_SLOW", default=2.0)
FACTORY_BREAKER_FAILURES = env.int("FACTORY_BREAKER_FAILURES", default=5)
FACTORY_BREAKER_OPEN_SECONDS = env.float("FACTORY_BREAKER_OPEN_SECONDS", default=10.0)
FACTORY_BREAKER_OPEN_SECONDS_MOST = env.float("FACTORY_BREAKER_OPEN_SECONDS_MOST", default=60.0)
FACTORY_BREAKER_JITTER = env.float("FACTORY_BREAKER_JITTER", default=0.2)
FACTORY_BREAKER_PROBES = env.int("FACTORY_BREAKER_PROBES", default=2)
FACTORY_CANARY_SECONDS = env.float("FACTORY_CANARY_SECONDS", default=60.0)
FACTORY_FOLLOW_SUPPORT_LINK = env.bool("FACTORY_FOLLOW_SUPPORT_LINK", default=False)
ORDER_LEASE = env.float("ORDER_LEASE", default=30.0)

# --- incidents -----------------------------------------------------------------------------------

INCIDENT_HEALTHY_SECONDS = env.float("INCIDENT_HEALTHY_SECONDS", default=300.0)
INCIDENT_WEBHOOK_URL = env.str("INCIDENT_WEBHOOK_URL", default="")

# --- telemetry -----------------------------------------------------------------------------------

METRICS_TOKEN = env.str("METRICS_TOKEN", default="")
WORKER_METRICS_HOST = env.str("WORKER_METRICS_HOST", default="127.0.0.1")
WORKER_METRICS_PORT = env.int("WORKER_METRICS_PORT", default=0)
# Where the processes keep what they count, which prometheus_client looks for before it reads any setting.
if metrics_folder := env.str("PROMETHEUS_MULTIPROC_DIR", default=""):
    Path(metrics_folder).mkdir(parents=True, exist_ok=True)
# Our own endpoints take 1 to 5 ms, and an order 5 s at most.
PROMETHEUS_LATENCY_BUCKETS = (0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, inf)
LOG_LEVELS, LOG_FORMATS = ("DEBUG", "INFO", "WARNING", "ERROR"), ("json", "text")
LOG_LEVEL = env.str("LOG_LEVEL", default="INFO")
LOG_FORMAT = env.str("LOG_FORMAT", default="text" if sys.stdout.isatty() else "json")
LOG_SOURCE = env.str("LOG_SOURCE", default="jwt-pizza-service")
LOG_BODIES = env.bool("LOG_BODIES", default=True)
DB_SLOW_SECONDS = env.float("DB_SLOW_SECONDS", default=0.2)
LOKI_URL = env.str("LOKI_URL", default="")
LOKI_USER = env.str("LOKI_USER", default="")
LOKI_TOKEN = env.str("LOKI_TOKEN", default="")
LOKI = {
    "()": "jwtpizza.observability.loki.Handler",
    "formatter": "json",
    "url": LOKI_URL,
    "user": LOKI_USER,
    "token": LOKI_TOKEN,
    "source": LOG_SOURCE,
}
LOGGING_CONFIG = "jwtpizza.observability.logs.configure"
LOGGING = {
    "version": 1,
    "disable_existing_loggers": False,
    "formatters": {
        "json": {"()": "jwtpizza.observability.logs.JsonFormatter", "source": LOG_SOURCE},
        "text": {"()": "jwtpizza.observability.logs.TextFormatter"},
    },
    "handlers": {
        "stdout": {"class": "logging.StreamHandler", "stream": "ext://sys.stdout", "formatter": LOG_FORMAT},
        **({"loki": LOKI} if LOKI_URL else {}),
    },
    "root": {"handlers": ["stdout", "loki"] if LOKI_URL else ["stdout"], "level": LOG_LEVEL},
    "loggers": {
        # Its words at DEBUG are about templates.
        "django": {"handlers": [], "level": "INFO" if LOG_LEVEL == "DEBUG" else LOG_LEVEL},
        # The request log has one line for each answer; Django's own warning would be a second one.
        "django.request": {"level": "CRITICAL"},
        # Some lines for each login, of which the request log tells too.
        "axes": {"level": "WARNING"},
    },
}

# --- production ----------------------------------------------------------------------------------

if PRODUCTION:
    SESSION_COOKIE_SECURE = CSRF_COOKIE_SECURE = True
    SECURE_SSL_REDIRECT = env.bool("SECURE_SSL_REDIRECT", default=True)
    SECURE_HSTS_SECONDS = 365 * 24 * 60 * 60
    SECURE_HSTS_INCLUDE_SUBDOMAINS = SECURE_HSTS_PRELOAD = True
    SECURE_PROXY_SSL_HEADER = ("HTTP_X_FORWARDED_PROTO", "https")

# What a number may be: a sentence, a check, and the names that it holds for.
NUMBERS: tuple[tuple[str, Callable[[float], bool], tuple[str, ...]], ...] = (
    (
        "more than 0 and at most 1",
        lambda rate: 0 < rate <= 1,
        ("FACTORY_BREAKER_FAILURE_RATE", "FACTORY_BREAKER_SLOW_RATE"),
    ),
    (
        "at least 0 and less than 1",
        lambda share: 0 <= share < 1,
        ("FACTORY_BREAKER_JITTER", "FACTORY_RETRY_RATE"),
    ),
    (
        "at least 1",
        lambda count: count >= 1,
        (
            "FACTORY_PLACES",
            "FACTORY_ATTEMPTS",
            "FACTORY_BREAKER_CALLS",
            "FACTORY_BREAKER_FAILURES",
            "FACTORY_BREAKER_PROBES",
            "LOGIN_FAILURES",
            "COPIES",
            "WEB_CONCURRENCY",
            "DB_POOL_MAX",
        ),
    ),
    (
        "more than 0",
        lambda seconds: 0 < seconds < inf,
        (
            "FACTORY_CONNECT_TIMEOUT",
            "FACTORY_READ_TIMEOUT",
            "FACTORY_DEADLINE",
            "FACTORY_BREAKER_WINDOW",
            "FACTORY_BREAKER_SLOW",
            "FACTORY_BREAKER_OPEN_SECONDS",
            "FACTORY_BREAKER_OPEN_SECONDS_MOST",
            "INCIDENT_HEALTHY_SECONDS",
            "DB_SLOW_SECONDS",
            "DB_POOL_TIMEOUT",
        ),
    ),
    (
        "0 or more",
        lambda number: 0 <= number < inf,
        (
            "FACTORY_QUEUE",
            "FACTORY_QUEUE_SECONDS",
            "FACTORY_RETRY_JITTER",
            "FACTORY_RETRY_LEAST",
            "FACTORY_RETRY_SAVED",
            "FACTORY_CANARY_SECONDS",
        ),
    ),
    (
        "a number from 0 to 65535",
        lambda port: 0 <= port <= 65535,
        ("WORKER_METRICS_PORT",),
    ),
)
REFUSED = (
    *(
        (not allowed(globals()[name]), f"{name} is {globals()[name]}: it has to be {sentence}.")
        for sentence, allowed, names in NUMBERS
        for name in names
    ),
    (
        DJANGO_ENV not in ("development", "production"),
        f'DJANGO_ENV is "{DJANGO_ENV}": it is development or production.',
    ),
    (
        PRODUCTION and (SECRET_KEY == DEVELOPMENT_SECRET or len(SECRET_KEY) < 50),
        "SECRET_KEY is missing or the development one: set it to 50 random characters of your own.",
    ),
    (
        not ALLOWED_HOSTS,
        "ALLOWED_HOSTS is missing: name the hosts that the service answers for, separated by commas.",
    ),
    (not FACTORY_URL, "FACTORY_URL is missing: set it to the address of the pizza factory."),
    (
        FACTORY_URL and not FACTORY_URL.startswith(("http://", "https://")),
        f'FACTORY_URL is "{FACTORY_URL}": it begins with http:// or https://.',
    ),
    (
        PRODUCTION and FACTORY_API_KEY in ("", DEVELOPMENT_API_KEY),
        "FACTORY_API_KEY is missing or the practice factory's: set it to the key the factory gave you.",
    ),
    (
        FACTORY_DEADLINE < FACTORY_CONNECT_TIMEOUT + FACTORY_READ_TIMEOUT,
        "FACTORY_DEADLINE is shorter than FACTORY_CONNECT_TIMEOUT plus FACTORY_READ_TIMEOUT, as one attempt may be.",
    ),
    (
        FACTORY_QUEUE_SECONDS >= FACTORY_DEADLINE,
        "FACTORY_QUEUE_SECONDS is not shorter than FACTORY_DEADLINE: who waited would have no time left for the call.",
    ),
    (
        FACTORY_RETRY_LEAST >= FACTORY_DEADLINE,
        "FACTORY_RETRY_LEAST is not shorter than FACTORY_DEADLINE: no call would be tried again.",
    ),
    (
        0 < FACTORY_CANARY_SECONDS < 1,
        f"FACTORY_CANARY_SECONDS is {FACTORY_CANARY_SECONDS}: it is at least 1, or 0 for no canary.",
    ),
    (
        FACTORY_BREAKER_OPEN_SECONDS_MOST < FACTORY_BREAKER_OPEN_SECONDS,
        "FACTORY_BREAKER_OPEN_SECONDS_MOST is less than FACTORY_BREAKER_OPEN_SECONDS.",
    ),
    (
        FACTORY_BREAKER_SLOW > FACTORY_DEADLINE,
        "FACTORY_BREAKER_SLOW is longer than FACTORY_DEADLINE: no call would ever be slow.",
    ),
    (
        ORDER_LEASE <= FACTORY_DEADLINE,
        "ORDER_LEASE is not longer than FACTORY_DEADLINE: an order would be taken from a request that still waits.",
    ),
    (
        DATABASES["default"]["ENGINE"] not in env.DB_SCHEMES.values(),
        "DATABASE_URL begins with sqlite:///, postgres:// or mysql://.",
    ),
    (
        DATABASES["default"]["ENGINE"] == env.DB_SCHEMES["mysql"]
        and not (find_spec("MySQLdb") and find_spec("sqlalchemy")),
        "DATABASE_URL begins with mysql://: that needs what is in requirements-mariadb.txt, which is not installed.",
    ),
    (
        REDIS_URL and not _is_redis_address(REDIS_URL),
        "REDIS_URL is no address of a Redis, as redis://:password@host:6379/0 is (rediss:// for TLS, and no options).",
    ),
    (
        None in TRUSTED_PROXIES,
        "TRUSTED_PROXIES has something that is neither an address nor a network, as 10.0.0.5 and 10.0.0.0/8 are.",
    ),
    (LOG_LEVEL not in LOG_LEVELS, f'LOG_LEVEL is "{LOG_LEVEL}": it is one of {", ".join(LOG_LEVELS)}.'),
    (LOG_FORMAT not in LOG_FORMATS, f'LOG_FORMAT is "{LOG_FORMAT}": it is json or text.'),
    (not LOG_SOURCE, "LOG_SOURCE is empty: it is the label under which the logs are found."),
    (
        LOKI_URL and not _is_push_address(LOKI_URL),
        "LOKI_URL is no address to push to, as https://logs.example/loki/api/v1/push is (no user, no token).",
    ),
    (
        INCIDENT_WEBHOOK_URL and not _is_push_address(INCIDENT_WEBHOOK_URL),
        "INCIDENT_WEBHOOK_URL is no address to post to, as https://hooks.slack.com/services/… is (no user in it).",
    ),
    (
        PRODUCTION and INCIDENT_WEBHOOK_URL and not INCIDENT_WEBHOOK_URL.startswith("https://"),
        "INCIDENT_WEBHOOK_URL would be sent in the clear: it has to begin with https://.",
    ),
    (
        bool(LOKI_USER) != bool(LOKI_TOKEN),
        "Of LOKI_USER and LOKI_TOKEN one is missing: Loki asks for both, or for neither.",
    ),
    (
        PRODUCTION and LOKI_TOKEN and not LOKI_URL.startswith("https://"),
        "LOKI_TOKEN would be sent in the clear: LOKI_URL has to begin with https://.",
    ),
)
# What the environment says, by the names of README.md.
KNOWN = dict(env.known)
if problems := [sentence for wrong, sentence in REFUSED if wrong]:
    raise ImproperlyConfigured("\n".join(problems))
REDIS_PASSWORD = unquote(urlsplit(REDIS_URL).password or "")
