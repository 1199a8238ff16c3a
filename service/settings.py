"""Everything that can be set, read from the environment.

Each setting stands once, with its default, its check and its explanation; the table in the
README is made from this file. A command reads only what it uses, and reports everything that is
wrong at once, one line each.
"""

from __future__ import annotations

import dataclasses
import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final, Literal
from urllib.parse import parse_qsl, urlsplit

from service.redirects import origin_of


class SettingsError(Exception):
    """Settings that are missing or cannot be used; one line for each."""

    def __init__(self, problems: Iterable[str]) -> None:
        self.problems = tuple(problems)
        super().__init__("\n".join(self.problems))


def _text(value: str) -> str:
    return value


def _url(*schemes: str, needs_host: bool = True) -> Callable[[str], str]:
    def parse(value: str) -> str:
        try:
            parts = urlsplit(value)
            _ = parts.port
        except ValueError:
            raise ValueError("is not a URL") from None
        if parts.scheme not in schemes:
            raise ValueError(f"must be a URL that starts with {' or '.join(schemes)}://")
        if needs_host and not parts.hostname:
            raise ValueError("must be a URL that names a host")
        return value

    return parse


# What a connection string may say besides where the database is. (PostgreSQL: libpq, 34.1.2)
_DATABASE_OPTIONS: Final = frozenset(
    {"host", "port", "sslmode", "target_session_attrs", "application_name", "connect_timeout"}
)
_SSL_MODES: Final = ("disable", "allow", "prefer", "require", "verify-ca", "verify-full")


def _database_url(value: str) -> str:
    _url("postgresql", "postgres", "postgresql+asyncpg", needs_host=False)(value)
    parts = urlsplit(value)
    if len(parts.path) < 2:
        raise ValueError("must name a database: postgresql://user:password@host/database")
    for option, choice in parse_qsl(parts.query, keep_blank_values=True):
        if option not in _DATABASE_OPTIONS:
            raise ValueError(f"has the option {option}, which is not known here: take it out")
        if option == "sslmode" and choice not in _SSL_MODES:
            raise ValueError(f"has an sslmode that is none of {', '.join(_SSL_MODES)}")
    return value


def _number(low: int, high: int) -> Callable[[str], int]:
    def parse(value: str) -> int:
        # isdecimal alone would take digits of any script, and int refuses thousands of them.
        is_number = value.isascii() and value.isdecimal() and len(value) < 20
        if not is_number or not low <= int(value) <= high:
            raise ValueError(f"must be a whole number from {low} to {high}")
        return int(value)

    return parse


def _secret_key(value: str) -> str:
    if not re.match(r"[sr]k_(test|live)_.", value):
        raise ValueError(
            "must be a Stripe secret key: it starts with sk_test_ or sk_live_ (or rk_)"
        )
    return value


def _publishable_key(value: str) -> str:
    if not re.match(r"pk_(test|live)_.", value):
        raise ValueError("must be a Stripe publishable key: it starts with pk_test_ or pk_live_")
    return value


def _webhook_secrets(value: str) -> tuple[str, ...]:
    secrets = tuple(part.strip() for part in value.split(",") if part.strip())
    if not secrets:
        raise ValueError("must hold at least one signing secret (whsec_…)")
    if any(secret.startswith(("sk_", "rk_", "pk_")) for secret in secrets):
        raise ValueError("holds an API key; the endpoint's signing secret starts with whsec_")
    return secrets


def _pem(value: str) -> str:
    # Line breaks do not survive in every place that keeps environment variables.
    pem = value.replace("\\n", "\n").strip()
    if "-----BEGIN PUBLIC KEY-----" not in pem:
        raise ValueError("must be a public key in PEM form (BEGIN PUBLIC KEY)")
    return pem


def _scopes(value: str) -> tuple[str, ...]:
    scopes = tuple(value.split())
    # RFC 6749, section 3.3: visible ASCII without quotation marks and backslashes.
    if not all(re.fullmatch(r"[\x21\x23-\x5b\x5d-\x7e]+", scope) for scope in scopes):
        raise ValueError("must be scopes separated by spaces, such as payments")
    return scopes


def _origins(value: str) -> tuple[str, ...]:
    origins = tuple(part.strip().rstrip("/") for part in value.split(",") if part.strip())
    if not origins:
        raise ValueError("must hold at least one origin such as https://app.example.com")
    for origin in origins:
        if origin_of(origin) is None or origin.count("/") != 2 or "?" in origin or "#" in origin:
            raise ValueError(f"holds {origin}, which is no origin such as https://app.example.com")
    return origins


def _currency(value: str) -> str:
    if not (len(value) == 3 and value.isascii() and value.isalpha()):
        raise ValueError("must be a three-letter ISO 4217 code such as usd")
    return value.lower()


