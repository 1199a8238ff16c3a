"""Is everything there that the service needs? One line for each thing, and what to do."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping, Sequence
from typing import Any

from ports.diagnosis import Examiner, Finding, fail, ok, warn
from service.settings import Settings


def examine_settings(settings: Settings, problems: Sequence[str]) -> list[Finding]:
    """What can be said of the settings alone, as far as they are usable."""
    values: Mapping[str, Any] = vars(settings)
    found = [_problem(problem) for problem in problems]
    key = values.get("stripe_secret_key")
    if key is not None:
        mode = "live" if "_live_" in key[:8] else "test"
        found.append(ok("keys", f"STRIPE_SECRET_KEY is a {mode} key"))
        if mode == "live" and values.get("stripe_api_base") is not None:
            found.append(
                warn(
                    "keys",
                    "STRIPE_API_BASE sends a live key somewhere other than Stripe",
                    "unset STRIPE_API_BASE unless that is a proxy of your own",
                )
            )
    secrets = values.get("stripe_webhook_secrets")
    if secrets is not None:
        odd = sum(not secret.startswith("whsec_") for secret in secrets)
        many = f"{len(secrets)} signing secret{'s' if len(secrets) > 1 else ''}"
        if odd:
            found.append(
                warn(
                    "webhook secrets",
                    f"{odd} of {many} do not begin with whsec_",
                    "take the signing secret from the endpoint's page at Stripe",
                )
            )
        elif len(secrets) > 1:
            found.append(
                warn("webhook secrets", many, "drop the old one once it is rolled (24 h at most)")
            )
        else:
            found.append(ok("webhook secrets", many))
    if not problems:
        found.insert(0, ok("settings", "all that api and worker need are there"))
    return found


async def diagnose(examiners: Sequence[Examiner]) -> list[Finding]:
    """What all of these found, side by side, in their order."""
    found = await asyncio.gather(*(examiner.examine() for examiner in examiners))
    return [finding for findings in found for finding in findings]


def _problem(problem: str) -> Finding:
    said, _, todo = problem.partition(": ")
    return fail("settings", said, todo or "see the README's table of settings")
