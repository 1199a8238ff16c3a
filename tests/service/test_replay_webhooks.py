"""What did not come to a good end can be tried again, and only that."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import timedelta
from uuid import UUID

from adapters.memory.inbox import MemoryInbox
from adapters.memory.unit_of_work import MemoryUnitOfWork
from ports.inbox import KeptWebhook, WebhookQuery
from ports.payment_provider import ProviderCustomer
from service.replay_webhooks import ReplayWebhooks
from tests.service.house import House
from tests.stripe_payloads import USER, Payload, event, subscription

CREATED = "customer.subscription.created"
OTHER = UUID("00000000-0000-4000-8000-0000000000b0")


async def house_with_a_dead_and_an_applied() -> tuple[House, Payload, Payload]:
    house = House()
    house.provider.customers["cus_9"] = ProviderCustomer("cus_9", USER)
    dead = event(CREATED, subscription("sub_9", user_id=OTHER, customer="cus_9"))
    applied = event(CREATED, subscription())
    await house.run(dead, applied)
    assert house.outcomes([dead, applied]) == ["dead", "applied"]
    house.published()
    return house, dead, applied


async def test_a_dead_webhook_comes_through_once_its_cause_is_mended() -> None:
    house, dead, _ = await house_with_a_dead_and_an_applied()
    house.provider.customers["cus_9"] = ProviderCustomer("cus_9", OTHER)
    replay = await ReplayWebhooks(house.unit_of_work)(WebhookQuery(states=["dead"]))
    assert [kept.event_id for kept in replay.replayed] == [dead["id"]]
    await house.run()
    assert house.outcomes([dead]) == ["applied"]
    assert house.told() == ["subscription.activated"]


async def test_a_dry_run_changes_nothing() -> None:
    house, dead, _ = await house_with_a_dead_and_an_applied()
    before = house.store.tables
    replay = await ReplayWebhooks(house.unit_of_work)(
        WebhookQuery(event_ids=[dead["id"]]), dry_run=True
    )
    assert len(replay.replayed) == 1
    assert house.store.tables == before


async def test_what_was_applied_or_never_came_is_refused_with_the_reason() -> None:
    house, _, applied = await house_with_a_dead_and_an_applied()
    replays = ReplayWebhooks(house.unit_of_work)
    found = await replays(WebhookQuery(event_ids=[applied["id"], "evt_unknown"]))
    assert found.replayed == []
    assert set(found.refused) == {applied["id"], "evt_unknown"}


async def test_a_type_alone_finds_the_dead_behind_any_number_of_applied_ones() -> None:
    house, dead, _ = await house_with_a_dead_and_an_applied()
    replay = await ReplayWebhooks(house.unit_of_work)(WebhookQuery(event_type=CREATED, limit=1))
    assert [kept.event_id for kept in replay.replayed] == [dead["id"]]
    assert replay.refused == {}


async def test_the_states_are_counted() -> None:
    house, _, _ = await house_with_a_dead_and_an_applied()
    assert await ReplayWebhooks(house.unit_of_work).count() == {"dead": 1, "applied": 1}


async def test_what_a_worker_applies_meanwhile_is_refused_and_told_of_once() -> None:
    house = House()
    customer = house.provider.customers.pop("cus_1")
    trial = subscription(status="trialing", user_id=None)
    ending = event("customer.subscription.trial_will_end", trial)
    await house.run(event(CREATED, trial), ending)
    assert house.outcomes([ending]) == [None], "nobody knows yet whose it is"
    house.provider.customers["cus_1"] = customer

    class Slow(MemoryInbox):
        async def find(self, query: WebhookQuery) -> Sequence[KeptWebhook]:
            found = await super().find(query)
            house.clock.advance(timedelta(days=1))
            await house.run()  # as the worker that was quicker
            return found

    class Operator(MemoryUnitOfWork):
        async def __aenter__(self) -> Operator:
            await super().__aenter__()
            assert self._transaction is not None
            self.inbox = Slow(self._transaction)
            return self

    replay = await ReplayWebhooks(lambda: Operator(house.store))(
        WebhookQuery(event_ids=[ending["id"]])
    )
    await house.run()

    assert (list(replay.replayed), set(replay.refused)) == ([], {ending["id"]})
    assert house.told().count("subscription.trial_ending") == 1


async def test_what_was_discarded_is_dead_no_more_and_tried_only_where_it_is_named() -> None:
    house, dead, applied = await house_with_a_dead_and_an_applied()
    inbox = ReplayWebhooks(house.unit_of_work)

    assert list(await inbox.discard([dead["id"], applied["id"]])) == [dead["id"]]

    assert await inbox.count() == {"discarded": 1, "applied": 1}
    assert (await inbox(WebhookQuery(event_type=CREATED))).replayed == []
    house.provider.customers["cus_9"] = ProviderCustomer("cus_9", OTHER)
    named = await inbox(WebhookQuery(event_ids=[dead["id"]]))
    assert [kept.event_id for kept in named.replayed] == [dead["id"]]
    await house.run()
    assert house.outcomes([dead]) == ["applied"]
