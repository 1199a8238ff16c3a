"""The hosted pages, used as a browser uses them, and the stand-in for Stripe.js."""

import asyncio
import re
import shutil
import subprocess
from collections.abc import AsyncIterator
from typing import Any

import httpx
import pytest
import stripe

from sandbox.stripe.server import StripeSandbox
from tests.sandbox.receiver import Receiver
from tests.sandbox.shop import Shop

GOOD, DECLINED, CHALLENGED = "4242 4242 4242 4242", "4000 0000 0000 9995", "4000 0000 0000 3220"
SUCCESS = "https://shop.example/done?session={CHECKOUT_SESSION_ID}"


@pytest.fixture
async def browser() -> AsyncIterator[httpx.AsyncClient]:
    """Give a browser that does not follow redirections by itself."""
    async with httpx.AsyncClient(trust_env=False) as browser:
        yield browser


async def _checkout(
    client: stripe.StripeClient, price: stripe.Price, **params: Any
) -> stripe.checkout.Session:
    given: Any = {
        "mode": "subscription",
        "line_items": [{"price": price.id, "quantity": 1}],
        "success_url": SUCCESS,
        "cancel_url": "https://shop.example/plans",
        **params,
    }
    return await client.v1.checkout.sessions.create_async(given)


async def _pay(
    browser: httpx.AsyncClient, session: stripe.checkout.Session, card: str
) -> httpx.Response:
    assert session.url is not None
    return await browser.post(
        session.url, data={"email": "jenny@example.com", "name": "Jenny", "card": card}
    )


async def test_what_cannot_be_done_is_said_on_a_page(
    client: stripe.StripeClient, shop: Shop, browser: httpx.AsyncClient
) -> None:
    """An archived price and a deleted customer are no fault of the server's."""
    price, customer = await shop.price(), await shop.customer()
    checkout = await _checkout(client, price)
    await client.v1.prices.update_async(price.id, {"active": False})
    refused = await _pay(browser, checkout, GOOD)
    assert refused.status_code == 400
    assert 'role="alert"' in refused.text
    assert "inactive" in refused.text
    portal = await client.v1.billing_portal.sessions.create_async({"customer": customer.id})
    await client.v1.customers.delete_async(customer.id)
    gone = await browser.get(portal.url)
    assert gone.status_code == 404
    assert f"No such customer: &#x27;{customer.id}&#x27;" in gone.text


async def test_checkout_shows_what_is_bought_and_can_be_used_without_a_mouse(
    client: stripe.StripeClient, shop: Shop, browser: httpx.AsyncClient
) -> None:
    session = await _checkout(
        client, await shop.price(), subscription_data={"trial_period_days": 180}
    )
    assert session.url is not None
    page = await browser.get(session.url)
    assert page.status_code == 200
    for shown in ("Membership: $10.00 per month", "180 days free", "Due today: <strong>$0.00"):
        assert shown in page.text
    for name in ("email", "name", "card", "expiry", "cvc"):
        assert f'<label for="{name}">' in page.text
    assert 'href="https://shop.example/plans"' in page.text


async def test_a_trial_is_bought_with_a_card_that_succeeds(
    stripe_sandbox: StripeSandbox,
    client: stripe.StripeClient,
    shop: Shop,
    receiver: Receiver,
    browser: httpx.AsyncClient,
) -> None:
    customer = await shop.customer(None)
    session = await _checkout(
        client,
        await shop.price(),
        customer=customer.id,
        metadata={"user_id": "u1"},
        subscription_data={"trial_period_days": 180, "metadata": {"user_id": "u1"}},
    )
    assert (session.status, session.payment_status) == ("open", "no_payment_required")
    assert session.subscription is None
    back = await _pay(browser, session, GOOD)
    assert back.status_code == 303
    assert back.headers["location"] == SUCCESS.replace("{CHECKOUT_SESSION_ID}", session.id)
    done = await client.v1.checkout.sessions.retrieve_async(
        session.id, {"expand": ["subscription", "line_items"]}
    )
    assert (done.status, done.payment_status, done.url) == (
        "complete",
        "no_payment_required",
        None,
    )
    subscription = done.subscription
    assert isinstance(subscription, stripe.Subscription)
    assert subscription.status == "trialing"
    assert subscription.to_dict()["metadata"] == {"user_id": "u1"}
    assert subscription.default_payment_method is not None
    # The browser goes back only after the webhooks were received.
    assert receiver.types[-1] == "checkout.session.completed"
    assert "customer.subscription.created" in receiver.types


