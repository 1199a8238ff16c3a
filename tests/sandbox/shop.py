"""Short ways to have something to sell and somebody to sell it to."""

from typing import Any

import stripe

from sandbox.stripe.server import StripeSandbox


class Shop:
    """What most tests begin with."""

    def __init__(self, sandbox: StripeSandbox, client: stripe.StripeClient) -> None:
        self._sandbox = sandbox
        self._client = client

    async def price(
        self, amount: int = 1000, interval: str = "month", lookup_key: str | None = None
    ) -> stripe.Price:
        """A price of so many cents."""
        params: Any = {
            "currency": "usd",
            "unit_amount": amount,
            "recurring": {"interval": interval},
            "product_data": {"name": "Membership"},
        }
        if lookup_key is not None:
            params["lookup_key"] = lookup_key
        return await self._client.v1.prices.create_async(params)

    async def customer(self, card: str | None = "pm_card_visa", **params: Any) -> stripe.Customer:
        """A customer who pays with this test card, if any."""
        given: Any = {"email": "jenny@example.com", **params}
        if card is not None:
            given["payment_method"] = card
            given["invoice_settings"] = {"default_payment_method": card}
        return await self._client.v1.customers.create_async(given)

    async def subscription(
        self, customer: stripe.Customer, price: stripe.Price, **params: Any
    ) -> stripe.Subscription:
        """A subscription of the customer to the price."""
        given: Any = {"customer": customer.id, "items": [{"price": price.id}], **params}
        return await self._client.v1.subscriptions.create_async(given)

    async def event_types(self) -> list[str]:
        """The types of all events, the oldest first."""
        page = await self._client.v1.events.list_async({"limit": 100})
        return [str(event.type) async for event in page.auto_paging_iter()][::-1]
