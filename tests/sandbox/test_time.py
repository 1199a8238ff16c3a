"""What time makes of subscriptions, on the sandbox's clock and on test clocks."""

import asyncio
from datetime import UTC, datetime

import httpx
import pytest
import stripe

from sandbox.stripe.server import StripeSandbox
from tests.sandbox.conftest import START
from tests.sandbox.receiver import Receiver
from tests.sandbox.shop import Shop

DAY = 24 * 60 * 60
CHANGES = ("customer.subscription.", "invoice.paid", "invoice.payment_failed")


def _told(receiver: Receiver, *prefixes: str) -> list[tuple[str, str]]:
    """The events of these kinds as (type, status of their object)."""
    return [
        (event["type"], event["data"]["object"]["status"])
        for event in receiver.events
        if event["type"].startswith(prefixes or CHANGES)
    ]


async def test_half_a_year_passes_in_order(
    stripe_sandbox: StripeSandbox, client: stripe.StripeClient, receiver: Receiver, shop: Shop
) -> None:
    """Trial, notice, first invoice, renewal, failed payment, dunning and the end."""
    customer = await shop.customer()
    subscription = await shop.subscription(customer, await shop.price(), trial_period_days=180)
    assert subscription.status == "trialing"
    await stripe_sandbox.advance(days=180, hours=2)
    await stripe_sandbox.advance(days=32)
    bad = await client.v1.payment_methods.attach_async(
        "pm_card_chargeCustomerFail", {"customer": customer.id}
    )
    await client.v1.customers.update_async(
        customer.id, {"invoice_settings": {"default_payment_method": bad.id}}
    )
    await stripe_sandbox.advance(days=60)
    assert _told(receiver) == [
        ("customer.subscription.created", "trialing"),
        ("invoice.paid", "paid"),
        ("customer.subscription.trial_will_end", "trialing"),
        ("customer.subscription.updated", "active"),
        ("invoice.paid", "paid"),
        ("customer.subscription.updated", "active"),
        ("invoice.paid", "paid"),
        ("customer.subscription.updated", "active"),
        ("invoice.payment_failed", "open"),
        ("customer.subscription.updated", "past_due"),
        ("invoice.payment_failed", "open"),
        ("invoice.payment_failed", "open"),
        ("invoice.payment_failed", "open"),
        ("customer.subscription.deleted", "canceled"),
    ]
    created = [event["created"] for event in receiver.events]
    assert created == sorted(created)
    ended = await client.v1.subscriptions.retrieve_async(subscription.id)
    assert ended.cancellation_details is not None
    assert ended.cancellation_details.reason == "payment_failed"


async def test_the_notice_comes_three_days_before_the_trial_ends(
    stripe_sandbox: StripeSandbox, receiver: Receiver, shop: Shop
) -> None:
    subscription = await shop.subscription(
        await shop.customer(), await shop.price(), trial_period_days=180
    )
    await stripe_sandbox.advance(days=178)
    notice = next(e for e in receiver.events if e["type"].endswith("trial_will_end"))
    assert subscription.trial_end is not None
    assert notice["created"] == subscription.trial_end - 3 * DAY
    assert notice["request"] == {"id": None, "idempotency_key": None}


async def test_what_a_running_clock_comes_to_late_happens_at_its_time(
    stripe_sandbox: StripeSandbox, client: stripe.StripeClient, receiver: Receiver, shop: Shop
) -> None:
    """As after a busy minute, or a laptop's sleep: notice, renewal and end are not passed over."""
    price = await shop.price()
    trial = await shop.subscription(await shop.customer(), price, trial_period_days=30)
    leaving = await shop.subscription(await shop.customer(), price)
    await client.v1.subscriptions.update_async(leaving.id, {"cancel_at": START + 5 * DAY})
    resting = await shop.subscription(await shop.customer(), price)
    pause: stripe.params.SubscriptionUpdateParams = {
        "pause_collection": {"behavior": "void", "resumes_at": START + 6 * DAY}
    }
    await client.v1.subscriptions.update_async(resting.id, pause)
    late = START + 40 * DAY
    stripe_sandbox.clock.hold(late)
    stripe_sandbox._do_due()
    assert stripe_sandbox.clock.now() == late
    await stripe_sandbox.settle()
    told = [
        (event["type"], event["created"])
        for event in receiver.events
        if event["data"]["object"]["id"] == trial.id
    ]
    assert told[1:] == [
        ("customer.subscription.trial_will_end", START + 27 * DAY),
        ("customer.subscription.updated", START + 30 * DAY),
    ]
    shown = {s.id: s for s in await _all(client)}
    assert shown[trial.id].status == "active"
    assert (shown[leaving.id].status, shown[leaving.id].ended_at) == ("canceled", START + 5 * DAY)
    assert shown[resting.id].pause_collection is None
    assert shown[resting.id]["items"].data[0].current_period_end > late
    assert receiver.types.count("invoice.upcoming") == 2


