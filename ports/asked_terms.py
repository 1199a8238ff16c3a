"""On which terms purchases were asked for, by the name of the operation."""

from collections.abc import Sequence
from datetime import datetime
from typing import Protocol

from ports.purchases import Terms


class AskedTerms(Protocol):
    """Remembers them almost as long as the provider remembers the operation, and never longer.

    Any method may raise StorageUnavailable.
    """

    async def note(self, operation: str, terms: Terms, now: datetime) -> None:
        """Keep that this operation is being asked for on these terms."""
        ...

    async def of(self, operation: str, now: datetime) -> Sequence[Terms]:
        """The terms on which it was asked for, the first ones first; none once the first are old,
        because the provider may then have forgotten it, and to ask again would begin it.
        """
        ...
