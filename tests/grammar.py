"""The grammar of what may be said of one subscription, as a consumer may rely on it."""

from __future__ import annotations

from collections.abc import Sequence

from domain import events
from domain.events import Occurrence
from domain.subscription import ENDED


def check_grammar(history: Sequence[Occurrence]) -> None:
    """Fail unless this, the whole history of a subscription, is a legal one."""
    assert [said.version for said in history] == list(range(1, len(history) + 1))
    status: str | None = None
    activated = ended = canceled = False
    for said in history:
        event = said.event
        if ended and not canceled:
            assert isinstance(event, events.SubscriptionCanceled), (
                "Canceled follows the last change"
            )
        match event:
            case events.SubscriptionActivated():
                assert not activated, "Activated comes once"
                assert not ended, "what has ended is not activated"
                activated, status = True, event.status
            case events.SubscriptionStatusChanged():
                assert not ended, "what has ended stays ended"
                assert event.old_status != event.new_status
                assert status in (None, event.old_status), "each change starts where the last ended"
                status, ended = event.new_status, event.new_status in ENDED
                assert activated or ended, "nothing is said before activation but the end"
            case events.SubscriptionCanceled():
                assert ended, "Canceled follows the change that ended it"
                assert not canceled, "Canceled comes once"
                canceled = True
            case (
                events.SubscriptionPlanChanged()
                | events.SubscriptionCancellationScheduled()
                | events.SubscriptionCancellationWithdrawn()
            ):
                assert activated, "nothing is said before activation but the end"
                assert not ended, "what has ended changes no more"
            case _:
                assert activated or ended, "notices wait until there is something to tell"
    assert canceled == ended, "Canceled follows the last change"
