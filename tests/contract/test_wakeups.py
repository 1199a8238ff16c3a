"""ports/wakeups.py.

Nobody waits here for longer than a wake-up takes: FOREVER only ends a test that failed.
"""

import asyncio
import contextlib
from collections.abc import AsyncIterator

import pytest

from ports.inbox import Postponed
from ports.wakeups import Stage, Wakeups
from tests.contract.storages import Storage
from tests.contract.workers import claim_all, record, settle
from tests.examples import HOUR, message, webhook

FOREVER = 30.0


async def woken(wakeups: Wakeups, stage: Stage) -> bool:
    """Wait for a wake-up; False where none came."""
    async with asyncio.timeout(FOREVER) as limit:
        await wakeups.wait(stage, 2 * FOREVER)
    return not limit.expired()


async def is_woken_already(wakeups: Wakeups, stage: Stage) -> bool:
    waiting = asyncio.ensure_future(wakeups.wait(stage, FOREVER))
    done, _ = await asyncio.wait({waiting}, timeout=0.05)
    waiting.cancel()
    await asyncio.gather(waiting, return_exceptions=True)
    return bool(done)


@contextlib.asynccontextmanager
async def listening(*listeners: Wakeups) -> AsyncIterator[None]:
    """Listen, and return once each hears; what it was woken for at the start is used up."""
    tasks = [asyncio.create_task(wakeups.listen()) for wakeups in listeners]
    try:
        for wakeups in listeners:
            for stage in Stage:  # beginning to listen wakes every stage
                assert await woken(wakeups, stage)
        yield
    finally:
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)


@pytest.mark.parametrize("stage", list(Stage))
async def test_a_stage_is_woken_within_the_process(storage: Storage, stage: Stage) -> None:
    wakeups = storage.wakeups()
    waiting = asyncio.ensure_future(wakeups.wait(stage, FOREVER))
    await asyncio.wait({waiting}, timeout=0)

    wakeups.wake(stage)

    await asyncio.wait_for(waiting, FOREVER / 2)


async def test_a_wake_up_that_came_before_is_not_lost_and_counts_once(storage: Storage) -> None:
    wakeups = storage.wakeups()
    wakeups.wake(Stage.INBOX)
    wakeups.wake(Stage.INBOX)

    assert await woken(wakeups, Stage.INBOX)
    assert not await is_woken_already(wakeups, Stage.INBOX)


async def test_one_stage_is_not_woken_for_another(storage: Storage) -> None:
    wakeups = storage.wakeups()
    wakeups.wake(Stage.INBOX)

    assert not await is_woken_already(wakeups, Stage.OUTBOX)


async def test_waiting_ends_without_a_wake_up_too(storage: Storage) -> None:
    await storage.wakeups().wait(Stage.INBOX, 0)


async def test_waking_one_process_does_not_wake_another(storage: Storage) -> None:
    one, other = storage.wakeups(), storage.wakeups()
    async with listening(one, other):
        one.wake(Stage.INBOX)

        assert await woken(one, Stage.INBOX)
        assert not await is_woken_already(other, Stage.INBOX)


async def test_a_received_webhook_wakes_the_inbox_of_every_listener(storage: Storage) -> None:
    one, other = storage.wakeups(), storage.wakeups()
    async with listening(one, other):
        await record(storage, webhook("evt_1"))

        assert await woken(one, Stage.INBOX)
        assert await woken(other, Stage.INBOX)
        assert not await is_woken_already(one, Stage.OUTBOX)


async def test_a_committed_message_wakes_the_outbox_of_every_listener(storage: Storage) -> None:
    one, other = storage.wakeups(), storage.wakeups()
    async with listening(one, other):
        async with storage.unit_of_work() as uow:
            await uow.outbox.add([message()])
            assert not await is_woken_already(one, Stage.OUTBOX)
            await uow.commit()

        assert await woken(one, Stage.OUTBOX)
        assert await woken(other, Stage.OUTBOX)
        assert not await is_woken_already(one, Stage.INBOX)


async def test_a_message_whose_writer_sees_to_it_wakes_nobody(storage: Storage) -> None:
    wakeups = storage.wakeups()
    async with listening(wakeups):
        async with storage.unit_of_work() as uow:
            await uow.outbox.add([message()], wake=False)
            await uow.commit()

        assert not await is_woken_already(wakeups, Stage.OUTBOX)


async def test_a_message_that_was_not_committed_wakes_nobody(storage: Storage) -> None:
    wakeups = storage.wakeups()
    async with listening(wakeups):
        async with storage.unit_of_work() as uow:
            await uow.outbox.add([message()])

        assert not await is_woken_already(wakeups, Stage.OUTBOX)


async def test_a_repeated_webhook_wakes_nobody(storage: Storage) -> None:
    await record(storage, webhook("evt_1"))
    wakeups = storage.wakeups()
    async with listening(wakeups):
        assert not await storage.intake().record(webhook("evt_1"))

        assert not await is_woken_already(wakeups, Stage.INBOX)


async def test_what_nobody_waits_for_wakes_nobody(storage: Storage) -> None:
    wakeups = storage.wakeups()
    async with listening(wakeups):
        async with storage.unit_of_work() as uow:
            await uow.inbox.wake_waiting(["sub_1"])
            await uow.commit()

        assert not await is_woken_already(wakeups, Stage.INBOX)


async def test_what_is_made_due_wakes_the_inbox(storage: Storage) -> None:
    await record(storage, webhook("evt_1", ordering_key="sub_1"))
    [claimed] = await claim_all(storage)
    await settle(storage, Postponed(claimed.id, HOUR, "not yet", waits_for="sub_1"))
    wakeups = storage.wakeups()
    async with listening(wakeups):
        async with storage.unit_of_work() as uow:
            await uow.inbox.wake_waiting(["sub_1"])
            await uow.commit()

        assert await woken(wakeups, Stage.INBOX)


async def test_a_replayed_webhook_wakes_the_inbox(storage: Storage) -> None:
    await record(storage, webhook("evt_1"))
    wakeups = storage.wakeups()
    async with listening(wakeups):
        async with storage.unit_of_work() as uow:
            await uow.inbox.replay(["evt_1"])
            await uow.commit()

        assert await woken(wakeups, Stage.INBOX)