async def _all(client: stripe.StripeClient) -> list[stripe.Subscription]:
    return (await client.v1.subscriptions.list_async({"status": "all"})).data


async def test_the_notice_comes_at_once_where_the_trial_is_shorter(
    stripe_sandbox: StripeSandbox, receiver: Receiver, shop: Shop
) -> None:
    await shop.subscription(await shop.customer(), await shop.price(), trial_period_days=1)
    await stripe_sandbox.settle()
    assert "customer.subscription.trial_will_end" in receiver.types


async def test_the_invoice_of_a_renewal_is_a_draft_for_an_hour(
    stripe_sandbox: StripeSandbox, client: stripe.StripeClient, shop: Shop
) -> None:
    subscription = await shop.subscription(await shop.customer(), await shop.price())
    await stripe_sandbox.advance_to(subscription["items"].data[0].current_period_end)
    renewed = await client.v1.subscriptions.retrieve_async(
        subscription.id, {"expand": ["latest_invoice"]}
    )
    invoice = renewed.latest_invoice
    assert isinstance(invoice, stripe.Invoice)
    assert (invoice.status, invoice.billing_reason) == ("draft", "subscription_cycle")
    await stripe_sandbox.advance(hours=1)
    invoice = await client.v1.invoices.retrieve_async(invoice.id)
    assert (invoice.status, invoice.amount_paid) == ("paid", 1000)


async def test_a_period_begins_on_the_same_day_of_every_month(
    stripe_sandbox: StripeSandbox, client: stripe.StripeClient, shop: Shop
) -> None:
    await stripe_sandbox.advance(days=30)  # 31 March
    subscription = await shop.subscription(await shop.customer(), await shop.price())
    ends = []
    for _ in range(3):
        shown = await client.v1.subscriptions.retrieve_async(subscription.id)
        ends.append(shown["items"].data[0].current_period_end)
        await stripe_sandbox.advance_to(ends[-1])
    days = [datetime.fromtimestamp(end, UTC).strftime("%m-%d") for end in ends]
    assert days == ["04-30", "05-31", "06-30"]


@pytest.mark.parametrize(
    ("behavior", "status"),
    [("cancel", "canceled"), ("pause", "paused"), ("create_invoice", "past_due")],
)
async def test_a_trial_without_a_card_ends_as_its_settings_say(
    stripe_sandbox: StripeSandbox,
    client: stripe.StripeClient,
    shop: Shop,
    behavior: str,
    status: str,
) -> None:
    subscription = await shop.subscription(
        await shop.customer(None),
        await shop.price(),
        trial_period_days=7,
        trial_settings={"end_behavior": {"missing_payment_method": behavior}},
    )
    await stripe_sandbox.advance(days=7, hours=2)
    ended = await client.v1.subscriptions.retrieve_async(subscription.id)
    assert ended.status == status


async def test_a_payment_that_recovers_ends_the_dunning(
    stripe_sandbox: StripeSandbox, client: stripe.StripeClient, receiver: Receiver, shop: Shop
) -> None:
    customer = await shop.customer("pm_card_chargeCustomerFail")
    subscription = await shop.subscription(customer, await shop.price(), trial_period_days=4)
    await stripe_sandbox.advance(days=5)
    shown = await client.v1.subscriptions.retrieve_async(subscription.id)
    assert shown.status == "past_due"
    good = await client.v1.payment_methods.attach_async("pm_card_visa", {"customer": customer.id})
    await client.v1.subscriptions.update_async(subscription.id, {"default_payment_method": good.id})
    await stripe_sandbox.advance(days=3)
    assert (await client.v1.subscriptions.retrieve_async(subscription.id)).status == "active"
    assert _told(receiver)[-2:] == [
        ("invoice.paid", "paid"),
        ("customer.subscription.updated", "active"),
    ]


