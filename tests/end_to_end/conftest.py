from __future__ import annotations

from collections.abc import AsyncIterator

import pytest

from sandbox.stripe_stub import StripeStub
from tests.end_to_end.consumer import Inbox, consuming
from tests.end_to_end.processes import run
from tests.stripe_payloads import SECRET


@pytest.fixture
async def stripe() -> AsyncIterator[StripeStub]:
    async with StripeStub() as stub:
        yield stub


@pytest.fixture
async def environment(database_url: str, rabbitmq_url: str, stripe: StripeStub) -> dict[str, str]:
    """The environment of the service, on a migrated database."""
    status, output = await run({"DATABASE_URL": database_url}, "migrate")
    assert status == 0, output
    return {
        "DATABASE_URL": database_url,
        "RABBITMQ_URL": rabbitmq_url,
        "STRIPE_SECRET_KEY": "sk_test_51abc",
        "STRIPE_PUBLISHABLE_KEY": "pk_test_51abc",
        "STRIPE_WEBHOOK_SECRET": f"whsec_the_one_rolled_out,{SECRET}",
        "STRIPE_API_BASE": stripe.url,
        "JWT_SECRET": "a secret that is long enough for the tests",
        "JWT_ISSUER": "https://identity.example",
        "JWT_AUDIENCE": "payments",
        "ALLOWED_REDIRECT_ORIGINS": "https://app.example.com",
    }


@pytest.fixture
async def inbox(rabbitmq_url: str, unique_name: str) -> AsyncIterator[Inbox]:
    async with consuming(rabbitmq_url, unique_name) as found:
        yield found