def _one_of(*choices: str) -> Callable[[str], str]:
    def parse(value: str) -> str:
        if value.lower() not in choices:
            raise ValueError(f"must be one of {', '.join(choices)}")
        return value.lower()

    return parse


@dataclass(frozen=True, slots=True)
class Variable:
    """One environment variable. Without a default it is required where it is used."""

    name: str
    parse: Callable[[str], Any]
    help: str
    default: str | None = None
    secret: bool = False
    required: bool = True


def _variable(
    name: str,
    parse: Callable[[str], Any],
    explanation: str,
    *,
    default: str | None = None,
    secret: bool = False,
    required: bool = True,
) -> Any:
    variable = Variable(name, parse, explanation, default, secret, required)
    return dataclasses.field(metadata={"variable": variable})


@dataclass(frozen=True, kw_only=True, repr=False)
class Settings:
    """The settings a command uses; those it does not use are not there."""

    database_url: str = _variable(
        "DATABASE_URL",
        # Without a host it is a socket on this machine.
        _database_url,
        "PostgreSQL, as postgresql://user:password@host/database",
        secret=True,
    )
    rabbitmq_url: str = _variable(
        "RABBITMQ_URL",
        _url("amqp", "amqps"),
        "RabbitMQ, as amqp://user:password@host/vhost",
        secret=True,
    )
    stripe_secret_key: str = _variable(
        "STRIPE_SECRET_KEY",
        _secret_key,
        "Stripe's secret API key; its mode (test or live) is the service's",
        secret=True,
    )
    stripe_publishable_key: str = _variable(
        "STRIPE_PUBLISHABLE_KEY", _publishable_key, "Stripe's publishable key, handed to pages"
    )
    stripe_webhook_secrets: tuple[str, ...] = _variable(
        "STRIPE_WEBHOOK_SECRET",
        _webhook_secrets,
        "Signing secret of the webhook endpoint; several, comma-separated, while one is rolled",
        secret=True,
    )
    stripe_api_base: str | None = _variable(
        "STRIPE_API_BASE",
        _url("http", "https"),
        "Where Stripe's API is, if not at Stripe (a sandbox, a proxy)",
        required=False,
    )
    trial_period_days: int = _variable(
        "TRIAL_PERIOD_DAYS", _number(1, 730), "Length of the free trial, in days", default="180"
    )
    currency: str = _variable("CURRENCY", _currency, "Currency of all prices", default="usd")
    general_monthly: int = _variable(
        "GENERAL_MONTHLY_AMOUNT",
        _number(1, 99_999_999),
        "General, per month, in minor currency units",
        default="1000",
    )
    general_annual: int = _variable(
        "GENERAL_ANNUAL_AMOUNT",
        _number(1, 99_999_999),
        "General, per year, in minor currency units",
        default="10000",
    )
    event_organizer_monthly: int = _variable(
        "EVENT_ORGANIZER_MONTHLY_AMOUNT",
        _number(1, 99_999_999),
        "Event Organizer, per month, in minor currency units",
        default="1500",
    )
    event_organizer_annual: int = _variable(
        "EVENT_ORGANIZER_ANNUAL_AMOUNT",
        _number(1, 99_999_999),
        "Event Organizer, per year, in minor currency units",
        default="15000",
    )
    past_due_grace_days: int = _variable(
        "PAST_DUE_GRACE_DAYS",
        _number(0, 90),
        "Days of access after the start of a billing period that was not paid",
        default="7",
    )
    retry_max_attempts: int = _variable(
        "RETRY_MAX_ATTEMPTS",
        _number(1, 100),
        "Failures after which a webhook is given up and waits for an operator",
        default="12",
    )
    payload_retention_days: int = _variable(
        "PAYLOAD_RETENTION_DAYS",
        _number(1, 3_650),
        "Days after which the payloads and errors of processed webhooks are erased",
        default="35",
    )
    event_id_retention_days: int = _variable(
        "EVENT_ID_RETENTION_DAYS",
        # The provider sends and lists events for 30 days; what is forgotten sooner comes twice.
        _number(45, 3_650),
        "Days for which a processed webhook is known when it comes again",
        default="400",
    )
    message_retention_days: int = _variable(
        "MESSAGE_RETENTION_DAYS",
        _number(1, 3_650),
        "Days after which messages that were published or given up are removed",
        default="35",
    )
    reconcile_interval_hours: int = _variable(
        "RECONCILE_INTERVAL_HOURS",
        _number(0, 720),
        "Hours between two comparisons with Stripe; 0 for none",
        default="24",
    )
    reconcile_lookback_days: int = _variable(
        "RECONCILE_LOOKBACK_DAYS",
        _number(1, 30),
        "Days of Stripe's events that are looked through, of the 30 that it keeps",
        default="7",
    )
    jwt_jwks_url: str | None = _variable(
        "JWT_JWKS_URL",
        _url("https", "http"),
        "Where the identity provider publishes its keys, https with a live key (or set "
        "JWT_PUBLIC_KEY or JWT_SECRET)",
        required=False,
    )
    jwt_public_key: str | None = _variable(
        "JWT_PUBLIC_KEY",
        _pem,
        "The identity provider's public key, in PEM form",
        secret=True,  # which it is not, but a file is where such a document lies
        required=False,
    )
    jwt_secret: str | None = _variable(
        "JWT_SECRET",
        _text,
        "A secret shared with the identity provider; 32 bytes or longer with a live key",
        secret=True,
        required=False,
    )
    jwt_issuer: str = _variable(
        "JWT_ISSUER", _text, "Who issues the users' tokens: their claim iss has to be this"
    )
    jwt_audience: str = _variable(
        "JWT_AUDIENCE", _text, "What the users' tokens are for: their claim aud has to hold this"
    )
    jwt_required_scope: tuple[str, ...] | None = _variable(
        "JWT_REQUIRED_SCOPE",
        _scopes,
        "Scopes that tokens must hold in scope or scp, separated by spaces; others get a 403",
        required=False,
    )
    allowed_redirect_origins: tuple[str, ...] = _variable(
        "ALLOWED_REDIRECT_ORIGINS",
        _origins,
        "Origins that buyers may be sent back to, comma-separated, as https://app.example.com",
        default="http://localhost:3000,http://localhost:5173,http://localhost:8000",
    )
    rate_limit_per_minute: int = _variable(
        "RATE_LIMIT_PER_MINUTE",
        _number(1, 1_000_000),
        "Requests a user may make in a minute, per process",
        default="120",
    )
    log_format: str = _variable(
        "LOG_FORMAT",
        _one_of("auto", "json", "console"),
        "json for machines, console for people; auto is console on a terminal",
        default="auto",
    )
    log_level: str = _variable(
        "LOG_LEVEL",
        _one_of("debug", "info", "warning", "error"),
        "The least severe messages that are logged",
        default="info",
    )

    @property
    def livemode(self) -> bool:
        """Whether the secret key is one for live payments."""
        return self.stripe_secret_key.split("_")[1] == "live"


