"""Every endpoint, the parameters it takes, and who plays it."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Final

from sandbox.stripe import (
    charges,
    checkout_sessions,
    customers,
    errors,
    events,
    invoice_items,
    invoice_payments,
    invoice_previews,
    invoices,
    payment_intents,
    payment_methods,
    portal_configurations,
    portal_sessions,
    prices,
    products,
    setup_intents,
    subscription_changes,
    subscriptions,
    test_clocks,
    webhook_endpoints,
)
from sandbox.stripe.listing import PAGING
from sandbox.stripe.parameters import Parameters, takes
from sandbox.stripe.store import Json

Endpoint = Callable[..., Json]


@dataclass(frozen=True, slots=True)
class Route:
    """`public` endpoints may be called by a browser that knows the object's client secret."""

    method: str
    path: str
    endpoint: Endpoint
    parameters: Parameters = field(default_factory=lambda: takes(None))
    public: bool = False

    def match(self, method: str, segments: list[str]) -> tuple[str, ...] | None:
        """The ids in a path that is this route's."""
        own = self.path.split("/")
        if method != self.method or len(own) != len(segments):
            return None
        pairs = list(zip(own, segments, strict=True))
        if any(name not in ("{id}", given) for name, given in pairs):
            return None
        return tuple(given for name, given in pairs if name == "{id}")


def find(method: str, path: str) -> tuple[Route, tuple[str, ...]]:
    """The route of a request and the ids in its path. Raises ApiError where there is none."""
    segments = path.rstrip("/").split("/")
    for route in ROUTES:
        ids = route.match(method, segments)
        if ids is not None:
            return route, ids
    raise errors.unknown_url(method, path)


_CUSTOMER = "address balance description email invoice_settings metadata name phone shipping"
_SUBSCRIPTION = (
    "cancel_at cancel_at_period_end default_payment_method description items metadata off_session "
    "payment_behavior payment_settings proration_behavior trial_end trial_settings"
)
_CONFIRMING = "payment_method return_url"
# A browser adds what it shows anyway; the mandate that saving a card needs is not played.
_IGNORED_ON_CONFIRM = "mandate_data use_stripe_sdk"

