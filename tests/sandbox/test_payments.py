"""Cards, intents and invoices."""

import httpx
import pytest
import stripe

from sandbox.stripe.server import StripeSandbox
from tests.sandbox.conftest import START
from tests.sandbox.shop import Shop


async def test_the_card_of_a_test_number_is_saved_and_taken_away(
    client: stripe.StripeClient, shop: Shop
) -> None:
    customer = await shop.customer(None)
    card = await client.v1.payment_methods.create_async(
        {"type": "card", "card": {"number": "4242424242424242", "exp_month": 1, "exp_year": 2040}}
    )
    await client.v1.payment_methods.attach_async(card.id, {"customer": customer.id})
    saved = await client.v1.customers.payment_methods.list_async(customer.id, {"type": "card"})
    assert [method.id for method in saved.data] == [card.id]
    assert saved.data[0].card is not None
    assert (saved.data[0].card.last4, saved.data[0].card.exp_year) == ("4242", 2040)
    await client.v1.payment_methods.detach_async(card.id)
    assert not (await client.v1.payment_methods.list_async({"customer": customer.id})).data
    with pytest.raises(stripe.InvalidRequestError, match="may not be used again"):
        await client.v1.payment_methods.attach_async(card.id, {"customer": customer.id})


async def test_a_number_that_is_no_test_card_is_refused(client: stripe.StripeClient) -> None:
    with pytest.raises(stripe.CardError) as refused:
        await client.v1.payment_methods.create_async(
            {"type": "card", "card": {"number": "4000001234567899"}}
        )
    assert refused.value.code == "incorrect_number"


async def test_a_declined_card_is_not_saved(client: stripe.StripeClient, shop: Shop) -> None:
    customer = await shop.customer(None)
    with pytest.raises(stripe.CardError) as declined:
        await client.v1.payment_methods.attach_async(
            "pm_card_chargeDeclinedInsufficientFunds", {"customer": customer.id}
        )
    assert declined.value.code == "card_declined"
    assert declined.value.error is not None
    assert declined.value.error.decline_code == "insufficient_funds"


async def test_a_payment_succeeds(client: stripe.StripeClient) -> None:
    intent = await client.v1.payment_intents.create_async(
        {
            "amount": 500,
            "currency": "usd",
            "payment_method": "pm_card_visa",
            "confirm": True,
            "expand": ["latest_charge"],
        }
    )
    assert (intent.status, intent.amount_received) == ("succeeded", 500)
    assert isinstance(intent.latest_charge, stripe.Charge)
    assert intent.latest_charge.paid


async def test_a_declined_payment_can_be_tried_again_with_another_card(
    client: stripe.StripeClient,
) -> None:
    intent = await client.v1.payment_intents.create_async({"amount": 500, "currency": "usd"})
    with pytest.raises(stripe.CardError) as declined:
        await client.v1.payment_intents.confirm_async(
            intent.id, {"payment_method": "pm_card_chargeDeclinedInsufficientFunds"}
        )
    assert declined.value.error is not None
    assert declined.value.error.payment_intent is not None
    failed = await client.v1.payment_intents.retrieve_async(intent.id)
    assert failed.status == "requires_payment_method"
    assert failed.last_payment_error is not None
    assert failed.last_payment_error.decline_code == "insufficient_funds"
    paid = await client.v1.payment_intents.confirm_async(
        intent.id, {"payment_method": "pm_card_visa"}
    )
    assert (paid.status, paid.last_payment_error) == ("succeeded", None)


@pytest.mark.parametrize(("answer", "status"), [("complete", "succeeded"), ("fail", "failed")])
async def test_a_card_with_3d_secure_asks_its_holder(
    client: stripe.StripeClient, answer: str, status: str
) -> None:
    intent = await client.v1.payment_intents.create_async(
        {
            "amount": 500,
            "currency": "usd",
            "payment_method": "pm_card_threeDSecure2Required",
            "confirm": True,
            "return_url": "https://example.com/back?x=1",
        }
    )
    assert intent.status == "requires_action"
    assert intent.next_action is not None
    assert intent.next_action.redirect_to_url is not None
    url = intent.next_action.redirect_to_url.url
    assert url is not None
    async with httpx.AsyncClient(trust_env=False) as browser:
        assert "Your bank asks" in (await browser.get(url)).text
        back = await browser.post(url, data={"answer": answer})
    assert back.headers["location"] == (
        f"https://example.com/back?x=1&payment_intent={intent.id}"
        f"&payment_intent_client_secret={intent.client_secret}&redirect_status={status}"
    )
    after = await client.v1.payment_intents.retrieve_async(intent.id)
    assert after.status == ("succeeded" if answer == "complete" else "requires_payment_method")


