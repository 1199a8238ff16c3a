"""Webhooks are lost at Stripe, and what is missing here is found and mended: the real container,
PostgreSQL, and the stand-in for Stripe behind its HTTP API.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Sequence
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import UUID, uuid4

import pytest
import sqlalchemy as sa
import stripe
from dependency_injector import providers

from domain.subscription import Status, Subscription, subscription_id
from ports.inbox import WebhookQuery
from ports.payment_provider import ProviderUnavailable
from ports.provider_records import ProviderRecords
from ports.purchases import ProviderSubscription
from sandbox.stripe.server import StripeSandbox
from service import cli, logs, settings
from service.reconcile import Drifted, Finding, Reconciliation, Undelivered
from service.wiring import Container
from tests.databases import migrated_database, migrated_url, owner_url
from tests.sandbox.receiver import Receiver
from tests.sandbox.shop import Shop
from tests.unit.test_wiring import ENVIRONMENT

__all__ = ["migrated_database", "migrated_url", "owner_url"]


class SandboxClock:
    """The time at the sandbox, a little later: so that nothing counts as still on its way."""

    def __init__(self, sandbox: StripeSandbox) -> None:
        self._sandbox = sandbox
        self.later = timedelta(minutes=5)

    def now(self) -> datetime:
        return datetime.fromtimestamp(self._sandbox.clock.now(), UTC) + self.later


class Service:
    """The service behind a broken line: nothing is delivered unless the test does it."""

    def __init__(self, container: Container) -> None:
        self.container = container
        self.findings: list[Finding] = []

    async def reconcile(self, **how: Any) -> Reconciliation:
        """Compare, then work off what came of it."""
        self.findings = []
        result = await self.container.reconcile()(found=self.findings.append, **how)
        await self.work_off()
        return result

    async def work_off(self) -> None:
        """Have a worker do whatever is due."""
        await self.container.partitions().renew()
        inbox, lookups = self.container.process_inbox(), self.container.lookups()
        while await inbox.run_once() or lookups.busy_keys:
            while lookups.busy_keys:
                await next(iter(lookups._asking.values()))

    async def take(self, receiver: Receiver) -> None:
        """Take in what has reached this receiver."""
        for headers, body in receiver.deliveries:
            webhooks = self.container.webhooks()
            taken = webhooks.receive(
                body, headers["stripe-signature"], now=datetime.now(UTC), traceparent="trace"
            )
            await self.container.intake().record(taken)
        receiver.deliveries.clear()
        await self.work_off()

    async def subscriptions(self, *refs: str) -> dict[str, Subscription]:
        async with self.container.unit_of_work() as uow:
            return {one.subscription_ref: one for one in await uow.subscriptions.find(refs)}

    async def status(self, ref: str) -> str:
        return (await self.subscriptions(ref))[ref].status

    async def outcomes(self) -> set[str]:
        async with self.container.unit_of_work() as uow:
            return {one.state for one in await uow.inbox.find(WebhookQuery(limit=1_000))}

    async def messages(self, ref: str) -> list[tuple[int, str]]:
        async with self.container.unit_of_work() as uow:
            share = self.container.partitions().held()
            waiting = await uow.outbox.claim(share, limit=1_000)
        return [
            (one.version, one.type.split(".", 1)[1])
            for one in waiting
            if one.subscription_id == subscription_id(ref)
        ]

    async def corrupt(self, ref: str, **facts: Any) -> None:
        """Write something into the row that Stripe never said."""
        async with self.container.unit_of_work() as uow:
            (ours,) = await uow.subscriptions.find([ref])
            ours.facts = replace(ours.facts, **facts)
            await uow.subscriptions.save([ours])
            await uow.commit()


@pytest.fixture
async def service(stripe_sandbox: StripeSandbox, migrated_url: str) -> AsyncIterator[Service]:
    environment = ENVIRONMENT | {
        "DATABASE_URL": migrated_url,
        "STRIPE_SECRET_KEY": stripe_sandbox.api_key,
        "STRIPE_API_BASE": stripe_sandbox.url,
        "STRIPE_WEBHOOK_SECRET": stripe_sandbox.webhook_secret,
    }
    container = Container(
        settings=settings.load("serve", environment),
        clock=providers.Object(SandboxClock(stripe_sandbox)),
    )
    yield Service(container)
    await container.intake().close()
    await container.lookups().close()
    await container.stripe_api().close()
    await container.engine().dispose()
    await container.users_engine().dispose()


@pytest.fixture
async def price(shop: Shop) -> stripe.Price:
    for lookup_key in ("general_annual", "event_organizer_monthly", "event_organizer_annual"):
        await shop.price(lookup_key=lookup_key)
    return await shop.price(lookup_key="general_monthly")


async def subscribe(
    shop: Shop, price: stripe.Price, user: UUID | None = None, **params: Any
) -> stripe.Subscription:
    metadata = {"user_id": str(user or uuid4())}
    customer = await shop.customer(metadata=metadata)
    return await shop.subscription(customer, price, metadata=metadata, **params)


async def test_what_was_never_delivered_is_taken_in_and_ends_as_at_stripe(
    service: Service,
    stripe_sandbox: StripeSandbox,
    client: stripe.StripeClient,
    shop: Shop,
    price: stripe.Price,
) -> None:
    trial = await subscribe(shop, price, trial_period_days=10)
    await stripe_sandbox.advance(days=11)
    running = await subscribe(shop, price)
    ended = await subscribe(shop, price)
    await client.v1.subscriptions.cancel_async(ended.id)

    result = await service.reconcile(since=service.container.clock().now() - timedelta(days=30))

    assert result.undelivered == result.events > 0
    assert {
        ref: one.status
        for ref, one in (await service.subscriptions(trial.id, running.id, ended.id)).items()
    } == {trial.id: "active", running.id: "active", ended.id: "canceled"}
    assert await service.outcomes() <= {"applied", "stale", "ignored"}
    # The whole story is told, because the oldest was taken in first.
    told = await service.messages(trial.id)
    assert [version for version, _ in told] == list(range(1, len(told) + 1))
    assert [kind for _, kind in told][:3] == [
        "subscription.activated.v1",
        "subscription.trial_ending.v1",
        "subscription.status_changed.v1",
    ]
    assert [kind for _, kind in await service.messages(ended.id) if "payment" not in kind] == [
        "subscription.activated.v1",
        "subscription.status_changed.v1",
        "subscription.canceled.v1",
    ]


async def test_doing_it_again_finds_and_changes_nothing(
    service: Service, shop: Shop, price: stripe.Price
) -> None:
    subscription = await subscribe(shop, price)
    await service.reconcile()
    before = await service.subscriptions(subscription.id)

    again = await service.reconcile()

    assert (again.undelivered, again.drifted) == (0, 0)
    assert again.events > 0
    assert again.subscriptions == 1
    assert service.findings == []
    assert await service.subscriptions(subscription.id) == before


async def test_a_dry_run_says_what_differs_and_leaves_it(
    service: Service, shop: Shop, price: stripe.Price
) -> None:
    subscription = await subscribe(shop, price)

    result = await service.reconcile(dry_run=True)

    assert result.undelivered > 0
    assert Drifted(subscription.id, None) in service.findings
    types = {one.event_type for one in service.findings if isinstance(one, Undelivered)}
    assert "customer.subscription.created" in types
    assert await service.outcomes() == set()
    assert await service.subscriptions(subscription.id) == {}


async def test_only_what_was_lost_is_taken_in(
    service: Service,
    stripe_sandbox: StripeSandbox,
    client: stripe.StripeClient,
    receiver: Receiver,
    shop: Shop,
    price: stripe.Price,
) -> None:
    subscription = await subscribe(shop, price)
    await stripe_sandbox.outbox.deliver_due()
    await service.take(receiver)
    stripe_sandbox.outbox.mischief.lose = 1.0
    await stripe_sandbox.advance(hours=1)
    await client.v1.subscriptions.update_async(subscription.id, {"cancel_at_period_end": True})

    result = await service.reconcile()

    assert result.undelivered == 1
    assert (await service.subscriptions(subscription.id))[subscription.id].facts.cancel_at


async def test_a_subscription_whose_events_are_forgotten_is_mended_from_what_it_is(
    service: Service,
    stripe_sandbox: StripeSandbox,
    client: stripe.StripeClient,
    shop: Shop,
    price: stripe.Price,
) -> None:
    unknown = await subscribe(shop, price)
    known = await subscribe(shop, price)
    await service.reconcile()
    async with service.container.unit_of_work() as uow:
        assert len(await uow.subscriptions.find([unknown.id, known.id])) == 2
    await client.v1.subscriptions.cancel_async(known.id)
    missing = await subscribe(shop, price, trial_period_days=90)
    await stripe_sandbox.advance(days=32)  # Stripe lists the events of thirty days

    result = await service.reconcile()

    assert result.drifted >= 2
    assert await service.status(known.id) == Status.CANCELED
    assert await service.status(missing.id) == Status.TRIALING
    assert (await service.reconcile()).drifted == 0


async def test_a_row_that_differs_is_mended_though_nothing_has_happened_since(
    service: Service, shop: Shop, price: stripe.Price
) -> None:
    subscription = await subscribe(shop, price)
    await service.reconcile()
    before = await service.subscriptions(subscription.id)
    for _ in range(2):  # the second time the same report is known already
        await service.corrupt(subscription.id, status="past_due")

        result = await service.reconcile()

        (drift,) = service.findings
        assert drift == Drifted(subscription.id, {"status": ("past_due", "active")})
        assert (result.drifted, result.unmendable) == (1, 0)
        after = (await service.subscriptions(subscription.id))[subscription.id]
        assert after.facts == before[subscription.id].facts


async def test_a_report_whose_payload_was_erased_is_made_anew(
    service: Service, shop: Shop, price: stripe.Price
) -> None:
    subscription = await subscribe(shop, price)
    await service.reconcile()
    for _ in range(2):  # the first time the report becomes known
        await service.corrupt(subscription.id, status="past_due")
        result = await service.reconcile()
        async with service.container.engine().begin() as connection:
            await connection.execute(
                sa.text("UPDATE payments.stripe_webhook_events SET payload = NULL WHERE processed")
            )

    assert (result.drifted, result.mended) == (1, 1)
    assert await service.status(subscription.id) == Status.ACTIVE

    await service.corrupt(subscription.id, status="past_due")
    result = await service.reconcile()  # the third on this day, and all payloads are gone

    assert (result.drifted, result.mended) == (1, 0)
    assert await service.status(subscription.id) == Status.PAST_DUE


async def test_what_has_just_changed_is_no_drift_and_a_minute_later_it_is(
    service: Service, client: stripe.StripeClient, shop: Shop, price: stripe.Price
) -> None:
    subscription = await subscribe(shop, price)
    await service.reconcile()
    await client.v1.subscriptions.cancel_async(subscription.id)
    clock = service.container.clock()
    assert isinstance(clock, SandboxClock)

    clock.later = timedelta(seconds=30)
    result = await service.reconcile(dry_run=True)
    assert (result.subscriptions, result.drifted) == (1, 0)

    clock.later = timedelta(minutes=2)
    result = await service.reconcile(dry_run=True)
    assert (result.subscriptions, result.drifted) == (1, 1)


async def test_what_is_kept_of_an_end_is_mended_too(
    service: Service, client: stripe.StripeClient, shop: Shop, price: stripe.Price
) -> None:
    subscription = await subscribe(shop, price)
    await client.v1.subscriptions.cancel_async(subscription.id)
    await service.reconcile()
    right = (await service.subscriptions(subscription.id))[subscription.id].facts
    assert right.end is not None
    await service.corrupt(subscription.id, end=right.end + timedelta(days=3))

    await service.reconcile()

    assert (await service.subscriptions(subscription.id))[subscription.id].facts == right


async def test_what_ended_here_stays_ended_and_is_shown(
    service: Service, shop: Shop, price: stripe.Price
) -> None:
    subscription = await subscribe(shop, price)
    await service.reconcile()
    await service.corrupt(subscription.id, status="canceled")

    result = await service.reconcile()

    assert (result.drifted, result.unmendable) == (1, 1)
    assert await service.status(subscription.id) == Status.CANCELED


async def test_the_subscriptions_of_another_product_are_left_alone(
    service: Service, shop: Shop, price: stripe.Price
) -> None:
    foreign = await shop.subscription(await shop.customer(), await shop.price())

    result = await service.reconcile()

    assert result.drifted == 0
    assert await service.subscriptions(foreign.id) == {}


async def test_many_pages_are_looked_through(
    service: Service, shop: Shop, price: stripe.Price
) -> None:
    user = {"user_id": str(uuid4())}
    customer = await shop.customer(metadata=user)
    refs = [
        (await shop.subscription(customer, price, metadata=user, trial_period_days=5)).id
        for _ in range(105)
    ]

    result = await service.reconcile()

    assert result.events > 200
    assert result.subscriptions == 105
    assert len(await service.subscriptions(*refs)) == 105


class CutOff:
    """Stripe's records, two subscriptions at a time: at the third the time is up."""

    def __init__(self, records: ProviderRecords) -> None:
        self.events = records.events
        self._records = records

    async def subscriptions(
        self, until: datetime | None = None
    ) -> AsyncIterator[Sequence[ProviderSubscription]]:
        left = 2
        async for page in self._records.subscriptions(until):
            for one in page:
                if not left:
                    raise TimeoutError
                left -= 1
                yield [one]