VARIABLES: Final[Mapping[str, Variable]] = {
    field.name: field.metadata["variable"] for field in dataclasses.fields(Settings)
}

CommandName = Literal[
    "migrate",
    "api",
    "worker",
    "serve",
    "events",
    "republish",
    "catalog",
    "reconcile",
    "retention",
    "explain",
    "doctor",
]

_LOGGING: Final = ("log_format", "log_level")
# What has to be known to ask Stripe anything.
STRIPE_SETTINGS: Final = (
    "stripe_secret_key",
    "stripe_api_base",
    "currency",
    "general_monthly",
    "general_annual",
    "event_organizer_monthly",
    "event_organizer_annual",
)
# Of these exactly one is needed.
_JWT_KEYS: Final = {
    "jwt_jwks_url": "JWT_JWKS_URL",
    "jwt_public_key": "JWT_PUBLIC_KEY",
    "jwt_secret": "JWT_SECRET",
}
# What is sent to these does not leave the machine.
_THIS_MACHINE: Final = frozenset({"localhost", "127.0.0.1", "::1"})
_JWT: Final = (*_JWT_KEYS, "jwt_issuer", "jwt_audience", "jwt_required_scope")
_API: Final = (
    "database_url",
    "stripe_publishable_key",
    "stripe_webhook_secrets",
    "trial_period_days",
    "past_due_grace_days",
    *_JWT,
    "allowed_redirect_origins",
    "rate_limit_per_minute",
    *STRIPE_SETTINGS,
    *_LOGGING,
)
_RETENTION: Final = (
    "payload_retention_days",
    "event_id_retention_days",
    "message_retention_days",
)
_WORKER: Final = (
    "database_url",
    "rabbitmq_url",
    "past_due_grace_days",
    "retry_max_attempts",
    *_RETENTION,
    "reconcile_interval_hours",
    "reconcile_lookback_days",
    *STRIPE_SETTINGS,
    *_LOGGING,
)

