"""Everything a batch of commands needs, read at once, changed in memory and written at once.

Handlers take what they need from it and put back what they changed; none of them waits for the
network or the database. A handler works on drafts, so one that raises has changed nothing.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Sequence
from dataclasses import dataclass
from uuid import UUID

from domain.customer import Customer
from domain.events import Occurrence
from domain.subscription import AccessPolicy, Snapshot, Subscription
from ports.outbox import Message
from ports.payment_provider import ProviderCustomer, ProviderUnavailable
from ports.unit_of_work import UnitOfWork
from service.event_messages import write_message


@dataclass(frozen=True, slots=True)
class CustomerLookup:
    """A question to the provider: who is this customer?"""

    customer_ref: str


@dataclass(frozen=True, slots=True)
class SubscriptionLookup:
    """A question to the provider: what is this subscription now?"""

    subscription_ref: str


Lookup = CustomerLookup | SubscriptionLookup
Answer = ProviderCustomer | Snapshot | ProviderUnavailable | None


class LookupNeeded(Exception):
    """A command cannot be judged before the provider has answered this."""

    def __init__(self, lookup: Lookup) -> None:
        super().__init__(f"needs {lookup}")
        self.lookup = lookup


def user_key(user_id: UUID) -> str:
    """What waits for this user's customer to be deleted waits for this."""
    return f"user {user_id}"


@dataclass(frozen=True, slots=True)
class References:
    """What a command may touch, so that it can be read beforehand."""

    subscription_ref: str | None = None
    customer_ref: str | None = None
    user_id: UUID | None = None
    invoice_ref: str | None = None


@dataclass(frozen=True, slots=True)
class Change:
    """What a command did to a subscription; without an old status it was new."""

    subscription: Subscription
    old_status: str | None
    occurrences: Sequence[Occurrence]


