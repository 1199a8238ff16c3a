"""Customers, Checkout, the portal, and subscriptions that are begun on our own page."""

from __future__ import annotations

import asyncio
from datetime import datetime
from hashlib import sha256
from typing import TYPE_CHECKING, Any, Final
from uuid import UUID

import msgspec
import stripe

from adapters.stripe import answers, shapes
from adapters.stripe.answers import TERMS, terms_of, to_subscription
from adapters.stripe.api import StripeApi, as_shape, once, readable
from adapters.stripe.shapes import reference
from adapters.stripe.translation import moment, user_of
from domain.plans import PriceList
from ports.inbox import ReceivedWebhook
from ports.payment_provider import ProviderRefused, ProviderUnavailable
from ports.purchases import (
    Checkout,
    CheckoutStatus,
    FirstPayment,
    History,
    IntentType,
    OperationConflict,
    Terms,
)
from ports.settlements import OWN_EVENT

if TYPE_CHECKING:  # the SDK has these for type checkers alone
    from stripe.params import CustomerCreateParams, CustomerListParams, SubscriptionCreateParams
    from stripe.params.checkout import SessionCreateParams

# The most that Stripe lists at once. (Stripe: Pagination)
_PAGE: Final = 100
# How many pages of the newest customers are looked through for one that was just created.
_PAGES: Final = 5
# What a first payment needs, which otherwise would be ids only.
_SECRETS: Final = ["latest_invoice.confirmation_secret", "pending_setup_intent"]