async def test_without_a_trial_checkout_takes_the_money_at_once(
    client: stripe.StripeClient, shop: Shop, browser: httpx.AsyncClient
) -> None:
    session = await _checkout(client, await shop.price(), customer_email="jenny@example.com")
    await _pay(browser, session, GOOD)
    done = await client.v1.checkout.sessions.retrieve_async(
        session.id, {"expand": ["subscription", "invoice", "customer"]}
    )
    assert (done.payment_status, done.amount_total) == ("paid", 1000)
    assert isinstance(done.subscription, stripe.Subscription)
    assert done.subscription.status == "active"
    assert isinstance(done.customer, stripe.Customer)
    assert done.customer.email == "jenny@example.com"
    assert isinstance(done.invoice, stripe.Invoice)
    assert done.invoice.status == "paid"


@pytest.mark.parametrize("trial", [True, False])
async def test_a_declined_card_leaves_checkout_open_for_another_one(
    client: stripe.StripeClient, shop: Shop, browser: httpx.AsyncClient, trial: bool
) -> None:
    more = {"subscription_data": {"trial_period_days": 180}} if trial else {}
    session = await _checkout(client, await shop.price(), **more)
    refused = await _pay(browser, session, DECLINED)
    assert refused.status_code == 402
    assert '<p role="alert">Your card has insufficient funds.</p>' in refused.text
    assert not (await client.v1.subscriptions.list_async({"status": "all"})).data
    assert (await _pay(browser, session, GOOD)).status_code == 303


@pytest.mark.parametrize("trial", [True, False])
@pytest.mark.parametrize("answer", ["complete", "fail"])
async def test_a_card_with_3d_secure_is_asked_for_on_a_page_of_the_bank(
    client: stripe.StripeClient,
    shop: Shop,
    browser: httpx.AsyncClient,
    trial: bool,
    answer: str,
) -> None:
    more = {"subscription_data": {"trial_period_days": 180}} if trial else {}
    session = await _checkout(client, await shop.price(), **more)
    asked = await _pay(browser, session, CHALLENGED)
    assert "3d-secure" in asked.headers["location"]
    assert not (await client.v1.subscriptions.list_async()).data
    answered = await browser.post(asked.headers["location"], data={"answer": answer})
    begun = (await client.v1.subscriptions.list_async()).data
    if answer == "complete":
        assert answered.status_code == 303
        assert [s.status for s in begun] == ["trialing" if trial else "active"]
    else:
        assert "unable to authenticate" in answered.text
        assert not begun
        assert (await _pay(browser, session, GOOD)).status_code == 303


async def test_a_number_that_is_no_card_is_refused_on_the_page(
    client: stripe.StripeClient, shop: Shop, browser: httpx.AsyncClient
) -> None:
    session = await _checkout(client, await shop.price())
    assert "card number is incorrect" in (await _pay(browser, session, "1234")).text


async def test_a_trial_need_not_ask_for_a_card(
    client: stripe.StripeClient, shop: Shop, browser: httpx.AsyncClient
) -> None:
    session = await _checkout(
        client,
        await shop.price(),
        payment_method_collection="if_required",
        subscription_data={"trial_period_days": 7},
    )
    assert (await _pay(browser, session, "")).status_code == 303
    begun = (await client.v1.subscriptions.list_async()).data[0]
    assert (begun.status, begun.default_payment_method) == ("trialing", None)