async def test_the_next_attempt_is_told_with_the_failure(
    stripe_sandbox: StripeSandbox, receiver: Receiver, shop: Shop
) -> None:
    await shop.subscription(
        await shop.customer("pm_card_chargeCustomerFail"), await shop.price(), trial_period_days=4
    )
    await stripe_sandbox.advance(days=30)
    failures = [e for e in receiver.events if e["type"] == "invoice.payment_failed"]
    gaps = [
        e["data"]["object"]["next_payment_attempt"]
        and (e["data"]["object"]["next_payment_attempt"] - e["created"]) // DAY
        for e in failures
    ]
    assert gaps == [3, 5, 7, None]
    assert [e["data"]["object"]["attempt_count"] for e in failures] == [1, 2, 3, 4]


@pytest.mark.parametrize("finally_", ["unpaid", "past_due"])
async def test_dunning_ends_as_the_account_is_set(
    stripe_sandbox: StripeSandbox, client: stripe.StripeClient, shop: Shop, finally_: str
) -> None:
    stripe_sandbox.world.billing.finally_ = finally_
    subscription = await shop.subscription(
        await shop.customer("pm_card_chargeCustomerFail"), await shop.price(), trial_period_days=4
    )
    await stripe_sandbox.advance(days=25)
    assert (await client.v1.subscriptions.retrieve_async(subscription.id)).status == finally_


async def test_a_first_payment_that_is_not_made_within_a_day_expires(
    stripe_sandbox: StripeSandbox, client: stripe.StripeClient, receiver: Receiver, shop: Shop
) -> None:
    subscription = await shop.subscription(
        await shop.customer(None), await shop.price(), payment_behavior="default_incomplete"
    )
    assert subscription.status == "incomplete"
    await stripe_sandbox.advance(hours=22)
    assert (await client.v1.subscriptions.retrieve_async(subscription.id)).status == "incomplete"
    await stripe_sandbox.advance(hours=1)
    expired = await client.v1.subscriptions.retrieve_async(
        subscription.id, {"expand": ["latest_invoice"]}
    )
    assert expired.status == "incomplete_expired"
    assert isinstance(expired.latest_invoice, stripe.Invoice)
    assert expired.latest_invoice.status == "void"
    assert _told(receiver, "customer.subscription")[-1] == (
        "customer.subscription.updated",
        "incomplete_expired",
    )


async def test_a_scheduled_cancellation_happens_at_the_end_of_the_period(
    stripe_sandbox: StripeSandbox, client: stripe.StripeClient, receiver: Receiver, shop: Shop
) -> None:
    subscription = await shop.subscription(await shop.customer(), await shop.price())
    end = subscription["items"].data[0].current_period_end
    scheduled = await client.v1.subscriptions.update_async(
        subscription.id, {"cancel_at_period_end": True}
    )
    assert (scheduled.cancel_at_period_end, scheduled.cancel_at) == (True, end)
    await stripe_sandbox.advance_to(end)
    ended = await client.v1.subscriptions.retrieve_async(subscription.id)
    assert (ended.status, ended.ended_at) == ("canceled", end)
    assert len((await client.v1.invoices.list_async({"subscription": subscription.id})).data) == 1


@pytest.mark.parametrize("change", ["interval", "trial"])
async def test_a_cancellation_at_the_end_of_the_period_moves_with_it(
    stripe_sandbox: StripeSandbox, client: stripe.StripeClient, shop: Shop, change: str
) -> None:
    subscription = await shop.subscription(
        await shop.customer(), await shop.price(), cancel_at_period_end=True
    )
    item = subscription["items"].data[0]
    changed: stripe.params.SubscriptionUpdateParams = {"trial_end": START + 90 * DAY}
    if change == "interval":
        yearly = await shop.price(10_000, "year")
        changed = {"items": [{"id": item.id, "price": yearly.id}]}
    moved = await client.v1.subscriptions.update_async(subscription.id, changed)
    end = moved["items"].data[0].current_period_end
    assert moved.cancel_at == end > item.current_period_end
    await stripe_sandbox.advance_to(end - 1)
    assert (await client.v1.subscriptions.retrieve_async(subscription.id)).status != "canceled"
    await stripe_sandbox.advance_to(end)
    ended = await client.v1.subscriptions.retrieve_async(subscription.id)
    assert (ended.status, ended.ended_at) == ("canceled", end)