async def test_runs_that_are_cut_off_reach_the_oldest_in_the_end(
    service: Service, stripe_sandbox: StripeSandbox, shop: Shop, price: stripe.Price
) -> None:
    refs = []
    for _ in range(4):
        refs.append((await subscribe(shop, price)).id)
        await stripe_sandbox.advance(hours=1)
    await service.reconcile()
    for ref in refs:
        await service.corrupt(ref, status="past_due")
    container = service.container
    records = CutOff(container.provider_records())
    with container.provider_records.override(providers.Object(records)):
        container.reconcile.reset()  # it has the records that were cut off by nobody
        jobs = container.housekeeping()
        for _ in range(3):
            await jobs.run_once()
            await service.work_off()
            async with container.engine().begin() as connection:
                await connection.execute(
                    sa.text("UPDATE payments.scheduled_jobs SET due_at = now()")
                )

    subscriptions = await service.subscriptions(*refs)
    assert {ref: subscriptions[ref].status for ref in refs} == dict.fromkeys(refs, "active")


async def test_while_stripe_is_away_nothing_is_changed_and_later_it_goes_on(
    service: Service, stripe_sandbox: StripeSandbox, shop: Shop, price: stripe.Price
) -> None:
    subscription = await subscribe(shop, price)
    # Each call is repeated twice by the SDK.
    stripe_sandbox.control.add_fault("/v1/events", method="GET", status=500, times=3)
    with pytest.raises(ProviderUnavailable):
        await service.reconcile()
    assert await service.subscriptions(subscription.id) == {}

    stripe_sandbox.control.add_fault("/v1/subscriptions", method="GET", status=500, times=3)
    with pytest.raises(ProviderUnavailable):
        await service.reconcile()
    await service.work_off()
    assert await service.status(subscription.id) == Status.ACTIVE

    assert (await service.reconcile()).drifted == 0