async def test_a_session_that_nobody_completes_expires_after_a_day(
    stripe_sandbox: StripeSandbox,
    client: stripe.StripeClient,
    shop: Shop,
    receiver: Receiver,
    browser: httpx.AsyncClient,
) -> None:
    session = await _checkout(client, await shop.price())
    await stripe_sandbox.advance(days=1)
    expired = await client.v1.checkout.sessions.retrieve_async(session.id)
    assert (expired.status, expired.url) == ("expired", None)
    assert receiver.types[-1] == "checkout.session.expired"
    assert (await _pay(browser, session, GOOD)).status_code == 410


async def test_a_session_is_expired_by_the_shop_once(
    client: stripe.StripeClient, shop: Shop
) -> None:
    session = await _checkout(client, await shop.price())
    await client.v1.checkout.sessions.expire_async(session.id)
    with pytest.raises(stripe.InvalidRequestError, match="can be expired"):
        await client.v1.checkout.sessions.expire_async(session.id)
    listed = await client.v1.checkout.sessions.list_async({"status": "expired"})
    assert [s.id for s in listed.data] == [session.id]


@pytest.mark.parametrize(
    ("params", "param"),
    [
        ({"success_url": "shop.example/done"}, "success_url"),
        ({"line_items": []}, "line_items"),
        ({"expires_at": 1}, "expires_at"),
        ({"mode": "payment"}, "line_items"),
        ({"ui_mode": "embedded_page"}, "ui_mode"),
        ({"customer": "cus_nobody"}, "customer"),
        ({"subscription_data": {"colour": "red"}}, "subscription_data[colour]"),
    ],
)
async def test_a_session_that_makes_no_sense_is_refused(
    client: stripe.StripeClient, shop: Shop, params: dict[str, Any], param: str
) -> None:
    with pytest.raises(stripe.InvalidRequestError) as refused:
        await _checkout(client, await shop.price(), **params)
    assert refused.value.param == param


async def _portal(
    client: stripe.StripeClient, customer: stripe.Customer, **params: Any
) -> stripe.billing_portal.Session:
    given: Any = {
        "customer": customer.id,
        "return_url": "https://shop.example/account",
        **params,
    }
    return await client.v1.billing_portal.sessions.create_async(given)


async def test_the_portal_schedules_a_cancellation_and_takes_it_back(
    client: stripe.StripeClient, shop: Shop, browser: httpx.AsyncClient
) -> None:
    customer = await shop.customer()
    subscription = await shop.subscription(customer, await shop.price())
    session = await _portal(client, customer)
    page = await browser.get(session.url)
    assert "Cancel subscription" in page.text
    assert "visa ending in 4242" in page.text
    assert 'href="https://shop.example/account"' in page.text
    form = {"subscription": subscription.id}
    await browser.post(f"{session.url}/cancel", data=form)
    canceled = await client.v1.subscriptions.retrieve_async(subscription.id)
    # With flexible billing the portal sets the moment and leaves the flag alone.
    assert canceled.cancel_at == subscription["items"].data[0].current_period_end
    assert not canceled.cancel_at_period_end
    assert "Don&#x27;t cancel" in (await browser.get(session.url)).text
    await browser.post(f"{session.url}/keep", data=form)
    kept = await client.v1.subscriptions.retrieve_async(subscription.id)
    assert kept.cancel_at is None


async def test_with_classic_billing_the_portal_sets_the_flag(
    client: stripe.StripeClient, shop: Shop, browser: httpx.AsyncClient
) -> None:
    customer = await shop.customer()
    subscription = await shop.subscription(
        customer, await shop.price(), billing_mode={"type": "classic"}
    )
    session = await _portal(client, customer)
    await browser.post(f"{session.url}/cancel", data={"subscription": subscription.id})
    canceled = await client.v1.subscriptions.retrieve_async(subscription.id)
    assert canceled.cancel_at_period_end


