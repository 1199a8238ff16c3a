"""Things that one request at a time may do, across all processes."""

from contextlib import AbstractAsyncContextManager
from datetime import datetime
from typing import Protocol


class Claims(Protocol):
    """Claims on names. One that was not let go of runs out: because its process died, or because
    what it was held for was broken off, and the provider may still be at it.
    """

    def hold(self, name: str, now: datetime) -> AbstractAsyncContextManager[bool]:
        """Hold the claim while in the context; gives False where somebody else holds it.

        Entering may raise StorageUnavailable.
        """
        ...
