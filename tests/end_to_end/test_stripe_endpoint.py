"""`payments stripe-endpoint sync` against the stand-in for Stripe, as an operator runs it."""

from __future__ import annotations

import re
from collections.abc import AsyncIterator
from typing import Any

import httpx
import pytest
import stripe

from adapters.stripe.translation import HANDLED_TYPES
from sandbox.stripe.server import StripeSandbox
from tests.end_to_end.processes import run
from tests.stripe_payloads import START

URL = "https://api.example.com/api/payments/webhook"


@pytest.fixture
async def account() -> AsyncIterator[StripeSandbox]:
    async with StripeSandbox(start=START, runs=False) as sandbox:
        yield sandbox


async def sync(account: StripeSandbox, *more: str) -> tuple[int, str]:
    environment = {"STRIPE_SECRET_KEY": account.api_key, "STRIPE_API_BASE": account.url}
    return await run(environment, "stripe-endpoint", "sync", "--url", URL, *more)


async def endpoints(account: StripeSandbox) -> list[dict[str, Any]]:
    async with httpx.AsyncClient(base_url=account.url, auth=(account.api_key, "")) as client:
        found: list[dict[str, Any]] = (await client.get("/v1/webhook_endpoints")).json()["data"]
        return found


async def call(account: StripeSandbox, path: str, **form: Any) -> dict[str, Any]:
    async with httpx.AsyncClient(base_url=account.url, auth=(account.api_key, "")) as client:
        answer = await client.post(f"/v1/webhook_endpoints{path}", data=form)
        assert answer.is_success, answer.text
        made: dict[str, Any] = answer.json()
        return made


async def test_a_new_endpoint_is_sent_what_is_handled_as_the_sdk_speaks_it(
    account: StripeSandbox,
) -> None:
    status, output = await sync(account)

    (made,) = await endpoints(account)
    assert status == 0, output
    assert set(made["enabled_events"]) == HANDLED_TYPES
    assert made["api_version"] == stripe.api_version
    assert made["url"] == URL
    assert output.startswith(f"{made['id']} created\n")
    assert re.search(r"never shows again: whsec_\w+\n", output)
    assert "STRIPE_WEBHOOK_SECRET" in output


async def test_the_secret_is_shown_once_and_what_is_right_is_left_alone(
    account: StripeSandbox,
) -> None:
    await sync(account)
    before = await endpoints(account)

    status, output = await sync(account)

    assert (status, output) == (0, f"{before[0]['id']} unchanged\n")
    assert await endpoints(account) == before


async def test_an_endpoint_that_was_deleted_is_made_anew_with_a_secret_of_its_own(
    account: StripeSandbox,
) -> None:
    """Within the day for which Stripe remembers what was asked for, and as often as it takes."""
    secrets = set()
    for _ in range(3):
        status, output = await sync(account)
        (made,) = await endpoints(account)
        assert status == 0, output
        assert output.startswith(f"{made['id']} created\n")
        secrets.update(re.findall(r"whsec_\w+", output))
        async with httpx.AsyncClient(base_url=account.url, auth=(account.api_key, "")) as client:
            assert (await client.delete(f"/v1/webhook_endpoints/{made['id']}")).is_success
    assert len(secrets) == 3


async def test_what_has_drifted_is_put_right(account: StripeSandbox) -> None:
    await sync(account)
    (made,) = await endpoints(account)
    await call(account, f"/{made['id']}", **{"enabled_events[]": "*", "disabled": "true"})

    status, output = await sync(account)

    (mended,) = await endpoints(account)
    assert (status, output) == (0, f"{made['id']} updated\n")
    assert set(mended["enabled_events"]) == HANDLED_TYPES
    assert mended["status"] == "enabled"


async def test_endpoints_of_other_addresses_are_nobodys_business(account: StripeSandbox) -> None:
    other = await call(account, "", url="https://other.example.com", **{"enabled_events[]": "*"})

    await sync(account, "--retire-others")

    found = {one["id"]: one for one in await endpoints(account)}
    assert len(found) == 2
    assert found[other["id"]]["status"] == "enabled"
    assert found[other["id"]]["enabled_events"] == ["*"]


async def test_another_api_version_is_left_behind_in_two_steps(account: StripeSandbox) -> None:
    """The old endpoint sends until the secret of the new one is in use."""
    old = await call(account, "", url=URL, api_version="2020-08-27", **{"enabled_events[]": "*"})

    # Too early, since nobody can know the new secret yet.
    _, created = await sync(account, "--retire-others")
    assert "created" in created
    assert f"{old['id']} has another API version" in created
    assert {one["status"] for one in await endpoints(account)} == {"enabled"}

    _, retired = await sync(account, "--retire-others")
    assert f"{old['id']} disabled" in retired
    states = {one["id"]: one["status"] for one in await endpoints(account)}
    assert states.pop(old["id"]) == "disabled"
    assert set(states.values()) == {"enabled"}


async def test_what_stripe_refuses_is_told_in_a_line(account: StripeSandbox) -> None:
    environment = {"STRIPE_SECRET_KEY": "sk_test_wrong", "STRIPE_API_BASE": account.url}
    status, output = await run(environment, "stripe-endpoint", "sync", "--url", URL)

    assert status == 1
    assert "payments stripe-endpoint: " in output
    assert "Traceback" not in output


async def test_an_address_has_to_be_whole(account: StripeSandbox) -> None:
    environment = {"STRIPE_SECRET_KEY": account.api_key, "STRIPE_API_BASE": account.url}
    status, output = await run(environment, "stripe-endpoint", "sync", "--url", "api.example.com")

    assert status == 2
    assert "https://host/path" in output
    assert await endpoints(account) == []
