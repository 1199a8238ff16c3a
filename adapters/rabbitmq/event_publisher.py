"""Publishes to RabbitMQ and returns when the broker has judged every message.

The connection is made when it is first needed and dropped at the first doubt; the caller's next
try makes a new one. aio-pika's own robust connection is not used: it would keep publishing to a
channel whose confirms were lost, and the outbox already repeats what was not confirmed.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Mapping, Sequence
from typing import Final
from uuid import UUID

import aio_pika
import structlog
from aio_pika.abc import AbstractChannel, AbstractConnection, AbstractExchange
from aio_pika.exceptions import AMQPError, DeliveryError
from pamqp.commands import Basic

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
        self._exchange: AbstractExchange | None = None

    async def publish(self, messages: Sequence[Message]) -> Mapping[UUID, Delivery]:
        """Send these messages side by side; what the broker said of each."""
        exchange = await self._connected()
        judged: dict[UUID, Delivery] = {}
        doubts = await asyncio.gather(
            *(self._publish_one(exchange, message, judged) for message in messages)
        )
        doubt = next((error for error in doubts if error is not None), None)
        if doubt is not None:
            log.warning(
                "publishing_interrupted",
                error=type(doubt).__name__,
                unjudged=len(messages) - len(judged),
            )
            await self.close()
            if not judged:
                raise BrokerUnavailable(
                    f"the broker did not confirm: {type(doubt).__name__}"
                ) from doubt
        return judged

    async def close(self) -> None:
        """Let go of the connection."""
        connection, self._connection, self._exchange = self._connection, None, None
        if connection is not None:
            with contextlib.suppress(Exception):  # it is being thrown away, in whatever state
                await asyncio.wait_for(connection.close(), _CONNECT_TIMEOUT)

    async def _publish_one(
        self, exchange: AbstractExchange, message: Message, judged: dict[UUID, Delivery]
    ) -> Exception | None:
        try:
            await exchange.publish(
                aio_pika.Message(
                    message.body,
                    message_id=str(message.id),
                    type=message.type,
                    content_type=CONTENT_TYPE,
                    delivery_mode=aio_pika.DeliveryMode.PERSISTENT,
                    app_id="payments",
                ),
                routing_key=message.type,
                mandatory=True,
                timeout=self._confirm_timeout,
            )
        except DeliveryError as error:
            returned = isinstance(error.frame, Basic.Return)
            judged[message.id] = Delivery.UNROUTABLE if returned else Delivery.REFUSED
        except (AMQPError, OSError, TimeoutError, RuntimeError) as error:
            # RuntimeError is what aiormq raises on a writer that was closed meanwhile.
            return error
        else:
            judged[message.id] = Delivery.CONFIRMED
        return None

    async def _connected(self) -> AbstractExchange:
        if self._exchange is not None and self._connection and not self._connection.is_closed:
            return self._exchange
        await self.close()
        try:
            async with asyncio.timeout(_CONNECT_TIMEOUT):
                self._connection = await aio_pika.connect(
                    self._url,
                    heartbeat=_HEARTBEAT,
                    client_properties={"connection_name": "payments"},
                )
                channel: AbstractChannel = await self._connection.channel(
                    publisher_confirms=True,
                    # Otherwise a message that no queue took would look delivered.
                    on_return_raises=True,
                )
                self._exchange = await channel.declare_exchange(
                    EXCHANGE, aio_pika.ExchangeType.TOPIC, durable=True
                )
        except (AMQPError, OSError, TimeoutError) as error:
            await self.close()
            raise BrokerUnavailable(
                f"the broker cannot be reached: {type(error).__name__}"
            ) from error
        return self._exchange
