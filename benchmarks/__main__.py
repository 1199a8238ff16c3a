"""`make bench`: everything, in a quarter of an hour; `make bench ARGS=--short`: in a minute or
two, coarser. Results go to build/.
"""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import sys
import tempfile
import time
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Final

from benchmarks import measures, report, workload
from benchmarks.measures import LONG, SHORT, Bench, Scale
from benchmarks.stripe_api import StripeApi
from sandbox.servers import PrivatePostgres, PrivateRabbitMQ

BUILD: Final = Path("build")
# Peers stay installed from one run to the next.
PEERS: Final = Path(".bench").resolve()
MEASURES: Final = ("start", "ingest", "stages", "end_to_end", "latency", "table_size", "memory")


def main() -> None:
    """Run the benchmark."""
    parser = argparse.ArgumentParser(prog="make bench", description=__doc__)
    parser.add_argument("--short", action="store_true", help="coarser, for daily use")
    parser.add_argument("--minutes", type=float, help="how long it may take, about")
    parser.add_argument("--only", nargs="+", choices=MEASURES, help="leave the others out")
    options = parser.parse_args()
    scale = SHORT if options.short else LONG
    if options.minutes:
        scale = replace(scale, minutes=options.minutes)
    asyncio.run(_run(scale, options.only or MEASURES))


async def _run(scale: Scale, only: Sequence[str]) -> None:
    began = time.perf_counter()

    def say(line: str) -> None:
        print(f"{time.perf_counter() - began:6.0f} s  {line}", file=sys.stderr, flush=True)

    machine = measures.machine()
    life = await asyncio.to_thread(workload.record)
    with contextlib.ExitStack() as servers:
        directory = Path(
            servers.enter_context(
                tempfile.TemporaryDirectory(prefix="payments-bench-", ignore_cleanup_errors=True)
            )
        )
        postgres = servers.enter_context(PrivatePostgres(directory / "postgresql"))
        rabbitmq = servers.enter_context(PrivateRabbitMQ(directory / "rabbitmq"))
        async with StripeApi(life.objects) as stripe:
            bench = Bench(
                scale,
                life,
                postgres.url,
                rabbitmq.url,
                {
                    "database": _pid(directory / "postgresql"),
                    "broker": _pid(directory / "rabbitmq"),
                },
                stripe,
                PEERS,
                directory,
                say,
                keep=lambda found: report.write(found, machine, BUILD),
            )
            chosen = [getattr(measures, name) for name in only]
            found = await measures.run(bench, chosen)
            if stripe.unknown:
                say(f"the peers asked for what the stand-in lacks: {sorted(stripe.unknown)[:5]}")
    document = report.write(found, machine, BUILD)
    say("done")
    print(report.table(document))
    print(f"\nwritten: {BUILD}/bench.json and {BUILD}/*.svg")


def _pid(server: Path) -> int:
    """The process id that a private server leaves beside its data."""
    return int((server / "server.pid").read_text().split()[0])


if __name__ == "__main__":
    main()
