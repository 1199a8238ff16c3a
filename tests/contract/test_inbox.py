"""ports/inbox.py, Inbox."""

from datetime import timedelta

import pytest

from ports.inbox import (
    LARGEST_CLAIM,
    ClaimedWebhook,
    Dead,
    Outcome,
    Postponed,
    Processed,
    State,
    Verdict,
    WebhookQuery,
)
from ports.partitions import LeaseLost, Partitions, Share, partition_of
from tests.contract.storages import Storage
from tests.contract.workers import claim_all, lone_worker, record, settle
from tests.examples import HOUR, keys_of_different_partitions, webhook

# A storage may take so long between writing a webhook down and being asked about it.
A_MOMENT = timedelta(minutes=1)


async def claim(
    storage: Storage,
    worker: Partitions,
    *,
    limit: int = 100,
    excluding: tuple[str, ...] = (),
) -> list[str]:
    """Give the ids of the events that can be claimed."""
    async with storage.unit_of_work() as uow:
        claimed = await uow.inbox.claim(worker.held(), limit=limit, excluding=excluding)
    return [webhook.event_id for webhook in claimed]


async def next_due(
    storage: Storage, share: Share, *, excluding: tuple[str, ...] = ()
) -> timedelta | None:
    async with storage.unit_of_work() as uow:
        return await uow.inbox.next_due(share, excluding=excluding)


async def wake_waiting(storage: Storage, *keys: str) -> None:
    async with storage.unit_of_work() as uow:
        await uow.inbox.wake_waiting(keys)
        await uow.commit()


async def claim_one(storage: Storage, worker: Partitions) -> ClaimedWebhook:
    [claimed] = await claim_all(storage, worker)
    return claimed


async def test_webhooks_are_claimed_in_the_order_of_their_arrival(storage: Storage) -> None:
    ids = [f"evt_{number}" for number in (3, 1, 2, 9, 5)]
    keys = keys_of_different_partitions(5)
    await record(
        storage, *(webhook(id_, ordering_key=key) for id_, key in zip(ids, keys, strict=True))
    )
    worker = await lone_worker(storage)

    assert await claim(storage, worker) == ids


async def test_no_more_than_the_limit_is_claimed_and_the_oldest_first(storage: Storage) -> None:
    await record(storage, webhook("evt_1"), webhook("evt_2"), webhook("evt_3"))
    worker = await lone_worker(storage)

    assert await claim(storage, worker, limit=2) == ["evt_1", "evt_2"]


