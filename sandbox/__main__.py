"""`make run`: the whole story on a bare machine, with no account anywhere.

Starts what is missing (a database, a broker, a stand-in for Stripe), then the service and a
stand-in for the users service, plays the life of one subscription through them, compares what
each of them believes, and keeps serving until Ctrl-C (with SANDBOX_ONCE=1 it ends after the
story instead). DATABASE_URL and RABBITMQ_URL name servers to use; RABBITMQ_URL=in-process does
without a broker. All data lie in `.sandbox/`.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import signal
import socket
import sys
import time
from collections.abc import AsyncIterator, Mapping
from contextlib import AsyncExitStack, asynccontextmanager
from functools import partial
from pathlib import Path
from typing import Any

import httpx
from dependency_injector import providers

from domain.subscription import subscription_id
from sandbox.in_process_bus import InProcessBus
from sandbox.servers import PrivatePostgres, PrivateRabbitMQ, find_rabbitmq_server
from sandbox.story import Story, sign
from sandbox.stripe_stub import StripeStub
from sandbox.users_service import Consumer, UsersService, UsersView
from service import settings, wiring

DATA = Path(".sandbox")
FIRST_PORT = 8000
WEBHOOK_SECRET = "whsec_sandbox"  # noqa: S105 - it signs what the sandbox itself sends
IN_PROCESS = "in-process"
PATIENCE = 30.0  # seconds for a webhook to become a consumed message


def main() -> int:
    """Run until Ctrl-C; the exit status is 1 where the story went wrong."""
    if os.environ.get("STRIPE_SECRET_KEY", "").startswith(("sk_live_", "rk_live_")):
        sys.stderr.write("make run: STRIPE_SECRET_KEY is a live key: the sandbox refuses it\n")
        return 2
    try:
        return asyncio.run(_run())
    except KeyboardInterrupt:
        return 130


async def _run() -> int:
    stop = asyncio.Event()
    loop = asyncio.get_running_loop()
    for name in (signal.SIGINT, signal.SIGTERM):
        loop.add_signal_handler(name, stop.set)
    async with AsyncExitStack() as running:
        environment = {
            "DATABASE_URL": running.enter_context(_database()),
            "RABBITMQ_URL": running.enter_context(_broker()) or f"amqp://{IN_PROCESS}",
            "STRIPE_SECRET_KEY": "sk_test_sandbox",
            "STRIPE_PUBLISHABLE_KEY": "pk_test_sandbox",
            "STRIPE_WEBHOOK_SECRET": WEBHOOK_SECRET,
            "LOG_LEVEL": os.environ.get("LOG_LEVEL", "warning"),
        }
        stripe = await running.enter_async_context(StripeStub())
        environment["STRIPE_API_BASE"] = stripe.url
        _say("stripe", f"a stand-in at {stripe.url}")
        users = UsersService(_print_message)
        await asyncio.to_thread(wiring.migrate, settings.load("migrate", environment))
        address = await running.enter_async_context(_service(environment, users))
        in_order = await _play(address, stripe, users)
        _say("payments", f"open {address}/api/payments/config   (Ctrl-C stops everything)")
        if not os.environ.get("SANDBOX_ONCE"):
            await stop.wait()
        return 0 if in_order else 1


@contextlib.contextmanager
def _database() -> Any:
    given = os.environ.get("DATABASE_URL")
    if given:
        _say("database", "the one of DATABASE_URL")
        yield given
        return
    with PrivatePostgres(DATA / "postgresql") as server:
        _say("database", f"a private PostgreSQL on port {server.port}")
        yield server.url


@contextlib.contextmanager
def _broker() -> Any:
    given = os.environ.get("RABBITMQ_URL")
    if given == IN_PROCESS:
        _say("broker", "an in-process bus, as RABBITMQ_URL says")
        yield None
    elif given:
        _say("broker", "the one of RABBITMQ_URL")
        yield given
    elif find_rabbitmq_server():
        with PrivateRabbitMQ(DATA / "rabbitmq") as server:
            _say("broker", f"a private RabbitMQ on port {server.port}")
            yield server.url
    else:
        _say("broker", "an in-process bus, since no rabbitmq-server is installed")
        yield None


@asynccontextmanager
async def _service(environment: Mapping[str, str], users: UsersService) -> AsyncIterator[str]:
    container = wiring.Container(settings=settings.load("serve", environment))
    async with AsyncExitStack() as running:
        if environment["RABBITMQ_URL"] == f"amqp://{IN_PROCESS}":
            container.event_publisher.override(providers.Object(InProcessBus(users)))
        else:
            await running.enter_async_context(Consumer(environment["RABBITMQ_URL"], users))
        port = _free_port()
        stop = asyncio.Event()
        serving = asyncio.create_task(
            wiring.run_container(container, listen_on=("127.0.0.1", port), worker=True, stop=stop)
        )
        address = f"http://127.0.0.1:{port}"
        try:
            await _ready(address, serving)
            yield address
        finally:
            stop.set()
            await serving


async def _ready(address: str, serving: asyncio.Task[None]) -> None:
    """Wait until the service says that it can take webhooks."""
    async with asyncio.timeout(PATIENCE), httpx.AsyncClient(base_url=address) as client:
        while True:
            if serving.done():
                serving.result()
            with contextlib.suppress(httpx.TransportError):
                if (await client.get("/health/ready")).is_success:
                    return
            await asyncio.sleep(0.05)  # there is nothing to wait on before the port is open


async def _play(address: str, stripe: StripeStub, users: UsersService) -> bool:
    """Play one subscription's life; whether all sides agree at every step."""
    story = Story(started=int(time.time()))
    stripe.customers[story.customer_id] = story.customer
    ours = str(subscription_id(story.subscription_id))
    agreed = True
    async with httpx.AsyncClient(base_url=address) as client:
        for chapter in story.chapters():
            print(f"\n{chapter.title}")
            for event in chapter.events:
                body, headers = sign(event, WEBHOOK_SECRET)
                answer = await client.post("/api/payments/webhook", content=body, headers=headers)
                answer.raise_for_status()
                print(f"  → {event['type']}")
            arrived = partial(_has_status, subscription=ours, status=chapter.status)
            try:
                await users.until(arrived, PATIENCE)
            except TimeoutError:
                agreed = False
            believed = users.view.status_of(ours)
            verdict = "as at Stripe" if believed == chapter.status else "NOT as at Stripe"
            print(f"    users service: {believed}, {verdict} ({chapter.status})")
    print()
    return agreed


def _has_status(view: UsersView, *, subscription: str, status: str) -> bool:
    return view.status_of(subscription) == status


def _print_message(message: Mapping[str, Any]) -> None:
    until = message["data"]["accessUntil"]
    print(
        f"  ← {message['sequence']:>2} {message['type']}"
        + (f"  (access until {until})" if until else "")
    )


def _free_port() -> int:
    """The first free port from 8000 on."""
    for port in range(FIRST_PORT, FIRST_PORT + 1000):
        with contextlib.suppress(OSError), socket.create_server(("127.0.0.1", port)):
            return port
    raise SystemExit(f"no port from {FIRST_PORT} to {FIRST_PORT + 999} is free: free one of them")


def _say(what: str, which: str) -> None:
    print(f"{what:>9}: {which}")


if __name__ == "__main__":
    sys.exit(main())
