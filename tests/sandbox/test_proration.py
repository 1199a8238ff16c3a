"""Changing a plan: prorations, previews, and what happens where they are not paid.

The tests begin on 1 March at noon, so that a month has 31 days and is half over after 15½.
"""

from typing import Any

import pytest
import stripe

from sandbox.stripe.server import StripeSandbox
from tests.sandbox.shop import Shop

DAY = 24 * 60 * 60


async def _change(
    client: stripe.StripeClient,
    subscription: stripe.Subscription,
    price: stripe.Price,
    **params: Any,
) -> stripe.Subscription:
    items = [{"id": subscription["items"].data[0].id, "price": price.id}]
    given: Any = {"items": items, "expand": ["latest_invoice"], **params}
    return await client.v1.subscriptions.update_async(subscription.id, given)


async def _preview(
    client: stripe.StripeClient,
    subscription: stripe.Subscription,
    price: stripe.Price,
    **details: Any,
) -> stripe.Invoice:
    items = [{"id": subscription["items"].data[0].id, "price": price.id}]
    given: Any = {
        "subscription": subscription.id,
        "subscription_details": {"items": items, **details},
    }
    return await client.v1.invoices.create_preview_async(given)


def _amounts(invoice: Any) -> list[int]:
    return [line.amount for line in invoice.lines.data]


async def test_each_line_is_floored_on_its_own_and_the_credit_comes_first(
    stripe_sandbox: StripeSandbox, client: stripe.StripeClient, shop: Shop
) -> None:
    """Recorded from Stripe: -2.5 becomes -3, and +4.5 becomes +4."""
    subscription = await shop.subscription(await shop.customer(), await shop.price(5))
    await stripe_sandbox.advance(days=15, hours=12)
    changed = await _change(
        client, subscription, await shop.price(9), proration_behavior="always_invoice"
    )
    assert _amounts(changed.latest_invoice) == [-3, 4]