async def test_large_webhooks_are_claimed_a_few_at_a_time_and_the_largest_alone(
    storage: Storage,
) -> None:
    third = bytes(LARGEST_CLAIM // 3 + 1)
    await record(storage, webhook("evt_1", payload=bytes(LARGEST_CLAIM + 1)))
    await record(storage, *(webhook(f"evt_{n}", payload=third) for n in range(2, 7)))
    worker = await lone_worker(storage)
    batches = []
    while claimed := await claim_all(storage, worker):
        batches.append([webhook.event_id for webhook in claimed])
        await settle(storage, *(Processed(one.id, Outcome.APPLIED) for one in claimed))

    assert batches == [["evt_1"], ["evt_2", "evt_3", "evt_4"], ["evt_5", "evt_6"]]


async def test_excluded_ordering_keys_are_passed_over(storage: Storage) -> None:
    await record(
        storage,
        webhook("evt_1", ordering_key="sub_1"),
        webhook("evt_2", ordering_key="sub_2"),
        webhook("evt_3", ordering_key="sub_1"),
    )
    worker = await lone_worker(storage)

    assert await claim(storage, worker, excluding=("sub_1",), limit=1) == ["evt_2"]


async def test_two_workers_claim_disjoint_parts_of_the_whole(storage: Storage) -> None:
    await record(storage, *(webhook(f"evt_{n}", ordering_key=f"sub_{n}") for n in range(100)))
    first, second = storage.partitions(), storage.partitions()
    for worker in (first, second, first, second):
        await worker.renew()

    async with storage.unit_of_work() as one, storage.unit_of_work() as other:
        ones = await one.inbox.claim(first.held(), limit=100)
        others = await other.inbox.claim(second.held(), limit=100)

    assert ones
    assert others
    assert {partition_of(w.ordering_key) for w in ones} <= first.held().partitions
    events = [webhook.event_id for webhook in [*ones, *others]]
    assert sorted(events) == sorted(f"evt_{n}" for n in range(100))


async def test_a_share_that_is_no_longer_the_workers_is_refused(storage: Storage) -> None:
    stalled, successor = await lone_worker(storage), storage.partitions()
    await storage.let_expire(stalled.held().worker)
    await successor.renew()

    async with storage.unit_of_work() as uow:
        with pytest.raises(LeaseLost):
            await uow.inbox.claim(stalled.held(), limit=1)


async def test_a_share_that_was_never_held_is_refused(storage: Storage) -> None:
    async with storage.unit_of_work() as uow:
        with pytest.raises(LeaseLost):
            await uow.inbox.claim(storage.partitions().held(), limit=1)


async def test_what_was_claimed_but_not_settled_is_claimed_again(storage: Storage) -> None:
    await record(storage, webhook("evt_1"))
    worker = await lone_worker(storage)

    assert await claim(storage, worker) == ["evt_1"]
    assert await claim(storage, worker) == ["evt_1"]


@pytest.mark.parametrize("outcome", list(Outcome))
async def test_a_processed_webhook_is_done_with(storage: Storage, outcome: Outcome) -> None:
    await record(storage, webhook("evt_1"))
    worker = await lone_worker(storage)
    claimed = await claim_one(storage, worker)
    await settle(storage, Processed(claimed.id, outcome, "a note"))

    assert await claim(storage, worker) == []
    async with storage.unit_of_work() as uow:
        assert await uow.inbox.is_processed("evt_1")
        assert await uow.inbox.count_by_state() == {outcome.value: 1}


async def test_a_failed_webhook_is_due_again_when_told_and_has_failed_once_more(
    storage: Storage,
) -> None:
    await record(storage, webhook("evt_1"))
    worker = await lone_worker(storage)
    for _ in range(2):
        claimed = await claim_one(storage, worker)
        await settle(storage, Postponed(claimed.id, timedelta(0), "no answer"))
    await settle(storage, Postponed(claimed.id, HOUR, "no answer"))

    await storage.let_pass(HOUR / 2)
    assert await claim(storage, worker) == []
    await storage.let_pass(HOUR / 2)
    async with storage.unit_of_work() as uow:
        [due] = await uow.inbox.claim(worker.held(), limit=1)
        assert due.attempts == 3
        assert not await uow.inbox.is_processed("evt_1")


async def test_how_old_a_webhook_is_when_it_is_claimed_is_told_by_the_storages_clock(
    storage: Storage,
) -> None:
    await record(storage, webhook("evt_1"))
    worker = await lone_worker(storage)
    assert (await claim_one(storage, worker)).age == pytest.approx(timedelta(0), abs=A_MOMENT)

    await storage.let_pass(100 * HOUR)

    assert (await claim_one(storage, worker)).age == pytest.approx(100 * HOUR, abs=A_MOMENT)


async def test_a_webhook_that_waits_has_not_failed(storage: Storage) -> None:
    await record(storage, webhook("evt_1"))
    worker = await lone_worker(storage)
    claimed = await claim_one(storage, worker)
    await settle(storage, Postponed(claimed.id, HOUR, "waits", failed=False, waits_for="sub_1"))

    assert await claim(storage, worker) == []
    await storage.let_pass(HOUR)
    async with storage.unit_of_work() as uow:
        [due] = await uow.inbox.claim(worker.held(), limit=1)
    assert due.attempts == 0


async def test_a_postponed_webhook_comes_back_to_its_place_in_the_order(storage: Storage) -> None:
    await record(storage, webhook("evt_1"), webhook("evt_2"))
    worker = await lone_worker(storage)
    first, _ = await claim_all(storage, worker)
    await settle(storage, Postponed(first.id, HOUR, "no answer"))

    assert await claim(storage, worker) == ["evt_2"]
    await storage.let_pass(HOUR)
    assert await claim(storage, worker) == ["evt_1", "evt_2"]


async def test_a_dead_webhook_is_never_claimed_and_never_counts_as_processed(
    storage: Storage,
) -> None:
    await record(storage, webhook("evt_1"))
    worker = await lone_worker(storage)
    claimed = await claim_one(storage, worker)
    await settle(storage, Dead(claimed.id, "unreadable"))

    await storage.let_pass(1000 * HOUR)
    assert await claim(storage, worker) == []
    assert await next_due(storage, worker.held()) is None
    async with storage.unit_of_work() as uow:
        assert not await uow.inbox.is_processed("evt_1")
        assert await uow.inbox.count_by_state() == {"dead": 1}


async def test_each_webhook_of_a_batch_gets_its_own_verdict(storage: Storage) -> None:
    await record(storage, *(webhook(f"evt_{number}") for number in range(5)))
    worker = await lone_worker(storage)
    ids = [claimed.id for claimed in await claim_all(storage, worker)]
    verdicts: list[Verdict] = [
        Processed(ids[0], Outcome.APPLIED),
        Processed(ids[1], Outcome.STALE),
        Postponed(ids[2], HOUR, "no answer"),
        Dead(ids[3], "unreadable"),
    ]
    await settle(storage, *verdicts)

    assert await claim(storage, worker) == ["evt_4"]
    async with storage.unit_of_work() as uow:
        counts = await uow.inbox.count_by_state()
    assert counts == {"applied": 1, "stale": 1, "dead": 1, "retrying": 1, "pending": 1}


async def test_settling_nothing_is_fine(storage: Storage) -> None:
    await settle(storage)


async def test_verdicts_that_were_not_committed_are_forgotten(storage: Storage) -> None:
    await record(storage, webhook("evt_1"))
    worker = await lone_worker(storage)
    async with storage.unit_of_work() as uow:
        [claimed] = await uow.inbox.claim(worker.held(), limit=1)
        await uow.inbox.settle([Processed(claimed.id, Outcome.APPLIED)])

    assert await claim(storage, worker) == ["evt_1"]


async def test_the_longest_error_that_is_kept_and_longer_ones_are_accepted(
    storage: Storage,
) -> None:
    await record(storage, webhook("evt_1"))
    worker = await lone_worker(storage)
    claimed = await claim_one(storage, worker)

    await settle(storage, Dead(claimed.id, "ü" * 3000))

    assert await claim(storage, worker) == []


async def test_waking_makes_due_only_what_waits_for_this_key(storage: Storage) -> None:
    await record(
        storage,
        webhook("evt_waits"),
        webhook("evt_failed"),
        webhook("evt_other", ordering_key="sub_2"),
        webhook("evt_done"),
        webhook("evt_dead"),
    )
    worker = await lone_worker(storage)
    waits, failed, other, done, dead = [c.id for c in await claim_all(storage, worker)]
    await settle(
        storage,
        Postponed(waits, HOUR, "waits", failed=False, waits_for="sub_1"),
        Postponed(failed, HOUR, "no answer"),
        Postponed(other, HOUR, "waits", failed=False, waits_for="sub_2"),
        Processed(done, Outcome.APPLIED),
        Dead(dead, "unreadable"),
    )

    await wake_waiting(storage, "sub_1", "sub_unknown")

    assert await claim(storage, worker) == ["evt_waits"]


async def test_what_failed_and_waits_for_something_is_woken_too(storage: Storage) -> None:
    await record(storage, webhook("evt_1"))
    worker = await lone_worker(storage)
    claimed = await claim_one(storage, worker)
    await settle(storage, Postponed(claimed.id, HOUR, "whose?", waits_for="cus_1"))

    await wake_waiting(storage, "cus_1")

    assert (await claim_one(storage, worker)).attempts == 1


async def test_what_waits_for_nothing_any_more_is_not_woken(storage: Storage) -> None:
    await record(storage, webhook("evt_1"))
    worker = await lone_worker(storage)
    claimed = await claim_one(storage, worker)
    await settle(storage, Postponed(claimed.id, HOUR, "waits", failed=False, waits_for="sub_1"))
    await settle(storage, Postponed(claimed.id, HOUR, "no answer"))

    await wake_waiting(storage, "sub_1")

    assert await claim(storage, worker) == []


async def test_what_was_made_to_wait_in_this_unit_of_work_can_be_woken_in_it(
    storage: Storage,
) -> None:
    await record(storage, webhook("evt_1"))
    worker = await lone_worker(storage)
    async with storage.unit_of_work() as uow:
        [claimed] = await uow.inbox.claim(worker.held(), limit=1)
        await uow.inbox.settle(
            [Postponed(claimed.id, HOUR, "waits", failed=False, waits_for="sub_1")]
        )
        await uow.inbox.wake_waiting(["sub_1"])
        await uow.commit()

    assert await claim(storage, worker) == ["evt_1"]


async def test_the_first_of_what_was_postponed_is_the_next_due(storage: Storage) -> None:
    await record(storage, *(webhook(f"evt_{n}", ordering_key=f"sub_{n}") for n in range(3)))
    worker = await lone_worker(storage)
    assert await next_due(storage, worker.held()) is None

    later, sooner, _ = [claimed.id for claimed in await claim_all(storage, worker)]
    await settle(
        storage,
        Postponed(later, 2 * HOUR, "no answer"),
        Postponed(sooner, HOUR, "waits", failed=False, waits_for="sub_1"),
    )

    first = await next_due(storage, worker.held())
    assert first == pytest.approx(HOUR, abs=A_MOMENT)
    without = await next_due(storage, worker.held(), excluding=("sub_1",))
    assert without == pytest.approx(2 * HOUR, abs=A_MOMENT)
    await wake_waiting(storage, "sub_1")
    assert await next_due(storage, worker.held()) == timedelta(0)


async def test_what_is_due_in_the_partitions_of_others_is_not_ours(storage: Storage) -> None:
    mine, theirs = keys_of_different_partitions(2)
    await record(
        storage, webhook("evt_1", ordering_key=mine), webhook("evt_2", ordering_key=theirs)
    )
    worker = await lone_worker(storage)
    ids = [claimed.id for claimed in await claim_all(storage, worker)]
    await settle(storage, *(Postponed(id_, n * HOUR, "later") for n, id_ in enumerate(ids)))

    others = worker.held().partitions - {partition_of(mine)}
    share = Share(worker.held().worker, worker.held().epoch, others)

    assert await next_due(storage, share) == pytest.approx(HOUR, abs=A_MOMENT)
    await storage.let_pass(HOUR)
    async with storage.unit_of_work() as uow:
        [claimed] = await uow.inbox.claim(share, limit=10)
    assert claimed.event_id == "evt_2"


async def test_an_unknown_event_is_not_processed(storage: Storage) -> None:
    await record(storage, webhook("evt_1"))
    async with storage.unit_of_work() as uow:
        assert not await uow.inbox.is_processed("evt_1")
        assert not await uow.inbox.is_processed("evt_2")


async def one_in_every_state(storage: Storage) -> Partitions:
    """Make one webhook for each state, named after it; `evt_pending` came last."""
    outcomes = list(Outcome)
    states = [*outcomes, State.RETRYING, State.HELD, State.DEAD, State.PENDING]
    await record(storage, *(webhook(f"evt_{state}") for state in states))
    worker = await lone_worker(storage)
    *processed, retrying, held, dead, _ = [c.id for c in await claim_all(storage, worker)]
    await settle(
        storage,
        *(Processed(id_, outcome) for id_, outcome in zip(processed, outcomes, strict=True)),
        Postponed(retrying, HOUR, "no answer"),
        Postponed(held, HOUR, "waits", failed=False, waits_for="sub_1"),
        Dead(dead, "unreadable"),
    )
    return worker


async def found(storage: Storage, query: WebhookQuery) -> list[str]:
    async with storage.unit_of_work() as uow:
        return [kept.event_id for kept in await uow.inbox.find(query)]


async def test_webhooks_are_counted_by_their_state(storage: Storage) -> None:
    await one_in_every_state(storage)

    async with storage.unit_of_work() as uow:
        counts = await uow.inbox.count_by_state()
        some = await uow.inbox.count_by_state([State.DEAD, State.HELD])
        more = await uow.inbox.count_by_state([State.DEAD, Outcome.APPLIED])
    assert counts == {str(state): 1 for state in [*Outcome, *State]}
    assert some == {"dead": 1, "held": 1}
    assert more == {"dead": 1, "applied": 1}


@pytest.mark.parametrize("state", [*Outcome, *State])
async def test_webhooks_are_found_by_their_state(storage: Storage, state: str) -> None:
    await one_in_every_state(storage)

    assert await found(storage, WebhookQuery(states={state})) == [f"evt_{state}"]


async def test_an_operator_sees_what_is_wrong_with_a_webhook(storage: Storage) -> None:
    await record(storage, webhook("evt_1", payload=b"\x00{}"))
    worker = await lone_worker(storage)
    claimed = await claim_one(storage, worker)
    await settle(storage, Postponed(claimed.id, HOUR, "no answer"))

    async with storage.unit_of_work() as uow:
        [kept] = await uow.inbox.find(WebhookQuery())
    assert (kept.event_id, kept.event_type) == ("evt_1", claimed.event_type)
    assert (kept.ordering_key, kept.payload) == ("sub_1", b"\x00{}")
    assert (kept.state, kept.error, kept.attempts) == (State.RETRYING, "no answer", 1)
    assert kept.next_attempt_at is not None
    assert kept.next_attempt_at - kept.received_at == pytest.approx(HOUR, abs=A_MOMENT)


async def test_the_newest_of_the_webhooks_that_fit_every_condition_come_first(
    storage: Storage,
) -> None:
    await record(storage, *(webhook(f"evt_{n}") for n in range(3)))
    await record(storage, webhook("evt_other", event_type="invoice.paid"))

    assert await found(storage, WebhookQuery()) == ["evt_other", "evt_2", "evt_1", "evt_0"]
    assert await found(storage, WebhookQuery(limit=2)) == ["evt_other", "evt_2"]
    assert await found(storage, WebhookQuery(event_type="invoice.paid")) == ["evt_other"]
    assert await found(storage, WebhookQuery(event_ids=["evt_0", "evt_x", "evt_2"])) == [
        "evt_2",
        "evt_0",
    ]
    assert await found(storage, WebhookQuery(event_ids=[])) == []
    assert await found(storage, WebhookQuery(states=[])) == []
    both = WebhookQuery(event_ids=["evt_0"], event_type="invoice.paid")
    assert await found(storage, both) == []


@pytest.mark.parametrize("state", [*Outcome, *State])
async def test_a_replayed_webhook_is_as_if_it_had_just_come_in(
    storage: Storage, state: str
) -> None:
    worker = await one_in_every_state(storage)
    async with storage.unit_of_work() as uow:
        replayed = await uow.inbox.replay([f"evt_{state}", "evt_unknown"])
        await uow.commit()
    assert list(replayed) == [f"evt_{state}"]

    assert sorted(await claim(storage, worker)) == sorted({f"evt_{state}", "evt_pending"})
    async with storage.unit_of_work() as uow:
        [kept] = await uow.inbox.find(WebhookQuery(event_ids=[f"evt_{state}"]))
        assert not await uow.inbox.is_processed(kept.event_id)
    assert (kept.state, kept.attempts, kept.error, kept.next_attempt_at) == (
        State.PENDING,
        0,
        None,
        None,
    )


@pytest.mark.parametrize("state", [*Outcome, *State])
async def test_what_is_in_another_state_by_now_is_not_replayed(
    storage: Storage, state: str
) -> None:
    await one_in_every_state(storage)
    others = {str(other) for other in [*Outcome, *State]} - {state}

    async with storage.unit_of_work() as uow:
        replayed = await uow.inbox.replay([f"evt_{state}"], states=others)
        await uow.commit()

    assert list(replayed) == []
    assert await found(storage, WebhookQuery(states=[state])) == [f"evt_{state}"]


async def test_what_is_applied_between_the_look_and_the_replay_is_not_replayed(
    storage: Storage,
) -> None:
    await record(storage, webhook("evt_1"))
    worker = await lone_worker(storage)
    claimed = await claim_one(storage, worker)
    await settle(storage, Postponed(claimed.id, timedelta(0), "no answer"))

    async with storage.unit_of_work() as uow:
        [kept] = await uow.inbox.find(WebhookQuery(states=[State.RETRYING]))
        await settle(storage, Processed(claimed.id, Outcome.APPLIED))
        assert list(await uow.inbox.replay([kept.event_id], states=[State.RETRYING])) == []
        await uow.commit()

    assert await claim(storage, worker) == []


async def test_what_is_dead_and_nothing_else_can_be_discarded(storage: Storage) -> None:
    worker = await one_in_every_state(storage)
    everything = [f"evt_{state}" for state in [*Outcome, *State]]
    async with storage.unit_of_work() as uow:
        discarded = await uow.inbox.discard([*everything, "evt_unknown"])
        await uow.commit()

    assert list(discarded) == ["evt_dead"]
    assert await found(storage, WebhookQuery(states=["discarded"])) == ["evt_dead", "evt_discarded"]
    assert await claim(storage, worker) == ["evt_pending"]
    async with storage.unit_of_work() as uow:
        assert await uow.inbox.is_processed("evt_dead"), "its retention runs"
