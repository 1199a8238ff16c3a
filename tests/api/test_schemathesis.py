"""A client that nobody here wrote tries all that the OpenAPI document says, and much else.

The suite tries little, and the same each time. For more, and something else each time:

    SCHEMATHESIS_EXAMPLES=500 make test ARGS=tests/api/test_schemathesis.py
"""

from __future__ import annotations

import asyncio
import os
import re
import sys
from datetime import UTC, datetime, timedelta
from pathlib import Path

from adapters.http import examples
from tests.api.conftest import Somebody, World, token
from tests.api.stripe_api import serve

# Examples for each operation; 0 for those of the suite.
LONG = int(os.environ.get("SCHEMATHESIS_EXAMPLES", "0"))
LATER = datetime.now(UTC) + timedelta(days=1)
CONFIG = Path(__file__).with_name("schemathesis.toml").read_text()


async def run_schemathesis(
    world: World, user: Somebody, directory: Path, config: str, *options: str
) -> str:
    """Have it call the application as this user; fail with what it says, or return that."""
    # It keeps notes beside its configuration.
    file = directory / "schemathesis.toml"
    file.write_text(config)
    async with serve(world.container.app()) as url:
        run = await asyncio.create_subprocess_exec(
            Path(sys.executable).with_name("schemathesis"),
            f"--config-file={file}",
            "run",
            f"{url}/schema",
            "--checks=all",
            "--phases=examples,coverage,fuzzing,stateful",
            *(() if LONG else ("--generation-deterministic",)),
            "--no-color",
            f"--header=Authorization: Bearer {token(sub=str(user.id), exp=LATER)}",
            *options,
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.STDOUT,
            cwd=directory,
        )
        said, _ = await run.communicate()
    assert run.returncode == 0, said.decode()
    return said.decode()


def sell_what_the_examples_buy(world: World) -> None:
    for price, example in (
        ("general_monthly", examples.PRICE),
        ("general_annual", examples.ANNUAL_PRICE),
    ):
        found = world.stripe.objects.pop(f"price_{price}")
        world.stripe.objects[example] = found | {"id": example}


async def test_it_finds_no_fault_with_a_new_user(world: World, tmp_path: Path) -> None:
    sell_what_the_examples_buy(world)

    examples_each = f"--max-examples={LONG or 20}"
    await run_schemathesis(world, world.somebody(), tmp_path, CONFIG, examples_each)


async def test_nor_with_a_subscriber_who_names_what_is_theirs(world: World, tmp_path: Path) -> None:
    sell_what_the_examples_buy(world)
    user = await world.subscribed(examples.PRICE)
    subscription_id = (await user("GET", "/subscription")).json()["id"]
    theirs = f'[parameters]\n"path.subscription_id" = "{subscription_id}"\n\n'

    said = await run_schemathesis(
        world,
        user,
        tmp_path,
        theirs + CONFIG,
        f"--max-examples={LONG or 10}",
        "--include-path-regex=subscription",
    )
    # Or it would have called the operations one by one only.
    assert re.search(r"API Links: +[1-9][0-9]* covered", said), said
