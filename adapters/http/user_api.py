"""What users do, over HTTP. Each route hands over to the use case it is named after."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from typing import Annotated, Final
from uuid import UUID

import msgspec
from litestar import HttpMethod, Response, Router, delete, get, patch, post, route
from litestar.openapi.spec import Example
from litestar.params import Body, HeaderParameter, PathParameter, QueryParameter
from litestar.types import ASGIApp

from adapters.http import examples
from adapters.http.deadline import Deadline
from adapters.http.idempotency import (
    WHILE_A_CHECKOUT_OPENS,
    WHILE_A_PORTAL_OPENS,
    idempotent,
)
from adapters.http.openapi import BEARER, IDEMPOTENCY_KEY, user_responses
from adapters.http.users import Authentication, RateLimit, UserRequest
from ports.authentication import Authenticator
from ports.clock import Clock
from ports.idempotency import IdempotencyKeys
from service.cancel_subscription import CancelSubscription
from service.change_plan import ChangePlan, ChangeView, PreviewView
from service.ensure_customer import EnsureCustomer
from service.list_invoices import InvoiceList, ListInvoices
from service.open_portal import OpenPortal, PortalOpened
from service.start_checkout import CheckoutStarted, StartCheckout
from service.subscribe import Subscribe, SubscriptionBegun
from service.sync_checkout import SyncCheckout, SyncedCheckout
from service.view_subscription import SubscriptionView, ViewSubscription

# Three addresses at their longest, and room to spare.
_LARGEST_BODY: Final = 16 * 1024
# Seconds. Gateways give up after 30, and letting go of what hangs takes up to four.
DEADLINE: Final = 20.0

PriceId = Annotated[
    str,
    msgspec.Meta(
        min_length=1,
        max_length=255,
        pattern="^[A-Za-z0-9_]+$",
        description="One of the prices in /config.",
    ),
]
Address = Annotated[
    str,
    msgspec.Meta(
        min_length=1,
        max_length=2000,
        description="An address of a page of ours: its origin has to be one of the allowed.",
    ),
]


class CheckoutRequest(msgspec.Struct, rename="camel", frozen=True):
    """What to buy. `{CHECKOUT_SESSION_ID}` in the address becomes the session's id."""

    price_id: PriceId
    success_url: Address
    cancel_url: Address


class PortalRequest(msgspec.Struct, rename="camel", frozen=True):
    """Where to come back to."""

    return_url: Address


class PriceRequest(msgspec.Struct, rename="camel", frozen=True):
    """Which price."""

    price_id: PriceId


class ChangeRequest(msgspec.Struct, rename="camel", frozen=True):
    """What to change to, as it was shown by the preview of this date."""

    price_id: PriceId
    proration_date: Annotated[datetime, msgspec.Meta(tz=True)]


class CustomerView(msgspec.Struct, rename="camel", frozen=True):
    """The user as a customer."""

    user_id: UUID
    customer_id: str
    email: str | None
    name: str | None


_SUBSCRIBE: Final = (
    "This call is the purchase: make it when the buyer confirms. Where something is left to be "
    "paid or a card to be given, the subscription is `incomplete` until `clientSecret` is "
    "confirmed; a card on file is not charged before. Where `clientSecret` is null nothing is left "
    "to confirm and the subscription has begun: the customer's credit covers the first invoice, or "
    "within the trial a card is on file. Asked for again with the same price, it goes on with what "
    "was begun; with another price, what was begun is closed, unless it was paid before."
)
_CHANGE: Final = (
    "Charges what the preview of this price and date has shown, or nothing: a 409 "
    "`preview-outdated` asks for a new preview. A declined card is a 402, and changes nothing: try "
    "again with another card. Where the bank wants the card's holder, the change is `pending` "
    "until `clientSecret` is confirmed. Repeating a request does nothing twice."
)


@dataclass(frozen=True, slots=True)
class UseCases:
    """Everything a user can do."""

    ensure_customer: EnsureCustomer
    start_checkout: StartCheckout
    open_portal: OpenPortal
    subscribe: Subscribe
    view_subscription: ViewSubscription
    change_plan: ChangePlan
    cancel_subscription: CancelSubscription
    list_invoices: ListInvoices
    sync_checkout: SyncCheckout


