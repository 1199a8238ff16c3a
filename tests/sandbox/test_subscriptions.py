"""Subscriptions: begun, paid for, changed, paused, canceled."""

from typing import Any

import pytest
import stripe

from sandbox.stripe.server import StripeSandbox
from tests.sandbox.receiver import Receiver
from tests.sandbox.shop import Shop

DAY = 24 * 60 * 60


def _invoice(subscription: stripe.Subscription) -> stripe.Invoice:
    assert isinstance(subscription.latest_invoice, stripe.Invoice)
    return subscription.latest_invoice


async def test_a_subscription_is_active_once_it_is_paid_for(
    client: stripe.StripeClient, shop: Shop
) -> None:
    subscription = await shop.subscription(
        await shop.customer(), await shop.price(1500), expand=["latest_invoice"]
    )
    assert subscription.status == "active"
    invoice = _invoice(subscription)
    assert (invoice.status, invoice.amount_paid) == ("paid", 1500)
    assert invoice.parent is not None
    assert invoice.parent.subscription_details is not None
    assert invoice.parent.subscription_details.subscription == subscription.id
    types = await shop.event_types()
    assert types[types.index("customer.subscription.created") :] == [
        "customer.subscription.created",
        "invoice.created",
        "customer.updated",
        "invoice.finalized",
        "invoice.updated",
        "payment_intent.created",
        "charge.succeeded",
        "payment_intent.succeeded",
        "invoice_payment.paid",
        "invoice.updated",
        "invoice.paid",
        "invoice.payment_succeeded",
        "customer.subscription.updated",
    ]


async def test_a_trial_begins_with_an_invoice_of_nothing(shop: Shop) -> None:
    subscription = await shop.subscription(
        await shop.customer(None),
        await shop.price(),
        trial_period_days=180,
        expand=["latest_invoice"],
    )
    assert subscription.status == "trialing"
    assert subscription.trial_end == subscription.created + 180 * DAY
    item = subscription["items"].data[0]
    assert item.current_period_end == subscription.trial_end
    invoice = _invoice(subscription)
    assert (invoice.status, invoice.total, invoice.billing_reason) == (
        "paid",
        0,
        "subscription_create",
    )


@pytest.mark.parametrize("days", [0, 731])
async def test_a_trial_lasts_from_a_day_to_two_years(shop: Shop, days: int) -> None:
    with pytest.raises(stripe.InvalidRequestError) as refused:
        await shop.subscription(await shop.customer(), await shop.price(), trial_period_days=days)
    assert refused.value.param == "trial_period_days"


async def test_an_incomplete_subscription_is_paid_for_with_its_client_secret(
    client: stripe.StripeClient, shop: Shop
) -> None:
    subscription = await shop.subscription(
        await shop.customer(None),
        await shop.price(),
        payment_behavior="default_incomplete",
        payment_settings={"save_default_payment_method": "on_subscription"},
        expand=["latest_invoice.confirmation_secret"],
    )
    assert subscription.status == "incomplete"
    secret = _invoice(subscription).confirmation_secret
    assert secret is not None
    intent_id = secret.client_secret.split("_secret_")[0]
    intent = await client.v1.payment_intents.confirm_async(
        intent_id, {"payment_method": "pm_card_visa"}
    )
    assert intent.status == "succeeded"
    active = await client.v1.subscriptions.retrieve_async(subscription.id)
    assert active.status == "active"
    assert active.default_payment_method == intent.payment_method


async def test_a_trial_that_collects_a_card_waits_for_its_setup_intent(
    client: stripe.StripeClient, shop: Shop
) -> None:
    subscription = await shop.subscription(
        await shop.customer(None),
        await shop.price(),
        trial_period_days=180,
        payment_behavior="default_incomplete",
        expand=["pending_setup_intent"],
    )
    assert subscription.status == "trialing"
    intent = subscription.pending_setup_intent
    assert isinstance(intent, stripe.SetupIntent)
    assert intent.client_secret is not None
    done = await client.v1.setup_intents.confirm_async(
        intent.id, {"payment_method": "pm_card_visa"}
    )
    ready = await client.v1.subscriptions.retrieve_async(subscription.id)
    assert ready.pending_setup_intent is None
    assert ready.default_payment_method == done.payment_method


