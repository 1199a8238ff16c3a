"""A client that nobody here wrote tries all that the OpenAPI document says, and much else.

Behind the application is the stand-in for Stripe that has a memory, does the arithmetic and takes
the money, so that every operation can succeed; each has to, once at least.

The suite tries little, and the same each time. For more, and something else each time:

    SCHEMATHESIS_EXAMPLES=500 make test ARGS="--timeout 0 tests/api/test_schemathesis.py"
"""

from __future__ import annotations

import asyncio
import json
import os
import re
import sys
from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any, Final

import pytest

from tests.api.conftest import ORIGIN, Somebody, token
from tests.api.contract import DOCUMENT, operation_of
from tests.api.stripe_api import serve
from tests.money.conftest import Till, at, open_till

# Examples for each operation; 0 for those of the suite.
LONG = int(os.environ.get("SCHEMATHESIS_EXAMPLES", "0"))
LATER = datetime.now(UTC) + timedelta(days=1)
CONFIG = Path(__file__).with_name("schemathesis.toml").read_text()
PLANS: Final = ("general_monthly", "general_annual", "event_organizer_monthly")
# What somebody can do who has bought nothing, and what only a subscriber can. The webhook is for
# whoever can sign.
FOR_ALL: Final = {
    *("config", "live", "ready", "ensureCustomer", "openPortal", "viewSubscription"),
    *("startCheckout", "syncCheckout", "subscribe", "cancelSubscription", "listInvoices"),
}
# How often that is asked for, and not something else.
_MOSTLY: Final = 0.8
FOR_SUBSCRIBERS: Final = {
    *("viewSubscription", "previewPlanChange", "changePlan", "resumeSubscription"),
}


class Heard:
    """The application, and which of its operations have succeeded."""

    def __init__(self, app: Any) -> None:
        self._app = app
        self.succeeded: set[str] = set()

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        async def hear(message: Any) -> None:
            if message["type"] == "http.response.start" and 200 <= message["status"] < 300:
                operation = operation_of(scope["method"].lower(), scope["path"])
                if operation is not None:
                    self.succeeded.add(operation["operationId"])
            await send(message)

        await self._app(scope, receive, hear)


@pytest.fixture
async def till(migrated_url: str) -> AsyncIterator[Till]:
    async with open_till(migrated_url) as till:
        yield till


def known(till: Till, session: str = "cs_of_nobody", **parameters: str) -> str:
    """What a client of ours knows, besides the document: prices of /config, its own addresses, the
    session that it was given.
    """
    prices = [till.price(plan) for plan in PLANS]
    bound = {
        "body.priceId": "prices",
        "path.session_id": "sessions",
        **{f"body.{name}": "addresses" for name in ("successUrl", "cancelUrl", "returnUrl")},
    }
    lines = [
        "[dictionaries.prices]",
        f"values = {json.dumps(prices)}",
        "[dictionaries.addresses]",
        f"values = {json.dumps([f'{ORIGIN}/done', f'{ORIGIN}/plans?a=b#c'])}",
        "[dictionaries.sessions]",
        f'values = ["{session}"]',
        "[parameters]",
        *(f'"{name}" = "{value}"' for name, value in parameters.items()),
        *(
            f'"{name}" = {{ dictionary = "{one}", probability = {_MOSTLY} }}'
            for name, one in bound.items()
        ),
    ]
    return "\n".join([*lines, "", CONFIG])


async def run_schemathesis(
    till: Till, user: Somebody, directory: Path, config: str, *options: str
) -> tuple[str, set[str]]:
    """Have it call the application as this user; fail with what it says, or return that, and the
    operations that have succeeded.
    """
    # It keeps notes beside its configuration.
    file = directory / "schemathesis.toml"
    file.write_text(config)
    heard = Heard(till.container.app())
    async with serve(heard) as url:
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
    return said.decode(), heard.succeeded


def test_every_operation_has_to_succeed() -> None:
    operations = {
        operation["operationId"]
        for methods in DOCUMENT["paths"].values()
        for operation in methods.values()
    }

    assert operations == FOR_ALL | FOR_SUBSCRIBERS | {"receiveWebhook"}


async def test_it_finds_no_fault_with_a_new_user(till: Till, tmp_path: Path) -> None:
    user = await till.somebody(trial=True)
    session = (await user.checkout(till.price("general_monthly"))).json()["sessionId"]

    _, succeeded = await run_schemathesis(
        till, user, tmp_path, known(till, session), f"--max-examples={LONG or 20}"
    )

    assert succeeded >= FOR_ALL


async def test_nor_with_a_subscriber_who_names_what_is_theirs(till: Till, tmp_path: Path) -> None:
    user = await till.subscriber("general_monthly")
    subscriber = await at(user)
    assert (await subscriber.cancel()).status_code == 200  # so that there is something to resume
    await till.tell_of(user)
    # Whoever ends it has nothing left to change; the new user has tried that.
    options = ("--include-path-regex=subscription", "--exclude-operation-id=cancelSubscription")

    said, succeeded = await run_schemathesis(
        till,
        user,
        tmp_path,
        known(till, **{"path.subscription_id": subscriber.id}),
        f"--max-examples={LONG or 10}",
        *options,
    )

    # Or it would have called the operations one by one only.
    assert re.search(r"API Links: +[1-9][0-9]* covered", said), said
    assert succeeded >= FOR_SUBSCRIBERS
