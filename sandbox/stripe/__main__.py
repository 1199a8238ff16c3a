"""`python -m sandbox.stripe`: the stand-in for Stripe as a program of its own."""

from __future__ import annotations

import argparse
import asyncio
import signal
from pathlib import Path
from typing import Final

from sandbox.stripe.server import StripeSandbox

# Stripe promises no order, and a receiver should be seen to cope without.
DELIVERIES_AT_ONCE: Final = 4


def main() -> None:
    """Serve until interrupted."""
    parser = argparse.ArgumentParser(prog="python -m sandbox.stripe", description=__doc__)
    parser.add_argument("--host", default="127.0.0.1")
    parser.add_argument("--port", type=int, default=12111, help="0 for any that is free")
    parser.add_argument(
        "--data", type=Path, help="start from this file, and leave everything in it"
    )
    parser.add_argument("--seed", default="sandbox", help="the ids follow from it")
    parser.add_argument("--webhook", metavar="URL", help="send every webhook there")
    options = parser.parse_args()
    asyncio.run(_serve(options))


async def _serve(options: argparse.Namespace) -> None:
    sandbox = StripeSandbox(
        data=options.data, seed=options.seed, deliveries_at_once=DELIVERIES_AT_ONCE
    )
    await sandbox.start(options.port, options.host)
    if options.webhook:
        sandbox.listen(options.webhook)
    print(f"STRIPE_API_BASE={sandbox.url}")
    print(f"STRIPE_SECRET_KEY={sandbox.api_key}")
    print(f"STRIPE_PUBLISHABLE_KEY={sandbox.publishable_key}")
    print(f"STRIPE_WEBHOOK_SECRET={sandbox.webhook_secret}", flush=True)
    stopped = asyncio.Event()
    for number in (signal.SIGINT, signal.SIGTERM):
        asyncio.get_running_loop().add_signal_handler(number, stopped.set)
    await stopped.wait()
    await sandbox.stop()


if __name__ == "__main__":
    main()