async def test_the_portal_changes_the_plan_to_what_its_configuration_offers(
    client: stripe.StripeClient, shop: Shop, browser: httpx.AsyncClient
) -> None:
    customer = await shop.customer()
    subscription = await shop.subscription(customer, await shop.price())
    offered, other = await shop.price(1500), await shop.price(1)
    configuration = await client.v1.billing_portal.configurations.create_async(
        {
            "features": {
                "subscription_update": {
                    "enabled": True,
                    "default_allowed_updates": ["price"],
                    "proration_behavior": "always_invoice",
                    "products": [{"product": str(offered.product), "prices": [offered.id]}],
                }
            }
        }
    )
    session = await _portal(client, customer, configuration=configuration.id)
    assert "Membership, $15.00 per month" in (await browser.get(session.url)).text
    form = {"subscription": subscription.id, "price": other.id}
    assert (await browser.post(f"{session.url}/plan", data=form)).status_code == 402
    await browser.post(f"{session.url}/plan", data=form | {"price": offered.id})
    changed = await client.v1.subscriptions.retrieve_async(subscription.id)
    assert changed["items"].data[0].price.id == offered.id


@pytest.mark.parametrize("card", [GOOD, CHALLENGED])
async def test_the_portal_takes_a_new_card(
    client: stripe.StripeClient, shop: Shop, browser: httpx.AsyncClient, card: str
) -> None:
    customer = await shop.customer()
    subscription = await shop.subscription(customer, await shop.price())
    session = await _portal(client, customer)
    declined = await browser.post(f"{session.url}/card", data={"card": DECLINED})
    assert "insufficient funds" in declined.text
    saved = await browser.post(f"{session.url}/card", data={"card": card})
    if card == CHALLENGED:
        saved = await browser.post(saved.headers["location"], data={"answer": "complete"})
    assert saved.headers["location"].startswith(session.url)
    shown = await client.v1.subscriptions.retrieve_async(
        subscription.id, {"expand": ["default_payment_method"]}
    )
    method = shown.default_payment_method
    assert isinstance(method, stripe.PaymentMethod)
    assert method.card is not None
    assert method.card.last4 == card[-4:]


async def test_the_portal_is_for_its_customer_alone(
    client: stripe.StripeClient, shop: Shop, browser: httpx.AsyncClient
) -> None:
    theirs = await shop.subscription(await shop.customer(), await shop.price())
    session = await _portal(client, await shop.customer())
    refused = await browser.post(f"{session.url}/cancel", data={"subscription": theirs.id})
    assert "not yours" in refused.text
    shown = await client.v1.subscriptions.retrieve_async(theirs.id)
    assert shown.cancel_at is None


async def test_a_portal_configuration_is_kept_and_changed(client: stripe.StripeClient) -> None:
    made = await client.v1.billing_portal.configurations.create_async(
        {"features": {"invoice_history": {"enabled": True}}}
    )
    changed = await client.v1.billing_portal.configurations.update_async(
        made.id, {"features": {"subscription_cancel": {"enabled": True, "mode": "immediately"}}}
    )
    assert changed.features.invoice_history.enabled
    assert changed.features.subscription_cancel.mode == "immediately"
    listed = await client.v1.billing_portal.configurations.list_async({"active": True})
    assert [c.id for c in listed.data] == [made.id]