@pytest.mark.parametrize(
    ("card", "behavior", "status"),
    [
        ("pm_card_chargeCustomerFail", "allow_incomplete", "incomplete"),
        ("pm_card_threeDSecure2Required", "allow_incomplete", "incomplete"),
        ("pm_card_visa", "error_if_incomplete", "active"),
    ],
)
async def test_a_first_payment_decides_how_a_subscription_begins(
    shop: Shop, card: str, behavior: str, status: str
) -> None:
    subscription = await shop.subscription(
        await shop.customer(card), await shop.price(), payment_behavior=behavior
    )
    assert subscription.status == status


async def test_nothing_begins_where_a_payment_was_a_condition_and_failed(
    client: stripe.StripeClient, shop: Shop
) -> None:
    customer = await shop.customer("pm_card_chargeCustomerFail")
    with pytest.raises(stripe.CardError) as declined:
        await shop.subscription(
            customer, await shop.price(), payment_behavior="error_if_incomplete"
        )
    assert (declined.value.http_status, declined.value.code) == (402, "card_declined")
    assert not (await client.v1.subscriptions.list_async({"status": "all"})).data
    assert not (await client.v1.invoices.list_async()).data


async def test_a_customer_without_a_card_cannot_be_charged(shop: Shop) -> None:
    with pytest.raises(stripe.InvalidRequestError, match="no attached payment source"):
        await shop.subscription(await shop.customer(None), await shop.price())


async def test_an_archived_price_is_not_sold(client: stripe.StripeClient, shop: Shop) -> None:
    price = await shop.price()
    await client.v1.prices.update_async(price.id, {"active": False})
    with pytest.raises(stripe.InvalidRequestError, match="inactive") as refused:
        await shop.subscription(await shop.customer(), price)
    assert refused.value.param == "items[0][price]"


async def test_subscriptions_are_listed_without_the_canceled_ones_unless_asked(
    client: stripe.StripeClient, shop: Shop
) -> None:
    customer, price = await shop.customer(), await shop.price()
    kept, ended = [await shop.subscription(customer, price) for _ in range(2)]
    await client.v1.subscriptions.cancel_async(ended.id)

    async def listed(**params: Any) -> list[str]:
        given: Any = {"customer": customer.id, **params}
        return [s.id for s in (await client.v1.subscriptions.list_async(given)).data]

    assert await listed() == [kept.id]
    assert await listed(status="all") == [ended.id, kept.id]
    assert await listed(status="canceled") == [ended.id]
    assert await listed(price=price.id) == [kept.id]


async def test_a_canceled_subscription_never_comes_back(
    client: stripe.StripeClient, shop: Shop
) -> None:
    subscription = await shop.subscription(await shop.customer(), await shop.price())
    canceled = await client.v1.subscriptions.cancel_async(subscription.id)
    assert canceled.status == "canceled"
    assert canceled.ended_at == canceled.canceled_at
    with pytest.raises(stripe.InvalidRequestError, match="No such subscription"):
        await client.v1.subscriptions.cancel_async(subscription.id)
    with pytest.raises(stripe.InvalidRequestError, match="canceled subscription can only"):
        await client.v1.subscriptions.update_async(subscription.id, {"cancel_at_period_end": False})
    kept = await client.v1.subscriptions.update_async(subscription.id, {"metadata": {"a": "1"}})
    assert kept.to_dict()["metadata"] == {"a": "1"}


async def test_deleting_a_customer_ends_its_subscriptions(
    client: stripe.StripeClient, shop: Shop
) -> None:
    customer = await shop.customer()
    subscription = await shop.subscription(customer, await shop.price())
    await client.v1.customers.delete_async(customer.id)
    ended = await client.v1.subscriptions.retrieve_async(subscription.id)
    assert ended.status == "canceled"
    types = await shop.event_types()
    assert types.index("customer.subscription.deleted") < types.index("customer.deleted")


async def test_a_card_of_somebody_else_is_refused(client: stripe.StripeClient, shop: Shop) -> None:
    other = await client.v1.payment_methods.attach_async(
        "pm_card_visa", {"customer": (await shop.customer(None)).id}
    )
    with pytest.raises(stripe.InvalidRequestError) as refused:
        await shop.subscription(
            await shop.customer(None), await shop.price(), default_payment_method=other.id
        )
    assert refused.value.param == "default_payment_method"