async def test_the_fraction_of_a_period_is_taken_in_seconds(
    stripe_sandbox: StripeSandbox, client: stripe.StripeClient, shop: Shop
) -> None:
    subscription = await shop.subscription(await shop.customer(), await shop.price(1000))
    at = subscription.created + 12345
    preview = await _preview(
        client,
        subscription,
        await shop.price(1500),
        proration_date=at,
        proration_behavior="always_invoice",
    )
    left = 31 * DAY - 12345
    assert _amounts(preview) == [-1000 * left // (31 * DAY), 1500 * left // (31 * DAY)]
    assert preview.lines.data[0].period.start == at


async def test_a_change_costs_what_its_preview_showed(
    stripe_sandbox: StripeSandbox, client: stripe.StripeClient, shop: Shop
) -> None:
    subscription = await shop.subscription(await shop.customer(), await shop.price(1000))
    price = await shop.price(1500)
    await stripe_sandbox.advance(days=10)
    at = stripe_sandbox.clock.now()
    terms: Any = {"proration_date": at, "proration_behavior": "always_invoice"}
    preview = await _preview(client, subscription, price, **terms)
    await stripe_sandbox.advance(hours=5)
    changed = await _change(client, subscription, price, **terms)
    assert isinstance(changed.latest_invoice, stripe.Invoice)
    assert changed.latest_invoice.amount_paid == preview.amount_due > 0
    assert _amounts(changed.latest_invoice) == _amounts(preview)
    assert preview.parent is not None
    assert preview.parent.subscription_details is not None
    assert preview.parent.subscription_details.subscription_proration_date == at


async def test_a_trial_in_the_middle_of_a_period_costs_what_its_preview_showed(
    stripe_sandbox: StripeSandbox, client: stripe.StripeClient, shop: Shop
) -> None:
    """What was paid for and is not used becomes the customer's credit."""
    customer = await shop.customer()
    subscription = await shop.subscription(customer, await shop.price())
    await stripe_sandbox.advance(days=10)
    trial_end = stripe_sandbox.clock.now() + 30 * DAY
    preview = await client.v1.invoices.create_preview_async(
        {"subscription": subscription.id, "subscription_details": {"trial_end": trial_end}}
    )
    changed = await client.v1.subscriptions.update_async(
        subscription.id, {"trial_end": trial_end, "expand": ["latest_invoice"]}
    )
    assert isinstance(changed.latest_invoice, stripe.Invoice)
    assert _amounts(changed.latest_invoice) == _amounts(preview) == [-1000 * 21 // 31, 0]
    credited = await client.v1.customers.retrieve_async(customer.id)
    assert credited.balance == preview.total < 0


async def test_a_preview_changes_nothing(client: stripe.StripeClient, shop: Shop) -> None:
    subscription = await shop.subscription(await shop.customer(), await shop.price(1000))
    before = await shop.event_types()
    preview = await _preview(client, subscription, await shop.price(1500))
    assert preview.billing_reason == "upcoming"
    assert len((await client.v1.invoices.list_async()).data) == 1
    assert (await shop.event_types())[: len(before)] == before
    shown = await client.v1.subscriptions.retrieve_async(subscription.id)
    assert shown["items"].data[0].price.unit_amount == 1000


async def test_prorations_wait_for_the_next_invoice_unless_told_otherwise(
    stripe_sandbox: StripeSandbox, client: stripe.StripeClient, shop: Shop
) -> None:
    subscription = await shop.subscription(await shop.customer(), await shop.price(1000))
    price = await shop.price(1500)
    await stripe_sandbox.advance(days=15, hours=12)
    preview = await _preview(client, subscription, price)
    changed = await _change(client, subscription, price)
    assert changed["items"].data[0].price.unit_amount == 1500
    assert len((await client.v1.invoices.list_async()).data) == 1
    upcoming = await client.v1.invoices.create_preview_async({"subscription": subscription.id})
    await stripe_sandbox.advance(days=16)
    renewal = (await client.v1.invoices.list_async()).data[0]
    assert _amounts(renewal) == _amounts(upcoming) == _amounts(preview) == [-500, 750, 1500]
    assert (renewal.status, renewal.amount_paid) == ("paid", 1750)


async def test_no_proration_means_the_new_price_from_the_next_period_on(
    stripe_sandbox: StripeSandbox, client: stripe.StripeClient, shop: Shop
) -> None:
    subscription = await shop.subscription(await shop.customer(), await shop.price(1000))
    await _change(client, subscription, await shop.price(1500), proration_behavior="none")
    assert not (await client.v1.invoice_items.list_async({"pending": True})).data
    await stripe_sandbox.advance(days=32)
    assert _amounts((await client.v1.invoices.list_async()).data[0]) == [1500]


async def test_another_interval_begins_a_new_period_at_once(
    stripe_sandbox: StripeSandbox, client: stripe.StripeClient, shop: Shop
) -> None:
    subscription = await shop.subscription(await shop.customer(), await shop.price(1000))
    await stripe_sandbox.advance(days=15, hours=12)
    changed = await _change(client, subscription, await shop.price(10000, "year"))
    invoice = changed.latest_invoice
    assert isinstance(invoice, stripe.Invoice)
    assert _amounts(invoice) == [-500, 10000]
    assert (invoice.status, invoice.billing_reason) == ("paid", "subscription_update")
    item = changed["items"].data[0]
    assert item.current_period_start == stripe_sandbox.clock.now()
    assert item.current_period_end - item.current_period_start == 366 * DAY  # to March 2028


async def test_a_change_during_a_trial_costs_nothing_and_keeps_the_trial(
    client: stripe.StripeClient, shop: Shop
) -> None:
    subscription = await shop.subscription(
        await shop.customer(), await shop.price(1000), trial_period_days=180
    )
    changed = await _change(client, subscription, await shop.price(10000, "year"))
    assert (changed.status, changed.trial_end) == ("trialing", subscription.trial_end)
    assert changed["items"].data[0].price.unit_amount == 10000
    assert len((await client.v1.invoices.list_async()).data) == 1


async def test_a_change_during_a_trial_is_previewed_as_costing_nothing_now(
    client: stripe.StripeClient, shop: Shop
) -> None:
    subscription = await shop.subscription(
        await shop.customer(), await shop.price(1000), trial_period_days=180
    )
    preview = await _preview(
        client, subscription, await shop.price(1500), proration_behavior="always_invoice"
    )
    assert (preview.amount_due, preview.currency) == (0, "usd")


async def test_a_credit_that_is_left_over_is_used_for_the_next_invoice(
    stripe_sandbox: StripeSandbox, client: stripe.StripeClient, shop: Shop
) -> None:
    customer = await shop.customer()
    subscription = await shop.subscription(customer, await shop.price(1500))
    await stripe_sandbox.advance(days=15, hours=12)
    changed = await _change(
        client, subscription, await shop.price(1000), proration_behavior="always_invoice"
    )
    assert isinstance(changed.latest_invoice, stripe.Invoice)
    assert (changed.latest_invoice.total, changed.latest_invoice.amount_due) == (-250, 0)
    assert (await client.v1.customers.retrieve_async(customer.id)).balance == -250
    await stripe_sandbox.advance(days=16)
    renewal = (await client.v1.invoices.list_async()).data[0]
    assert (renewal.total, renewal.amount_paid, renewal.starting_balance) == (1000, 750, -250)


async def test_a_change_that_cannot_be_paid_makes_the_subscription_past_due(
    client: stripe.StripeClient, shop: Shop
) -> None:
    subscription, price = await _on_a_bad_card(client, shop)
    changed = await _change(client, subscription, price, proration_behavior="always_invoice")
    assert changed.status == "past_due"
    assert changed["items"].data[0].price.id == price.id


async def test_a_change_may_be_refused_where_it_cannot_be_paid(
    client: stripe.StripeClient, shop: Shop
) -> None:
    subscription, price = await _on_a_bad_card(client, shop)
    with pytest.raises(stripe.CardError):
        await _change(
            client,
            subscription,
            price,
            proration_behavior="always_invoice",
            payment_behavior="error_if_incomplete",
        )
    shown = await client.v1.subscriptions.retrieve_async(subscription.id)
    assert (shown.status, shown["items"].data[0].price.unit_amount) == ("active", 1000)


async def test_a_change_may_wait_for_its_payment(client: stripe.StripeClient, shop: Shop) -> None:
    subscription, price = await _on_a_bad_card(client, shop)
    waiting = await _change(
        client,
        subscription,
        price,
        proration_behavior="always_invoice",
        payment_behavior="pending_if_incomplete",
    )
    assert waiting.status == "active"
    assert waiting["items"].data[0].price.unit_amount == 1000
    assert waiting.pending_update is not None
    assert isinstance(waiting.latest_invoice, stripe.Invoice)
    await client.v1.invoices.pay_async(
        waiting.latest_invoice.id, {"payment_method": "pm_card_visa"}
    )
    changed = await client.v1.subscriptions.retrieve_async(subscription.id)
    assert changed.pending_update is None
    assert changed["items"].data[0].price.id == price.id
    assert "customer.subscription.pending_update_applied" in await shop.event_types()


async def test_a_change_may_wait_for_its_payment_into_the_next_period(
    stripe_sandbox: StripeSandbox, client: stripe.StripeClient, shop: Shop
) -> None:
    """The day it was reckoned from lies in the period before, and says nothing any more."""
    subscription, _ = await _on_a_bad_card(client, shop)
    price = await shop.price(100_000)  # so that even the last hours cost what can be charged
    end = subscription["items"].data[0].current_period_end
    await stripe_sandbox.advance_to(end - 20 * 60 * 60)
    waiting = await _change(
        client,
        subscription,
        price,
        proration_behavior="always_invoice",
        proration_date=end - 20 * 60 * 60,
        payment_behavior="pending_if_incomplete",
    )
    await stripe_sandbox.advance_to(end + 60)
    assert isinstance(waiting.latest_invoice, stripe.Invoice)
    await client.v1.invoices.pay_async(
        waiting.latest_invoice.id, {"payment_method": "pm_card_visa"}
    )
    item = (await client.v1.subscriptions.retrieve_async(subscription.id))["items"].data[0]
    assert (item.price.id, item.current_period_start) == (price.id, end)


async def test_a_change_that_waits_too_long_is_dropped(
    stripe_sandbox: StripeSandbox, client: stripe.StripeClient, shop: Shop
) -> None:
    subscription, price = await _on_a_bad_card(client, shop)
    waiting = await _change(
        client,
        subscription,
        price,
        proration_behavior="always_invoice",
        payment_behavior="pending_if_incomplete",
    )
    await stripe_sandbox.advance(hours=23)
    shown = await client.v1.subscriptions.retrieve_async(subscription.id)
    assert (shown.pending_update, shown["items"].data[0].price.unit_amount) == (None, 1000)
    assert isinstance(waiting.latest_invoice, stripe.Invoice)
    invoice = await client.v1.invoices.retrieve_async(waiting.latest_invoice.id)
    assert invoice.status == "void"
    assert "customer.subscription.pending_update_expired" in await shop.event_types()


async def test_what_may_not_wait_is_refused(client: stripe.StripeClient, shop: Shop) -> None:
    subscription, price = await _on_a_bad_card(client, shop)
    with pytest.raises(stripe.InvalidRequestError, match="pending_if_incomplete") as refused:
        await _change(
            client,
            subscription,
            price,
            proration_behavior="always_invoice",
            payment_behavior="pending_if_incomplete",
            metadata={"a": "1"},
        )
    assert refused.value.param == "metadata"


async def test_what_a_new_subscription_will_cost_is_shown_before_it_exists(
    client: stripe.StripeClient, shop: Shop
) -> None:
    customer, price = await shop.customer(), await shop.price(1000)
    preview = await client.v1.invoices.create_preview_async(
        {"customer": customer.id, "subscription_details": {"items": [{"price": price.id}]}}
    )
    assert preview.amount_due == 1000


async def test_what_ends_has_no_next_invoice(client: stripe.StripeClient, shop: Shop) -> None:
    subscription = await shop.subscription(await shop.customer(), await shop.price())
    await client.v1.subscriptions.update_async(subscription.id, {"cancel_at_period_end": True})
    with pytest.raises(stripe.InvalidRequestError) as refused:
        await client.v1.invoices.create_preview_async({"subscription": subscription.id})
    assert refused.value.code == "invoice_upcoming_none"


async def _on_a_bad_card(
    client: stripe.StripeClient, shop: Shop
) -> tuple[stripe.Subscription, stripe.Price]:
    """A running subscription whose next payment will be declined, and a dearer price."""
    customer = await shop.customer()
    subscription = await shop.subscription(customer, await shop.price(1000))
    bad = await client.v1.payment_methods.attach_async(
        "pm_card_chargeCustomerFail", {"customer": customer.id}
    )
    await client.v1.subscriptions.update_async(subscription.id, {"default_payment_method": bad.id})
    return subscription, await shop.price(1500)
