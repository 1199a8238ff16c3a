"""Every endpoint that is played is called through the official SDK."""

from __future__ import annotations

from typing import Any

import pytest
import stripe

from sandbox.stripe.app import App
from sandbox.stripe.routes import ROUTES, Route
from sandbox.stripe.server import StripeSandbox
from tests.sandbox.shop import Shop

DAY = 24 * 60 * 60


@pytest.fixture
def called(monkeypatch: pytest.MonkeyPatch) -> set[tuple[str, str]]:
    """Give the endpoints that have answered what was asked of them."""
    seen: set[tuple[str, str]] = set()
    perform = App._perform

    def noting(self: App, route: Route, *rest: Any) -> Any:
        outcome = perform(self, route, *rest)
        if outcome.status == 200:
            seen.add((route.method, route.path))
        return outcome

    monkeypatch.setattr(App, "_perform", noting)
    return seen


async def test_every_endpoint_answers_the_sdk(
    stripe_sandbox: StripeSandbox,
    client: stripe.StripeClient,
    shop: Shop,
    called: set[tuple[str, str]],
) -> None:
    """The objects are checked for their shape on the way, as everywhere in these tests."""
    v1 = client.v1
    await _customers(v1, shop)
    await _catalogue(v1, shop)
    await _subscriptions(v1, shop)
    await _invoices(v1, shop)
    await _payment_methods(v1, shop)
    await _intents(v1, shop)
    await _hosted_pages(client, shop)
    await _events(v1)
    await _test_clocks(v1, stripe_sandbox.clock.now())
    never = {(route.method, route.path) for route in ROUTES} - called
    assert not never, f"no call of the SDK has tried {sorted(never)}"


async def _customers(v1: stripe.V1Services, shop: Shop) -> None:
    customer = await shop.customer()
    await v1.customers.list_async({"email": "jenny@example.com"})
    await v1.customers.retrieve_async(customer.id)
    await v1.customers.update_async(customer.id, {"name": "Jenny"})
    (method,) = (await v1.customers.payment_methods.list_async(customer.id)).data
    await v1.customers.payment_methods.retrieve_async(customer.id, method.id)
    await v1.customers.delete_async(customer.id)


async def _catalogue(v1: stripe.V1Services, shop: Shop) -> None:
    product = await v1.products.create_async({"name": "Ticket"})
    await v1.products.list_async()
    await v1.products.retrieve_async(product.id)
    await v1.products.update_async(product.id, {"name": "Tickets"})
    await v1.products.delete_async(product.id)
    price = await shop.price()
    await v1.prices.list_async({"product": str(price.product)})
    await v1.prices.retrieve_async(price.id)
    await v1.prices.update_async(price.id, {"nickname": "monthly"})


async def _subscriptions(v1: stripe.V1Services, shop: Shop) -> None:
    customer, price = await shop.customer(), await shop.price()
    subscription = await shop.subscription(customer, price)
    await v1.subscriptions.list_async({"customer": customer.id})
    await v1.subscriptions.retrieve_async(subscription.id)
    await v1.subscriptions.update_async(subscription.id, {"metadata": {"a": "b"}})
    await v1.subscription_items.list_async({"subscription": subscription.id})
    await v1.invoices.create_preview_async({"subscription": subscription.id})
    await v1.subscriptions.pause_async(subscription.id, {"type": "subscription"})
    await v1.subscriptions.resume_async(subscription.id)
    await v1.subscriptions.cancel_async(subscription.id)


async def _invoices(v1: stripe.V1Services, shop: Shop) -> None:
    customer = await shop.customer()

    async def draft() -> str:
        await v1.invoice_items.create_async(
            {"customer": customer.id, "amount": 500, "currency": "usd"}
        )
        made = await v1.invoices.create_async(
            {"customer": customer.id, "pending_invoice_items_behavior": "include"}
        )
        return made.id

    item = await v1.invoice_items.create_async(
        {"customer": customer.id, "amount": 100, "currency": "usd"}
    )
    await v1.invoice_items.list_async({"customer": customer.id})
    await v1.invoice_items.retrieve_async(item.id)
    await v1.invoice_items.delete_async(item.id)
    paid = await draft()
    await v1.invoices.list_async({"customer": customer.id})
    await v1.invoices.retrieve_async(paid)
    await v1.invoices.update_async(paid, {"description": "A ticket"})
    await v1.invoices.line_items.list_async(paid)
    await v1.invoices.finalize_invoice_async(paid)
    await v1.invoices.pay_async(paid)
    (payment,) = (await v1.invoice_payments.list_async({"invoice": paid})).data
    await v1.invoice_payments.retrieve_async(payment.id)
    await v1.invoices.delete_async(await draft())
    sent = await v1.invoices.create_async(
        {"customer": customer.id, "collection_method": "send_invoice", "days_until_due": 30}
    )
    await v1.invoices.send_invoice_async(sent.id)
    for close in (v1.invoices.void_invoice_async, v1.invoices.mark_uncollectible_async):
        invoice = await draft()
        await v1.invoices.finalize_invoice_async(invoice)
        await close(invoice)


