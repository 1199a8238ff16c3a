"""What is wrong with the settings is said by name, all at once, and without a secret."""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path
from types import MappingProxyType
from typing import Any, Final

import pytest
from hypothesis import given
from hypothesis import strategies as st

from service import cli
from service.settings import USED_BY, VARIABLES, CommandName, Settings, SettingsError, load

COMPLETE: Final = {
    "DATABASE_URL": "postgresql://payments:hunter2@db/payments",  # pragma: allowlist secret
    "RABBITMQ_URL": "amqp://payments:hunter3@mq/",  # pragma: allowlist secret
    "STRIPE_SECRET_KEY": "sk_test_hunter4",
    "STRIPE_PUBLISHABLE_KEY": "pk_test_public",
    "STRIPE_WEBHOOK_SECRET": "whsec_hunter5",
    "JWT_SECRET": "hunter6 hunter6 hunter6 hunter6 hunter6",
    "JWT_ISSUER": "https://identity.example",
    "JWT_AUDIENCE": "payments",
    "ALLOWED_REDIRECT_ORIGINS": "https://app.example.com",
}
LIVE: Final = {"STRIPE_SECRET_KEY": "sk_live_1", "STRIPE_PUBLISHABLE_KEY": "pk_live_1"}
PEM: Final = "-----BEGIN PUBLIC KEY-----\nMCowBQYDK2VwAyEA\n-----END PUBLIC KEY-----\n"
SECRETS: Final = [name for name, variable in VARIABLES.items() if variable.secret]


def problems(
    command: CommandName = "serve",
    changes: Mapping[str, str | None] = MappingProxyType({}),
    **more: str | None,
) -> tuple[str, ...]:
    """What is wrong once these variables are changed, or unset where they are None."""
    changed = {**COMPLETE, **changes, **more}
    try:
        load(command, {name: value for name, value in changed.items() if value is not None})
    except SettingsError as error:
        return error.problems
    return ()


def loaded(command: CommandName = "serve", **changes: str) -> Settings:
    return load(command, {**COMPLETE, **changes})


# What is needed


@pytest.mark.parametrize(
    ("command", "needed"),
    [
        ("migrate", {"DATABASE_URL"}),
        (
            "api",
            {
                "DATABASE_URL",
                "STRIPE_SECRET_KEY",
                "STRIPE_PUBLISHABLE_KEY",
                "STRIPE_WEBHOOK_SECRET",
                "JWT_SECRET",
                "JWT_ISSUER",
                "JWT_AUDIENCE",
            },
        ),
        ("worker", {"DATABASE_URL", "RABBITMQ_URL", "STRIPE_SECRET_KEY"}),
        ("catalog", {"STRIPE_SECRET_KEY"}),
        ("reconcile", {"DATABASE_URL", "STRIPE_SECRET_KEY"}),
        ("retention", {"DATABASE_URL"}),
        ("serve", set(COMPLETE) - {"ALLOWED_REDIRECT_ORIGINS"}),
    ],
)
def test_each_command_needs_only_what_it_uses_and_names_all_that_is_missing(
    command: CommandName, needed: set[str]
) -> None:
    with pytest.raises(SettingsError) as error:
        load(command, {})

    assert {line.split()[0] for line in error.value.problems} == needed
    assert all(" is not set: " in line for line in error.value.problems)
    load(command, {name: COMPLETE[name] for name in needed})


@pytest.mark.parametrize("name", COMPLETE)
@pytest.mark.parametrize("value", ["", " ", "\n\t "])
def test_an_empty_setting_is_as_good_as_none(name: str, value: str) -> None:
    (line,) = problems(changes={name: value})

    assert line.startswith(f"{name} is empty: ")


def test_what_a_command_does_not_use_may_be_wrong() -> None:
    assert problems("migrate", RABBITMQ_URL="nonsense", STRIPE_SECRET_KEY="x", CURRENCY="?") == ()


def test_everything_that_is_wrong_is_reported_at_once() -> None:
    lines = problems(
        DATABASE_URL=None,
        RABBITMQ_URL="http://mq",
        STRIPE_SECRET_KEY="pk_test_x",
        STRIPE_WEBHOOK_SECRET="",
        TRIAL_PERIOD_DAYS="0",
        CURRENCY="dollars",
        LOG_LEVEL="loud",
    )

    assert [line.split()[0] for line in lines] == [
        "DATABASE_URL",
        "STRIPE_WEBHOOK_SECRET",
        "TRIAL_PERIOD_DAYS",
        "STRIPE_SECRET_KEY",
        "CURRENCY",
        "LOG_LEVEL",
        "RABBITMQ_URL",
    ]