async def test_a_page_pays_with_nothing_but_the_publishable_key_and_a_client_secret(
    stripe_sandbox: StripeSandbox,
    client: stripe.StripeClient,
    shop: Shop,
    browser: httpx.AsyncClient,
) -> None:
    """What the stand-in for Stripe.js sends."""
    subscription = await shop.subscription(
        await shop.customer(None),
        await shop.price(),
        payment_behavior="default_incomplete",
        expand=["latest_invoice.confirmation_secret"],
    )
    assert isinstance(subscription.latest_invoice, stripe.Invoice)
    assert subscription.latest_invoice.confirmation_secret is not None
    secret = subscription.latest_invoice.confirmation_secret.client_secret
    intent = f"{stripe_sandbox.url}/v1/payment_intents/{secret.split('_secret_')[0]}"
    key = {"key": stripe_sandbox.publishable_key}
    stolen = await browser.get(intent, params=key)
    assert stolen.status_code == 404
    card = {"type": "card", "card[number]": GOOD.replace(" ", ""), **key}
    method = await browser.post(f"{stripe_sandbox.url}/v1/payment_methods", data=card)
    assert method.headers["access-control-allow-origin"] == "*"
    paid = await browser.post(
        f"{intent}/confirm",
        data={"client_secret": secret, "payment_method": method.json()["id"], **key},
    )
    assert paid.json()["status"] == "succeeded"
    active = await client.v1.subscriptions.retrieve_async(subscription.id)
    assert active.status == "active"


# A page with as much of a document as Elements need; what the card's holder does is the argument.
_PAGE = """
const card = process.argv[1], secret = process.argv[2], key = process.argv[3];
const made = [];
class Node {
  constructor(tag) { this.tag = tag; this.style = {}; this.value = ""; made.push(this); }
  append(...children) { for (const child of children) if (child.src) answer(child.src); }
  replaceChildren() {}
  remove() {}
  addEventListener() {}
}
let told;
const answer = async (url) => {
  await fetch(url, { method: "POST", body: new URLSearchParams({ answer: "complete" }) });
  told({ data: "3ds-complete" });
};
globalThis.document = {
  body: new Node("body"),
  createElement: (tag) => new Node(tag),
  querySelector: () => new Node("div"),
};
globalThis.window = globalThis;
globalThis.addEventListener = (_, listener) => { told = listener; };
globalThis.removeEventListener = () => {};
const script = await (await fetch(process.argv[4] + "/v3/")).text();
(0, eval)(script);
const stripe = Stripe(key);
const elements = stripe.elements({ clientSecret: secret });
elements.create("payment").mount("#payment");
made.find((node) => node.name === "number").value = card;
const confirm = secret.startsWith("seti_") ? stripe.confirmSetup : stripe.confirmPayment;
const result = await confirm({ elements, redirect: "if_required" });
const intent = result.paymentIntent ?? result.setupIntent;
console.log(intent ? intent.status : result.error.code);
process.exit(0);
"""


@pytest.mark.skipif(shutil.which("node") is None, reason="Node is not installed")
@pytest.mark.parametrize("trial", [False, True])
@pytest.mark.parametrize(
    ("card", "outcome"),
    [(GOOD, "succeeded"), (DECLINED, "card_declined"), (CHALLENGED, "succeeded")],
)
async def test_elements_confirm_on_a_page(
    stripe_sandbox: StripeSandbox, shop: Shop, trial: bool, card: str, outcome: str
) -> None:

    more: dict[str, Any] = {"trial_period_days": 180} if trial else {}
    subscription = await shop.subscription(
        await shop.customer(None),
        await shop.price(),
        payment_behavior="default_incomplete",
        expand=["latest_invoice.confirmation_secret", "pending_setup_intent"],
        **more,
    )
    if trial:
        assert isinstance(subscription.pending_setup_intent, stripe.SetupIntent)
        secret = str(subscription.pending_setup_intent.client_secret)
    else:
        assert isinstance(subscription.latest_invoice, stripe.Invoice)
        assert subscription.latest_invoice.confirmation_secret is not None
        secret = subscription.latest_invoice.confirmation_secret.client_secret
    arguments = (card, secret, stripe_sandbox.publishable_key, stripe_sandbox.url)
    page = await asyncio.create_subprocess_exec(
        "node",
        "--input-type=module",
        "--eval",
        _PAGE,
        *arguments,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
    )
    said, problem = await page.communicate()
    assert said.decode().strip() == outcome, problem.decode()


