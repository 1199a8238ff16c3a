"""Stripe's test cards and what becomes of them. (Stripe: Testing)"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final, Literal

Fate = Literal["approved", "challenged", "declined"]


@dataclass(frozen=True, slots=True)
class Card:
    """A test card. `names` are what follows `pm_card_` and `tok_` to name it without its number.

    `on_setup` is its fate when it is saved, `on_charge` when its holder pays with it, and
    `off_session` when it is charged later, by itself, after having been saved.
    """

    number: str
    names: tuple[str, ...]
    brand: str = "visa"
    on_setup: Fate = "approved"
    on_charge: Fate = "approved"
    off_session: Fate = "approved"
    decline_code: str = "generic_decline"

    @property
    def last4(self) -> str:
        return self.number[-4:]


def _declined(number: str, name: str, decline_code: str) -> Card:
    return Card(
        number,
        (name, f"visa_{name}"),
        on_setup="declined",
        on_charge="declined",
        off_session="declined",
        decline_code=decline_code,
    )


CARDS: Final = (
    Card("4242424242424242", ("visa",)),
    Card("4000056655665556", ("visa_debit",)),
    Card("5555555555554444", ("mastercard",), brand="mastercard"),
    Card("378282246310005", ("amex",), brand="amex"),
    _declined("4000000000000002", "chargeDeclined", "generic_decline"),
    _declined("4000000000009995", "chargeDeclinedInsufficientFunds", "insufficient_funds"),
    _declined("4000000000009987", "chargeDeclinedLostCard", "lost_card"),
    _declined("4000000000000069", "chargeDeclinedExpiredCard", "expired_card"),
    # Can be saved, but every charge is declined.
    Card(
        "4000000000000341",
        ("chargeCustomerFail",),
        on_charge="declined",
        off_session="declined",
    ),
    # Wants its holder whenever the holder is there; once saved it can be charged.
    Card(
        "4000000000003220",
        ("threeDSecure2Required", "threeDSecureRequired"),
        on_setup="challenged",
        on_charge="challenged",
    ),
    # Wants its holder unless it has been saved.
    Card("4000002500003155", ("authenticationRequiredOnSetup",), on_setup="challenged"),
    # Wants its holder every time, and so cannot be charged by itself.
    Card(
        "4000002760003184",
        ("authenticationRequired",),
        on_setup="challenged",
        on_charge="challenged",
        off_session="challenged",
    ),
)

_BY_NUMBER: Final = {card.number: card for card in CARDS}
_BY_NAME: Final = {
    prefix + name: card for card in CARDS for name in card.names for prefix in ("pm_card_", "tok_")
}

# What Stripe says, by decline code, as (code of the error, message).
_REASONS: Final = {
    "insufficient_funds": ("card_declined", "Your card has insufficient funds."),
    "expired_card": ("expired_card", "Your card has expired."),
}
_DECLINED: Final = ("card_declined", "Your card was declined.")


def by_number(number: str) -> Card | None:
    """The test card with this number; spaces do not matter."""
    return _BY_NUMBER.get(number.replace(" ", ""))


def by_name(name: str) -> Card | None:
    """The test card behind a name such as pm_card_visa or tok_visa."""
    return _BY_NAME.get(name)


def reason(decline_code: str) -> tuple[str, str]:
    """The code and the message of the error for a decline."""
    return _REASONS.get(decline_code, _DECLINED)
