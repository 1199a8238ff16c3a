"""Have the payment provider do what makes a user a subscriber.

Every call goes over the network: never in a unit of work. Besides what its docstring names, each
may raise ProviderUnavailable, ProviderRefused where the provider turns the request down, and
OperationUnderWay where another one has in hand what is to be changed.

An `operation` names what is done from our side: asked for again with the same terms, after a
crash or by somebody else at the same moment, it is carried out once and answered alike.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from hashlib import sha256
from typing import Protocol
from uuid import UUID

from domain.money import Money
from domain.subscription import Snapshot, Status, Subscription, subscription_id
from ports.inbox import ReceivedWebhook


class OperationConflict(Exception):
    """The operation is under way, or was carried out, with other terms: look again first."""


class OperationUnderWay(OperationConflict):
    """Another request has it in hand at this moment, on whatever terms; nothing was done."""


@dataclass(frozen=True, slots=True)
class Terms:
    """What is bought, and where the buyer goes afterwards. `trial_days` is 0 without a trial; on
    our own page there is nowhere to go.
    """

    price_ref: str
    trial_days: int
    success_url: str = ""
    cancel_url: str = ""

    @property
    def on_our_page(self) -> bool:
        """Whether it is bought there: a page of the provider's leads back to us."""
        return not self.success_url

    @property
    def fingerprint(self) -> str:
        """The same for the same terms, and short."""
        parts = (self.price_ref, str(self.trial_days), self.success_url, self.cancel_url)
        return sha256("\0".join(parts).encode()).hexdigest()[:32]


class CheckoutStatus(StrEnum):
    """Whether a buyer can still finish a Checkout."""

    OPEN = "open"
    COMPLETE = "complete"
    EXPIRED = "expired"


@dataclass(frozen=True, slots=True)
class Checkout:
    """A page of the provider's on which to buy. `fingerprint` is that of its Terms."""

    session_ref: str
    user_id: UUID | None
    status: CheckoutStatus
    url: str | None
    expires_at: datetime | None
    fingerprint: str | None
    subscription_ref: str | None


@dataclass(frozen=True, slots=True)
class ProviderSubscription:
    """A subscription as the provider has it now; our own record waits for its webhooks.

    `price` is what is paid for one interval, None where that cannot be said in one amount;
    `item_ref` is the part of it that bears the price. `fingerprint` is that of the Terms it was
    begun with. `has_card` says that somebody has given a card for it, and so confirmed it.
    """

    subscription_ref: str
    customer_ref: str | None
    user_id: UUID | None
    livemode: bool
    snapshot: Snapshot
    price: Money | None
    item_ref: str | None
    fingerprint: str | None
    created_at: datetime | None = None
    has_card: bool = False

    @property
    def shows_a_used_trial(self) -> bool:
        """Whether this proves that a trial was granted; also one that was ended since."""
        confirmed = self.has_card and self.snapshot.status != Status.INCOMPLETE
        return self.snapshot.shows_a_used_trial or (
            confirmed and self.snapshot.trial_end is not None
        )

    @property
    def id(self) -> UUID:
        """Our own id of it."""
        return subscription_id(self.subscription_ref)

    def as_aggregate(self, user_id: UUID) -> Subscription:
        """The same as an aggregate, so that the rules of the domain can be asked."""
        return Subscription(
            user_id, self.customer_ref, self.subscription_ref, self.livemode, self.snapshot
        )


@dataclass(frozen=True, slots=True)
class History:
    """What a customer has bought and tried to buy, each the newest first."""

    subscriptions: Sequence[ProviderSubscription] = ()
    checkouts: Sequence[Checkout] = ()

    @property
    def shows_a_used_trial(self) -> bool:
        """Whether a trial was granted, as far as this tells. A Checkout cannot be completed without
        a card, and the first one is bought with the trial.
        """
        return any(s.shows_a_used_trial for s in self.subscriptions) or any(
            c.status is CheckoutStatus.COMPLETE and c.subscription_ref for c in self.checkouts
        )

    @property
    def position(self) -> str:
        """Where in the history this is: every purchase that is begun moves it on."""
        subscription = self.subscriptions[0].subscription_ref if self.subscriptions else "none"
        checkout = self.checkouts[0].session_ref if self.checkouts else "none"
        return f"{subscription}:{checkout}"


class IntentType(StrEnum):
    """What a client secret confirms: a payment, or a card for later payments."""

    PAYMENT = "payment"
    SETUP = "setup"


@dataclass(frozen=True, slots=True)
class FirstPayment:
    """A subscription that begins once the buyer has confirmed. Without a secret nothing can be
    confirmed: it has begun, or this attempt is dead.
    """

    subscription: ProviderSubscription
    client_secret: str | None
    intent_type: IntentType | None


class Closing(StrEnum):
    """What became of the wish that something can no longer be paid or confirmed."""

    CLOSED = "closed"
    FINISHED = "finished"  # it was paid or confirmed before it could be closed
    PROCESSING = "processing"  # the bank has it in hand, and will decide


class Purchases(Protocol):
    """What users do to become subscribers."""

    async def create_customer(self, user_id: UUID, *, operation: str) -> str:
        """A customer for this user, of whom nothing else is known yet; returns its reference.

        Raises OperationConflict.
        """
        ...

    async def update_customer(self, customer_ref: str, email: str, name: str | None) -> None:
        """Have the customer bear this email, and the name where there is one."""
        ...

    async def history(self, customer_ref: str) -> History:
        """What the customer has bought and tried to buy."""
        ...

    async def start_checkout(
        self, customer_ref: str, user_id: UUID, terms: Terms, *, operation: str
    ) -> Checkout:
        """A page on which this customer can buy. Raises OperationConflict."""
        ...

    async def find_checkout(self, session_ref: str) -> Checkout | None:
        """The Checkout as it is now; None where the provider knows none."""
        ...

    async def expire_checkout(self, session_ref: str) -> bool:
        """Make sure that it cannot be finished any more; False where it was finished before."""
        ...

    async def subscribe(
        self, customer_ref: str, user_id: UUID, terms: Terms, *, operation: str
    ) -> FirstPayment:
        """Begin a subscription that the buyer confirms on our page. Raises OperationConflict."""
        ...

    async def first_payment(self, subscription_ref: str) -> FirstPayment | None:
        """What is left to confirm of a subscription that was begun."""
        ...

    async def close_attempt(self, subscription_ref: str) -> Closing:
        """End a subscription that was begun and never confirmed; never one that was paid."""
        ...

    async def open_portal(self, customer_ref: str, return_url: str) -> str:
        """The address of a page on which the customer manages cards and invoices."""
        ...

    async def report_deletion(
        self, customer_ref: str, at: datetime, *, livemode: bool
    ) -> ReceivedWebhook | None:
        """That the provider has no such customer any more, in the form of a webhook that the
        inbox takes, dated `at`; None where it has. Reports of one customer have equal ids.
        """
        ...

    async def report(self, subscription_ref: str, as_of: datetime | None) -> ReceivedWebhook | None:
        """The subscription as it is now, in the form of a webhook that the inbox takes.

        It is dated `as_of`, the watermark of what was applied last, or when the subscription was
        created: never later than any change still to be heard of. Equal content has equal ids.
        """
        ...
