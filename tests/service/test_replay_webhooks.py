"""What did not come to a good end can be tried again, and only that."""

from __future__ import annotations

from ports.inbox import WebhookQuery
from ports.payment_provider import ProviderCustomer
from service.replay_webhooks import ReplayWebhooks
from service.retry import RetryPolicy
from tests.service.house import House
from tests.stripe_payloads import USER, Payload, event, subscription

CREATED = "customer.subscription.created"


async def house_with_a_dead_and_an_applied() -> tuple[House, Payload, Payload]:
    house = House(retry=RetryPolicy(max_attempts=1))
    house.provider.customers["cus_9"] = ProviderCustomer("cus_9")
    dead = event(CREATED, subscription("sub_9", user_id=None, customer="cus_9"))
    applied = event(CREATED, subscription())
    await house.run(dead, applied)
    assert house.outcomes([dead, applied]) == ["dead", "applied"]
    house.published()
    return house, dead, applied


async def test_a_dead_webhook_comes_through_once_its_cause_is_mended() -> None:
    house, dead, _ = await house_with_a_dead_and_an_applied()
    house.provider.customers["cus_9"] = ProviderCustomer("cus_9", USER)
    house.store.tables.customers.clear()  # the user is cus_9's now
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


async def test_the_states_are_counted() -> None:
    house, _, _ = await house_with_a_dead_and_an_applied()
    assert await ReplayWebhooks(house.unit_of_work).count() == {"dead": 1, "applied": 1}