ROUTES: Final = (
    # Customers
    Route("POST", "/v1/customers", customers.create, takes(
        "CustomerCreateParams",
        f"{_CUSTOMER} invoice_prefix payment_method preferred_locales test_clock")),
    Route("GET", "/v1/customers", customers.list_, takes(
        "CustomerListParams", f"{PAGING} created email test_clock")),
    Route("GET", "/v1/customers/{id}", customers.retrieve),
    Route("POST", "/v1/customers/{id}", customers.update, takes(
        "CustomerUpdateParams", f"{_CUSTOMER} preferred_locales")),
    Route("DELETE", "/v1/customers/{id}", customers.delete),
    Route("GET", "/v1/customers/{id}/payment_methods", payment_methods.list_of_customer, takes(
        "CustomerPaymentMethodListParams", f"{PAGING} type")),
    Route("GET", "/v1/customers/{id}/payment_methods/{id}", payment_methods.retrieve_of_customer),
    # Products and prices
    Route("POST", "/v1/products", products.create, takes(
        "ProductCreateParams",
        "active default_price_data description id images marketing_features metadata name "
        "shippable statement_descriptor unit_label url", ignored="type tax_code")),
    Route("GET", "/v1/products", products.list_, takes(
        "ProductListParams", f"{PAGING} active created ids shippable url")),
    Route("GET", "/v1/products/{id}", products.retrieve),
    Route("POST", "/v1/products/{id}", products.update, takes(
        "ProductUpdateParams",
        "active default_price description images marketing_features metadata name shippable "
        "statement_descriptor unit_label url")),
    Route("DELETE", "/v1/products/{id}", products.delete),
    Route("POST", "/v1/prices", prices.create, takes(
        "PriceCreateParams",
        "active currency lookup_key metadata nickname product product_data recurring tax_behavior "
        "transfer_lookup_key unit_amount unit_amount_decimal", ignored="billing_scheme")),
    Route("GET", "/v1/prices", prices.list_, takes(
        "PriceListParams", f"{PAGING} active created currency lookup_keys product recurring type")),
    Route("GET", "/v1/prices/{id}", prices.retrieve),
    Route("POST", "/v1/prices/{id}", prices.update, takes(
        "PriceUpdateParams",
        "active lookup_key metadata nickname tax_behavior transfer_lookup_key")),
    # Subscriptions
    Route("POST", "/v1/subscriptions", subscriptions.create, takes(
        "SubscriptionCreateParams", f"{_SUBSCRIPTION} billing_mode customer trial_period_days")),
    Route("GET", "/v1/subscriptions", subscriptions.list_, takes(
        "SubscriptionListParams",
        f"{PAGING} collection_method created customer price status test_clock")),
    Route("GET", "/v1/subscriptions/{id}", subscriptions.retrieve),
    Route("POST", "/v1/subscriptions/{id}", subscription_changes.update, takes(
        "SubscriptionUpdateParams",
        f"{_SUBSCRIPTION} cancellation_details pause_collection proration_date")),
    Route("DELETE", "/v1/subscriptions/{id}", subscriptions.cancel, takes(
        "SubscriptionCancelParams", "cancellation_details invoice_now prorate")),
    Route("POST", "/v1/subscriptions/{id}/pause", subscriptions.pause, takes(
        "SubscriptionPauseParams", "bill_for", ignored="type")),
    Route("POST", "/v1/subscriptions/{id}/resume", subscriptions.resume, takes(
        "SubscriptionResumeParams", "billing_cycle_anchor", ignored="proration_behavior")),
    Route("GET", "/v1/subscription_items", subscriptions.list_items, takes(
        "SubscriptionItemListParams", f"{PAGING} subscription")),
    # Invoices
    Route("POST", "/v1/invoices/create_preview", invoice_previews.create, takes(
        "InvoiceCreatePreviewParams", "customer subscription subscription_details")),
    Route("POST", "/v1/invoices", invoices.create, takes(
        "InvoiceCreateParams",
        "auto_advance collection_method currency customer days_until_due default_payment_method "
        "description footer metadata pending_invoice_items_behavior")),
    Route("GET", "/v1/invoices", invoices.list_, takes(
        "InvoiceListParams",
        f"{PAGING} collection_method created customer due_date status subscription")),
    Route("GET", "/v1/invoices/{id}", invoices.retrieve),
    Route("POST", "/v1/invoices/{id}", invoices.update, takes(
        "InvoiceUpdateParams", "auto_advance default_payment_method description footer metadata")),
    Route("DELETE", "/v1/invoices/{id}", invoices.delete),
    Route("GET", "/v1/invoices/{id}/lines", invoices.list_lines, takes(
        "InvoiceLineItemListParams", PAGING)),
    Route("POST", "/v1/invoices/{id}/finalize", invoices.finalize_invoice, takes(
        "InvoiceFinalizeInvoiceParams", "auto_advance")),
    Route("POST", "/v1/invoices/{id}/pay", invoices.pay, takes(
        "InvoicePayParams", "off_session paid_out_of_band payment_method")),
    Route("POST", "/v1/invoices/{id}/send", invoices.send),
    Route("POST", "/v1/invoices/{id}/void", invoices.void_invoice),
    Route("POST", "/v1/invoices/{id}/mark_uncollectible", invoices.mark_uncollectible),
    Route("POST", "/v1/invoiceitems", invoice_items.create, takes(
        "InvoiceItemCreateParams",
        "amount currency customer description metadata period subscription")),
    Route("GET", "/v1/invoiceitems", invoice_items.list_, takes(
        "InvoiceItemListParams", f"{PAGING} customer invoice pending")),
    Route("GET", "/v1/invoiceitems/{id}", invoice_items.retrieve),
    Route("DELETE", "/v1/invoiceitems/{id}", invoice_items.delete),
    Route("GET", "/v1/invoice_payments", invoice_payments.list_, takes(
        "InvoicePaymentListParams", f"{PAGING} created invoice payment status")),
    Route("GET", "/v1/invoice_payments/{id}", invoice_payments.retrieve),
    # Paying
    Route("POST", "/v1/payment_methods", payment_methods.create, takes(
        "PaymentMethodCreateParams", "billing_details card metadata type",
        ignored="allow_redisplay"), public=True),
    Route("GET", "/v1/payment_methods", payment_methods.list_, takes(
        "PaymentMethodListParams", f"{PAGING} customer type")),
    Route("GET", "/v1/payment_methods/{id}", payment_methods.retrieve),
    Route("POST", "/v1/payment_methods/{id}", payment_methods.update, takes(
        "PaymentMethodUpdateParams", "billing_details card metadata")),
    Route("POST", "/v1/payment_methods/{id}/attach", payment_methods.attach, takes(
        "PaymentMethodAttachParams", "customer")),
    Route("POST", "/v1/payment_methods/{id}/detach", payment_methods.detach),
    Route("POST", "/v1/payment_intents", payment_intents.create, takes(
        "PaymentIntentCreateParams",
        "amount confirm currency customer description metadata off_session receipt_email "
        f"setup_future_usage statement_descriptor {_CONFIRMING}",
        ignored=f"automatic_payment_methods {_IGNORED_ON_CONFIRM}")),
    Route("GET", "/v1/payment_intents", payment_intents.list_, takes(
        "PaymentIntentListParams", f"{PAGING} created customer")),
    Route("GET", "/v1/payment_intents/{id}", payment_intents.retrieve, takes(
        "PaymentIntentRetrieveParams", "client_secret"), public=True),
    Route("POST", "/v1/payment_intents/{id}", payment_intents.update, takes(
        "PaymentIntentUpdateParams", "amount description metadata payment_method receipt_email")),
    Route("POST", "/v1/payment_intents/{id}/confirm", payment_intents.confirm, takes(
        "PaymentIntentConfirmParams", f"client_secret off_session {_CONFIRMING}",
        ignored=_IGNORED_ON_CONFIRM), public=True),
    Route("POST", "/v1/payment_intents/{id}/cancel", payment_intents.cancel, takes(
        "PaymentIntentCancelParams", "cancellation_reason")),
    Route("POST", "/v1/setup_intents", setup_intents.create, takes(
        "SetupIntentCreateParams",
        f"confirm customer description metadata usage {_CONFIRMING}",
        ignored=f"automatic_payment_methods {_IGNORED_ON_CONFIRM}")),
    Route("GET", "/v1/setup_intents", setup_intents.list_, takes(
        "SetupIntentListParams", f"{PAGING} created customer payment_method")),
    Route("GET", "/v1/setup_intents/{id}", setup_intents.retrieve, takes(
        "SetupIntentRetrieveParams", "client_secret"), public=True),
    Route("POST", "/v1/setup_intents/{id}", setup_intents.update, takes(
        "SetupIntentUpdateParams", "description metadata payment_method")),
    Route("POST", "/v1/setup_intents/{id}/confirm", setup_intents.confirm, takes(
        "SetupIntentConfirmParams", f"client_secret {_CONFIRMING}",
        ignored=_IGNORED_ON_CONFIRM), public=True),
    Route("POST", "/v1/setup_intents/{id}/cancel", setup_intents.cancel, takes(
        "SetupIntentCancelParams", "cancellation_reason")),
    Route("GET", "/v1/charges", charges.list_, takes(
        "ChargeListParams", f"{PAGING} created customer payment_intent")),
    Route("GET", "/v1/charges/{id}", charges.retrieve),
    # Hosted pages
    Route("POST", "/v1/checkout/sessions", checkout_sessions.create, takes(
        "checkout.SessionCreateParams",
        "cancel_url client_reference_id currency customer customer_creation customer_email "
        "expires_at line_items locale metadata mode payment_method_collection submit_type "
        "subscription_data success_url ui_mode",
        ignored="allow_promotion_codes billing_address_collection customer_update "
        "payment_intent_data")),
    Route("GET", "/v1/checkout/sessions", checkout_sessions.list_, takes(
        "checkout.SessionListParams",
        f"{PAGING} created customer payment_intent status subscription")),
    Route("GET", "/v1/checkout/sessions/{id}", checkout_sessions.retrieve),
    Route("GET", "/v1/checkout/sessions/{id}/line_items", checkout_sessions.list_line_items, takes(
        "checkout.SessionListLineItemsParams", PAGING)),
    Route("POST", "/v1/checkout/sessions/{id}/expire", checkout_sessions.expire),
    Route("GET", "/v1/payment_pages/{id}", checkout_sessions.retrieve),
    Route("POST", "/v1/payment_pages/{id}/confirm", checkout_sessions.confirm, takes(
        "", "payment_method expected_amount")),
    Route("POST", "/v1/billing_portal/sessions", portal_sessions.create, takes(
        "billing_portal.SessionCreateParams",
        "configuration customer flow_data locale return_url")),
    Route("POST", "/v1/billing_portal/configurations", portal_configurations.create, takes(
        "billing_portal.ConfigurationCreateParams",
        "business_profile default_return_url features metadata name")),
    Route("GET", "/v1/billing_portal/configurations", portal_configurations.list_, takes(
        "billing_portal.ConfigurationListParams", f"{PAGING} active is_default")),
    Route("GET", "/v1/billing_portal/configurations/{id}", portal_configurations.retrieve),
    Route("POST", "/v1/billing_portal/configurations/{id}", portal_configurations.update, takes(
        "billing_portal.ConfigurationUpdateParams",
        "active business_profile default_return_url features metadata name")),
    # Events
    Route("GET", "/v1/events", events.list_, takes(
        "EventListParams", f"{PAGING} created delivery_success type types")),
    Route("GET", "/v1/events/{id}", events.retrieve),
    Route("POST", "/v1/webhook_endpoints", webhook_endpoints.create, takes(
        "WebhookEndpointCreateParams", "api_version description enabled_events metadata url")),
    Route("GET", "/v1/webhook_endpoints", webhook_endpoints.list_, takes(
        "WebhookEndpointListParams", PAGING)),
    Route("GET", "/v1/webhook_endpoints/{id}", webhook_endpoints.retrieve),
    Route("POST", "/v1/webhook_endpoints/{id}", webhook_endpoints.update, takes(
        "WebhookEndpointUpdateParams", "description disabled enabled_events metadata url")),
    Route("DELETE", "/v1/webhook_endpoints/{id}", webhook_endpoints.delete),
    # Time
    Route("POST", "/v1/test_helpers/test_clocks", test_clocks.create, takes(
        "test_helpers.TestClockCreateParams", "frozen_time name")),
    Route("GET", "/v1/test_helpers/test_clocks", test_clocks.list_, takes(
        "test_helpers.TestClockListParams", PAGING)),
    Route("GET", "/v1/test_helpers/test_clocks/{id}", test_clocks.retrieve),
    Route("POST", "/v1/test_helpers/test_clocks/{id}/advance", test_clocks.advance, takes(
        "test_helpers.TestClockAdvanceParams", "frozen_time")),
    Route("DELETE", "/v1/test_helpers/test_clocks/{id}", test_clocks.delete),
)  # fmt: skip
