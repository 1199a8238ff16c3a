"""What the sandbox sends and answers, as the service's own adapter reads it."""

from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import uuid4

import stripe

from adapters.stripe.api import StripeApi
from adapters.stripe.payment_provider import StripePaymentProvider
from adapters.stripe.webhooks import StripeWebhooks
from domain import commands
from domain.commands import Command
from domain.subscription import Status
from ports.inbox import ClaimedWebhook
from ports.webhooks import Unhandled
from sandbox.stripe.server import StripeSandbox
from tests.builders import TRACE, price_list
from tests.sandbox.receiver import Receiver
from tests.sandbox.shop import Shop

USER = "5f0c3b3e-2b1a-4c7e-9d0a-1f2e3d4c5b6a"


def _read(sandbox: StripeSandbox, receiver: Receiver) -> list[Command | Unhandled]:
    """Every delivery as the service takes it in and then understands it."""
    webhooks = StripeWebhooks([sandbox.webhook_secret], price_list())
    read = []
    for headers, body in receiver.deliveries:
        now = datetime.now(UTC)
        taken = webhooks.receive(body, headers["stripe-signature"], now=now, traceparent=TRACE)
        assert taken.api_version == stripe.api_version
        claimed = ClaimedWebhook(
            id=uuid4(),
            event_id=taken.event_id,
            event_type=taken.event_type,
            ordering_key=taken.ordering_key,
            livemode=taken.livemode,
            payload=taken.payload,
            traceparent=TRACE,
            age=timedelta(0),
            attempts=0,
        )
        read.append(webhooks.translate(claimed))
    return read


async def test_the_service_understands_the_whole_life_of_a_subscription(
    stripe_sandbox: StripeSandbox, client: stripe.StripeClient, receiver: Receiver, shop: Shop
) -> None:
    user: Any = {"user_id": USER}
    customer = await shop.customer(metadata=user)
    price = await shop.price(lookup_key="general_monthly")
    subscription = await shop.subscription(customer, price, trial_period_days=180, metadata=user)
    await stripe_sandbox.advance(days=181)
    await client.v1.subscriptions.update_async(subscription.id, {"cancel_at_period_end": True})
    await stripe_sandbox.advance(days=31)
    read = _read(stripe_sandbox, receiver)
    changes = [c for c in read if isinstance(c, commands.ApplySubscriptionChange)]
    assert [change.snapshot.status for change in changes] == [
        Status.TRIALING,
        Status.TRIALING,  # the notice
        Status.ACTIVE,
        Status.ACTIVE,  # the cancellation is scheduled
        Status.CANCELED,
    ]
    assert changes[1].trial_ending
    assert changes[3].snapshot.cancel_at is not None
    assert all(str(change.owner.user_id) == USER and change.owner.ours for change in changes)
    paid = [c for c in read if isinstance(c, commands.RecordInvoicePaid)]
    assert {command.amount.amount for command in paid} == {0, 1000}


async def test_the_service_understands_every_failed_payment(
    stripe_sandbox: StripeSandbox, receiver: Receiver, shop: Shop
) -> None:
    await shop.subscription(
        await shop.customer("pm_card_chargeCustomerFail"), await shop.price(), trial_period_days=4
    )
    await stripe_sandbox.advance(days=30)
    failures = [
        command
        for command in _read(stripe_sandbox, receiver)
        if isinstance(command, commands.RecordPaymentFailure)
    ]
    assert [failure.attempt_count for failure in failures] == [1, 2, 3, 4]
    assert [failure.next_attempt_at is not None for failure in failures] == [
        True,
        True,
        True,
        False,
    ]


async def test_the_service_can_ask_for_what_it_must_know(
    stripe_sandbox: StripeSandbox, client: stripe.StripeClient, shop: Shop
) -> None:
    user: Any = {"user_id": USER}
    customer = await shop.customer(metadata=user)
    old = await shop.price(900, lookup_key="general_monthly")
    current = await client.v1.prices.create_async(
        {
            "currency": "usd",
            "unit_amount": 1000,
            "product": str(old.product),
            "recurring": {"interval": "month"},
            "lookup_key": "general_monthly",
            "transfer_lookup_key": True,
        }
    )
    subscription = await shop.subscription(customer, current, metadata=user)
    offers = price_list()
    api = StripeApi(stripe_sandbox.api_key, stripe_sandbox.url)
    provider = StripePaymentProvider(api, offers)
    try:
        found = await provider.fetch_customer(customer.id)
        assert found is not None
        assert (str(found.user_id), found.email) == (USER, "jenny@example.com")
        assert await provider.fetch_customer("cus_nobody") is None
        snapshot = await provider.fetch_subscription(subscription.id)
        assert snapshot is not None
        assert snapshot.status == Status.ACTIVE
        prices = await provider.fetch_prices(list(offers))
        assert prices.current["general_monthly"] == current.id
        assert set(prices.by_ref) == {old.id, current.id}
    finally:
        await api.close()
