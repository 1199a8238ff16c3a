"""Cards that are declined: when they are given, and when they are charged later."""

from __future__ import annotations

from sandbox.scenarios.browser import Failed
from sandbox.scenarios.buyer import DECLINED, FAILING, GOOD
from sandbox.scenarios.stage import Stage


async def decline(stage: Stage) -> None:
    """Raises Failed where it goes another way."""
    buyer = await stage.buyer()
    checkout = await buyer.open_checkout("general_monthly")
    refused = await buyer.pay(checkout, DECLINED)
    if refused.status != 402 or "insufficient funds" not in refused.text:
        raise Failed(f"Checkout took a card without funds: {refused.text}")
    buyer.does("reads that the card has insufficient funds")
    shown = await buyer.call("GET", "subscription")
    if shown["status"] != "none" or not shown["trialAvailable"]:
        raise Failed(f"a declined card has left something behind: {shown}")
    buyer.came_back(await buyer.pay(refused, GOOD))
    await buyer.becomes("trialing", access=True)

    late = await stage.buyer()
    await late.subscribe("general_annual", FAILING)
    await late.becomes("trialing", access=True)
    await stage.let_pass(days=181)
    await late.becomes("past_due", access=True)
    await stage.let_pass(days=8)
    shown = await late.call("GET", "subscription")
    if shown["hasAccess"]:
        raise Failed(f"access outlives the grace of a late payment: {shown}")
    late.does("has no access any more: the grace is over")
    await stage.let_pass(days=10)  # Stripe has tried often enough
    await late.becomes("canceled", access=False)
    await buyer.becomes("active", access=True)