async def test_a_card_that_was_saved_with_its_holder_can_be_charged_without(
    stripe_sandbox: StripeSandbox, client: stripe.StripeClient, shop: Shop
) -> None:
    customer = await shop.customer(None)
    intent = await client.v1.setup_intents.create_async(
        {
            "customer": customer.id,
            "payment_method": "pm_card_threeDSecure2Required",
            "confirm": True,
        }
    )
    assert intent.status == "requires_action"
    async with httpx.AsyncClient(trust_env=False) as browser:
        url = f"{stripe_sandbox.url}/3d-secure/{intent.id}"
        await browser.post(url, data={"answer": "complete"})
    saved = await client.v1.setup_intents.retrieve_async(intent.id)
    assert saved.status == "succeeded"
    paid = await client.v1.payment_intents.create_async(
        {
            "amount": 500,
            "currency": "usd",
            "customer": customer.id,
            "payment_method": str(saved.payment_method),
            "off_session": True,
            "confirm": True,
        }
    )
    assert paid.status == "succeeded"


async def test_a_charge_without_its_holder_may_be_declined_for_that(
    client: stripe.StripeClient, shop: Shop
) -> None:
    customer = await shop.customer(None)
    card = await client.v1.payment_methods.attach_async(
        "pm_card_authenticationRequired", {"customer": customer.id}
    )
    with pytest.raises(stripe.CardError) as declined:
        await client.v1.payment_intents.create_async(
            {
                "amount": 500,
                "currency": "usd",
                "customer": customer.id,
                "payment_method": card.id,
                "off_session": True,
                "confirm": True,
            }
        )
    assert declined.value.code == "authentication_required"


async def test_a_setup_that_is_declined_says_why(client: stripe.StripeClient) -> None:
    with pytest.raises(stripe.CardError):
        await client.v1.setup_intents.create_async(
            {"payment_method": "pm_card_chargeDeclined", "confirm": True}
        )
    intent = (await client.v1.setup_intents.list_async()).data[0]
    assert intent.last_setup_error is not None
    assert intent.last_setup_error.code == "card_declined"
    canceled = await client.v1.setup_intents.cancel_async(intent.id)
    assert canceled.status == "canceled"
    with pytest.raises(stripe.InvalidRequestError) as refused:
        await client.v1.setup_intents.confirm_async(intent.id)
    assert refused.value.code == "setup_intent_unexpected_state"


async def test_an_invoice_of_its_own_is_drafted_finalized_and_paid(
    client: stripe.StripeClient, shop: Shop
) -> None:
    customer = await shop.customer()
    await client.v1.invoice_items.create_async(
        {"customer": customer.id, "amount": 700, "currency": "usd", "description": "Ticket"}
    )
    draft = await client.v1.invoices.create_async(
        {"customer": customer.id, "pending_invoice_items_behavior": "include"}
    )
    assert (draft.status, draft.amount_due, draft.number) == ("draft", 700, None)
    open_ = await client.v1.invoices.finalize_invoice_async(draft.id)
    assert (open_.status, open_.number) == ("open", f"{customer.invoice_prefix}-0001")
    paid = await client.v1.invoices.pay_async(draft.id)
    assert (paid.status, paid.amount_paid, paid.amount_remaining) == ("paid", 700, 0)
    with pytest.raises(stripe.InvalidRequestError) as again:
        await client.v1.invoices.pay_async(draft.id)
    assert again.value.code == "invoice_already_paid"
    payments = await client.v1.invoice_payments.list_async({"invoice": draft.id})
    assert [payment.status for payment in payments.data] == ["paid"]


async def test_an_invoice_is_voided_with_its_payment(
    client: stripe.StripeClient, shop: Shop
) -> None:
    customer = await shop.customer(None)
    subscription = await shop.subscription(
        customer, await shop.price(), payment_behavior="default_incomplete"
    )
    voided = await client.v1.invoices.void_invoice_async(
        str(subscription.latest_invoice), {"expand": ["payments"]}
    )
    assert voided.status == "void"
    assert voided.payments is not None
    intent_id = voided.payments.data[0].payment.payment_intent
    intent = await client.v1.payment_intents.retrieve_async(str(intent_id))
    assert (intent.status, intent.cancellation_reason) == ("canceled", "void_invoice")


