"""A subscription that a user names, if it is theirs."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from uuid import UUID

from domain.subscription import Subscription
from ports.authentication import User
from ports.billing import Billing
from ports.purchases import ProviderSubscription, Purchases
from ports.unit_of_work import UnitOfWork
from service.refusals import no_such_subscription


@dataclass(frozen=True, slots=True)
class Owned:
    """A subscription as the provider has it now, and our own record, which may come later."""

    found: ProviderSubscription
    record: Subscription | None


class OwnedSubscription:
    """Finds a user's subscription as the provider has it now.

    One that was begun a moment ago is found even before its first webhook has arrived.
    """

    def __init__(
        self, unit_of_work: Callable[[], UnitOfWork], purchases: Purchases, billing: Billing
    ) -> None:
        self._unit_of_work = unit_of_work
        self._purchases = purchases
        self._billing = billing

    async def __call__(self, user: User, subscription_id: UUID) -> Owned:
        """Raises NotFound, also where it is somebody else's, and ProviderUnavailable."""
        async with self._unit_of_work() as uow:
            known = await uow.subscriptions.of_user(user.id)
            customer_ref = await uow.customers.reference_of(user.id)
            had_trial = await uow.trials.redeemed(user.id)
        found: ProviderSubscription | None = None
        record = next((s for s in known if s.id == subscription_id), None)
        if record is not None:
            found = await self._billing.find_subscription(record.subscription_ref)
        elif customer_ref is not None:
            history = await self._purchases.history(customer_ref)
            found = next((s for s in history.subscriptions if s.id == subscription_id), None)
        if found is None:
            raise no_such_subscription()
        if found.shows_a_used_trial and not had_trial:
            # Its webhook says so too, but may be late; canceled meanwhile, it proves nothing.
            async with self._unit_of_work() as uow:
                await uow.trials.redeem([user.id])
                await uow.commit()
        return Owned(found, record)
