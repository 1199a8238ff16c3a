"""The publisher's port without a broker: messages go straight to the consumer.

For machines where no RabbitMQ can be had. Nothing is durable here, and nothing gets lost only
because publisher and consumer live and die together.
"""

from __future__ import annotations

import contextlib
from collections.abc import Mapping, Sequence
from uuid import UUID

import structlog

from ports.event_publisher import Delivery
from ports.outbox import Message
from sandbox.users_service import RefusedError, UsersService

log = structlog.get_logger(__name__)


class InProcessBus:
    """Hands every message to the users service before it counts as confirmed.

    One that it refuses has been delivered all the same, as by a broker: it is a dead letter there.
    One that it fails to take is not confirmed, and comes again before what follows it.
    """

    def __init__(self, users: UsersService) -> None:
        self._users = users

    async def publish(self, messages: Sequence[Message]) -> Mapping[UUID, Delivery]:
        """Deliver these messages, up to the first that cannot be taken."""
        delivered: dict[UUID, Delivery] = {}
        for message in messages:
            try:
                with contextlib.suppress(RefusedError):
                    await self._users.take(message.body)
            except Exception as error:  # as of a broker that cannot write to its disk
                log.warning("message_not_kept", error=repr(error))
                delivered[message.id] = Delivery.REFUSED
                break
            delivered[message.id] = Delivery.CONFIRMED
        return delivered

    async def close(self) -> None:
        """There is nothing to let go of."""
