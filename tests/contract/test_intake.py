"""ports/inbox.py, Intake."""

import asyncio

import pytest

from ports.inbox import Outcome, Processed
from ports.unit_of_work import StorageUnavailable
from tests.contract.storages import Storage
from tests.contract.workers import claim_all, lone_worker, settle
from tests.examples import webhook


async def test_a_new_event_is_told_from_a_known_one(storage: Storage) -> None:
    intake = storage.intake()

    assert await intake.record(webhook("evt_1"))
    assert not await intake.record(webhook("evt_1"))
    assert await intake.record(webhook("evt_2"))


async def test_of_many_concurrent_deliveries_of_one_event_one_is_new(storage: Storage) -> None:
    one, other = storage.intake(), storage.intake()

    new = await asyncio.gather(
        *(intake.record(webhook("evt_1")) for intake in (one, other) for _ in range(10))
    )

    assert sum(new) == 1


async def test_what_was_recorded_is_claimed_as_it_came(storage: Storage) -> None:
    received = webhook(ordering_key="sub_ü", payload=bytes(range(256)))
    await storage.intake().record(received)

    [claimed] = await claim_all(storage)

    assert (claimed.event_id, claimed.event_type) == (received.event_id, received.event_type)
    assert (claimed.ordering_key, claimed.livemode) == (received.ordering_key, received.livemode)
    assert claimed.payload == received.payload
    assert claimed.traceparent == received.traceparent
    assert claimed.attempts == 0


async def test_a_repeated_delivery_changes_nothing(storage: Storage) -> None:
    intake = storage.intake()
    await intake.record(webhook("evt_1", payload=b"first"))
    await intake.record(webhook("evt_1", payload=b"second"))

    [claimed] = await claim_all(storage)

    assert claimed.payload == b"first"


async def test_a_processed_event_is_still_known(storage: Storage) -> None:
    intake = storage.intake()
    await intake.record(webhook("evt_1"))
    worker = await lone_worker(storage)
    [claimed] = await claim_all(storage, worker)
    await settle(storage, Processed(claimed.id, Outcome.APPLIED))

    assert not await intake.record(webhook("evt_1"))
    assert await claim_all(storage, worker) == []


async def test_closing_writes_what_still_waits(storage: Storage) -> None:
    intake = storage.intake()
    recording = [asyncio.create_task(intake.record(webhook())) for _ in range(3)]
    await asyncio.wait(recording, timeout=0)  # lets each of them hand in its webhook

    await intake.close()

    assert len(await claim_all(storage)) == 3
    assert all(await asyncio.gather(*recording))


async def test_what_cannot_be_written_is_refused_until_the_storage_is_back(
    storage: Storage,
) -> None:
    intake = storage.intake()
    await intake.record(webhook("evt_1"))
    async with storage.away():
        with pytest.raises(StorageUnavailable):
            await intake.record(webhook("evt_2"))

    assert await intake.record(webhook("evt_2"))
    assert not await intake.record(webhook("evt_1"))
