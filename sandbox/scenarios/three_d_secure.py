"""Cards whose bank asks: on Checkout, and on our own page with Stripe.js."""

from __future__ import annotations

from sandbox.scenarios.browser import Failed
from sandbox.scenarios.buyer import CHALLENGED, Buyer
from sandbox.scenarios.stage import Stage


async def three_d_secure(stage: Stage) -> None:
    """Raises Failed where it goes another way."""
    buyer = await stage.buyer()
    asked = await buyer.pay(await buyer.open_checkout("general_monthly"), CHALLENGED)
    buyer.does("fails to authenticate")
    again = await buyer.browser.submit(asked, answer="fail")
    if "unable to authenticate" not in again.text:
        raise Failed(f"Checkout did not mind that the bank was refused: {again.text}")
    if (await buyer.call("GET", "subscription"))["status"] != "none":
        raise Failed("something was bought without the bank's consent")
    asked = await buyer.pay(again, CHALLENGED)
    buyer.does("authenticates")
    buyer.came_back(await buyer.browser.submit(asked, answer="complete"))
    await buyer.becomes("trialing", access=True)

    other = await stage.buyer()
    await _subscribe_with_elements(other)
    await other.becomes("trialing", access=True)

    await stage.let_pass(days=181)  # a saved card is charged without its holder
    await buyer.becomes("active", access=True)
    await other.becomes("active", access=True)


async def _subscribe_with_elements(buyer: Buyer) -> None:
    """Confirm a trial on our own page: what Stripe.js would send, sent."""
    buyer.does("subscribes on our own page")
    begun = await buyer.call(
        "POST", "subscriptions", priceId=await buyer.price("event_organizer_monthly")
    )
    secret: str = begun["clientSecret"]
    if begun["intentType"] != "setup":
        raise Failed(f"a trial should begin with a setup intent: {begun}")
    shown = await buyer.call("GET", "subscription")
    if shown["hasAccess"]:
        raise Failed(f"a trial without a confirmed card grants access: {shown}")
    intent = f"setup_intents/{secret.partition('_secret_')[0]}"
    number = CHALLENGED.replace(" ", "")
    method = await buyer.as_stripe_js("payment_methods", {"type": "card", "card[number]": number})
    confirming = {"client_secret": secret, "payment_method": method["id"]}
    confirmed = await buyer.as_stripe_js(f"{intent}/confirm", confirming)
    action = confirmed["next_action"]
    question = action.get("use_stripe_sdk", {}).get("stripe_js") or action["redirect_to_url"]["url"]
    buyer.does("authenticates in a frame over our page")
    await buyer.browser.submit(await buyer.browser.open(question), answer="complete")
