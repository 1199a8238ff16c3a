"""The bank's question: 3-D Secure, for intents and for Checkout."""

from __future__ import annotations

from sandbox.stripe import checkout_sessions, payment_intents, setup_intents
from sandbox.stripe.forms import Form
from sandbox.stripe.pages import checkout, portal
from sandbox.stripe.pages.layout import Page, let_webhooks_arrive, page, redirect
from sandbox.stripe.store import Json
from sandbox.stripe.world import World

# Tells the page that has opened this one in a frame that it is over.
_TELL = '<p>You may close this page.</p><script>parent.postMessage("3ds-complete", "*")</script>'


async def answer(world: World, id_: str, form: Form | None) -> Page:
    """Ask, or take the answer."""
    asked = world.store.find(id_)
    if asked is None or not _waits(world, asked):
        return page("Nothing to do", "<p>The bank has no question.</p>", status=404)
    if form is None:
        return page(
            "3-D Secure",
            "<p>Your bank asks: is it you who is paying?</p>"
            '<form method="post">'
            '<button name="answer" value="complete">Complete authentication</button> '
            '<button name="answer" value="fail">Fail authentication</button></form>',
        )
    passed = form.get("answer") == "complete"
    with world.working(world.timeline_of(id_, asked["customer"])):
        _play(world, asked, passed=passed)
    if asked["object"] == "checkout.session":
        if passed:
            return await checkout.finished(world, asked)
        return checkout.refused(world, asked)
    await let_webhooks_arrive(world)
    return_url = world.store.note(asked).get("return_url")
    if return_url is None:
        return page("Thank you", _TELL)
    kind = asked["object"]
    return redirect(
        return_url,
        **{
            kind: asked["id"],
            f"{kind}_client_secret": asked["client_secret"],
            "redirect_status": "succeeded" if passed else "failed",
        },
    )


def _waits(world: World, asked: Json) -> bool:
    if asked["object"] == "checkout.session":
        return asked["status"] == "open" and "method" in world.store.note(asked)
    return bool(asked.get("status") == "requires_action")


def _play(world: World, asked: Json, *, passed: bool) -> None:
    match asked["object"]:
        case "checkout.session":
            checkout_sessions.answer_challenge(world, asked, passed=passed)
        case "payment_intent":
            payment_intents.answer_challenge(world, asked, passed=passed)
        case _:
            setup_intents.answer_challenge(world, asked, passed=passed)
            if passed and world.store.note(asked).get("becomes_default"):
                customer = world.store.living("customer", asked["customer"])
                method = world.store.get("payment_method", asked["payment_method"])
                portal.use_from_now_on(world, customer, method)