async def test_a_portal_session_for_one_thing_shows_that_alone_and_leads_back(
    client: stripe.StripeClient, shop: Shop, browser: httpx.AsyncClient
) -> None:
    customer = await shop.customer()
    subscription = await shop.subscription(customer, await shop.price())
    session = await client.v1.billing_portal.sessions.create_async(
        {
            "customer": customer.id,
            "flow_data": {
                "type": "subscription_cancel",
                "subscription_cancel": {"subscription": subscription.id},
                "after_completion": {
                    "type": "redirect",
                    "redirect": {"return_url": "https://shop.example/gone"},
                },
            },
        }
    )
    assert session.flow is not None
    assert session.flow.type == "subscription_cancel"
    page = await browser.get(session.url)
    assert "/cancel" in page.text
    assert "Payment method" not in page.text
    assert "Invoices" not in page.text
    form = {"subscription": subscription.id}
    done = await browser.post(f"{session.url}/cancel", data=form)
    assert done.headers["location"] == "https://shop.example/gone"
    shown = await client.v1.subscriptions.retrieve_async(subscription.id)
    assert shown.cancel_at is not None


async def test_without_a_way_on_the_whole_portal_follows(
    client: stripe.StripeClient, shop: Shop, browser: httpx.AsyncClient
) -> None:
    customer = await shop.customer()
    session = await client.v1.billing_portal.sessions.create_async(
        {"customer": customer.id, "flow_data": {"type": "payment_method_update"}}
    )
    assert "Invoices" not in (await browser.get(session.url)).text
    done = await browser.post(f"{session.url}/card", data={"card": GOOD})
    assert done.headers["location"] == session.url
    assert "Invoices" in (await browser.get(session.url)).text


async def test_a_flow_must_be_about_a_subscription_of_the_customer(
    client: stripe.StripeClient, shop: Shop
) -> None:
    others = await shop.subscription(await shop.customer(), await shop.price())
    customer = await shop.customer()
    with pytest.raises(stripe.InvalidRequestError, match="another customer's"):
        await client.v1.billing_portal.sessions.create_async(
            {
                "customer": customer.id,
                "flow_data": {
                    "type": "subscription_cancel",
                    "subscription_cancel": {"subscription": others.id},
                },
            }
        )
    with pytest.raises(stripe.InvalidRequestError, match="not enabled"):
        await client.v1.billing_portal.sessions.create_async(
            {
                "customer": customer.id,
                "flow_data": {
                    "type": "subscription_update",
                    "subscription_update": {"subscription": others.id},
                },
            }
        )


async def test_checkout_can_be_tried_again_from_the_page_of_the_bank_that_refused(
    client: stripe.StripeClient, shop: Shop, browser: httpx.AsyncClient
) -> None:
    """There the form is shown under the bank's address, and must not be sent to it."""
    session = await _checkout(client, await shop.price())
    asked = await _pay(browser, session, CHALLENGED)
    again = await browser.post(asked.headers["location"], data={"answer": "fail"})
    assert f'action="/c/pay/{session.id}"' in again.text


async def test_the_control_panel_shows_time_and_webhooks_and_steers_them(
    stripe_sandbox: StripeSandbox, shop: Shop, receiver: Receiver, browser: httpx.AsyncClient
) -> None:
    await shop.customer()
    await stripe_sandbox.settle()
    panel = (await browser.get(f"{stripe_sandbox.url}/sandbox")).text
    assert "Today is 01 March 2027" in panel
    assert "customer.created" in panel
    offered = re.findall(r'<form action="(/sandbox/[^"]+)"', panel)
    assert len(offered) == 5
    for path in offered:
        # With nothing filled in it changes nothing, and every path is one that there is.
        answer = await browser.post(f"{stripe_sandbox.url}{path}", json={})
        assert answer.status_code == 200, answer.text