async def test_a_renewal_tells_the_period_that_was(
    stripe_sandbox: StripeSandbox, receiver: Receiver, shop: Shop
) -> None:
    subscription = await shop.subscription(await shop.customer(), await shop.price())
    await stripe_sandbox.advance(days=31)
    renewal = next(
        event["data"]
        for event in receiver.events[::-1]
        if event["type"] == "customer.subscription.updated"
    )
    before = subscription["items"].data[0]
    (told,) = renewal["previous_attributes"]["items"]["data"]
    assert told["current_period_end"] == before.current_period_end
    assert renewal["previous_attributes"]["latest_invoice"] == subscription.latest_invoice
    (now,) = renewal["object"]["items"]["data"]
    assert now["current_period_start"] == before.current_period_end


async def test_jumps_at_the_same_time_add_up(
    stripe_sandbox: StripeSandbox, receiver: Receiver, shop: Shop
) -> None:
    await shop.customer()  # whose webhooks keep the first of them waiting
    await asyncio.gather(*(stripe_sandbox.advance(days=days) for days in (1, 2, 3)))
    assert stripe_sandbox.clock.now() == START + 6 * DAY
    url = f"{stripe_sandbox.url}/sandbox/clock/advance"
    async with httpx.AsyncClient(trust_env=False) as http:
        await asyncio.gather(*(http.post(url, json={"seconds": DAY}) for _ in range(2)))
    assert stripe_sandbox.clock.now() == START + 8 * DAY


async def test_a_cancellation_that_was_withdrawn_does_not_happen(
    stripe_sandbox: StripeSandbox, client: stripe.StripeClient, shop: Shop
) -> None:
    subscription = await shop.subscription(await shop.customer(), await shop.price())
    await client.v1.subscriptions.update_async(subscription.id, {"cancel_at_period_end": True})
    withdrawn = await client.v1.subscriptions.update_async(
        subscription.id, {"cancel_at_period_end": False}
    )
    assert (withdrawn.cancel_at, withdrawn.canceled_at) == (None, None)
    await stripe_sandbox.advance(days=40)
    assert (await client.v1.subscriptions.retrieve_async(subscription.id)).status == "active"


async def test_a_cancellation_for_a_moment_happens_at_that_moment(
    stripe_sandbox: StripeSandbox, client: stripe.StripeClient, shop: Shop
) -> None:
    subscription = await shop.subscription(await shop.customer(), await shop.price())
    moment = subscription.created + 10 * DAY
    scheduled = await client.v1.subscriptions.update_async(subscription.id, {"cancel_at": moment})
    assert not scheduled.cancel_at_period_end
    await stripe_sandbox.advance(days=11)
    ended = await client.v1.subscriptions.retrieve_async(subscription.id)
    assert (ended.status, ended.ended_at) == ("canceled", moment)


async def test_a_card_that_needs_its_holder_fails_a_renewal(
    stripe_sandbox: StripeSandbox, client: stripe.StripeClient, receiver: Receiver, shop: Shop
) -> None:
    subscription = await shop.subscription(
        await shop.customer("pm_card_authenticationRequired"),
        await shop.price(),
        trial_period_days=4,
    )
    await stripe_sandbox.advance(days=4, hours=2)
    assert (await client.v1.subscriptions.retrieve_async(subscription.id)).status == "past_due"
    assert "invoice.payment_action_required" in receiver.types


async def test_customers_on_a_test_clock_live_by_it_alone(
    stripe_sandbox: StripeSandbox, client: stripe.StripeClient, shop: Shop
) -> None:
    start = stripe_sandbox.clock.now() + 365 * DAY
    clock = await client.v1.test_helpers.test_clocks.create_async({"frozen_time": start})
    there = await shop.subscription(
        await shop.customer(test_clock=clock.id), await shop.price(), trial_period_days=7
    )
    here = await shop.subscription(await shop.customer(), await shop.price(), trial_period_days=7)
    assert there.created == start
    advancing = await client.v1.test_helpers.test_clocks.advance_async(
        clock.id, {"frozen_time": start + 8 * DAY}
    )
    assert advancing.status == "advancing"
    ready = await client.v1.test_helpers.test_clocks.retrieve_async(clock.id)
    assert (ready.status, ready.frozen_time) == ("ready", start + 8 * DAY)
    assert (await client.v1.subscriptions.retrieve_async(there.id)).status == "active"
    assert (await client.v1.subscriptions.retrieve_async(here.id)).status == "trialing"
    assert stripe_sandbox.clock.now() == start - 365 * DAY
    assert "test_helpers.test_clock.ready" in await shop.event_types()


