"""All processes are replaced under load, and the signing secret with them: nothing is lost."""

from __future__ import annotations

import asyncio
import signal
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass, field
from itertools import count
from pathlib import Path
from uuid import uuid4

import httpx

from tests.end_to_end.consumer import Inbox
from tests.end_to_end.processes import Process, running
from tests.end_to_end.service import assert_whole, is_over, life
from tests.stripe_payloads import signed
from tests.stripe_stand_in import StripeStandIn

OLD, NEW = "whsec_the_old_one", "whsec_the_new_one"


@dataclass
class Gateway:
    """Hands webhooks to the processes that are ready, in turn, as a service would."""

    ready: list[Process] = field(default_factory=list)
    _turn: count[int] = field(default_factory=count)

    async def post(self, client: httpx.AsyncClient, body: bytes, header: str) -> httpx.Response:
        process = self.ready[next(self._turn) % len(self.ready)]
        return await client.post(
            f"{process.address}/api/payments/webhook",
            content=body,
            headers={"stripe-signature": header},
        )


@dataclass
class Load:
    """Lives that begin one after the other, for as long as it goes on. A refusal fails the test."""

    gateway: Gateway
    stripe: StripeStandIn
    secret: str = OLD
    users: set[str] = field(default_factory=set)
    delivered: int = 0
    progress: asyncio.Condition = field(default_factory=asyncio.Condition)
    stopping: bool = False

    async def run(self) -> None:
        async with httpx.AsyncClient(timeout=30) as client:
            while not self.stopping:
                user = uuid4()
                self.users.add(str(user))
                for payload in life(f"sub_{len(self.users)}", user, self.stripe):
                    request = signed(payload, secret=self.secret)
                    answer = await self.gateway.post(client, request.body, request.header)
                    assert answer.status_code == 200, answer.text
                    async with self.progress:
                        self.delivered += 1
                        self.progress.notify_all()

    async def goes_on(self) -> None:
        """Return once a few more webhooks were taken."""
        enough = self.delivered + 10
        async with asyncio.timeout(60), self.progress:
            await self.progress.wait_for(lambda: self.delivered >= enough)


@asynccontextmanager
async def under_load(load: Load) -> AsyncIterator[None]:
    running_load = asyncio.create_task(load.run())
    try:
        yield
    finally:
        load.stopping = True
        await running_load


async def test_a_rolling_restart_that_rolls_the_signing_secret_loses_nothing(
    environment: dict[str, str], stripe: StripeStandIn, inbox: Inbox, tmp_path: Path
) -> None:
    secret = tmp_path / "webhook-secret"
    settings = {k: v for k, v in environment.items() if k != "STRIPE_WEBHOOK_SECRET"} | {
        "STRIPE_WEBHOOK_SECRET_FILE": str(secret)
    }
    gateway = Gateway()
    load = Load(gateway, stripe)
    async with AsyncExitStack() as stack:

        async def start(command: str) -> Process:
            return await stack.enter_async_context(running(command, settings, tmp_path))

        async def roll_api() -> None:
            for old in list(gateway.ready):
                gateway.ready.append(await start("api"))
                gateway.ready.remove(old)
                old.signal(signal.SIGTERM)
                assert await old.wait() == 0
                await load.goes_on()

        secret.write_text(OLD)
        gateway.ready = [await start("api"), await start("api")]
        workers = [await start("worker")]
        async with under_load(load):
            await load.goes_on()
            secret.write_text(f"{OLD},{NEW}")
            await roll_api()
            # Now Stripe may sign with the new one.
            load.secret = NEW
            await load.goes_on()
            secret.write_text(NEW)
            await roll_api()
            for old in list(workers):
                workers.append(await start("worker"))
                old.signal(signal.SIGTERM)
                assert await old.wait() == 0
                await load.goes_on()
        await inbox.until(lambda: is_over(inbox, load.users, len(load.users)))
        refused = signed(life("sub_refused", uuid4(), stripe)[0], secret=OLD)
        async with httpx.AsyncClient() as client:
            answer = await gateway.post(client, refused.body, refused.header)
        assert answer.status_code == 400
    for told in inbox.events(load.users).values():
        assert_whole(told)
