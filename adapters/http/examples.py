"""The examples in the OpenAPI document, told as one story.

Litestar leaves nulls out of them, so none stands where a field is required.
"""

from __future__ import annotations

from typing import Any, Final

SUBSCRIPTION_ID: Final = "5d9d7a0e-7f5e-5a39-9a0c-6d4e5f3b2a10"
PRICE: Final = "price_1RrGeneralMonthly"
ANNUAL_PRICE: Final = "price_1RrGeneralAnnual"
SESSION: Final = "cs_test_a1b2c3d4e5f6g7h8"

CUSTOMER: Final = {
    "userId": "00000000-0000-4000-8000-00000000a11c",
    "customerId": "cus_Sh4Xk2b9QwErTy",
    "email": "alice@example.com",
    "name": "Alice Example",
}
CHECKOUT_REQUEST: Final = {
    "priceId": PRICE,
    "successUrl": "https://app.example.com/welcome?session={CHECKOUT_SESSION_ID}",
    "cancelUrl": "https://app.example.com/plans",
}
CHECKOUT: Final = {
    "sessionId": SESSION,
    "sessionUrl": f"https://checkout.stripe.com/c/pay/{SESSION}",
}
PORTAL_REQUEST: Final = {"returnUrl": "https://app.example.com/account"}
PORTAL: Final = {"sessionUrl": "https://billing.stripe.com/p/session/test_YWNjdF8x"}
BEGUN: Final = {
    "subscriptionId": SUBSCRIPTION_ID,
    "status": "incomplete",
    "clientSecret": "seti_1RrExample_secret_Sh4Xk2b9QwErTy",
    "intentType": "setup",
}
SUBSCRIPTION: Final[dict[str, Any]] = {
    "id": SUBSCRIPTION_ID,
    "status": "trialing",
    "hasAccess": True,
    "accessUntil": None,
    "plan": "general",
    "interval": "month",
    "priceId": PRICE,
    "startDate": "2026-01-01T00:00:00Z",
    "endDate": None,
    "trialEndDate": "2026-06-30T00:00:00Z",
    "trialDaysLeft": 180,
    "trialAvailable": False,
    "currentPeriodEnd": "2026-06-30T00:00:00Z",
    "cancelAt": None,
    "nextCharge": {"at": "2026-06-30T00:00:00Z", "amount": 1000, "currency": "usd"},
}
CANCELING: Final = SUBSCRIPTION | {
    "accessUntil": "2026-06-30T00:00:00Z",
    "cancelAt": "2026-06-30T00:00:00Z",
    "nextCharge": None,
}
SYNCED: Final = {"status": "complete", "settled": True, "subscription": SUBSCRIPTION}
PREVIEW: Final = {
    "prorationDate": "2026-07-15T00:00:00Z",
    "currency": "usd",
    "amountDueNow": 249,
    "lines": [
        {"description": "Unused time on General", "amount": -500},
        {"description": "Remaining time on Event Organizer", "amount": 749},
    ],
}
CHANGED: Final = {
    "subscription": SUBSCRIPTION | {"status": "active"},
    "pending": True,
    "clientSecret": "pi_1RrExample_secret_Sh4Xk2b9QwErTy",
    "hostedInvoiceUrl": "https://invoice.stripe.com/i/acct_1/test_YWNjdF8x",
}
INVOICES: Final = {
    "invoices": [
        {
            "id": "in_1RrExample",
            "number": "A1B2C3D4-0001",
            "status": "paid",
            "createdAt": "2026-07-01T00:00:00Z",
            "currency": "usd",
            "total": 1000,
            "amountPaid": 1000,
            "amountDue": 0,
            "periodStart": "2026-06-30T00:00:00Z",
            "periodEnd": "2026-07-30T00:00:00Z",
            "hostedInvoiceUrl": "https://invoice.stripe.com/i/acct_1/test_YWNjdF8x",
            "invoicePdf": "https://pay.stripe.com/invoice/acct_1/test_YWNjdF8x/pdf",
        }
    ],
    "nextCursor": "in_1RrExample",
}
CONFIG: Final = {
    "publishableKey": "pk_test_example",
    "currency": "usd",
    "trialPeriodDays": 180,
    "plans": [
        {
            "plan": "general",
            "prices": [
                {
                    "lookupKey": "general_monthly",
                    "priceId": PRICE,
                    "interval": "month",
                    "amount": 1000,
                    "currency": "usd",
                }
            ],
        }
    ],
}
RECEIVED: Final = {"received": True, "duplicate": False}
HEALTHY: Final = {"status": "ok", "checks": [{"name": "database", "well": True, "hint": None}]}
UNHEALTHY: Final = {
    "status": "unavailable",
    "checks": [{"name": "database", "well": False, "hint": "no answer within 3 s"}],
}
