"""Everything the provider has on record, to compare with what we have."""

from collections.abc import AsyncIterator, Sequence
from datetime import datetime
from typing import Protocol

from ports.inbox import ReceivedWebhook
from ports.purchases import ProviderSubscription


class ProviderRecords(Protocol):
    """Lists, a page at a time and never two requests at once; each the newest first.

    Both go over the network and may raise ProviderUnavailable between pages.
    """

    def events(self, since: datetime, until: datetime) -> AsyncIterator[Sequence[ReceivedWebhook]]:
        """The events of the types we act on that happened from `since` to before `until`, in the
        form in which they would have been delivered. The provider forgets them after 30 days.
        """
        ...

    def subscriptions(
        self, until: datetime | None = None
    ) -> AsyncIterator[Sequence[ProviderSubscription]]:
        """Every subscription there is or ever was, as it is now; with `until` only those that were
        created by then.
        """
        ...
