"""The application and a Stripe that has a memory, does the arithmetic and takes the money."""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from functools import partial
from typing import Any, Final

import pytest
import stripe
from httpx import AsyncClient, Response

from sandbox.stripe.server import StripeSandbox
from service.wiring import Container
from tests.api.conftest import (
    Somebody,
    application,
    deliver,
    environment_of,
    work_off,
    working,
)
from tests.api.stripe_api import serve
from tests.databases import migrated_database, migrated_url, owner_url
from tests.money.wire import Rival, Wire

__all__ = ["migrated_database", "migrated_url", "owner_url"]

# More requests than anything that is raced takes: a rival that still does not come last never will.
_ENDLESS: Final = 50
# Where the tests begin in time: a March has 31 days, which divide a price into odd cents.
START: Final = 1_803_902_400
GOOD_CARD: Final = "pm_card_visa"
POOR_CARD: Final = "pm_card_chargeDeclinedInsufficientFunds"
# Can be saved, and is declined whenever it is charged.
TREACHEROUS_CARD: Final = "pm_card_chargeCustomerFail"
# Wants its holder at every payment.
WARY_CARD: Final = "pm_card_authenticationRequired"


class SandboxClock:
    """The time at Stripe is the time here, unless ours is `behind`."""

    def __init__(self, sandbox: StripeSandbox) -> None:
        self._sandbox = sandbox
        self.behind = timedelta()

    def now(self) -> datetime:
        return datetime.fromtimestamp(self._sandbox.clock.now(), UTC) - self.behind


@dataclass
class Till:
    """A shop with one cash register: everything a test of money can touch."""

    container: Container
    browser: AsyncClient
    sandbox: StripeSandbox
    clock: SandboxClock
    wire: Wire
    stripe: stripe.StripeClient

    def price(self, lookup_key: str) -> str:
        """The price sold under this key."""
        found = self.container.prices().current_ref(lookup_key)
        assert found is not None, "the catalog was set up"
        return found

    async def somebody(self, *, trial: bool = False) -> Somebody:
        """A new user; without a trial one who had it before."""
        user = Somebody(self.browser)
        if not trial:
            async with self.container.unit_of_work() as uow:
                await uow.trials.redeem([user.id])
                await uow.commit()
        return user

    async def subscriber(
        self, lookup_key: str, *, card: str = GOOD_CARD, trial: bool = False
    ) -> Somebody:
        """Somebody whose subscription runs, on a card that takes every payment at first."""
        user = await self.somebody(trial=trial)
        begun = (await user.subscribe(self.price(lookup_key))).json()
        await self.confirm(begun, card if trial else GOOD_CARD)
        await self.tell_of(user)
        if card != GOOD_CARD:
            await self.pay_with(user, card)
        return user

    async def confirm(self, begun: dict[str, Any], card: str = GOOD_CARD) -> Any:
        """The buyer confirms a client secret on the page. Raises what Stripe answers."""
        id_ = begun["clientSecret"].partition("_secret_")[0]
        if id_.startswith("seti_"):
            return await self.stripe.v1.setup_intents.confirm_async(id_, {"payment_method": card})
        return await self.stripe.v1.payment_intents.confirm_async(id_, {"payment_method": card})

    async def pass_challenge(self, waiting: dict[str, Any]) -> bool:
        """The card's holder consents on the bank's page; False where nobody asks any more."""
        id_ = waiting["clientSecret"].partition("_secret_")[0]
        async with AsyncClient(base_url=self.sandbox.url) as bank:
            await bank.post(f"/3d-secure/{id_}", data={"answer": "complete"})
        [intent] = [one for one in self.all("payment_intent") if one["id"] == id_]
        return bool(intent["status"] == "succeeded")

    async def consent(self, waiting: dict[str, Any]) -> None:
        """The same. Raises stripe.StripeError where nobody asks any more."""
        if not await self.pass_challenge(waiting):
            raise stripe.StripeError("nothing is to be consented to any more")

    async def fill_in(self, session_id: str, card: str = GOOD_CARD) -> Any:
        """The buyer pays on Stripe's page. Raises what Stripe answers."""
        return await self.stripe.raw_request_async(
            "post", f"/v1/payment_pages/{session_id}/confirm", payment_method=card
        )

    async def deliver(self, event: dict[str, Any]) -> None:
        """One of Stripe's webhooks arrives."""
        await deliver(self.browser, event, self.sandbox.clock.now())

    def deletion_of(self, customer_ref: str) -> dict[str, Any]:
        """The webhook that says that a customer was deleted."""
        return {
            "id": f"evt_deletion_of_{customer_ref}",
            "object": "event",
            "type": "customer.deleted",
            "created": self.sandbox.clock.now(),
            "livemode": False,
            "data": {"object": {"id": customer_ref, "object": "customer"}},
        }

    async def work_off(self) -> None:
        """Have a worker do whatever is due."""
        await work_off(self.container)

    async def pay_with(self, user: Somebody, card: str) -> None:
        """The subscriber takes another card for what is to come."""
        [subscription] = self.subscriptions(user)
        customer = subscription["customer"]
        method = await self.stripe.v1.payment_methods.attach_async(card, {"customer": customer})
        await self.stripe.v1.subscriptions.update_async(
            subscription["id"], {"default_payment_method": method.id}
        )

    async def give_credit(self, user: Somebody, amount: int) -> None:
        """The operator owes the user so many cents."""
        customer = (await user("POST", "/customers")).json()["customerId"]
        await self.stripe.v1.customers.update_async(customer, {"balance": -amount})

    async def put_a_card_on_file(self, customer: str) -> None:
        """The customer gives a card for whatever is to be paid."""
        method = await self.stripe.v1.payment_methods.attach_async(
            GOOD_CARD, {"customer": customer}
        )
        await self.stripe.v1.customers.update_async(
            customer, {"invoice_settings": {"default_payment_method": method.id}}
        )

    async def tell_of(self, user: Somebody) -> None:
        """Stripe's webhooks of what has become of the subscriptions arrive."""
        for subscription in self.subscriptions(user):
            await self.container.own_webhooks().tell(subscription["id"])
        await self.work_off()

    def all(self, kind: str) -> list[dict[str, Any]]:
        """Every object of a kind, the oldest first."""
        return list(self.sandbox.world.store.all(kind))

    def subscriptions(self, user: Somebody) -> list[dict[str, Any]]:
        """What this user ever began, the oldest first."""
        return [s for s in self.all("subscription") if s["metadata"]["user_id"] == str(user.id)]

    def taken(self, user: Somebody) -> list[int]:
        """What was charged for this user, in cents."""
        customers = {s["customer"] for s in self.subscriptions(user)}
        return [
            charge["amount"]
            for charge in self.all("charge")
            if charge["customer"] in customers and charge["status"] == "succeeded"
        ]


