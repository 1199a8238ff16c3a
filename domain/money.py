"""Money is a whole number of minor units with a currency; never a float."""

from __future__ import annotations

from dataclasses import dataclass

from domain.errors import InvalidMoney


@dataclass(frozen=True, slots=True, order=False)
class Money:
    """An amount of money.

    `amount` is in minor currency units (cents for USD) and may be negative (a credit);
    `currency` is the three-letter ISO 4217 code in lower case.

    Raises InvalidMoney for anything else.
    """

    amount: int
    currency: str

    def __post_init__(self) -> None:
        if type(self.amount) is not int:
            raise InvalidMoney(
                f"an amount is a whole number of minor units, not {self.amount!r}: "
                "write $10.00 as 1000"
            )
        code = self.currency
        if len(code) != 3 or not (code.isascii() and code.isalpha() and code.islower()):
            raise InvalidMoney(
                f"{code!r} is not a currency: use a lower-case ISO 4217 code such as 'usd'"
            )

    def __add__(self, other: Money) -> Money:
        self._same_currency(other)
        return Money(self.amount + other.amount, self.currency)

    def __sub__(self, other: Money) -> Money:
        self._same_currency(other)
        return Money(self.amount - other.amount, self.currency)

    def __lt__(self, other: Money) -> bool:
        self._same_currency(other)
        return self.amount < other.amount

    def _same_currency(self, other: Money) -> None:
        if self.currency != other.currency:
            raise InvalidMoney(
                f"{self.currency} and {other.currency} do not mix: convert one of them first"
            )