def test_every_setting_is_used_and_explained() -> None:
    assert set().union(*USED_BY.values()) == set(VARIABLES)
    assert all(variable.help for variable in VARIABLES.values())
    assert len({variable.name for variable in VARIABLES.values()}) == len(VARIABLES)


def test_the_defaults_are_the_products() -> None:
    settings = loaded()

    assert settings.trial_period_days == 180
    assert settings.currency == "usd"
    assert (settings.general_monthly, settings.general_annual) == (1000, 10000)
    assert (settings.event_organizer_monthly, settings.event_organizer_annual) == (1500, 15000)
    assert settings.past_due_grace_days == 7
    assert settings.stripe_api_base is None


# What is wrong


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("DATABASE_URL", "mysql://db/payments"),
        ("DATABASE_URL", "db/payments"),
        ("DATABASE_URL", "postgresql://db:port/payments"),
        ("DATABASE_URL", "postgresql://[db/payments"),
        ("RABBITMQ_URL", "http://mq"),
        ("RABBITMQ_URL", "amqp://"),
        ("RABBITMQ_URL", "amqp:///vhost"),
        ("STRIPE_SECRET_KEY", "pk_test_x"),
        ("STRIPE_SECRET_KEY", "sk_x"),
        ("STRIPE_SECRET_KEY", "whsec_x"),
        ("STRIPE_PUBLISHABLE_KEY", "sk_test_x"),
        ("STRIPE_PUBLISHABLE_KEY", "pk_x"),
        ("STRIPE_WEBHOOK_SECRET", ","),
        ("STRIPE_WEBHOOK_SECRET", "sk_test_x"),
        ("STRIPE_WEBHOOK_SECRET", "whsec_a,rk_live_b"),
        ("STRIPE_API_BASE", "stripe.example"),
        ("STRIPE_API_BASE", "ftp://stripe.example"),
        ("STRIPE_API_BASE", "https://"),
        ("TRIAL_PERIOD_DAYS", "0"),
        ("TRIAL_PERIOD_DAYS", "731"),
        ("TRIAL_PERIOD_DAYS", "-1"),
        ("TRIAL_PERIOD_DAYS", "1.5"),
        ("TRIAL_PERIOD_DAYS", "١٨٠"),
        ("TRIAL_PERIOD_DAYS", "9" * 5000),
        ("GENERAL_MONTHLY_AMOUNT", "0"),
        ("GENERAL_MONTHLY_AMOUNT", "10.00"),
        ("CURRENCY", "us"),
        ("CURRENCY", "u$d"),
        ("CURRENCY", "üsd"),
        ("PAST_DUE_GRACE_DAYS", "91"),
        ("RETRY_MAX_ATTEMPTS", "0"),
        ("LOG_FORMAT", "xml"),
        ("LOG_LEVEL", "trace"),
    ],
)
def test_a_wrong_setting_is_named_in_one_clear_line_that_does_not_quote_it(
    name: str, value: str
) -> None:
    (line,) = problems(changes={name: value})

    assert line.startswith((f"{name} must ", f"{name} is ", f"{name} holds "))
    assert "\n" not in line
    if VARIABLES[field_of(name)].secret and len(value) > 1:
        assert value not in line


def field_of(name: str) -> str:
    return next(field for field, variable in VARIABLES.items() if variable.name == name)


@pytest.mark.parametrize("name", [VARIABLES[field].name for field in SECRETS])
@given(before=st.text(), after=st.text())
def test_no_message_quotes_a_secret(name: str, before: str, after: str) -> None:
    for line in problems(changes={name: f"{before}hunter7{after}"}):
        assert "hunter7" not in line


@pytest.mark.parametrize(
    ("secret", "publishable"),
    [("sk_test_a", "pk_live_b"), ("rk_live_a", "pk_test_b"), ("sk_live_a", "pk_test_b")],
)
def test_the_two_keys_of_stripe_must_be_of_one_mode(secret: str, publishable: str) -> None:
    (line,) = problems(STRIPE_SECRET_KEY=secret, STRIPE_PUBLISHABLE_KEY=publishable)

    assert line.startswith("STRIPE_PUBLISHABLE_KEY ")
    assert "STRIPE_SECRET_KEY" in line
    assert problems("worker", STRIPE_SECRET_KEY=secret, STRIPE_PUBLISHABLE_KEY=publishable) == ()


