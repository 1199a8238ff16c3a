"""What is turned down, in words for the user.

Refusal
├── NotFound       there is no such thing, or it is somebody else's
├── Conflict       not in the present state of things; the words say what to do instead
└── Unacceptable   well-formed, but not something that can be accepted
"""

from __future__ import annotations

from typing import Final

SEE_SUBSCRIPTION: Final = "GET /api/payments/subscription"


class Refusal(Exception):
    """A request that is turned down. `name` tells the reason to programs and never changes.

    `detail` is for people; `instead` is, for programs, the request that leads on. One that passes
    by itself does so `in_seconds` or so: then the same request may well be carried out.
    """

    def __init__(
        self, name: str, detail: str, *, instead: str | None = None, in_seconds: int | None = None
    ) -> None:
        super().__init__(detail)
        self.name = name
        self.detail = detail
        self.instead = instead
        self.in_seconds = in_seconds


class NotFound(Refusal):
    """There is no such thing, or it is somebody else's: which of the two is not told."""


class Conflict(Refusal):
    """Not possible in the present state of things."""


class Unacceptable(Refusal):
    """Well-formed, but not something that can be accepted."""


def purchase_under_way() -> Conflict:
    """Another request has the same in hand for longer than can be waited."""
    return Conflict(
        "purchase-under-way",
        "another purchase of yours is just being started: try again in a moment",
        in_seconds=1,
    )


def payment_in_hand() -> Conflict:
    """What was to be closed is being paid at this moment."""
    return Conflict(
        "payment-processing",
        "the bank is processing a payment of yours: wait until it has decided, then try again",
        instead=SEE_SUBSCRIPTION,
    )


def no_such_subscription() -> NotFound:
    """The user has none of this id."""
    return NotFound("subscription-not-found", "you have no such subscription")


def confirmed_meanwhile() -> Conflict:
    """What was to be closed was confirmed before."""
    return Conflict(
        "changed-meanwhile",
        "this purchase was just confirmed: look at your subscription, then cancel it",
    )


def changed_meanwhile() -> Conflict:
    """What was asked for no longer fits what is."""
    return Conflict(
        "changed-meanwhile", "something else changed this at the same time: look, then repeat"
    )
