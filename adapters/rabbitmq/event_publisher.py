"""Publishes to RabbitMQ and returns when the broker has judged every message.

The connection is made when it is first needed and dropped at the first doubt; the caller's next
try makes a new one. A connection that mends itself is not wanted: it would keep publishing to a
channel whose confirms were lost, and the outbox already repeats what was not confirmed.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Mapping, Sequence
from typing import Final
from uuid import UUID

import aio_pika
import aiormq
import structlog
from aio_pika.abc import AbstractConnection
from aio_pika.exceptions import AMQPError

from adapters.rabbitmq.batch_channel import BatchChannel
from ports.event_publisher import BrokerUnavailable, Delivery
from ports.outbox import Message

log = structlog.get_logger(__name__)

EXCHANGE: Final = "payments.events"
CONTENT_TYPE: Final = "application/cloudevents+json; charset=utf-8"

# Seconds. A broker that is paused, or blocks publishers because its disk is full, answers
# nothing: after this the connection is given up and the messages are sent again later.
_CONFIRM_TIMEOUT: Final = 15.0
_CONNECT_TIMEOUT: Final = 5.0
_HEARTBEAT: Final = 10


class RabbitMQEventPublisher:
    """Publishes to the exchange `payments.events`, declaring it where it is missing."""

    def __init__(self, url: str, *, confirm_timeout: float = _CONFIRM_TIMEOUT) -> None:
        self._url = url
        self._confirm_timeout = confirm_timeout
        self._connection: AbstractConnection | None = None
        self._channel: BatchChannel | None = None
        self._connecting = asyncio.Lock()

    async def publish(self, messages: Sequence[Message]) -> Mapping[UUID, Delivery]:
        """Send these messages side by side; what the broker said of each."""
        channel = await self._connected()
        judged: dict[UUID, Delivery] = {}
        sending = asyncio.create_task(channel.publish(EXCHANGE, CONTENT_TYPE, messages, judged))
        try:
            # Not awaited itself: a channel that is closed ends what waits on it in odd ways.
            await asyncio.wait({sending}, timeout=self._confirm_timeout)
        finally:
            doubt = _doubt(sending)
            if doubt is not None:
                sending.cancel()
        if doubt is None:
            return judged
        kind = type(doubt).__name__
        log.warning("publishing_interrupted", error=kind, unjudged=len(messages) - len(judged))
        if self._channel is channel:  # else another publish has connected anew meanwhile
            await self.close()
        if not judged:
            raise BrokerUnavailable(f"the broker did not confirm: {kind}") from doubt
        return judged

    async def close(self) -> None:
        """Let go of the connection."""
        connection, self._connection, self._channel = self._connection, None, None
        if connection is not None:
            with contextlib.suppress(Exception):  # it is being thrown away, in whatever state
                await asyncio.wait_for(connection.close(), _CONNECT_TIMEOUT)

    async def _connected(self) -> BatchChannel:
        async with self._connecting:
            if self._channel is None or self._channel.is_closed:
                self._channel = await self._connect()
            return self._channel

    async def _connect(self) -> BatchChannel:
        await self.close()
        try:
            async with asyncio.timeout(_CONNECT_TIMEOUT):
                self._connection = await aio_pika.connect(
                    self._url,
                    heartbeat=_HEARTBEAT,
                    client_properties={"connection_name": "payments"},
                )
                channel = BatchChannel(_underneath(self._connection))
                await channel.open()
                await channel.exchange_declare(EXCHANGE, exchange_type="topic", durable=True)
        # The last is what aiormq makes of a broker that has hung up before it is listened to.
        except (AMQPError, OSError, TimeoutError, StopAsyncIteration) as error:
            await self.close()
            raise BrokerUnavailable(
                f"the broker cannot be reached: {type(error).__name__}"
            ) from error
        return channel


def _underneath(connection: AbstractConnection) -> aiormq.abc.AbstractConnection:
    """The connection of the layer that frames are written to."""
    assert connection.transport is not None, "it is connected"
    return connection.transport.connection


def _doubt(sending: asyncio.Task[None]) -> BaseException | None:
    """What kept the broker from judging everything; None where it has."""
    if not sending.done():
        return TimeoutError("no confirm in time")
    return ConnectionError("closed") if sending.cancelled() else sending.exception()