# The middleware reads it; in a signature it is for the document alone.
IdempotencyKey = Annotated[
    str | None,
    HeaderParameter(
        name=IDEMPOTENCY_KEY,
        min_length=1,
        max_length=255,
        pattern="^[!-~]+$",
        description="The same key and request get the same answer, once they had a success: for "
        "24 hours, where the answer is an address for as long as it surely opens. Refusals are "
        "not kept.",
    ),
]
SubscriptionId = Annotated[UUID, PathParameter(description="The id in the subscription's view.")]
SessionId = Annotated[
    str,
    PathParameter(
        max_length=255, pattern="^cs_[A-Za-z0-9_]+$", description="The id in the success address."
    ),
]
Immediately = Annotated[
    bool, QueryParameter(description="End it now, instead of with the current period.")
]
Limit = Annotated[int, QueryParameter(ge=1, le=100, description="How many invoices at most.")]
Cursor = Annotated[
    str | None,
    QueryParameter(
        min_length=1,
        max_length=255,
        pattern="^[A-Za-z0-9_]+$",
        description="The nextCursor of the page before.",
    ),
]


def user_api(
    use_cases: UseCases,
    authenticator: Authenticator,
    rate_limit: RateLimit,
    keys: IdempotencyKeys,
    clock: Clock,
) -> Router:
    """The routes, bound to their use cases."""

    # Closures, because Litestar copies whatever else it is given, connections included.
    def authentication(app: ASGIApp) -> ASGIApp:
        return Authentication(app, authenticator, rate_limit)

    def in_time(app: ASGIApp) -> ASGIApp:
        return Deadline(app, DEADLINE)

    once = idempotent(keys, clock)

    @post(
        "/customers",
        status_code=200,
        summary="Make sure that the user is a customer",
        operation_id="ensureCustomer",
        responses=user_responses(CustomerView, examples.CUSTOMER, 409, 413, 422),
        middleware=once,
    )
    async def ensure_customer(
        request: UserRequest, idempotency_key: IdempotencyKey = None
    ) -> CustomerView:
        """A user becomes a customer once; asked again, the same customer is shown."""
        customer = await use_cases.ensure_customer(request.user)
        return CustomerView(
            request.user.id, customer.customer_ref or "", customer.email, customer.name
        )

    @post(
        "/create-checkout-session",
        status_code=200,
        summary="Buy on Stripe's page",
        operation_id="startCheckout",
        responses=user_responses(CheckoutStarted, examples.CHECKOUT, 409, 413, 422),
        middleware=idempotent(keys, clock, replayed_for=WHILE_A_CHECKOUT_OPENS),
    )
    async def start_checkout(
        request: UserRequest,
        data: Annotated[CheckoutRequest, _body(examples.CHECKOUT_REQUEST)],
        idempotency_key: IdempotencyKey = None,
    ) -> CheckoutStarted:
        """Send the buyer to the address in the answer. A Checkout that is open is handed out
        again where its terms are the same, and closed where they are not. With a running
        subscription it is a 409.
        """
        return await use_cases.start_checkout(
            request.user, data.price_id, data.success_url, data.cancel_url
        )

    @post(
        "/checkout-sessions/{session_id:str}/sync",
        status_code=200,
        summary="Take over a Checkout without waiting for its webhook",
        operation_id="syncCheckout",
        responses=user_responses(SyncedCheckout, examples.SYNCED, 404),
    )
    async def sync_checkout(request: UserRequest, session_id: SessionId) -> SyncedCheckout:
        """For the page to which the buyer comes back, often before the webhook. It does what the
        webhook does and can be repeated at will, so it takes no Idempotency-Key.
        """
        return await use_cases.sync_checkout(
            request.user, session_id, request.headers.get("traceparent")
        )

    @post(
        "/create-portal-session",
        status_code=200,
        summary="Manage cards and invoices on Stripe's page",
        operation_id="openPortal",
        responses=user_responses(PortalOpened, examples.PORTAL, 404, 409, 413, 422),
        middleware=idempotent(keys, clock, replayed_for=WHILE_A_PORTAL_OPENS),
    )
    async def open_portal(
        request: UserRequest,
        data: Annotated[PortalRequest, _body(examples.PORTAL_REQUEST)],
        idempotency_key: IdempotencyKey = None,
    ) -> PortalOpened:
        """Send the user to the address in the answer at once: it opens for a few minutes."""
        return await use_cases.open_portal(request.user, data.return_url)

    @post(
        "/subscriptions",
        status_code=200,
        summary="Buy on our own page, with Stripe Elements",
        description=_SUBSCRIBE,
        operation_id="subscribe",
        responses=user_responses(SubscriptionBegun, examples.BEGUN, 402, 409, 413, 422),
        middleware=once,
    )
    async def subscribe(
        request: UserRequest,
        data: Annotated[PriceRequest, _body({"priceId": examples.PRICE})],
        idempotency_key: IdempotencyKey = None,
    ) -> SubscriptionBegun:
        """Begins a subscription that starts when the client secret is confirmed on the page. One
        that was begun on the same terms is gone on with; others are closed.
        """
        return await use_cases.subscribe(request.user, data.price_id)

    @get(
        "/subscription",
        summary="The user's current subscription, or status none",
        operation_id="viewSubscription",
        responses=user_responses(SubscriptionView, examples.SUBSCRIPTION),
    )
    async def view_subscription(request: UserRequest) -> SubscriptionView:
        """The one that grants access, else the newest; status none where there never was one."""
        return await use_cases.view_subscription(request.user)

    @post(
        "/subscriptions/{subscription_id:uuid}/preview",
        status_code=200,
        summary="What a change of plan would come to",
        description="It can be confirmed for 15 minutes, by its `prorationDate`.",
        operation_id="previewPlanChange",
        responses=user_responses(PreviewView, examples.PREVIEW, 404, 409, 413, 422),
    )
    async def preview_plan_change(
        request: UserRequest,
        subscription_id: SubscriptionId,
        data: Annotated[PriceRequest, _body({"priceId": examples.ANNUAL_PRICE})],
    ) -> PreviewView:
        """Lines and amounts in minor currency units. Nothing is changed, so it can be repeated at
        will and takes no Idempotency-Key.
        """
        return await use_cases.change_plan.preview(request.user, subscription_id, data.price_id)

    # Litestar's own answer would name only the first of several methods on one path.
    @route(
        "/subscriptions/{subscription_id:uuid}",
        http_method=HttpMethod.OPTIONS,
        status_code=204,
        include_in_schema=False,
    )
    async def subscription_methods(subscription_id: SubscriptionId) -> Response[None]:
        return Response(None, headers={"Allow": "DELETE, OPTIONS, PATCH"})

    @patch(
        "/subscriptions/{subscription_id:uuid}",
        summary="Change the plan, at what the preview has shown",
        description=_CHANGE,
        operation_id="changePlan",
        responses=user_responses(ChangeView, examples.CHANGED, 402, 404, 409, 413, 422),
        middleware=once,
    )
    async def change_plan(
        request: UserRequest,
        subscription_id: SubscriptionId,
        data: Annotated[
            ChangeRequest,
            _body({"priceId": examples.ANNUAL_PRICE, "prorationDate": "2026-07-15T00:00:00Z"}),
        ],
        idempotency_key: IdempotencyKey = None,
    ) -> ChangeView:
        """Charges what the preview has shown. An upgrade is charged at once and takes effect when
        it is paid; a downgrade is a credit; within the trial nothing is charged.
        """
        return await use_cases.change_plan(
            request.user, subscription_id, data.price_id, data.proration_date
        )

    @delete(
        "/subscriptions/{subscription_id:uuid}",
        status_code=200,
        summary="Cancel, with the current period unless immediately",
        description="What was begun and never confirmed is closed at once. A repeat is answered "
        "with what is, or once that is known here with a 409.",
        operation_id="cancelSubscription",
        responses=user_responses(SubscriptionView, examples.CANCELING, 404, 409, 413, 422),
        middleware=once,
    )
    async def cancel_subscription(
        request: UserRequest,
        subscription_id: SubscriptionId,
        immediately: Immediately = False,
        idempotency_key: IdempotencyKey = None,
    ) -> SubscriptionView:
        """Access lasts to the end of the period that is paid for, unless it is ended now."""
        return await use_cases.cancel_subscription(
            request.user, subscription_id, immediately=immediately
        )

    @post(
        "/subscriptions/{subscription_id:uuid}/resume",
        status_code=200,
        summary="Take a scheduled cancellation back",
        operation_id="resumeSubscription",
        responses=user_responses(SubscriptionView, examples.SUBSCRIPTION, 404, 409, 413, 422),
        middleware=once,
    )
    async def resume_subscription(
        request: UserRequest,
        subscription_id: SubscriptionId,
        idempotency_key: IdempotencyKey = None,
    ) -> SubscriptionView:
        """Until it has ended, a scheduled end can be taken back."""
        return await use_cases.cancel_subscription.resume(request.user, subscription_id)

    @get(
        "/invoices",
        summary="What was charged, the newest first",
        operation_id="listInvoices",
        responses=user_responses(InvoiceList, examples.INVOICES, 422),
    )
    async def list_invoices(
        request: UserRequest, limit: Limit = 20, cursor: Cursor = None
    ) -> InvoiceList:
        """Paged by cursor; each with a page to show and a PDF, where Stripe has made them."""
        return await use_cases.list_invoices(request.user, limit=limit, cursor=cursor)

    return Router(
        "/api/payments",
        route_handlers=[
            ensure_customer,
            start_checkout,
            sync_checkout,
            open_portal,
            subscribe,
            view_subscription,
            preview_plan_change,
            subscription_methods,
            change_plan,
            cancel_subscription,
            resume_subscription,
            list_invoices,
        ],
        middleware=[in_time, authentication],
        request_max_body_size=_LARGEST_BODY,
        security=BEARER,
        tags=["users"],
    )


def _body(example: object) -> object:
    return Body(examples=[Example(summary="example", value=example)])
