"""What is secret stays out of logs, answers and dead letters, however much goes wrong."""

from __future__ import annotations

import asyncio
import json
from pathlib import Path
from typing import Final
from uuid import uuid4

import asyncpg
import httpx
import jwt
import pytest

from tests.conftest import PASSWORD
from tests.databases import as_role
from tests.end_to_end.processes import run, running
from tests.end_to_end.service import life
from tests.stripe_payloads import event, signed, subscription
from tests.stripe_stand_in import run_stripe_stand_in

CANARY: Final = "c4n4ry0f5ecret5"
WEBHOOK_SECRET: Final = f"whsec_{CANARY}"
JWT_SECRET: Final = f"{CANARY}-which-is-long-enough-for-a-hash"
EMAIL: Final = "canary.person@example.org"


@pytest.fixture
async def environment(database_url: str, service_role: str, rabbitmq_url: str) -> dict[str, str]:
    status, output = await run(
        {"DATABASE_URL": database_url}, "migrate", "--grant-to", service_role
    )
    assert status == 0, output
    broker = rabbitmq_url.rpartition("@")[2]
    return {
        "DATABASE_URL": as_role(database_url, service_role),
        "RABBITMQ_URL": f"amqp://nobody:{CANARY}@{broker}",  # refused
        "STRIPE_SECRET_KEY": f"sk_test_{CANARY}",
        "STRIPE_PUBLISHABLE_KEY": "pk_test_1",
        "STRIPE_WEBHOOK_SECRET": f"{WEBHOOK_SECRET},whsec_{CANARY}_rolled",
        "JWT_SECRET": JWT_SECRET,
        "JWT_ISSUER": "https://identity.example",
        "JWT_AUDIENCE": "payments",
        "LOG_LEVEL": "debug",
    }


def token(**claims: str) -> str:
    user = {"sub": str(uuid4()), "email": EMAIL, "exp": 4_000_000_000}
    return jwt.encode(
        user | {"iss": "https://identity.example", "aud": "payments"} | claims,
        JWT_SECRET,
        algorithm="HS256",
    )


async def test_no_secret_is_in_a_log_at_debug_level_in_an_answer_or_in_a_dead_letter(
    environment: dict[str, str], tmp_path: Path
) -> None:
    said: list[str] = []
    user = uuid4()
    with run_stripe_stand_in() as stripe:
        reachable = environment | {"STRIPE_API_BASE": stripe.url}
        good = life("sub_good", uuid4(), stripe)[0]
        conflict = life("sub_conflict", user, stripe)[0]
        stripe.customers["cus_sub_conflict"] |= {
            "email": EMAIL,
            "metadata": {"user_id": str(uuid4())},
        }
        unreadable = event(
            "customer.subscription.updated", {"id": 7, "object": "subscription", "email": EMAIL}
        )
        unwritable = event(
            "customer.subscription.updated",
            subscription("sub_wide", user_id=user, customer="cus_sub_conflict")
            | {"start_date": 10**14, "description": EMAIL},
        )
        async with (
            running("serve", reachable, tmp_path) as service,
            httpx.AsyncClient(base_url=service.address or "", timeout=30) as client,
        ):
            await deliver_signed(client, good, conflict, unreadable, unwritable)
            await until_dead(environment["DATABASE_URL"], 3)
            said += await what_is_answered(client)
            async with asyncio.timeout(60):
                while "stage_waits" not in service.log:  # the broker refuses the password
                    await asyncio.sleep(0.05)
            said.append(service.log)
    async with (
        running("serve", environment | {"STRIPE_API_BASE": "http://127.0.0.1:1"}, tmp_path) as away,
        httpx.AsyncClient(base_url=away.address or "", timeout=60) as client,
    ):
        said += await what_is_answered(client)
        said.append(away.log)
    database = {"DATABASE_URL": environment["DATABASE_URL"]}
    _, listed = await run(database, "events", "list")
    _, explained = await run(database, "explain", "cus_sub_conflict")
    letters = await dead_letters(environment["DATABASE_URL"])

    # It has gone wrong as it was meant to, and is told of.
    assert len(letters) == 3
    assert any("OwnershipConflict" in letter for letter in letters)
    logs = "\n".join(said)
    for what in ("webhook_dead", "webhook_rejected", "stage_waits", "outcome_unknown"):
        assert what in logs
    everything = "\n".join([logs, listed, explained, *letters])
    assert_no_secret(everything)
    assert EMAIL not in everything


def assert_no_secret(text: str) -> None:
    for secret in (CANARY, PASSWORD, JWT_SECRET):
        assert secret not in text, text[max(0, text.index(secret) - 500) :][:1000]


async def deliver_signed(client: httpx.AsyncClient, *events: dict[str, object]) -> None:
    for one in events:
        request = signed(one, secret=WEBHOOK_SECRET)
        answer = await client.post(
            "/api/payments/webhook",
            content=request.body,
            headers={"stripe-signature": request.header},
        )
        assert answer.status_code == 200, answer.text


async def what_is_answered(client: httpx.AsyncClient) -> list[str]:
    """Ask for much that cannot be had."""
    api = "/api/payments"
    bearer = {"authorization": f"Bearer {token()}"}
    forged = {"authorization": f"Bearer {token()[:-4]}{CANARY}"}
    answers = [
        await client.post(f"{api}/webhook", content=b"{}", headers={"stripe-signature": CANARY}),
        await client.post(
            f"{api}/webhook",
            content=json.dumps({"secret": CANARY}),
            headers={"stripe-signature": f"t=1,v1={CANARY}"},
        ),
        await client.post(f"{api}/customers", headers=bearer),
        await client.post(f"{api}/customers", headers=forged),
        await client.get(f"{api}/subscription", headers={"authorization": f"Basic {CANARY}"}),
        await client.get(f"{api}/invoices", headers=bearer),
        await client.post(f"{api}/subscriptions", headers=bearer, json={"priceId": 7}),
        await client.get(f"{api}/config"),
        await client.get("/nowhere", headers=bearer),
        await client.get("/health/ready"),
        await client.get("/schema"),
    ]
    assert {answer.status_code for answer in answers} >= {200, 400, 401, 404}
    return [f"{answer.status_code} {answer.headers} {answer.text}" for answer in answers]


async def until_dead(database_url: str, count: int) -> None:
    async with asyncio.timeout(60):
        while len(await dead_letters(database_url)) < count:
            await asyncio.sleep(0.05)


async def dead_letters(database_url: str) -> list[str]:
    database = await asyncpg.connect(database_url)
    try:
        rows = await database.fetch(
            "SELECT error_message FROM payments.stripe_webhook_events WHERE outcome = 'dead'"
        )
        return [row["error_message"] for row in rows]
    finally:
        await database.close()