# Which command uses which settings.
USED_BY: Final[Mapping[CommandName, tuple[str, ...]]] = {
    "migrate": ("database_url", *_LOGGING),
    "events": ("database_url", *_LOGGING),
    "republish": ("database_url", "past_due_grace_days", *_LOGGING),
    "api": _API,
    "worker": _WORKER,
    "serve": tuple(dict.fromkeys((*_API, *_WORKER))),
    "catalog": (*STRIPE_SETTINGS, *_LOGGING),
    "doctor": tuple(dict.fromkeys((*_API, *_WORKER))),
    "reconcile": ("database_url", "reconcile_lookback_days", *STRIPE_SETTINGS, *_LOGGING),
    "explain": ("database_url", "past_due_grace_days", *_LOGGING),
    "retention": ("database_url", *_RETENTION, *_LOGGING),
}


def load(command: CommandName, environment: Mapping[str, str]) -> Settings:
    """The settings this command uses. Raises SettingsError, which names all that is wrong."""
    settings, problems = load_what_is_usable(command, environment)
    if problems:
        raise SettingsError(problems)
    return settings


def load_what_is_usable(
    command: CommandName, environment: Mapping[str, str]
) -> tuple[Settings, Sequence[str]]:
    """The settings this command uses, without those that cannot be used, and what is wrong."""
    values: dict[str, Any] = {}
    problems: list[str] = []
    for name in USED_BY[command]:
        try:
            values[name] = _read(VARIABLES[name], environment)
        except ValueError as error:
            problems.append(f"{VARIABLES[name].name} {error}")
    problems += _modes_differ(values)
    problems += _guessable(values)
    problems += _readable_on_the_way(values)
    if "jwt_issuer" in USED_BY[command]:
        problems += _not_one_key(values, environment)
    settings = object.__new__(Settings)  # without those this command does not use
    for name, value in values.items():
        object.__setattr__(settings, name, value)
    return settings, problems


def _read(variable: Variable, environment: Mapping[str, str]) -> object:
    raw = environment.get(variable.name)
    path = environment.get(f"{variable.name}_FILE") if variable.secret else None
    if path:
        if raw:
            raise ValueError(f"and {variable.name}_FILE are both set: keep one of them")
        try:
            raw = Path(path).read_text(encoding="utf-8").rstrip("\r\n")
        except OSError as error:
            reason = error.strerror or type(error).__name__
            raise ValueError(f"cannot be read from its file {path}: {reason}") from None
        except UnicodeDecodeError:  # its own words quote the secret
            raise ValueError(f"cannot be read from its file {path}: it is not UTF-8") from None
    raw = variable.default if raw is None else raw.strip()
    if not raw:
        if not variable.required:
            return None
        state = "is not set" if raw is None else "is empty"
        raise ValueError(f"{state}: {variable.help}")
    return variable.parse(raw)


def _guessable(values: Mapping[str, Any]) -> list[str]:
    """Where money is real a secret must be as long as the hash (RFC 7518, section 3.2)."""
    secret = values.get("jwt_secret")
    if _is_live(values) and secret is not None and len(secret.encode()) < 32:
        return ["JWT_SECRET must be 32 bytes or longer with a live key: it could be guessed"]
    return []


def _readable_on_the_way(values: Mapping[str, Any]) -> list[str]:
    """Where money is real, nobody between us and the identity provider may hand us keys."""
    url = urlsplit(values.get("jwt_jwks_url") or "")
    if not _is_live(values) or url.scheme != "http" or url.hostname in _THIS_MACHINE:
        return []
    return [
        "JWT_JWKS_URL must start with https:// with a live key: whoever is on the way could put "
        "in keys of their own"
    ]


def _is_live(values: Mapping[str, Any]) -> bool:
    return (values.get("stripe_secret_key") or "").split("_")[1:2] == ["live"]


def _modes_differ(values: Mapping[str, Any]) -> list[str]:
    secret, publishable = values.get("stripe_secret_key"), values.get("stripe_publishable_key")
    if secret and publishable and secret.split("_")[1] != publishable.split("_")[1]:
        return ["STRIPE_PUBLISHABLE_KEY is of another mode (test or live) than STRIPE_SECRET_KEY"]
    return []


def _not_one_key(values: Mapping[str, Any], environment: Mapping[str, str]) -> list[str]:
    if not values.keys() >= _JWT_KEYS.keys():
        return []  # one of them cannot be used, which was said already
    given = [name for field, name in _JWT_KEYS.items() if values[field] is not None]
    if len(given) == 1:
        return []
    if given:
        return [f"{' and '.join(given)} are set together: keep one of them"]
    empty = [n for n in _JWT_KEYS.values() if n in environment or f"{n}_FILE" in environment]
    state = f"{empty[0]} is empty" if empty else "JWT_SECRET is not set"
    others = [name for name in _JWT_KEYS.values() if name not in state]
    return [f"{state}: set it, {others[0]} or {others[1]} to verify the users' tokens with"]
