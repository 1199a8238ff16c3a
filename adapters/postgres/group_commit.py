"""Many writers, one commit.

Whoever has something to write hands it in and waits. One committer writes everything that has
gathered while it wrote the last batch, so batches form by themselves under load and a lone
request is written at once. More committers are slower: they split the batches.

No library does this for asyncio, hence our own.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Awaitable, Callable, Sequence
from typing import Final, Generic, TypeVar

from ports.inbox import Overloaded
from ports.unit_of_work import StorageUnavailable

Item = TypeVar("Item")
Result = TypeVar("Result")

# More would not commit faster, and makes one statement needlessly large.
LARGEST_BATCH: Final = 500
# What may wait before new requests are turned away: with 512 KiB as the largest body this keeps
# the memory of a flooded process bounded, and at thousands a second it is under a second of work.
MOST_WAITING: Final = 2_000
MOST_WAITING_BYTES: Final = 64 * 1024 * 1024


class GroupCommit(Generic[Item, Result]):
    """Gathers items for `write`, which writes a batch durably and gives one result for each."""

    def __init__(
        self,
        write: Callable[[Sequence[Item]], Awaitable[Sequence[Result]]],
        size_of: Callable[[Item], int],
    ) -> None:
        self._write = write
        self._size_of = size_of
        self._waiting: deque[tuple[Item, asyncio.Future[Result]]] = deque()
        self._waiting_bytes = 0
        self._committer: asyncio.Task[None] | None = None

    async def submit(self, item: Item) -> Result:
        """The result for this item, once the batch it went into is durable.

        Raises Overloaded where too much waits already, StorageUnavailable where the committer
        died, and whatever `write` raises.
        """
        size = self._size_of(item)
        if len(self._waiting) >= MOST_WAITING or self._waiting_bytes + size > MOST_WAITING_BYTES:
            raise Overloaded(f"{len(self._waiting)} webhooks are waiting to be written")
        future: asyncio.Future[Result] = asyncio.get_running_loop().create_future()
        self._waiting.append((item, future))
        self._waiting_bytes += size
        if self._committer is None:
            self._committer = asyncio.create_task(self._commit_all())
        return await future

    async def close(self) -> None:
        """Write what still waits, then stop."""
        if self._committer is not None:
            await asyncio.wait({self._committer})

    async def _commit_all(self) -> None:
        batch: list[tuple[Item, asyncio.Future[Result]]] = []
        try:
            while self._waiting:
                batch = self._next_batch()
                await self._commit(batch)
        finally:
            # However the committer ends, nobody is left hanging; the next item starts a new one.
            self._committer = None
            for _, future in [*batch, *self._waiting]:
                if not future.done():
                    future.set_exception(StorageUnavailable("the committer was stopped"))
            self._waiting.clear()
            self._waiting_bytes = 0

    def _next_batch(self) -> list[tuple[Item, asyncio.Future[Result]]]:
        batch: list[tuple[Item, asyncio.Future[Result]]] = []
        while self._waiting and len(batch) < LARGEST_BATCH:
            item, future = self._waiting.popleft()
            self._waiting_bytes -= self._size_of(item)
            if not future.done():  # its request may have gone away meanwhile
                batch.append((item, future))
        return batch

    async def _commit(self, batch: list[tuple[Item, asyncio.Future[Result]]]) -> None:
        if not batch:
            return
        try:
            results = await self._write([item for item, _ in batch])
        except StorageUnavailable as error:
            _fail(batch, error)
        except Exception as error:
            if len(batch) == 1:
                _fail(batch, error)
                return
            # One of them cannot be written, and only its own request may fail: halving finds it.
            half = len(batch) // 2
            await self._commit(batch[:half])
            await self._commit(batch[half:])
        else:
            for (_, future), result in zip(batch, results, strict=True):
                if not future.done():
                    future.set_result(result)


def _fail(batch: list[tuple[Item, asyncio.Future[Result]]], error: Exception) -> None:
    for _, future in batch:
        if not future.done():
            future.set_exception(error)
