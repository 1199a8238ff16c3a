"""Whether a thing we depend on can be worked with."""

from dataclasses import dataclass
from typing import Protocol


@dataclass(frozen=True, slots=True)
class Health:
    """The state of one dependency; `hint` says what to do where it is not well."""

    name: str
    well: bool
    hint: str | None = None


class HealthCheck(Protocol):
    """Looks at one dependency."""

    async def check(self) -> Health:
        """Its state now. Never raises, and answers within a few seconds."""
        ...
