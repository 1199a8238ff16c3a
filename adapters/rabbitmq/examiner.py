"""Looks at the broker: is it reached, is the exchange ours, does the users service listen?"""

from __future__ import annotations

import asyncio
from typing import Final

import aio_pika
from aio_pika.abc import AbstractConnection
from aio_pika.exceptions import (
    AMQPConnectionError,
    AMQPError,
    AuthenticationError,
    ChannelNotFoundEntity,
    ChannelPreconditionFailed,
    ProbableAuthenticationError,
)

from adapters.rabbitmq.event_publisher import EXCHANGE
from ports.diagnosis import Finding, fail, ok, warn

_PATIENCE: Final = 10.0  # seconds


class RabbitMQExaminer:
    """One broker. Whether a queue is bound cannot be asked over AMQP, only whether it is there."""

    def __init__(self, url: str, queue: str) -> None:
        self._url = url
        self._queue = queue

    async def examine(self) -> list[Finding]:
        """What was found."""
        found: list[Finding] = []
        try:
            async with asyncio.timeout(_PATIENCE):
                connection = await aio_pika.connect(
                    self._url, client_properties={"connection_name": "payments doctor"}
                )
                async with connection:
                    found.append(ok("broker", "RabbitMQ answers and takes the credentials"))
                    found.append(await _exchange(connection))
                    found.append(await self._consumer(connection))
        except (AuthenticationError, ProbableAuthenticationError):
            found.append(
                fail("broker", "refuses the credentials", "correct user and password, or the vhost")
            )
        except (AMQPConnectionError, AMQPError, OSError, TimeoutError) as error:
            found.append(
                fail(
                    "broker",
                    f"cannot be reached ({type(error).__name__})",
                    "see that it is up, that the host of RABBITMQ_URL is right and the vhost ours",
                )
            )
        return found

    async def _consumer(self, connection: AbstractConnection) -> Finding:
        try:
            channel = await connection.channel()
            queue = await channel.declare_queue(self._queue, passive=True)
        except ChannelNotFoundEntity:
            return warn(
                "consumer",
                f"there is no queue {self._queue}",
                f"start the consumer, which declares it and binds it to {EXCHANGE}; or name"
                " its queue with --queue",
            )
        except AMQPError as error:
            return warn(
                "consumer",
                f"the queue {self._queue} cannot be looked at ({type(error).__name__})",
                "see the broker's log",
            )
        said = queue.declaration_result
        many = f"{said.message_count} messages, {said.consumer_count} consumers"
        if not said.consumer_count:
            return warn("consumer", f"{self._queue}: {many}", "start the consumer")
        return ok("consumer", f"{self._queue}: {many}")


async def _exchange(connection: AbstractConnection) -> Finding:
    try:
        channel = await connection.channel()
        await channel.declare_exchange(EXCHANGE, aio_pika.ExchangeType.TOPIC, durable=True)
    except ChannelPreconditionFailed:
        return fail(
            "exchange",
            f"{EXCHANGE} exists and is no durable topic exchange",
            "remove it; the service declares it as it has to be",
        )
    except AMQPError as error:
        return fail(
            "exchange",
            f"{EXCHANGE} cannot be declared ({type(error).__name__})",
            "let the user configure and write in this vhost",
        )
    return ok("exchange", f"{EXCHANGE} is a durable topic exchange")