class WorkingSet:
    """The aggregates of one batch."""

    def __init__(
        self,
        policy: AccessPolicy,
        *,
        subscriptions: Iterable[Subscription] = (),
        customers: Iterable[Customer] = (),
        paid_invoices: Collection[str] = (),
    ) -> None:
        self.policy = policy
        self._subscriptions = {s.subscription_ref: s for s in subscriptions}
        self._customers: dict[str, Customer] = {}
        self._links: dict[UUID, Customer] = {}
        for customer in customers:
            self._know(customer)
        self._paid_invoices = set(paid_invoices)
        self._answers: dict[Lookup, Answer] = {}
        self._traceparent = ""
        self.attempts = 0
        self.changed_subscriptions: dict[str, Subscription] = {}
        self.changed_customers: dict[str, Customer] = {}
        self.new_paid_invoices: set[str] = set()
        self.trials_used: set[UUID] = set()
        self.users_activated: set[UUID] = set()
        self.messages: list[Message] = []
        self.changes: list[Change] = []
        # What somebody may wait for, and now need not any more.
        self.released: set[str] = set()

    @classmethod
    async def load(
        cls,
        uow: UnitOfWork,
        policy: AccessPolicy,
        references: Iterable[References],
        answers: Iterable[Answer] = (),
    ) -> WorkingSet:
        """Read what these commands may touch. `answers` may name further users."""
        wanted = list(references)
        subscriptions = await uow.subscriptions.find(
            {r.subscription_ref for r in wanted if r.subscription_ref}
        )
        # Whoever may turn out to be the owner: a user has one customer, so it must be known.
        users = (
            {r.user_id for r in wanted if r.user_id}
            | {s.user_id for s in subscriptions}
            | {a.user_id for a in answers if isinstance(a, ProviderCustomer) and a.user_id}
        )
        return cls(
            policy,
            subscriptions=subscriptions,
            customers=await uow.customers.find(
                {r.customer_ref for r in wanted if r.customer_ref}, users
            ),
            paid_invoices=await uow.paid_invoices.known(
                {r.invoice_ref for r in wanted if r.invoice_ref}
            ),
        )

    async def flush(self, uow: UnitOfWork) -> None:
        """Write what was changed, without committing it."""
        await uow.customers.save(list(self.changed_customers.values()))
        # Before the messages: who holds a subscription keeps those from being numbered, too.
        await uow.subscriptions.save(list(self.changed_subscriptions.values()))
        await uow.trials.redeem(self.trials_used)
        await uow.paid_invoices.add(self.new_paid_invoices)
        # Their partitions are the writer's own, and so is the relay that sees to them.
        await uow.outbox.add(self.messages, wake=False)

    def turn_to(self, traceparent: str, attempts: int, answers: dict[Lookup, Answer]) -> None:
        """The next command belongs to this trace and has failed `attempts` times before."""
        self._traceparent, self.attempts, self._answers = traceparent, attempts, answers

    def subscription(self, subscription_ref: str) -> Subscription | None:
        """A draft of the subscription, or None where there is none yet."""
        found = self._subscriptions.get(subscription_ref)
        return None if found is None else found.draft()

    def customer(self, customer_ref: str) -> Customer | None:
        """A draft of the customer, or None where there is no row yet."""
        found = self._customers.get(customer_ref)
        return None if found is None else found.draft()

    def link_of(self, user_id: UUID) -> Customer | None:
        """The customer the user is linked to now."""
        return self._links.get(user_id)

    def invoice_was_told(self, invoice_ref: str) -> bool:
        """Whether this invoice was already told of as paid."""
        return invoice_ref in self._paid_invoices

    def ask(self, lookup: Lookup, *, once: bool = False) -> Answer:
        """The provider's answer. Raises LookupNeeded without one, ProviderUnavailable if it
        could not be had.

        `once` uses the answer up: it settles this command, but says nothing of a later one.
        """
        if lookup not in self._answers:
            raise LookupNeeded(lookup)
        answer = self._answers.pop(lookup) if once else self._answers[lookup]
        if isinstance(answer, ProviderUnavailable):
            raise answer
        return answer

    def put_customer(self, customer: Customer) -> None:
        """Keep a changed customer."""
        assert customer.customer_ref is not None, "only linked customers are kept"
        before = self._customers.get(customer.customer_ref)
        if customer.user_id is not None:
            if before is None or before.user_id is None:
                self.released.add(customer.customer_ref)
            if customer.retired_at is not None and not (before and before.retired_at):
                self.released.add(user_key(customer.user_id))
        self._know(customer)
        self.changed_customers[customer.customer_ref] = customer

    def put_subscription(self, subscription: Subscription, email: str | None) -> None:
        """Keep a changed subscription, and write the messages that tell of the change."""
        before = self._subscriptions.get(subscription.subscription_ref)
        if subscription.may_be_spoken_of and not (before and before.may_be_spoken_of):
            self.released.add(subscription.subscription_ref)
            if not subscription.has_ended:
                self.users_activated.add(subscription.user_id)
        occurrences = subscription.pull_occurrences()
        self.messages += [
            write_message(occurrence, subscription, email, self._traceparent)
            for occurrence in occurrences
        ]
        old_status = str(before.status) if before else None
        self.changes.append(Change(subscription, old_status, occurrences))
        self._subscriptions[subscription.subscription_ref] = subscription
        self.changed_subscriptions[subscription.subscription_ref] = subscription

    def use_trial(self, user_id: UUID) -> None:
        """Note that the user has had a trial."""
        self.trials_used.add(user_id)

    def tell_invoice(self, invoice_ref: str) -> None:
        """Note that an invoice was told of as paid."""
        self._paid_invoices.add(invoice_ref)
        self.new_paid_invoices.add(invoice_ref)

    def _know(self, customer: Customer) -> None:
        if customer.customer_ref is not None:
            self._customers[customer.customer_ref] = customer
        if customer.user_id is None:
            return
        if customer.retired_at is None:
            self._links[customer.user_id] = customer
        elif self._links.get(customer.user_id, customer).customer_ref == customer.customer_ref:
            self._links.pop(customer.user_id, None)
