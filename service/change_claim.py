"""Whoever changes or ends a subscription does so alone, across all processes."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import datetime
from uuid import UUID

from ports.claims import Claims
from service.refusals import Conflict


@asynccontextmanager
async def changing(claims: Claims, subscription_id: UUID, now: datetime) -> AsyncIterator[None]:
    """Hold the claim on this subscription. Raises Conflict where somebody else holds it."""
    async with claims.hold(f"plan-change:{subscription_id}", now) as held:
        if not held:
            raise Conflict(
                "change-under-way",
                "another change of this subscription is just being made: look, then repeat",
                # Longer, where the other one was broken off.
                in_seconds=5,
            )
        yield