async def test_the_command_shows_a_table_and_mends(
    service: Service,
    shop: Shop,
    price: stripe.Price,
    stripe_sandbox: StripeSandbox,
    migrated_url: str,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.setattr(logs, "configure", lambda *_: None)  # the log stays as the tests have it
    subscription = await subscribe(shop, price)
    await service.reconcile()
    await service.corrupt(subscription.id, status="past_due")
    for name, value in {
        "DATABASE_URL": migrated_url,
        "STRIPE_SECRET_KEY": stripe_sandbox.api_key,
        "STRIPE_API_BASE": stripe_sandbox.url,
        "LOG_LEVEL": "error",
    }.items():
        monkeypatch.setenv(name, value)

    assert await asyncio.to_thread(cli.main, ["reconcile", "--dry-run"]) == 0
    shown = capsys.readouterr().out.splitlines()
    assert shown[:2] == [
        f"differs        {subscription.id}",
        "    status                past_due here, active at Stripe",
    ]
    assert shown[-1] == "subscriptions  1 looked at, 1 differ, 1 would be mended"
    await service.work_off()
    assert await service.status(subscription.id) == Status.PAST_DUE

    assert await asyncio.to_thread(cli.main, ["reconcile"]) == 0
    await service.work_off()
    assert await service.status(subscription.id) == Status.ACTIVE


@pytest.mark.parametrize("since", ["2020-01-01", "yesterday"])
def test_a_beginning_that_cannot_be_is_refused(
    since: str, capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(SystemExit):
        cli.main(["reconcile", "--since", since])
    assert "--since" in capsys.readouterr().err
