"""`make bench`: everything, in a quarter of an hour; `make bench ARGS=--short`: in a minute or so,
coarser; `make bench ARGS=--profile`: where the time of one webhook goes. Results go to build/.

The time counts from when the peers are installed, which they are once. With --only nothing is cut
short, unless --minutes says so. The exit status is 1 where a measure could not be taken.
"""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import math
import sys
import tempfile
import time
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Final

from benchmarks import bench as benches
from benchmarks import measures, peers, profile, report, workload
from benchmarks.bench import LONG, SHARES, SHORT, Bench, Scale
from benchmarks.processes import database, environment, migrate
from benchmarks.stripe_api import Collector, StripeApi
from sandbox.servers import PrivatePostgres, PrivateRabbitMQ

BUILD: Final = Path("build")
# Peers stay installed from one run to the next.
PEERS: Final = Path(".bench").resolve()


def main() -> None:
    """Run the benchmark."""
    parser = argparse.ArgumentParser(
        prog="make bench", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--short", action="store_true", help="coarser, for daily use")
    parser.add_argument("--minutes", type=float, help="how long it may take")
    parser.add_argument("--only", nargs="+", choices=SHARES, help="leave the others out")
    parser.add_argument("--profile", action="store_true", help="sample the hot path instead")
    options = parser.parse_args()
    scale = SHORT if options.short else LONG
    minutes = options.minutes or (math.inf if options.only else scale.minutes)
    if options.profile:
        sys.exit(asyncio.run(_profile(scale)))
    sys.exit(asyncio.run(_measure(scale, options.only or list(SHARES), minutes * 60)))


async def _measure(scale: Scale, only: Sequence[str], seconds: float) -> int:
    for peer in peers.install(PEERS):
        print(peer, file=sys.stderr)
    began, machine = time.perf_counter(), measures.machine()
    async with _set_up(scale) as bench:
        try:
            chosen = [getattr(measures, name) for name in only]
            await benches.take(bench, chosen, seconds - (time.perf_counter() - began))
        finally:  # what was found is kept, whatever became of the rest
            document = report.write(bench.found, machine, BUILD)
        if bench.stripe.unknown:
            bench.say(
                f"the peers asked for what the stand-in lacks: {sorted(bench.stripe.unknown)}"
            )
    print(report.table(document))
    print(f"\n{time.perf_counter() - began:.0f} seconds; written: {BUILD}/bench.json and *.svg")
    return 1 if bench.found.failed else 0


async def _profile(scale: Scale) -> int:
    async with _set_up(scale) as bench:
        print(await profile.take(bench))
    return 0


@asynccontextmanager
async def _set_up(scale: Scale) -> AsyncIterator[Bench]:
    """Servers of its own, for as long as the context lasts."""
    began = time.perf_counter()

    def say(line: str) -> None:
        print(f"{time.perf_counter() - began:6.0f} s  {line}", file=sys.stderr, flush=True)

    life = await asyncio.to_thread(workload.record)
    with contextlib.ExitStack() as servers:
        directory = Path(
            servers.enter_context(
                tempfile.TemporaryDirectory(prefix="payments-bench-", ignore_cleanup_errors=True)
            )
        )
        postgres = servers.enter_context(PrivatePostgres(directory / "postgresql"))
        rabbitmq = servers.enter_context(PrivateRabbitMQ(directory / "rabbitmq"))
        async with (
            StripeApi(life.objects) as stripe,
            Collector() as collector,
            database(postgres.url) as migrated,
        ):
            await migrate(environment(migrated, rabbitmq.url, stripe.url))
            yield Bench(
                scale,
                life,
                postgres.url,
                rabbitmq.url,
                {
                    "database": _pid(directory / "postgresql"),
                    "broker": _pid(directory / "rabbitmq"),
                },
                stripe,
                collector,
                migrated.rpartition("/")[2],
                PEERS,
                directory,
                say,
            )


def _pid(server: Path) -> int:
    """The process id that a private server leaves beside its data."""
    return int((server / "server.pid").read_text().split()[0])


if __name__ == "__main__":
    main()