async def _payment_methods(v1: stripe.V1Services, shop: Shop) -> None:
    customer = await shop.customer(None)
    method = await v1.payment_methods.create_async({"type": "card", "card": {"token": "tok_visa"}})
    await v1.payment_methods.attach_async(method.id, {"customer": customer.id})
    await v1.payment_methods.list_async({"customer": customer.id})
    await v1.payment_methods.retrieve_async(method.id)
    await v1.payment_methods.update_async(method.id, {"metadata": {"a": "b"}})
    await v1.payment_methods.detach_async(method.id)


async def _intents(v1: stripe.V1Services, shop: Shop) -> None:
    customer = await shop.customer()
    wanted: stripe.params.PaymentIntentCreateParams = {"amount": 500, "currency": "usd"}
    paying = await v1.payment_intents.create_async({**wanted, "customer": customer.id})
    await v1.payment_intents.list_async({"customer": customer.id})
    await v1.payment_intents.retrieve_async(paying.id)
    await v1.payment_intents.update_async(paying.id, {"amount": 600})
    await v1.payment_intents.confirm_async(paying.id, {"payment_method": "pm_card_visa"})
    await v1.payment_intents.cancel_async((await v1.payment_intents.create_async(wanted)).id)
    (charge,) = (await v1.charges.list_async({"payment_intent": paying.id})).data
    await v1.charges.retrieve_async(charge.id)
    saving = await v1.setup_intents.create_async({"customer": customer.id})
    await v1.setup_intents.list_async({"customer": customer.id})
    await v1.setup_intents.retrieve_async(saving.id)
    await v1.setup_intents.update_async(saving.id, {"description": "A card"})
    await v1.setup_intents.confirm_async(saving.id, {"payment_method": "pm_card_visa"})
    await v1.setup_intents.cancel_async((await v1.setup_intents.create_async({})).id)


async def _hosted_pages(client: stripe.StripeClient, shop: Shop) -> None:
    v1, customer, price = client.v1, await shop.customer(), await shop.price()
    wanted: stripe.params.checkout.SessionCreateParams = {
        "mode": "subscription",
        "line_items": [{"price": price.id, "quantity": 1}],
        "success_url": "https://shop.example/done",
    }
    sessions = v1.checkout.sessions
    session = await sessions.create_async(wanted)
    await sessions.list_async()
    await sessions.retrieve_async(session.id)
    await sessions.line_items.list_async(session.id)
    # Where the page of a session asks; the SDK has no name for it.
    await client.raw_request_async("get", f"/v1/payment_pages/{session.id}")
    method = await v1.payment_methods.create_async({"type": "card", "card": {"token": "tok_visa"}})
    confirming: Any = {"payment_method": method.id, "expected_amount": 1000}
    await client.raw_request_async("post", f"/v1/payment_pages/{session.id}/confirm", **confirming)
    await sessions.expire_async((await sessions.create_async(wanted)).id)
    configurations = v1.billing_portal.configurations
    configuration = await configurations.create_async(
        {"features": {"invoice_history": {"enabled": True}}}
    )
    await configurations.list_async()
    await configurations.retrieve_async(configuration.id)
    await configurations.update_async(configuration.id, {"name": "A portal"})
    await v1.billing_portal.sessions.create_async({"customer": customer.id})


async def _events(v1: stripe.V1Services) -> None:
    event = (await v1.events.list_async()).data[0]
    await v1.events.retrieve_async(event.id)
    endpoint = await v1.webhook_endpoints.create_async(
        {"url": "https://shop.example/hook", "enabled_events": ["customer.deleted"]}
    )
    await v1.webhook_endpoints.list_async()
    await v1.webhook_endpoints.retrieve_async(endpoint.id)
    await v1.webhook_endpoints.update_async(endpoint.id, {"disabled": True})
    await v1.webhook_endpoints.delete_async(endpoint.id)


async def _test_clocks(v1: stripe.V1Services, now: int) -> None:
    clocks = v1.test_helpers.test_clocks
    clock = await clocks.create_async({"frozen_time": now})
    await clocks.list_async()
    await clocks.retrieve_async(clock.id)
    await clocks.advance_async(clock.id, {"frozen_time": now + DAY})
    await clocks.delete_async(clock.id)