async def test_paying_an_invoice_with_a_bad_card_is_a_card_error(
    client: stripe.StripeClient, shop: Shop
) -> None:
    subscription = await shop.subscription(
        await shop.customer(None), await shop.price(), payment_behavior="default_incomplete"
    )
    invoice = str(subscription.latest_invoice)
    with pytest.raises(stripe.CardError) as declined:
        await client.v1.invoices.pay_async(
            invoice, {"payment_method": "pm_card_chargeCustomerFail"}
        )
    assert declined.value.code == "card_declined"
    with pytest.raises(stripe.CardError) as asked:
        await client.v1.invoices.pay_async(
            invoice, {"payment_method": "pm_card_authenticationRequired"}
        )
    assert asked.value.code == "invoice_payment_intent_requires_action"


async def test_invoices_are_listed_by_customer_subscription_and_status(
    client: stripe.StripeClient, shop: Shop
) -> None:
    customer, price = await shop.customer(), await shop.price()
    one, two = [await shop.subscription(customer, price) for _ in range(2)]
    await shop.subscription(await shop.customer(), price)
    mine = await client.v1.invoices.list_async({"customer": customer.id, "status": "paid"})
    assert [i.id for i in mine.data] == [str(two.latest_invoice), str(one.latest_invoice)]
    its = await client.v1.invoices.list_async({"subscription": one.id})
    assert [i.id for i in its.data] == [str(one.latest_invoice)]
    lines = await client.v1.invoices.line_items.list_async(its.data[0].id)
    assert [line.amount for line in lines.data] == [1000]


async def test_an_invoice_can_be_looked_at_and_downloaded(
    client: stripe.StripeClient, shop: Shop
) -> None:
    subscription = await shop.subscription(
        await shop.customer(), await shop.price(), expand=["latest_invoice"]
    )
    invoice = subscription.latest_invoice
    assert isinstance(invoice, stripe.Invoice)
    assert invoice.hosted_invoice_url is not None
    assert invoice.invoice_pdf is not None
    async with httpx.AsyncClient(trust_env=False) as browser:
        assert "Membership" in (await browser.get(invoice.hosted_invoice_url)).text
        document = await browser.get(invoice.invoice_pdf)
    assert document.headers["content-type"] == "application/pdf"
    assert document.content.startswith(b"%PDF-1.4")


async def test_voiding_the_first_invoice_ends_an_incomplete_subscription(
    client: stripe.StripeClient, shop: Shop
) -> None:
    """Stripe: Subscription statuses."""
    begun = await shop.subscription(
        await shop.customer(), await shop.price(), payment_behavior="default_incomplete"
    )

    await client.v1.invoices.void_invoice_async(str(begun.latest_invoice))

    ended = await client.v1.subscriptions.retrieve_async(begun.id)
    assert (ended.status, ended.ended_at) == ("incomplete_expired", START)


async def test_voiding_the_invoice_of_a_pending_update_discards_it(
    client: stripe.StripeClient, shop: Shop
) -> None:
    """Stripe: Pending updates."""
    customer, dear = await shop.customer(), await shop.price(1500)
    subscription = await shop.subscription(customer, await shop.price(1000))
    poor = await client.v1.payment_methods.attach_async(
        "pm_card_chargeCustomerFail", {"customer": customer.id}
    )
    await client.v1.subscriptions.update_async(subscription.id, {"default_payment_method": poor.id})
    held = await client.v1.subscriptions.update_async(
        subscription.id,
        {
            "items": [{"id": subscription["items"].data[0].id, "price": dear.id}],
            "payment_behavior": "pending_if_incomplete",
            "proration_behavior": "always_invoice",
        },
    )
    assert held.pending_update is not None

    await client.v1.invoices.void_invoice_async(str(held.latest_invoice))

    left = await client.v1.subscriptions.retrieve_async(subscription.id)
    assert left.pending_update is None
    assert left["items"].data[0].price.unit_amount == 1000


async def test_voiding_an_invoice_gives_back_the_credit_it_took(
    client: stripe.StripeClient, shop: Shop
) -> None:
    customer = await shop.customer(balance=-300)
    begun = await shop.subscription(
        customer, await shop.price(), payment_behavior="default_incomplete"
    )
    assert (await client.v1.customers.retrieve_async(customer.id)).balance == 0

    await client.v1.invoices.void_invoice_async(str(begun.latest_invoice))

    assert (await client.v1.customers.retrieve_async(customer.id)).balance == -300
