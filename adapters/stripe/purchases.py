"""Customers, Checkout, the portal, and subscriptions that are begun on our own page."""

from __future__ import annotations

from datetime import datetime
from hashlib import sha256
from typing import TYPE_CHECKING, Any, Final
from uuid import UUID

import msgspec
import stripe

from adapters.stripe import answers
from adapters.stripe.answers import TERMS, terms_of, to_subscription
from adapters.stripe.api import StripeApi, as_shape, done, once, readable
from adapters.stripe.open_payments import OpenPayments
from adapters.stripe.shapes import needed, reference
from adapters.stripe.translation import moment, user_of
from domain.plans import PriceList
from ports.inbox import ReceivedWebhook
from ports.payment_provider import ProviderRefused, ProviderUnavailable
from ports.purchases import (
    Checkout,
    CheckoutStatus,
    Closing,
    FirstPayment,
    History,
    IntentType,
    Terms,
)
from ports.settlements import OWN_EVENT

if TYPE_CHECKING:  # the SDK has these for type checkers alone
    from stripe.params import CustomerUpdateParams, SubscriptionCreateParams
    from stripe.params.checkout import SessionCreateParams

# The most that Stripe lists at once. (Stripe: Pagination)
_PAGE: Final = 100
_ENDED: Final = ("canceled", "incomplete_expired")
# What a first payment needs, which otherwise would be ids only.
_SECRETS: Final = ["latest_invoice.confirmation_secret", "pending_setup_intent"]