@pytest.mark.parametrize("days", [-400, 400])
async def test_what_happens_by_a_test_clock_can_be_listed_for_thirty_days_of_the_sandboxs(
    days: int, stripe_sandbox: StripeSandbox, client: stripe.StripeClient, shop: Shop
) -> None:
    """It is made by another time, and kept by this one."""
    then = START + days * DAY
    clock = await client.v1.test_helpers.test_clocks.create_async({"frozen_time": then})
    customer = await shop.customer(test_clock=clock.id)
    await stripe_sandbox.advance(days=30)
    (event,) = await _created(client)
    assert (event.data.object["id"], event.created) == (customer.id, then)
    assert (await client.v1.events.retrieve_async(event.id)).id == event.id
    await stripe_sandbox.advance(seconds=1)
    assert await _created(client) == []
    with pytest.raises(stripe.InvalidRequestError, match="No such event"):
        await client.v1.events.retrieve_async(event.id)
    assert stripe_sandbox.world.store.find(event.id) is None


async def _created(client: stripe.StripeClient) -> list[stripe.Event]:
    return (await client.v1.events.list_async({"type": "customer.created"})).data


async def test_a_test_clock_only_goes_forward(client: stripe.StripeClient) -> None:
    clock = await client.v1.test_helpers.test_clocks.create_async({"frozen_time": 2_000_000_000})
    with pytest.raises(stripe.InvalidRequestError) as refused:
        await client.v1.test_helpers.test_clocks.advance_async(
            clock.id, {"frozen_time": 1_999_999_999}
        )
    assert refused.value.param == "frozen_time"


async def test_a_deleted_test_clock_takes_its_customers_with_it(
    client: stripe.StripeClient, shop: Shop
) -> None:
    clock = await client.v1.test_helpers.test_clocks.create_async({"frozen_time": 2_000_000_000})
    customer = await shop.customer(test_clock=clock.id)
    await client.v1.test_helpers.test_clocks.delete_async(clock.id)
    assert (await client.v1.customers.retrieve_async(customer.id)).deleted


async def test_a_renewal_is_announced_a_week_before_with_what_it_will_come_to(
    stripe_sandbox: StripeSandbox, client: stripe.StripeClient, receiver: Receiver, shop: Shop
) -> None:
    """The trial's end is one, and so is every month; a subscription that is to end has none."""
    subscription = await shop.subscription(
        await shop.customer(), await shop.price(), trial_period_days=30
    )
    # Whatever is changed meanwhile, each is announced once.
    await client.v1.subscriptions.update_async(subscription.id, {"cancel_at_period_end": True})
    await client.v1.subscriptions.update_async(subscription.id, {"cancel_at_period_end": False})
    await stripe_sandbox.advance(days=30, hours=2)
    await stripe_sandbox.advance(days=30)
    announced = [event for event in receiver.events if event["type"] == "invoice.upcoming"]
    ends = [event["data"]["object"]["period_end"] for event in announced]
    assert [event["created"] for event in announced] == [end - 7 * DAY for end in ends]
    assert [event["data"]["object"]["amount_due"] for event in announced] == [1000, 1000]
    parent = announced[0]["data"]["object"]["parent"]
    assert parent["subscription_details"]["subscription"] == subscription.id
    listed = await client.v1.invoices.list_async({"subscription": subscription.id})
    kept = [invoice.id for invoice in listed.data]
    assert not {event["data"]["object"]["id"] for event in announced} & set(kept)
    await client.v1.subscriptions.update_async(subscription.id, {"cancel_at_period_end": True})
    receiver.deliveries.clear()
    await stripe_sandbox.advance(days=32)
    assert "customer.subscription.deleted" in receiver.types
    assert "invoice.upcoming" not in receiver.types