@pytest.mark.parametrize(
    ("key", "live"),
    [("sk_test_a", False), ("rk_test_a", False), ("sk_live_a", True), ("rk_live_a_test_", True)],
)
def test_the_mode_is_the_secret_keys(key: str, live: bool) -> None:
    assert loaded("worker", STRIPE_SECRET_KEY=key).livemode is live


def test_a_key_is_more_than_its_prefix() -> None:
    for name, value in (("STRIPE_SECRET_KEY", "sk_test_"), ("STRIPE_PUBLISHABLE_KEY", "pk_test_")):
        (line,) = problems(changes={name: value})
        assert line.startswith(f"{name} must be a Stripe ")


def test_there_may_be_several_webhook_secrets_while_one_is_rolled() -> None:
    assert loaded(STRIPE_WEBHOOK_SECRET="whsec_a, whsec_b ,,").stripe_webhook_secrets == (
        "whsec_a",
        "whsec_b",
    )


def test_values_are_read_without_the_space_around_them() -> None:
    assert loaded(CURRENCY=" EUR ", TRIAL_PERIOD_DAYS="30\n").currency == "eur"


# Who the users are


@pytest.mark.parametrize("name", ["JWT_JWKS_URL", "JWT_PUBLIC_KEY", "JWT_SECRET"])
def test_any_one_of_three_keys_verifies_tokens(name: str) -> None:
    keys = {"JWT_JWKS_URL": "https://identity.example/jwks", "JWT_PUBLIC_KEY": PEM} | COMPLETE
    others = {key: None for key in ("JWT_JWKS_URL", "JWT_PUBLIC_KEY", "JWT_SECRET") if key != name}

    assert problems(changes={name: keys[name], **others}) == ()


def test_two_keys_are_one_too_many() -> None:
    assert problems(JWT_JWKS_URL="https://identity.example/jwks") == (
        "JWT_JWKS_URL and JWT_SECRET are set together: keep one of them",
    )


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("JWT_PUBLIC_KEY", "-----BEGIN PRIVATE KEY-----"),  # pragma: allowlist secret
        ("JWT_JWKS_URL", "identity.example"),
        ("ALLOWED_REDIRECT_ORIGINS", ","),
        ("ALLOWED_REDIRECT_ORIGINS", "app.example.com"),
        ("ALLOWED_REDIRECT_ORIGINS", "https://app.example.com/path"),
        ("ALLOWED_REDIRECT_ORIGINS", "https://*.example.com"),
        ("ALLOWED_REDIRECT_ORIGINS", "https://app.example.com?a"),
        ("ALLOWED_REDIRECT_ORIGINS", "https://user@app.example.com"),
        ("RATE_LIMIT_PER_MINUTE", "0"),
    ],
)
def test_what_users_depend_on_is_checked(name: str, value: str) -> None:
    (line,) = problems(changes={"JWT_SECRET": None, "JWT_PUBLIC_KEY": PEM, name: value})

    assert line.startswith(f"{name} ")


def test_a_public_key_may_have_its_line_breaks_escaped() -> None:
    one_line = PEM.replace("\n", "\\n")

    settings = load("serve", {**COMPLETE, "JWT_SECRET": "", "JWT_PUBLIC_KEY": one_line})

    assert settings.jwt_public_key == PEM.strip()


# Secrets in files


@pytest.mark.parametrize("name", sorted({VARIABLES[f].name for f in SECRETS} & COMPLETE.keys()))
def test_a_secret_may_be_in_a_file(name: str, tmp_path: Path) -> None:
    path = tmp_path / "secret"
    path.write_text(f"{COMPLETE[name]}\n")
    environment = {key: value for key, value in COMPLETE.items() if key != name}

    settings = load("serve", {**environment, f"{name}_FILE": str(path)})

    assert getattr(settings, field_of(name)) == getattr(loaded(), field_of(name))


def test_a_setting_that_is_no_secret_is_not_read_from_a_file(tmp_path: Path) -> None:
    path = tmp_path / "currency"
    path.write_text("eur")

    assert loaded(CURRENCY_FILE=str(path)).currency == "usd"


