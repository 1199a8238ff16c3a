"""What can be refused, and why.

PaymentsError
├── RuleViolation              a user asked for what the rules forbid
│   ├── CustomerAlreadyLinked
│   ├── InvalidPeriod
│   ├── NoActiveSubscription
│   ├── AlreadyCanceled
│   ├── NothingToResume
│   └── PlanNotChangeable
├── TransitionRefused          the status does not allow this action
├── InvalidMoney
├── OwnershipConflict          two sources name different users: a person must decide
├── OwnerUnknown               ours by its price, but nobody knows whose
└── Unsettled                  two facts contradict each other and nobody can settle it
"""

from uuid import UUID


class PaymentsError(Exception):
    """Base of every error this service raises on purpose."""


class RuleViolation(PaymentsError):
    """A user asked for something the rules of the product forbid."""


class CustomerAlreadyLinked(RuleViolation):
    """A customer reference cannot be set twice; it may once `user_id`'s present one is gone."""

    def __init__(self, message: str, user_id: UUID | None = None) -> None:
        super().__init__(message)
        self.user_id = user_id


class InvalidPeriod(RuleViolation):
    """An end must come after its start."""


class NoActiveSubscription(RuleViolation):
    """What has no active subscription cannot be canceled."""


class AlreadyCanceled(RuleViolation):
    """Nothing can be canceled twice."""


class NothingToResume(RuleViolation):
    """No cancellation is scheduled that could be taken back."""


class PlanNotChangeable(RuleViolation):
    """The plan of this subscription cannot be changed now."""


class TransitionRefused(PaymentsError):
    """The subscription's status has no such transition."""


class InvalidMoney(PaymentsError):
    """An amount or a currency that cannot be one."""


class OwnershipConflict(PaymentsError):
    """Two sources name different users for the same subscription or customer."""


class OwnerUnknown(PaymentsError):
    """A subscription to one of our prices; nobody knows (yet) which user `customer_ref` is."""

    def __init__(self, message: str, customer_ref: str | None = None) -> None:
        super().__init__(message)
        self.customer_ref = customer_ref


class Unsettled(PaymentsError):
    """Two facts of one second contradict each other, and the provider cannot say which holds."""
