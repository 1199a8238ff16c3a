import json
from collections.abc import AsyncIterator, Callable
from typing import Any

import pytest
import stripe

from sandbox.stripe.server import StripeSandbox
from tests.sandbox import schema
from tests.sandbox.receiver import Receiver
from tests.sandbox.shop import Shop

# It would write a file under the home directory of whoever runs the tests.
stripe.enable_telemetry = False

# Where the tests begin in time: 1 March 2027, noon in UTC.
START = 1_803_902_400


@pytest.fixture
async def stripe_sandbox() -> AsyncIterator[StripeSandbox]:
    """Give a sandbox whose clock stands still; whatever it answers is checked for its shape."""
    problems: list[str] = []

    def inspect(answer: Any) -> None:
        try:
            # What is not JSON could not be answered at all.
            schema.check(json.loads(json.dumps(answer)))
        except schema.SchemaError as error:
            problems.append(str(error))

    async with StripeSandbox(start=START, runs=False, inspect=inspect) as sandbox:
        yield sandbox
    assert not problems, "\n".join(dict.fromkeys(problems))


@pytest.fixture
async def connect(
    stripe_sandbox: StripeSandbox,
) -> AsyncIterator[Callable[..., stripe.StripeClient]]:
    """Give a way to make clients of the sandbox, with any key."""
    transports = []

    def make(key: str = stripe_sandbox.api_key) -> stripe.StripeClient:
        transports.append(stripe.HTTPXClient())
        return stripe.StripeClient(
            key, base_addresses={"api": stripe_sandbox.url}, http_client=transports[-1]
        )

    yield make
    for transport in transports:
        await transport.close_async()  # type: ignore[no-untyped-call]  # the SDK's own


@pytest.fixture
def client(connect: Callable[..., stripe.StripeClient]) -> stripe.StripeClient:
    """Give the official SDK, talking to the sandbox."""
    return connect()


@pytest.fixture
async def receiver(stripe_sandbox: StripeSandbox) -> AsyncIterator[Receiver]:
    """Give a receiver of webhooks at which the sandbox delivers everything."""
    async with Receiver() as receiver:
        stripe_sandbox.listen(receiver.url)
        yield receiver


@pytest.fixture
def shop(stripe_sandbox: StripeSandbox, client: stripe.StripeClient) -> Shop:
    """Give short ways to have something to sell and somebody to sell it to."""
    return Shop(stripe_sandbox, client)