class StripePurchases:
    """What users do to become subscribers."""

    def __init__(self, api: StripeApi, prices: PriceList) -> None:
        self._api = api
        self._v1 = api.v1
        self._prices = prices

    async def create_customer(
        self, user_id: UUID, email: str, name: str | None, *, operation: str
    ) -> str:
        """A customer for this user."""
        params: CustomerCreateParams = {"email": email, "metadata": {"user_id": str(user_id)}}
        if name is not None:
            params["name"] = name
        try:
            created = await self._api.call(self._v1.customers.create_async, params, once(operation))
        except OperationConflict:
            # It was created with another email: at this moment by another request, or before by
            # one that died before it could write that down.
            return await self._created_lately(user_id)
        return as_shape(answers.Referred, created).id

    async def history(self, customer_ref: str) -> History:
        """What the customer has bought and tried to buy, the newest first as Stripe lists it."""
        subscriptions, checkouts = await asyncio.gather(
            self._api.call(
                self._v1.subscriptions.list_async,
                {"customer": customer_ref, "status": "all", "limit": _PAGE},
            ),
            self._api.call(
                self._v1.checkout.sessions.list_async, {"customer": customer_ref, "limit": _PAGE}
            ),
        )
        return History(
            [
                to_subscription(as_shape(answers.Subscription, found), self._prices)
                for found in subscriptions.data
            ],
            [_checkout(found) for found in checkouts.data],
        )

    async def start_checkout(
        self, customer_ref: str, user_id: UUID, terms: Terms, *, operation: str
    ) -> Checkout:
        """A hosted page on which this customer can buy."""
        metadata = _metadata(user_id, terms)
        params: SessionCreateParams = {
            "mode": "subscription",
            "customer": customer_ref,
            "client_reference_id": str(user_id),
            "line_items": [{"price": terms.price_ref, "quantity": 1}],
            "success_url": terms.success_url,
            "cancel_url": terms.cancel_url,
            "payment_method_collection": "always",
            "metadata": metadata,
            "subscription_data": {"metadata": metadata},
        }
        if terms.trial_days:
            params["subscription_data"] |= {
                "trial_period_days": terms.trial_days,
                "trial_settings": {"end_behavior": {"missing_payment_method": "cancel"}},
            }
        return _checkout(
            await self._api.call(self._v1.checkout.sessions.create_async, params, once(operation))
        )

    async def find_checkout(self, session_ref: str) -> Checkout | None:
        """The Checkout as it is now; None where Stripe knows none."""
        found = await self._api.find(self._v1.checkout.sessions.retrieve_async, session_ref)
        return None if found is None else _checkout(found)

    async def expire_checkout(self, session_ref: str) -> bool:
        """Make sure that it cannot be finished any more; False where it just was."""
        try:
            await self._api.call(self._v1.checkout.sessions.expire_async, session_ref)
        except ProviderRefused:
            return False
        return True

    async def subscribe(
        self, customer_ref: str, user_id: UUID, terms: Terms, *, operation: str
    ) -> FirstPayment:
        """Begin a subscription that the buyer confirms on our page."""
        params: SubscriptionCreateParams = {
            "customer": customer_ref,
            "items": [{"price": terms.price_ref, "quantity": 1}],
            "payment_behavior": "default_incomplete",
            "payment_settings": {"save_default_payment_method": "on_subscription"},
            "metadata": _metadata(user_id, terms),
            "expand": [*_SECRETS],
        }
        if terms.trial_days:
            params["trial_period_days"] = terms.trial_days
            params["trial_settings"] = {"end_behavior": {"missing_payment_method": "cancel"}}
        created = await self._api.call(self._v1.subscriptions.create_async, params, once(operation))
        return self._first_payment(created)

    async def first_payment(self, subscription_ref: str) -> FirstPayment | None:
        """What is left to confirm of a subscription that was begun."""
        found = await self._api.find(
            self._v1.subscriptions.retrieve_async, subscription_ref, {"expand": [*_SECRETS]}
        )
        return None if found is None else self._first_payment(found)

    async def abandon(self, subscription_ref: str) -> None:
        """End a subscription that was begun and never confirmed."""
        await self._api.find(self._v1.subscriptions.cancel_async, subscription_ref)

    async def open_portal(self, customer_ref: str, return_url: str) -> str:
        """The address of a page on which the customer manages cards and invoices."""
        session = await self._api.call(
            self._v1.billing_portal.sessions.create_async,
            {"customer": customer_ref, "return_url": return_url},
        )
        return as_shape(answers.PortalSession, session).url

    async def report(self, subscription_ref: str, as_of: datetime | None) -> ReceivedWebhook | None:
        """The subscription as it is now, in the form of a webhook."""
        found = await self._api.find(self._v1.subscriptions.retrieve_async, subscription_ref)
        if found is None:
            return None
        seen = as_shape(answers.Subscription, found)
        created = as_of.replace(microsecond=0) if as_of else moment(seen.created)
        if created is None:
            raise ProviderUnavailable("Stripe answered with a subscription that has no date")
        event_type = f"customer.subscription.{'updated' if as_of else 'created'}"
        event: dict[str, Any] = {
            "object": "event",
            "type": event_type,
            "created": int(created.timestamp()),
            "livemode": seen.livemode,
            "api_version": stripe.api_version,
            "data": {"object": found.to_dict()},
        }
        digest = sha256(msgspec.json.encode(event, order="sorted")).hexdigest()
        event["id"] = f"{OWN_EVENT}{subscription_ref}:{digest[:32]}"
        return ReceivedWebhook(
            event_id=event["id"],
            event_type=event_type,
            ordering_key=subscription_ref,
            livemode=seen.livemode,
            api_version=stripe.api_version,
            created=created,
            payload=msgspec.json.encode(event),
            traceparent="",
        )

    async def _created_lately(self, user_id: UUID) -> str:
        """The customer that was created for this user since Stripe remembers our keys.

        Listed, because Stripe's search runs up to a minute late. (Stripe: Search)
        """
        params: CustomerListParams = {"limit": _PAGE}
        for _ in range(_PAGES):
            page = await self._api.call(self._v1.customers.list_async, params)
            for found in page.data:
                customer = as_shape(shapes.Customer, found)
                if user_of(customer.metadata) == user_id:
                    return found.id
            if not page.has_more:
                break
            params["starting_after"] = page.data[-1].id
        # Its notice brings the row, by which the next request finds it.
        raise ProviderUnavailable("Stripe does not list the customer it has created")

    def _first_payment(self, found: stripe.Subscription) -> FirstPayment:
        seen = as_shape(answers.Subscription, found)
        subscription = to_subscription(seen, self._prices)
        setup, invoice = seen.pending_setup_intent, seen.latest_invoice
        if isinstance(setup, answers.SetupIntent) and setup.client_secret:
            return FirstPayment(subscription, setup.client_secret, IntentType.SETUP)
        if isinstance(invoice, answers.LatestInvoice) and invoice.confirmation_secret:
            secret = invoice.confirmation_secret.client_secret
            return FirstPayment(subscription, secret, IntentType.PAYMENT if secret else None)
        return FirstPayment(subscription, None, None)


def _metadata(user_id: UUID, terms: Terms) -> dict[str, str]:
    return {"user_id": str(user_id), TERMS: terms.fingerprint}


def _checkout(found: stripe.StripeObject) -> Checkout:
    session = as_shape(answers.CheckoutSession, found)
    known = {str(status) for status in CheckoutStatus}
    with readable():
        return Checkout(
            session_ref=session.id,
            user_id=user_of(session.metadata),
            # One that is neither open nor complete cannot be bought on, whatever it is called.
            status=CheckoutStatus(session.status if session.status in known else "expired"),
            url=session.url,
            expires_at=moment(session.expires_at),
            fingerprint=terms_of(session.metadata),
            subscription_ref=reference(session.subscription),
        )