async def test_ending_a_trial_bills_at_once_and_gives_the_notice(
    client: stripe.StripeClient, shop: Shop
) -> None:
    subscription = await shop.subscription(
        await shop.customer(), await shop.price(), trial_period_days=180
    )
    ended = await client.v1.subscriptions.update_async(
        subscription.id, {"trial_end": "now", "expand": ["latest_invoice"]}
    )
    assert ended.status == "active"
    assert (_invoice(ended).status, _invoice(ended).amount_paid) == ("paid", 1000)
    assert "customer.subscription.trial_will_end" in await shop.event_types()


async def test_a_trial_is_moved_to_another_end(
    stripe_sandbox: StripeSandbox, client: stripe.StripeClient, shop: Shop
) -> None:
    subscription = await shop.subscription(
        await shop.customer(), await shop.price(), trial_period_days=180
    )
    sooner = subscription.created + 10 * DAY
    moved = await client.v1.subscriptions.update_async(subscription.id, {"trial_end": sooner})
    assert moved["items"].data[0].current_period_end == sooner
    await stripe_sandbox.advance(days=9)
    assert (await client.v1.subscriptions.retrieve_async(subscription.id)).status == "trialing"
    await stripe_sandbox.advance(days=1)
    assert (await client.v1.subscriptions.retrieve_async(subscription.id)).status == "active"


@pytest.mark.parametrize(
    ("behavior", "invoice_status"),
    [("void", "void"), ("mark_uncollectible", "uncollectible"), ("keep_as_draft", "draft")],
)
async def test_pausing_collection_leaves_the_status_and_bills_nothing(
    stripe_sandbox: StripeSandbox,
    client: stripe.StripeClient,
    shop: Shop,
    behavior: Any,
    invoice_status: str,
) -> None:
    subscription = await shop.subscription(await shop.customer(), await shop.price())
    resumes_at = subscription.created + 40 * DAY
    paused = await client.v1.subscriptions.update_async(
        subscription.id, {"pause_collection": {"behavior": behavior, "resumes_at": resumes_at}}
    )
    assert paused.status == "active"
    await stripe_sandbox.advance(days=32)
    shown = await client.v1.subscriptions.retrieve_async(
        subscription.id, {"expand": ["latest_invoice"]}
    )
    assert (shown.status, _invoice(shown).status) == ("active", invoice_status)
    await stripe_sandbox.advance(days=10)
    shown = await client.v1.subscriptions.retrieve_async(subscription.id)
    assert shown.pause_collection is None


async def test_a_paused_subscription_is_billed_again_only_when_it_is_resumed(
    stripe_sandbox: StripeSandbox, client: stripe.StripeClient, receiver: Receiver, shop: Shop
) -> None:
    subscription = await shop.subscription(await shop.customer(), await shop.price())
    paused = await client.v1.subscriptions.pause_async(
        subscription.id, {"bill_for": {"unused_time_from": {"type": "none"}}}
    )
    assert paused.status == "paused"
    assert paused.status_details is not None
    assert paused.status_details.paused.subscription.type == "pause_requested"
    await stripe_sandbox.advance(days=90)
    assert len((await client.v1.invoices.list_async()).data) == 1
    resumed = await client.v1.subscriptions.resume_async(subscription.id)
    assert resumed.status == "active"
    assert resumed["items"].data[0].current_period_start == stripe_sandbox.clock.now()
    await stripe_sandbox.settle()
    types = receiver.types
    assert types.index("customer.subscription.paused") < types.index(
        "customer.subscription.resumed"
    )


async def test_pausing_credits_the_unused_time(
    stripe_sandbox: StripeSandbox, client: stripe.StripeClient, shop: Shop
) -> None:
    customer = await shop.customer()
    subscription = await shop.subscription(customer, await shop.price())
    await stripe_sandbox.advance(days=15, hours=12)
    await client.v1.subscriptions.pause_async(subscription.id)
    waiting = await client.v1.invoice_items.list_async({"customer": customer.id, "pending": True})
    assert [item.amount for item in waiting.data] == [-500]
