"""A channel that publishes a batch in one write and keeps one account of what became of it.

aiormq publishes message by message, each with a task switch, three futures and half a dozen
objects, which costs several times what is measured here (docs/performance.md). This leans on its
inner life (`lock`, `delivery_tag`, `write_queue` and the two `_on_…_frame` methods), so
pyproject.toml pins its version, and tests/integration/test_rabbitmq.py says what must hold after
an upgrade: returns, refusals, lost connections, flow control.
"""

from __future__ import annotations

import asyncio
import functools
import struct
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final
from uuid import UUID

import aiormq
import pamqp.frame
from aiormq.abc import AbstractConnection, ChannelFrame, ConfirmationFrameType
from pamqp.commands import Basic
from pamqp.header import ContentHeader

from ports.event_publisher import Delivery
from ports.outbox import Message

APP_ID: Final = "payments"

_PERSISTENT: Final = 2
# Seconds, many times what a turn takes. A turn is for speed alone: where a broker judges slowly, or
# one of its queues not at all, the others must not wait for that.
_LONGEST_TURN: Final = 1.0
_NUMBER: Final = 1  # the only channel of its connection
_NO_ID: Final = str(UUID(int=0))
# A frame: type, channel and size, the payload, and one octet that ends it. (AMQP 0-9-1: 2.3.5)
_FRAME: Final = struct.Struct(">BHI")
_BODY: Final = 3
_END: Final = b"\xce"
# Where a content header names the size of the body: after frame header, class and weight.
_BODY_SIZE_AT: Final = _FRAME.size + 4
_BODY_SIZE: Final = struct.Struct(">Q")


@dataclass(slots=True)
class _Batch:
    judged: dict[UUID, Delivery]
    left: int
    half: int
    all_judged: asyncio.Future[None]
    # Held from the beginning, until half of it is judged or nothing more will be, or for too long.
    turn: asyncio.Lock
    holds_turn: bool = True

    def judge(self, message_id: UUID, delivery: Delivery) -> None:
        """Note a verdict."""
        self.judged[message_id] = delivery
        self.left -= 1
        if self.left <= self.half:
            self.end_turn()
        if not self.left and not self.all_judged.done():
            self.all_judged.set_result(None)

    def end_turn(self, _: object = None) -> None:
        """Let the next batch begin."""
        if self.holds_turn:
            self.holds_turn = False
            self.turn.release()


class BatchChannel(aiormq.Channel):
    """A channel in confirm mode."""

    def __init__(self, connection: AbstractConnection) -> None:
        super().__init__(connection, _NUMBER, publisher_confirms=True)
        self._unjudged: dict[int, tuple[UUID, _Batch]] = {}
        self._returned: set[str] = set()
        self._turn = asyncio.Lock()
        connection.channels[_NUMBER] = self

    async def publish(
        self,
        exchange: str,
        content_type: str,
        messages: Sequence[Message],
        judged: dict[UUID, Delivery],
    ) -> None:
        """Send these persistent and mandatory; return when the broker has judged each of them.

        The next batch begins when half of this one is judged. Two that begin together are judged at
        the same moment, and then the broker has nothing to do while both of their senders note it.

        `judged` is filled as the verdicts come in. Raises what ended the channel before the last.
        """
        if not messages:
            return
        payload = b"".join(
            part
            for message in messages
            for part in _frames(exchange, content_type, message, self.max_content_size)
        )
        await self._turn.acquire()
        try:
            async with self.lock:  # or it raises, if the channel was closed meanwhile
                await self.write_queue.put(ChannelFrame(payload, should_close=False))
                # No verdict can come in before its message is known: nothing is awaited from here.
                count = len(messages)
                batch = _Batch(judged, count, count // 2, self.create_future(), self._turn)
                for message in messages:
                    self.delivery_tag += 1
                    self._unjudged[self.delivery_tag] = (message.id, batch)
        except BaseException:
            self._turn.release()
            raise
        batch.all_judged.add_done_callback(batch.end_turn)
        too_long = self.loop.call_later(_LONGEST_TURN, batch.end_turn)
        try:
            await batch.all_judged
        finally:
            too_long.cancel()

    async def _on_return_frame(self, frame: Basic.Return) -> None:
        header = await self._get_frame()
        assert isinstance(header, ContentHeader), "a return is followed by its header"
        await self._read_content(frame, header)
        # Its confirm comes after it. (RabbitMQ: Publishers / mandatory)
        self._returned.add(header.properties.message_id or "")

    async def _on_confirm_frame(self, frame: ConfirmationFrameType) -> None:
        last = frame.delivery_tag or 0
        tags = [last]
        if getattr(frame, "multiple", False):  # this one and whatever before it is still open
            tags = []
            for tag in self._unjudged:
                if tag > last:
                    break
                tags.append(tag)
        for tag in tags:
            if tag in self._unjudged:
                self._judge(*self._unjudged.pop(tag), confirmed=isinstance(frame, Basic.Ack))

    def _judge(self, message_id: UUID, batch: _Batch, *, confirmed: bool) -> None:
        if self._returned and str(message_id) in self._returned:
            self._returned.discard(str(message_id))
            batch.judge(message_id, Delivery.UNROUTABLE)
        else:
            batch.judge(message_id, Delivery.CONFIRMED if confirmed else Delivery.REFUSED)


def _frames(exchange: str, content_type: str, message: Message, largest: int) -> Sequence[bytes]:
    """One message as it goes over the wire."""
    before_size, before_id, after_id = _envelope(exchange, content_type, message.type)
    frames = [
        before_size,
        _BODY_SIZE.pack(len(message.body)),
        before_id,
        str(message.id).encode(),
        after_id,
    ]
    for start in range(0, len(message.body), largest):
        chunk = message.body[start : start + largest]
        frames += (_FRAME.pack(_BODY, _NUMBER, len(chunk)), chunk, _END)
    return frames


@functools.cache  # there are as many as there are types of messages
def _envelope(exchange: str, content_type: str, type_: str) -> tuple[bytes, bytes, bytes]:
    """What goes before the body of a message of this type, without the body's size and the id."""
    publish = Basic.Publish(exchange=exchange, routing_key=type_, mandatory=True)
    header = ContentHeader(
        properties=Basic.Properties(
            message_id=_NO_ID,
            message_type=type_,
            content_type=content_type,
            delivery_mode=_PERSISTENT,
            app_id=APP_ID,
        )
    )
    method = pamqp.frame.marshal(publish, _NUMBER)
    marshalled = pamqp.frame.marshal(header, _NUMBER)
    before_id, after_id = marshalled[_BODY_SIZE_AT + _BODY_SIZE.size :].split(_NO_ID.encode())
    return method + marshalled[:_BODY_SIZE_AT], before_id, after_id
