"""What most tests of a share need done."""

from collections.abc import Sequence

from ports.inbox import ClaimedWebhook, ReceivedWebhook, Verdict
from ports.outbox import Message
from ports.partitions import Partitions
from tests.contract.storages import Storage


async def lone_worker(storage: Storage) -> Partitions:
    """The only worker, which holds every partition."""
    worker = storage.partitions()
    await worker.renew()
    return worker


async def record(storage: Storage, *webhooks: ReceivedWebhook) -> None:
    """Take these webhooks in, one after the other."""
    intake = storage.intake()
    for webhook in webhooks:
        assert await intake.record(webhook), "a new webhook"


async def claim_all(storage: Storage, worker: Partitions | None = None) -> Sequence[ClaimedWebhook]:
    """Look at everything that is due for the worker now, without keeping it."""
    worker = worker or await lone_worker(storage)
    async with storage.unit_of_work() as uow:
        return await uow.inbox.claim(worker.held(), limit=1000)


async def settle(storage: Storage, *verdicts: Verdict) -> None:
    """Commit these verdicts."""
    async with storage.unit_of_work() as uow:
        await uow.inbox.settle(verdicts)
        await uow.commit()


async def add(storage: Storage, *messages: Message) -> None:
    """Commit these messages to the outbox."""
    async with storage.unit_of_work() as uow:
        await uow.outbox.add(messages)
        await uow.commit()


async def unpublished(storage: Storage, worker: Partitions) -> Sequence[Message]:
    """Look at everything the worker has to publish."""
    async with storage.unit_of_work() as uow:
        return await uow.outbox.claim(worker.held(), limit=1000)
