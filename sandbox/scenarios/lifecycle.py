"""A subscription from its trial to its end: paid, failed, recovered, changed, canceled."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from sandbox.scenarios.browser import Failed
from sandbox.scenarios.buyer import FAILING, GOOD
from sandbox.scenarios.stage import Stage

_STATUSES = ["trialing", "active", "past_due", "active", "canceled"]
_KINDS = {
    "subscription.activated",
    "subscription.trial_ending",
    "subscription.status_changed",
    "payment.succeeded",
    "payment.failed",
    "subscription.plan_changed",
    "subscription.cancellation_scheduled",
    "subscription.canceled",
}


async def lifecycle(stage: Stage) -> None:
    """Raises Failed where it goes another way."""
    buyer = await stage.buyer()
    checkout = await buyer.open_checkout("general_monthly")
    session = buyer.came_back(await buyer.pay(checkout, GOOD))
    await buyer.call("POST", f"checkout-sessions/{session}/sync")
    await buyer.becomes("trialing", access=True)

    await stage.let_pass(days=178)  # the notice comes three days before the end
    await stage.let_pass(days=3)
    await buyer.becomes("active", access=True)

    await stage.let_pass(days=31)
    await buyer.save_card(FAILING)
    await stage.let_pass(days=31)
    await buyer.becomes("past_due", access=True)
    await buyer.save_card(GOOD)
    await stage.let_pass(days=3)  # Stripe tries again
    shown = await buyer.becomes("active", access=True)

    buyer.does("looks at what event_organizer_monthly would cost, and changes to it")
    price = await buyer.price("event_organizer_monthly")
    preview = await buyer.call("POST", f"subscriptions/{shown['id']}/preview", priceId=price)
    changed = await buyer.call(
        "PATCH",
        f"subscriptions/{shown['id']}",
        priceId=price,
        **{name: preview[name] for name in ("prorationDate", "previewToken") if name in preview},
    )
    if changed["pending"] or changed["subscription"]["plan"] != "event_organizer":
        raise Failed(f"the plan was not changed: {changed}")
    await stage.until_told(buyer, "subscription.plan_changed")

    buyer.does("cancels at the end of the period")
    await buyer.call("DELETE", f"subscriptions/{shown['id']}")
    await stage.until_told(buyer, "subscription.cancellation_scheduled")
    await stage.let_pass(days=32)
    await buyer.becomes("canceled", access=False)
    await stage.until_told(buyer, "subscription.canceled")
    _check_history(stage.told_of(buyer))


def _check_history(told: Sequence[Mapping[str, Any]]) -> None:
    kinds = {m["type"].removeprefix("payments.").removesuffix(".v1") for m in told}
    statuses = [
        m["data"].get("newStatus") or m["data"]["status"]
        for m in told
        if "newStatus" in m["data"] or "status" in m["data"]
    ]
    if statuses != _STATUSES:
        raise Failed(f"the messages tell of {statuses}, which should be {_STATUSES}")
    if not kinds >= _KINDS:
        raise Failed(f"no message told of {', '.join(sorted(_KINDS - kinds))}")