def test_a_secret_is_not_given_twice(tmp_path: Path) -> None:
    path = tmp_path / "secret"
    path.write_text("whsec_other")

    (line,) = problems(STRIPE_WEBHOOK_SECRET_FILE=str(path))

    assert line == (
        "STRIPE_WEBHOOK_SECRET and STRIPE_WEBHOOK_SECRET_FILE are both set: keep one of them"
    )


def test_an_empty_variable_leaves_the_word_to_its_file(tmp_path: Path) -> None:
    path = tmp_path / "secret"
    path.write_text("whsec_file")

    settings = loaded(STRIPE_WEBHOOK_SECRET="", STRIPE_WEBHOOK_SECRET_FILE=str(path))

    assert settings.stripe_webhook_secrets == ("whsec_file",)


def test_a_file_that_cannot_be_read_is_named(tmp_path: Path) -> None:
    for path in (tmp_path / "missing", tmp_path):
        (line,) = problems(DATABASE_URL=None, DATABASE_URL_FILE=str(path))
        assert line.startswith(f"DATABASE_URL cannot be read from its file {path}: ")


def test_a_file_that_is_not_text_is_named_without_what_is_in_it(tmp_path: Path) -> None:
    path = tmp_path / "secret"
    path.write_bytes(b"hunter\xff")

    (line,) = problems(STRIPE_SECRET_KEY=None, STRIPE_SECRET_KEY_FILE=str(path))

    assert line == f"STRIPE_SECRET_KEY cannot be read from its file {path}: it is not UTF-8"


def test_an_empty_file_is_an_empty_setting(tmp_path: Path) -> None:
    path = tmp_path / "secret"
    path.write_text("\n")

    (line,) = problems(DATABASE_URL=None, DATABASE_URL_FILE=str(path))

    assert line.startswith("DATABASE_URL is empty: ")


# Secrets stay secret


def test_settings_never_show_a_secret() -> None:
    settings = loaded(STRIPE_WEBHOOK_SECRET="whsec_hunter5,whsec_hunter6")

    for shown in (repr(settings), str(settings), f"{settings}", repr([settings])):
        assert "hunter" not in shown


# The command line


@pytest.mark.parametrize("command", ["migrate", "api", "worker", "serve"])
def test_a_command_that_lacks_settings_says_so_and_does_not_start(
    command: CommandName, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    empty: dict[str, str] = {}
    monkeypatch.setattr(os, "environ", empty)

    assert cli.main([command]) == 2

    lines = capsys.readouterr().err.splitlines()
    assert lines[0].startswith(f"payments {command}: DATABASE_URL is not set: ")
    assert all(line.startswith(f"payments {command}: ") for line in lines)


@pytest.mark.parametrize("arguments", [[], ["dance"], ["migrate", "--port", "1"]])
def test_an_unknown_command_is_refused(
    arguments: list[Any], capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(SystemExit) as stopped:
        cli.main(arguments)

    assert stopped.value.code == 2
    assert "usage: payments" in capsys.readouterr().err


def test_a_shared_secret_that_could_be_guessed_is_refused_where_money_is_real() -> None:
    (line,) = problems(changes={**LIVE, "JWT_SECRET": "too short"})
    assert line.startswith("JWT_SECRET ")
    assert "too short" not in line
    assert load("serve", {**COMPLETE, "JWT_SECRET": "too short"}).jwt_secret == "too short"


@pytest.mark.parametrize(
    ("url", "is_refused"),
    [
        ("https://identity.example/jwks", False),
        ("http://identity.example/jwks", True),
        ("http://localhost.evil.example/jwks", True),
        ("http://localhost:9000/jwks", False),
        ("http://127.0.0.1/jwks", False),
        ("http://[::1]/jwks", False),
    ],
)
def test_keys_come_by_https_where_money_is_real(url: str, is_refused: bool) -> None:
    given = {"JWT_SECRET": None, "JWT_JWKS_URL": url}

    assert problems(changes=given) == ()
    found = problems(changes={**LIVE, **given})

    assert bool(found) is is_refused
    assert all("JWT_JWKS_URL must start with https://" in line for line in found)


def test_scopes_are_separated_by_spaces() -> None:
    assert loaded(JWT_REQUIRED_SCOPE=" payments  billing ").jwt_required_scope == (
        "payments",
        "billing",
    )
    assert loaded().jwt_required_scope is None
    (line,) = problems(JWT_REQUIRED_SCOPE='pay"ments')
    assert line.startswith("JWT_REQUIRED_SCOPE must be scopes")
