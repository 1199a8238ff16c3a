"""One scenario, from its start to its exit status."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import structlog

from sandbox.backing import has_broker
from sandbox.line import why_it_cannot_be_cut
from sandbox.scenarios.agreement import disagreements
from sandbox.scenarios.browser import Failed
from sandbox.scenarios.decline import decline
from sandbox.scenarios.lifecycle import lifecycle
from sandbox.scenarios.outage import outage
from sandbox.scenarios.stage import Stage, staged
from sandbox.scenarios.storm import storm
from sandbox.scenarios.three_d_secure import three_d_secure
from sandbox.scenarios.timeline import Timeline
from service.settings import SettingsError

log = structlog.get_logger(__name__)

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
    """Play a scenario on a platform of its own; see sandbox/cli.py for the exit status.

    Whatever goes wrong is a line of the timeline. Raises SettingsError.
    """
    scenario, timeline = SCENARIOS[name], Timeline(as_json=as_json)
    obstacle = _obstacle(environment) if scenario.outages else None
    if obstacle is not None:
        timeline.tell("sandbox", f"{name} {obstacle}")
        return CANNOT_BE_PLAYED
    try:
        async with staged(data, environment, timeline, severable=scenario.outages) as stage:
            return await perform(scenario, stage)
    except SettingsError:
        raise
    except Exception as error:  # whatever it is, the scenario has failed
        timeline.tell("sandbox", f"FAILED: {_described(error)}")
        return 1


def _obstacle(environment: Mapping[str, str]) -> str | None:
    """Why nothing can be lost here."""
    if not has_broker(environment):
        return (
            "needs a real broker, and there is none: install rabbitmq-server, or set "
            "RABBITMQ_URL to one that may be used"
        )
    for name in ("DATABASE_URL", "RABBITMQ_URL"):
        given = environment.get(name)
        why = why_it_cannot_be_cut(given) if given else None
        if why is not None:
            return f"cannot lose the server of {name}: {why}. Name another, or unset it"
    return None


async def perform(scenario: Scenario, stage: Stage, *, patience: float = 60.0) -> int:
    """Play it and compare what all sides believe; 1 where either fails."""
    tell = stage.timeline.tell
    failed = False
    try:
        await scenario.play(stage)
    except Exception as error:  # whatever it is, the others can still be compared
        failed = True
        tell("sandbox", f"FAILED: {_described(error)}")
    try:
        found = await disagreements(stage.platform, patience=patience)
    except Exception as error:  # as when the database has not come back
        found = [f"they cannot be compared: {_described(error)}"]
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


def _described(error: Exception) -> str:
    """One line for a person; the rest is for the log, at the level debug."""
    log.debug("scenario_failed", exc_info=error)
    text = " ".join(str(error).split())
    return text if isinstance(error, Failed) and text else f"{type(error).__name__}: {text}"