def race(till: Till, times: int) -> Iterator[Callable[[Callable[[], Awaitable[object]]], Rival]]:
    """Every moment at which somebody else may act while a request of ours is worked on: right
    before and right after each request to Stripe that it takes, and when it is over; and again from
    the first one on, until there were so many.
    """
    played, passes, step = 0, 0, 0
    while played < times or not passes:
        for before in (True, False):
            yield partial(till.wire.rival, number=step, before=before)
            played += 1
        step += 1
        assert step < _ENDLESS
        if till.wire.rival_came_last:
            assert step > 1, "what is raced asks nothing of Stripe"
            passes, step = passes + 1, 0


@dataclass
class Subscriber:
    """Somebody who looks, changes and cancels."""

    user: Somebody
    id: str

    async def preview(self, price: str) -> Response:
        return await self.user("POST", f"/subscriptions/{self.id}/preview", {"priceId": price})

    async def change(self, price: str, shown: Response | str) -> Response:
        date = shown if isinstance(shown, str) else shown.json()["prorationDate"]
        return await self.user(
            "PATCH", f"/subscriptions/{self.id}", {"priceId": price, "prorationDate": date}
        )

    async def cancel(self, *, immediately: bool = False) -> Response:
        query = "?immediately=true" if immediately else ""
        return await self.user("DELETE", f"/subscriptions/{self.id}{query}")

    async def resume(self) -> Response:
        return await self.user("POST", f"/subscriptions/{self.id}/resume")


async def at(user: Somebody) -> Subscriber:
    """The subscriber at their subscription."""
    return Subscriber(user, (await user("GET", "/subscription")).json()["id"])


@asynccontextmanager
async def open_till(migrated_url: str) -> AsyncIterator[Till]:
    """A till on this database."""
    async with StripeSandbox(start=START, runs=False) as sandbox:
        wire = Wire(sandbox.app)
        http = stripe.HTTPXClient()
        client = stripe.StripeClient(
            sandbox.api_key, base_addresses={"api": sandbox.url}, http_client=http
        )
        async with serve(wire) as url:
            environment = environment_of(migrated_url, url) | {"STRIPE_SECRET_KEY": sandbox.api_key}
            clock = SandboxClock(sandbox)
            async with application(environment, clock) as (container, browser):
                await container.sync_catalog()()
                await container.learn_prices().run_once()
                yield Till(container, browser, sandbox, clock, wire, client)
        await http.close_async()  # type: ignore[no-untyped-call]  # the SDK's own


@pytest.fixture
async def till(migrated_url: str) -> AsyncIterator[Till]:
    async with open_till(migrated_url) as till:
        yield till


@pytest.fixture
async def worker(till: Till) -> AsyncIterator[None]:
    """A worker beside the API, and the API's ear for it."""
    async with working(till.container):
        yield
