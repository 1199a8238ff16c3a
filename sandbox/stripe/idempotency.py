"""Idempotency keys, by Stripe's own rules.

The first outcome of a key is kept and repeated, errors and 500s included, for at least a day.
Nothing is kept of what was refused before the endpoint began. (Stripe: Idempotent requests)
"""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Any, Final

from sandbox.stripe.clock import Seconds
from sandbox.stripe.errors import ApiError, ValidationError
from sandbox.stripe.store import Json

KEPT_SECONDS: Final[Seconds] = 24 * 60 * 60
_LONGEST: Final = 255


@dataclass(frozen=True, slots=True)
class Outcome:
    """What an endpoint answered. `request_id` is the first request's."""

    status: int
    body: Any
    request_id: str


@dataclass(slots=True)
class _Used:
    request: str
    at: Seconds
    outcome: Outcome | None = None


class IdempotencyKeys:
    """The keys in use."""

    def __init__(self) -> None:
        self._used: dict[str, _Used] = {}

    def begin(self, key: str, request: str, now: Seconds) -> Outcome | None:
        """Take a key for a request, or answer what the key was answered before.

        Raises ApiError where the key belongs to another request, or to one still under way.
        """
        if len(key) > _LONGEST:
            raise ValidationError(
                f"Idempotency keys may have {_LONGEST} characters", kind="idempotency_error"
            )
        self._forget_old(now)
        used = self._used.get(key)
        if used is None:
            self._used[key] = _Used(request, now)
            return None
        if used.request != request:
            raise ApiError(
                "Keys for idempotent requests can only be used with the same parameters they were "
                f"first used with. Try using a key other than '{key}' if you meant to execute a "
                "different request.",
                kind="idempotency_error",
            )
        if used.outcome is None:
            raise ApiError(
                "There is currently another in-progress request using this Idempotent Key (that "
                "probably means you submitted twice, and the other request is still going "
                f"through): {key}. Please try again later.",
                status=409,
                code="idempotency_key_in_use",
            )
        return used.outcome

    def finish(self, key: str, outcome: Outcome) -> None:
        """Keep the outcome."""
        self._used[key].outcome = outcome

    def forget(self, key: str) -> None:
        """Keep nothing: the endpoint never began."""
        self._used.pop(key, None)

    def _forget_old(self, now: Seconds) -> None:
        for key, used in list(self._used.items()):
            if now - used.at <= KEPT_SECONDS:
                break  # they are in the order of their first use
            if used.outcome:
                del self._used[key]

    def dump(self) -> Json:
        """Everything that is finished, for a snapshot."""
        return {key: asdict(used) for key, used in self._used.items() if used.outcome}

    def load(self, snapshot: Json) -> None:
        """Take over what was dumped."""
        for key, used in snapshot.items():
            self._used[key] = _Used(used["request"], used["at"], Outcome(**used["outcome"]))
