"""Stripe's own command line drives the sandbox: a client that nobody here has written."""

import asyncio
import os
import subprocess
from pathlib import Path

import pytest

from sandbox.stripe.server import StripeSandbox
from tests import npm

# This version, because a newer one may trigger otherwise on any day.
_CLI = "@stripe/cli@1.52.0"
# How many run at once; each is a process of some 50 MB that mostly waits.
_AT_ONCE = 4

EVENTS = {
    "customers": ["customer.created", "customer.updated", "customer.deleted"],
    "products and prices": [
        "product.created",
        "product.updated",
        "product.deleted",
        "price.created",
        "price.updated",
    ],
    "subscriptions": [
        "customer.subscription.created",
        "customer.subscription.updated",
        "customer.subscription.deleted",
        "customer.subscription.paused",
        "customer.subscription.trial_will_end",
        "subscription.payment_succeeded",
        "subscription.payment_failed",
    ],
    "invoices": [
        "invoice.created",
        "invoice.updated",
        "invoice.finalized",
        "invoice.paid",
        "invoice.payment_succeeded",
        "invoice.payment_failed",
        "invoice.payment_action_required",
        "invoice.sent",
        "invoice.voided",
        "invoice.marked_uncollectible",
        "invoice.deleted",
        "invoiceitem.created",
        "invoiceitem.deleted",
    ],
    "checkout": ["checkout.session.completed", "checkout.session.expired"],
    "payment methods": ["payment_method.attached", "payment_method.detached"],
    # Most triggers of intents name payment_method_types, which the API does not take any more.
    "intents": ["payment_intent.canceled", "setup_intent.requires_action"],
    "portal": ["billing_portal.configuration.created", "billing_portal.session.created"],
    "test clocks": ["test_helpers.test_clock.ready", "test_helpers.test_clock.deleted"],
}
# Names of its own for what the API calls otherwise.
_CALLED = {
    "subscription.payment_succeeded": "invoice.payment_succeeded",
    # The first payment of a subscription fails with its invoice.
    "subscription.payment_failed": "invoice.payment_failed",
}


@pytest.fixture(scope="session")
def stripe_cli(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Give the program, installed from npm into a folder of its own."""
    return npm.install(tmp_path_factory.mktemp("stripe-cli"), _CLI) / "stripe"


@pytest.mark.parametrize("area", EVENTS)
async def test_triggers_succeed_and_cause_their_event(
    stripe_sandbox: StripeSandbox, stripe_cli: Path, tmp_path: Path, area: str
) -> None:
    slots = asyncio.Semaphore(_AT_ONCE)

    async def trigger(event: str) -> str:
        async with slots:
            process = await asyncio.create_subprocess_exec(
                stripe_cli,
                *("trigger", event, "--api-base", stripe_sandbox.url),
                env={
                    "HOME": str(tmp_path),
                    "PATH": os.environ["PATH"],
                    "STRIPE_API_KEY": stripe_sandbox.api_key,
                    "STRIPE_CLI_TELEMETRY_OPTOUT": "1",
                },
                stdout=subprocess.PIPE,
                stderr=subprocess.STDOUT,
            )
            said, _ = await process.communicate()
            return "" if process.returncode == 0 else f"{event}: {said.decode()}"

    failures = await asyncio.gather(*map(trigger, EVENTS[area]))
    assert not any(failures), "\n".join(failures)
    caused = {event["type"] for event in stripe_sandbox.world.store.all("event")}
    assert {_CALLED.get(event, event) for event in EVENTS[area]} <= caused