class StripePurchases:
    """What users do to become subscribers."""

    def __init__(self, api: StripeApi, prices: PriceList) -> None:
        self._api = api
        self._v1 = api.v1
        self._prices = prices
        self._open_payments = OpenPayments(api)

    async def create_customer(self, user_id: UUID, *, operation: str) -> str:
        """A customer for this user. Whatever else is known of them may differ from one token to
        the next, and then would make this another operation to Stripe.
        """
        created = await self._api.call(
            self._v1.customers.create_async,
            {"metadata": {"user_id": str(user_id)}},
            once(operation),
        )
        with done():
            return as_shape(answers.Referred, created).id

    async def update_customer(self, customer_ref: str, email: str, name: str | None) -> None:
        """Have the customer bear this email, and the name where there is one."""
        params: CustomerUpdateParams = {"email": email}
        if name is not None:
            params["name"] = name
        await self._api.call(self._v1.customers.update_async, customer_ref, params)

    async def history(self, customer_ref: str) -> History:
        """What the customer has bought and tried to buy, the newest first as Stripe lists it.

        Not both at once: a Checkout that is finished between the two shows as open, or as a
        subscription, but must not be missed in both.
        """
        checkouts = await self._api.call(
            self._v1.checkout.sessions.list_async, {"customer": customer_ref, "limit": _PAGE}
        )
        subscriptions = await self._api.call(
            self._v1.subscriptions.list_async,
            {
                "customer": customer_ref,
                "status": "all",
                "limit": _PAGE,
                # One that has succeeded may stand there for a moment longer.
                "expand": ["data.pending_setup_intent"],
            },
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
        created = await self._api.call(
            self._v1.checkout.sessions.create_async, params, once(operation)
        )
        with done():
            return _checkout(created)

    async def find_checkout(self, session_ref: str) -> Checkout | None:
        """The Checkout as it is now; None where Stripe knows none."""
        found = await self._api.find(self._v1.checkout.sessions.retrieve_async, session_ref)
        return None if found is None else _checkout(found)

    async def expire_checkout(self, session_ref: str) -> bool:
        """Make sure that it cannot be finished any more; False where it was finished before."""
        try:
            await self._api.call(self._v1.checkout.sessions.expire_async, session_ref)
        except ProviderRefused:
            found = await self.find_checkout(session_ref)
            if found is None or found.status is CheckoutStatus.OPEN:
                raise
            return found.status is CheckoutStatus.EXPIRED
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
        with done():
            return self._first_payment(created)

    async def first_payment(self, subscription_ref: str) -> FirstPayment | None:
        """What is left to confirm of a subscription that was begun."""
        found = await self._api.find(
            self._v1.subscriptions.retrieve_async, subscription_ref, {"expand": [*_SECRETS]}
        )
        return None if found is None else self._first_payment(found)

    async def close_attempt(self, subscription_ref: str) -> Closing:
        """End a subscription that was begun and never confirmed; never one that was paid.

        To cancel it would keep the money of a payment that has just succeeded. So what could
        still succeed is taken back first; only then nothing is lost by canceling.
        """
        found = await self._api.find(
            self._v1.subscriptions.retrieve_async, subscription_ref, {"expand": [*_SECRETS]}
        )
        if found is None:
            return Closing.CLOSED
        closing = await self._close_what_is_open(as_shape(answers.Subscription, found))
        if closing is None:
            # Voiding its first invoice has ended it already (Stripe: Subscription statuses), and
            # then Stripe knows no such subscription to cancel.
            await self._api.find(self._v1.subscriptions.cancel_async, subscription_ref)
        return closing or Closing.CLOSED

    async def open_portal(self, customer_ref: str, return_url: str) -> str:
        """The address of a page on which the customer manages cards and invoices."""
        session = await self._api.call(
            self._v1.billing_portal.sessions.create_async,
            {"customer": customer_ref, "return_url": return_url},
        )
        return as_shape(answers.PortalSession, session).url

    async def report_deletion(
        self, customer_ref: str, at: datetime, *, livemode: bool
    ) -> ReceivedWebhook | None:
        """That Stripe has no such customer any more, in the form of a webhook; None where it has.

        A deleted customer is answered without anything but its id.
        """
        found = await self._api.find(self._v1.customers.retrieve_async, customer_ref)
        if found is not None and not as_shape(answers.Customer, found).deleted:
            return None
        customer = {"id": customer_ref, "object": "customer"}
        return _own_webhook(f"{customer_ref}:deleted", "customer.deleted", customer, at, livemode)

    async def report(self, subscription_ref: str, as_of: datetime | None) -> ReceivedWebhook | None:
        """The subscription as it is now, in the form of a webhook."""
        found = await self._api.find(self._v1.subscriptions.retrieve_async, subscription_ref)
        if found is None:
            return None
        seen = as_shape(answers.Subscription, found)
        created = as_of.replace(microsecond=0) if as_of else moment(seen.created or None)
        if created is None:
            raise ProviderUnavailable("Stripe answered with a subscription that has no date")
        event_type = f"customer.subscription.{_what_happened(seen, as_of)}"
        about = found.to_dict()
        content = [event_type, int(created.timestamp()), about]
        digest = sha256(msgspec.json.encode(content, order="sorted")).hexdigest()
        name = f"{subscription_ref}:{digest[:32]}"
        return _own_webhook(name, event_type, about, created, seen.livemode)

    async def _close_what_is_open(self, seen: answers.Subscription) -> Closing | None:
        """None where it is closed and only the subscription is left to be ended."""
        setup = seen.pending_setup_intent
        if seen.status == "incomplete":
            invoice_ref = answers.latest_invoice_of(seen)
            closing = await self._open_payments.void(invoice_ref) if invoice_ref else Closing.CLOSED
        elif seen.status in _ENDED:
            return Closing.CLOSED
        elif seen.status == "trialing" and isinstance(setup, answers.SetupIntent):
            closing = await self._open_payments.cancel_setup(setup.id)
        else:
            return Closing.FINISHED
        return None if closing is Closing.CLOSED else closing

    def _first_payment(self, found: stripe.Subscription) -> FirstPayment:
        seen = as_shape(answers.Subscription, found)
        subscription = to_subscription(seen, self._prices)
        setup, invoice = seen.pending_setup_intent, seen.latest_invoice
        if isinstance(setup, answers.SetupIntent):
            dead = setup.status == "canceled" or not setup.client_secret
            secret = None if dead else setup.client_secret
            return FirstPayment(subscription, secret, IntentType.SETUP if secret else None)
        if isinstance(invoice, answers.LatestInvoice) and invoice.confirmation_secret:
            secret = invoice.confirmation_secret.client_secret
            return FirstPayment(subscription, secret, IntentType.PAYMENT if secret else None)
        return FirstPayment(subscription, None, None)


def _what_happened(seen: answers.Subscription, as_of: datetime | None) -> str:
    """The kind of event that ranks with what was applied last, or before all there is."""
    if as_of is None:
        return "created"
    return "deleted" if seen.status in ("canceled", "incomplete_expired") else "updated"


def _own_webhook(
    name: str, event_type: str, about: dict[str, Any], created: datetime, livemode: bool
) -> ReceivedWebhook:
    """What Stripe says of an object now, as it would be told by a webhook."""
    event: dict[str, Any] = {
        "id": f"{OWN_EVENT}{name}",
        "object": "event",
        "type": event_type,
        "created": int(created.timestamp()),
        "livemode": livemode,
        "api_version": stripe.api_version,
        "data": {"object": about},
    }
    return ReceivedWebhook(
        event_id=event["id"],
        event_type=event_type,
        ordering_key=about["id"],
        livemode=livemode,
        api_version=stripe.api_version,
        created=created,
        payload=msgspec.json.encode(event),
        traceparent="",
    )


def _metadata(user_id: UUID, terms: Terms) -> dict[str, str]:
    return {"user_id": str(user_id), TERMS: terms.fingerprint}


def _checkout(found: stripe.StripeObject) -> Checkout:
    session = as_shape(answers.CheckoutSession, found)
    known = {str(status) for status in CheckoutStatus}
    with readable():
        return Checkout(
            session_ref=session.id,
            user_id=user_of(needed(session.metadata, "metadata")),
            # One that is neither open nor complete cannot be bought on, whatever it is called.
            status=CheckoutStatus(session.status if session.status in known else "expired"),
            url=session.url,
            expires_at=moment(session.expires_at),
            fingerprint=terms_of(session.metadata),
            subscription_ref=reference(needed(session.subscription, "subscription")),
        )
