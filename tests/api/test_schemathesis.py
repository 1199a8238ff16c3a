"""A client that nobody here wrote tries all that the OpenAPI document says, and much else."""

from __future__ import annotations

import asyncio
import sys
from pathlib import Path

from adapters.http import examples
from tests.api.conftest import World, token
from tests.api.stripe_api import serve


async def test_schemathesis_finds_no_fault(world: World, tmp_path: Path) -> None:
    # The prices of the document's examples are for sale, so that purchases go through.
    for price, example in (
        ("general_monthly", examples.PRICE),
        ("general_annual", examples.ANNUAL_PRICE),
    ):
        found = world.stripe.objects.pop(f"price_{price}")
        world.stripe.objects[example] = found | {"id": example}
    user = world.somebody()
    async with serve(world.container.app()) as url:
        run = await asyncio.create_subprocess_exec(
            Path(sys.executable).with_name("schemathesis"),
            f"--config-file={Path(__file__).with_name('schemathesis.toml')}",
            "run",
            f"{url}/schema",
            "--checks=all",
            "--phases=examples,coverage,fuzzing,stateful",
            "--max-examples=20",
            "--generation-deterministic",
            "--no-color",
            f"--header=Authorization: Bearer {token(sub=str(user.id))}",
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.STDOUT,
            cwd=tmp_path,
        )
        said, _ = await run.communicate()

    assert run.returncode == 0, said.decode()
