"""One scenario, from its start to its exit status."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import httpx

from sandbox.backing import has_broker
from sandbox.scenarios.agreement import disagreements
from sandbox.scenarios.browser import Failed
from sandbox.scenarios.decline import decline
from sandbox.scenarios.lifecycle import lifecycle
from sandbox.scenarios.outage import outage
from sandbox.scenarios.stage import Stage, staged
from sandbox.scenarios.storm import storm
from sandbox.scenarios.three_d_secure import three_d_secure
from sandbox.scenarios.timeline import Timeline

CANNOT_BE_PLAYED: Final = 3


@dataclass(frozen=True, slots=True)
class Scenario:
    """A story. One that is about `outages` needs a broker that can be lost."""

    play: Callable[[Stage], Awaitable[None]]
    outages: bool = False


SCENARIOS: Final[Mapping[str, Scenario]] = {
    "lifecycle": Scenario(lifecycle),
    "decline": Scenario(decline),
    "three-d-secure": Scenario(three_d_secure),
    "storm": Scenario(storm),
    "outage": Scenario(outage, outages=True),
}


async def play(name: str, data: Path, environment: Mapping[str, str], *, as_json: bool) -> int:
    """Play a scenario on a platform of its own; see sandbox/cli.py for the exit status."""
    scenario, timeline = SCENARIOS[name], Timeline(as_json=as_json)
    if scenario.outages and not has_broker(environment):
        timeline.tell(
            "sandbox",
            f"{name} needs a real broker, and there is none: install rabbitmq-server, or set "
            "RABBITMQ_URL to one that may be used",
        )
        return CANNOT_BE_PLAYED
    async with staged(data, environment, timeline, severable=scenario.outages) as stage:
        return await perform(scenario, stage)


async def perform(scenario: Scenario, stage: Stage, *, patience: float = 60.0) -> int:
    """Play it and compare what all sides believe; 1 where either fails."""
    tell = stage.timeline.tell
    failed = False
    try:
        await scenario.play(stage)
    except (Failed, httpx.HTTPError) as error:
        failed = True
        tell("sandbox", f"FAILED: {str(error) or repr(error)}")
    found = await disagreements(stage.platform, patience=patience)
    for difference in found:
        tell("compared", f"DIFFERENT: {difference}")
    count = sum(1 for _ in stage.platform.stripe.world.store.all("subscription"))
    verdict = "differ" if found else "agree"
    tell(
        "compared",
        f"Stripe, the tables and the users service {verdict} on {count} subscriptions",
        agree=not found,
        differences=found,
        subscriptions=count,
    )
    return 1 if failed or found else 0
