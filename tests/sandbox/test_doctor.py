"""`payments doctor` against real servers and the stand-in for Stripe, each well, sick or absent."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from dataclasses import dataclass

import aio_pika
import asyncpg
import pytest
from aio_pika.abc import AbstractIncomingMessage

from adapters.rabbitmq import examiner
from sandbox.stripe.server import StripeSandbox
from service import cli, logs
from service.settings import VARIABLES
from tests.databases import as_role, migrated_database, migrated_url, owner_url
from tests.sandbox.shop import Shop

__all__ = ["migrated_database", "migrated_url", "owner_url"]

CANARY = "canary0b5e55ed"


@dataclass(frozen=True)
class Report:
    """What the command said."""

    status: int
    text: str

    def lines(self, grade: str) -> list[str]:
        return [line[6:] for line in self.text.splitlines() if line.startswith(f"{grade:<4}  ")]


Doctor = Callable[..., Awaitable[Report]]


@pytest.fixture
def environment(
    migrated_url: str, rabbitmq_url: str, stripe_sandbox: StripeSandbox
) -> dict[str, str]:
    return {
        "DATABASE_URL": migrated_url,
        "RABBITMQ_URL": rabbitmq_url,
        "STRIPE_SECRET_KEY": stripe_sandbox.api_key,
        "STRIPE_PUBLISHABLE_KEY": stripe_sandbox.publishable_key,
        "STRIPE_WEBHOOK_SECRET": stripe_sandbox.webhook_secret,
        "STRIPE_API_BASE": stripe_sandbox.url,
        "JWT_SECRET": f"{CANARY} which is long enough for the tests",
        "JWT_ISSUER": "https://identity.example",
        "JWT_AUDIENCE": "payments",
    }


@pytest.fixture
async def queue(rabbitmq_url: str, unique_name: str) -> AsyncIterator[str]:
    """Give the name of a queue that somebody consumes."""
    connection = await aio_pika.connect(rabbitmq_url)
    async with connection:
        channel = await connection.channel()
        declared = await channel.declare_queue(unique_name, exclusive=False)
        await declared.consume(_ignore)
        yield unique_name
        await declared.delete(if_unused=False, if_empty=False)


async def _ignore(message: AbstractIncomingMessage) -> None:
    """Nothing comes."""


@pytest.fixture
def doctor(
    environment: Mapping[str, str],
    queue: str,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> Doctor:
    """Run the command in an environment with these changes; no secret may be in what it says."""
    monkeypatch.setattr(logs, "configure", lambda *_: None)  # the log stays as the tests have it

    async def run(**changes: str) -> Report:
        given = {**environment, **changes}
        for variable in VARIABLES.values():
            monkeypatch.delenv(variable.name, raising=False)
        for name, value in given.items():
            monkeypatch.setenv(name, value)
        status = await asyncio.to_thread(cli.main, ["doctor", "--queue", queue])
        said = capsys.readouterr()
        for variable in VARIABLES.values():
            if variable.secret and given.get(variable.name):
                assert given[variable.name] not in said.out + said.err
        assert CANARY not in said.out + said.err
        assert "Traceback" not in said.out + said.err
        return Report(status, said.out)

    return run


@pytest.fixture
async def prices(shop: Shop) -> None:
    """What the settings say is sold."""
    for key, amount, interval in (
        ("general_monthly", 1000, "month"),
        ("general_annual", 10000, "year"),
        ("event_organizer_monthly", 1500, "month"),
        ("event_organizer_annual", 15000, "year"),
    ):
        await shop.price(amount, interval, key)


@pytest.mark.usefixtures("prices")
async def test_where_all_is_well_nothing_fails(
    doctor: Doctor, stripe_sandbox: StripeSandbox
) -> None:
    stripe_sandbox.listen("https://payments.example/api/payments/webhook")

    report = await doctor()

    assert report.lines("fail") == []
    assert report.lines("warn") == ["workers: none is alive"]
    assert report.status == 0
    subjects = {line.split(":")[0] for line in report.lines("ok")}
    assert subjects == {
        "settings",
        "keys",
        "webhook secrets",
        "database",
        "clock",
        "durability",
        "schema",
        "role",
        "inbox",
        "dead letters",
        "outbox",
        "broker",
        "exchange",
        "consumer",
        "stripe",
        "endpoints",
        *(f"price {offer}" for offer in ("general_monthly", "general_annual")),
        *(f"price event_organizer_{interval}" for interval in ("monthly", "annual")),
    }
    assert len([line for line in report.lines("ok") if line.startswith("clock")]) == 2


async def test_without_any_setting_each_is_named_and_what_it_is_for(
    doctor: Doctor, environment: dict[str, str]
) -> None:
    report = await doctor(**dict.fromkeys(environment, ""))

    assert report.status == 1
    named = {line.split()[1] for line in report.lines("fail")}
    assert {"DATABASE_URL", "RABBITMQ_URL", "STRIPE_SECRET_KEY", "JWT_SECRET"} <= named
    assert "→ PostgreSQL, as postgresql://" in report.text


@pytest.mark.usefixtures("prices")
async def test_what_is_absent_does_not_hide_the_others(doctor: Doctor) -> None:
    report = await doctor(
        DATABASE_URL=f"postgresql://x:{CANARY}@127.0.0.1:1/nowhere",
        RABBITMQ_URL=f"amqp://x:{CANARY}@127.0.0.1:1/",
    )
    assert report.status == 1
    assert [line.split(":")[0] for line in report.lines("fail")] == ["database", "broker"]
    assert "price general_monthly: 1000 usd per month" in report.lines("ok")

    report = await doctor(STRIPE_API_BASE="http://127.0.0.1:1")
    assert [line.split(":")[0] for line in report.lines("fail")] == ["stripe"]
    assert any(line.startswith("database") for line in report.lines("ok"))


@pytest.mark.usefixtures("prices")
async def test_keys_and_passwords_that_are_not_accepted_are_told_apart(
    doctor: Doctor, environment: dict[str, str], owner_url: str, rabbitmq_url: str
) -> None:
    host = rabbitmq_url.rpartition("@")[2]
    report = await doctor(
        STRIPE_SECRET_KEY=f"sk_test_{CANARY}",
        DATABASE_URL=as_role(owner_url, f"nobody_{CANARY}"),
        RABBITMQ_URL=f"amqp://nobody:{CANARY}@{host}",
    )

    assert report.status == 1
    failures = "\n".join(report.lines("fail"))
    assert "stripe: refuses STRIPE_SECRET_KEY" in failures
    assert "broker: refuses the credentials" in failures
    assert "database: the server refuses the user or the password" in failures


async def test_modes_that_differ_are_a_failure(doctor: Doctor) -> None:
    report = await doctor(STRIPE_PUBLISHABLE_KEY="pk_live_1")

    assert any("another mode" in line for line in report.lines("fail"))


async def test_prices_that_are_missing_or_other_than_the_settings_fail(
    doctor: Doctor, shop: Shop
) -> None:
    await shop.price(1000, "month", "general_monthly")
    await shop.price(9999, "year", "general_annual")

    failures = (await doctor()).lines("fail")

    assert not any("general_monthly:" in line for line in failures if "event" not in line)
    assert any("general_annual: Stripe has 9999 usd, the settings 10000" in one for one in failures)
    assert any("event_organizer_annual: Stripe has none" in one for one in failures)


async def test_an_endpoint_that_does_not_hear_everything_is_a_warning(
    doctor: Doctor, stripe_sandbox: StripeSandbox
) -> None:
    assert "endpoints: none is enabled" in (await doctor()).lines("warn")
    stripe_sandbox.listen("https://payments.example/", "customer.subscription.created")

    (line,) = [one for one in (await doctor()).lines("warn") if one.startswith("endpoints")]

    assert "customer.subscription.deleted" in line
    assert "customer.subscription.created" not in line


async def test_what_waits_or_was_given_up_is_shown(doctor: Doctor, owner_url: str) -> None:
    owner = await asyncpg.connect(owner_url)
    await owner.execute(
        "INSERT INTO payments.stripe_webhook_events (event_id, event_type, ordering_key,"
        " partition, stripe_created_at, payload, traceparent, created_at, outcome)"
        " VALUES ('evt_1', 't', 'k', 1, now(), '', 't', now() - interval '1 hour', NULL),"
        "        ('evt_2', 't', 'k', 1, now(), '', 't', now(), 'dead');"
        "INSERT INTO payments.outbox_events (subscription_id, version, type, body, ordering_key,"
        " partition, created_at, unrouted_at)"
        " VALUES (gen_random_uuid(), 1, 't', '', 'k', 1, now() - interval '1 hour', NULL),"
        "        (gen_random_uuid(), 1, 't', '', 'k', 1, now(), now())"
    )
    await owner.close()

    report = await doctor()

    failures, warnings = "\n".join(report.lines("fail")), "\n".join(report.lines("warn"))
    assert "inbox: 1 webhooks wait, the oldest since" in failures
    assert "outbox: 1 messages wait, the oldest since" in failures
    assert "dead letters: 1 webhooks were given up" in warnings
    assert "unrouted messages: 1" in warnings


async def test_a_role_that_owns_or_lacks_something_is_told_so(
    doctor: Doctor, owner_url: str, service_role: str
) -> None:
    report = await doctor(DATABASE_URL=owner_url)
    assert any(line.startswith("role: owns the tables") for line in report.lines("warn"))

    owner = await asyncpg.connect(owner_url)
    try:
        await owner.execute(f"REVOKE INSERT ON payments.workers FROM {service_role}")
        report = await doctor()
        await owner.execute(f"GRANT INSERT ON payments.workers TO {service_role}")
    finally:
        await owner.close()
    assert "role: lacks INSERT on payments.workers" in report.lines("fail")


async def test_a_database_that_forgets_what_it_committed_is_told_so(
    doctor: Doctor, owner_url: str, service_role: str
) -> None:
    owner = await asyncpg.connect(owner_url)
    try:
        await owner.execute(f"ALTER ROLE {service_role} SET synchronous_commit = off")
        report = await doctor()
    finally:
        await owner.execute(f"ALTER ROLE {service_role} RESET synchronous_commit")
        await owner.close()

    assert any("synchronous_commit off" in line for line in report.lines("warn"))


async def test_a_schema_that_is_missing_or_behind_is_to_be_migrated(
    doctor: Doctor, owner_url: str, postgres_server_url: str
) -> None:
    owner = await asyncpg.connect(owner_url)
    try:
        head = await owner.fetchval("SELECT version_num FROM payments.alembic_version")
        for version, grade, said in (
            ("0001", "fail", f"schema: is at 0001, not yet at {head}"),
            ("9999", "warn", "schema: is at 9999, of a later release"),
        ):
            await owner.execute("UPDATE payments.alembic_version SET version_num = $1", version)
            assert said in (await doctor()).lines(grade)
    finally:
        await owner.execute("UPDATE payments.alembic_version SET version_num = $1", head)
        await owner.close()

    report = await doctor(DATABASE_URL=postgres_server_url)
    assert "schema: is missing" in report.lines("fail")


async def test_an_exchange_of_another_kind_and_a_missing_queue_are_told(
    doctor: Doctor,
    queue: str,
    rabbitmq_url: str,
    unique_name: str,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(examiner, "EXCHANGE", f"{unique_name}-exchange")
    connection = await aio_pika.connect(rabbitmq_url)
    async with connection:
        channel = await connection.channel()
        exchange = await channel.declare_exchange(f"{unique_name}-exchange", "fanout")
        await channel.queue_delete(queue)
        report = await doctor()
        await exchange.delete()

    assert any(line.startswith("exchange") for line in report.lines("fail"))
    assert f"consumer: there is no queue {queue}" in report.lines("warn")
