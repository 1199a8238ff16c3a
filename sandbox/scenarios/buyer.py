"""A user with a browser: signs in at the gateway, buys on Stripe's pages, asks the service."""

from __future__ import annotations

from typing import Any, Final
from uuid import uuid4

import httpx

from sandbox.scenarios.browser import Browser, Failed, Page
from sandbox.scenarios.timeline import Timeline
from sandbox.users_service import UsersService, UsersView

GOOD: Final = "4242 4242 4242 4242"
DECLINED: Final = "4000 0000 0000 9995"
CHALLENGED: Final = "4000 0000 0000 3220"
# Can be saved, but is declined whenever it is charged.
FAILING: Final = "4000 0000 0000 0341"

# Seconds for a webhook to become a message.
PATIENCE: Final = 60.0


class Buyer:
    """Somebody who has never been here before. `client` keeps their cookies."""

    def __init__(self, client: httpx.AsyncClient, users: UsersService, timeline: Timeline) -> None:
        self._client = client
        self._users = users
        self._timeline = timeline
        self.browser = Browser(client)
        self.id = ""

    async def sign_in(self) -> None:
        """Become a user."""
        answer = await self._client.post("/session", json={"user": "new"})
        self.id = _checked(answer)["user"]["id"]

    def does(self, what: str) -> None:
        """Have the timeline say so."""
        if self._timeline.details:
            self._timeline.tell("user", what, user=self.id)

    async def call(self, method: str, path: str, **body: Any) -> Any:
        """What the service answers. Raises Failed where it is a refusal."""
        answer = await self._client.request(
            method,
            f"/api/payments/{path}",
            json=body or None,
            headers={} if method == "GET" else {"Idempotency-Key": uuid4().hex},
        )
        return _checked(answer)

    async def price(self, lookup_key: str) -> str:
        """The price under this lookup key, as pages learn it. Raises Failed."""
        config = await self.call("GET", "config")
        for plan in config["plans"]:
            for price in plan["prices"]:
                if price["lookupKey"] == lookup_key and price["priceId"]:
                    return str(price["priceId"])
        raise Failed(f"no price {lookup_key} is offered")

    async def open_checkout(self, lookup_key: str) -> Page:
        """Stripe's page for buying this."""
        self.does(f"opens Checkout for {lookup_key}")
        home = str(self._client.base_url)
        started = await self.call(
            "POST",
            "create-checkout-session",
            priceId=await self.price(lookup_key),
            successUrl=f"{home}?session_id={{CHECKOUT_SESSION_ID}}",
            cancelUrl=home,
        )
        return await self.browser.open(started["sessionUrl"])

    async def pay(self, checkout: Page, card: str) -> Page:
        """Fill in Checkout; the answer is the page that comes next."""
        self.does(f"pays with {card}")
        return await self.browser.submit(checkout, name="A buyer", card=card)

    async def subscribe(self, lookup_key: str, card: str = GOOD) -> None:
        """Buy, and come back. Raises Failed where the browser does not end up on our page."""
        self.came_back(await self.pay(await self.open_checkout(lookup_key), card))

    def came_back(self, page: Page) -> str:
        """The Checkout session that our own page was told of. Raises Failed where it was not."""
        session = httpx.URL(page.url).params.get("session_id")
        if page.status != 200 or not page.url.startswith(str(self._client.base_url)) or not session:
            raise Failed(f"the browser ended up on {page.url} ({page.status}): {page.text}")
        self.does("is back on our page")
        return str(session)

    async def open_portal(self) -> Page:
        """Stripe's page for managing what was bought."""
        opened = await self.call(
            "POST", "create-portal-session", returnUrl=str(self._client.base_url)
        )
        return await self.browser.open(opened["sessionUrl"])

    async def save_card(self, card: str) -> None:
        """Pay with this card from now on."""
        self.does(f"saves {card} in the portal")
        page = await self.browser.submit(await self.open_portal(), action="/card", card=card)
        if page.status != 200:
            raise Failed(f"the portal did not take {card}: {page.text}")

    async def as_stripe_js(self, path: str, form: dict[str, str]) -> Any:
        """What Stripe.js on our page is answered by Stripe. Raises Failed where it refuses."""
        key = (await self.call("GET", "config"))["publishableKey"]
        status = _checked(await self._client.get("/sandbox/status"))
        url = f"{status['stripe']['url']}/v1/{path}"
        return _checked(await self._client.post(url, data={**form, "key": key}))

    async def becomes(self, status: str, *, access: bool) -> dict[str, Any]:
        """Wait until the users service believes this status, and see that the service shows it.

        Raises Failed.
        """

        def believed(view: UsersView) -> bool:
            found = view.users.get(self.id, {}).values()
            return any(subscription.status == status for subscription in found)

        try:
            await self._users.until(believed, PATIENCE)
        except TimeoutError:
            seen = self._users.view.users.get(self.id)
            raise Failed(f"the users service did not hear of {status}: it has {seen}") from None
        shown: dict[str, Any] = await self.call("GET", "subscription")
        if (shown["status"], shown["hasAccess"]) != (status, access):
            raise Failed(f"the service shows {shown}, which should be {status}, access {access}")
        self.does(f"is {status}, {'with' if access else 'without'} access")
        return shown


def _checked(answer: httpx.Response) -> Any:
    found = answer.json() if answer.content else None
    if answer.is_success:
        return found
    request = answer.request
    raise Failed(f"{request.method} {request.url.path} was answered {answer.status_code}: {found}")
