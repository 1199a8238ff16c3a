"""The publisher's port without a broker: messages go straight to the consumer.

For machines where no RabbitMQ can be had. Nothing is durable here, and nothing gets lost only
because publisher and consumer live and die together.
"""

from __future__ import annotations

import contextlib
from collections.abc import Mapping, Sequence
from uuid import UUID

from ports.event_publisher import Delivery
from ports.outbox import Message
from sandbox.users_service import RefusedError, UsersService


class InProcessBus:
    """Hands every message to the users service before it counts as confirmed.

    One that it refuses has been delivered all the same, as by a broker: it is a dead letter there.
    """

    def __init__(self, users: UsersService) -> None:
        self._users = users

    async def publish(self, messages: Sequence[Message]) -> Mapping[UUID, Delivery]:
        """Deliver these messages."""
        for message in messages:
            with contextlib.suppress(RefusedError):
                await self._users.take(message.body)
        return {message.id: Delivery.CONFIRMED for message in messages}

    async def close(self) -> None:
        """There is nothing to let go of."""
