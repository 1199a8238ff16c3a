"""Ids as Stripe writes them, the same ones in the same order for the same seed."""

from __future__ import annotations

import hashlib
import string
from typing import Final

_ALPHABET: Final = string.digits + string.ascii_uppercase + string.ascii_lowercase

# What an object's id begins with, and how many characters follow.
_FORMATS: Final = {
    "billing_portal.configuration": ("bpc_1", 23),
    "billing_portal.session": ("bps_1", 23),
    "charge": ("ch_3", 23),
    "checkout.session": ("cs_test_a1", 56),
    "customer": ("cus_", 14),
    "event": ("evt_1", 23),
    "invoice": ("in_1", 23),
    "invoice_payment": ("inpay_1", 23),
    "invoiceitem": ("ii_1", 23),
    "item": ("li_1", 23),
    "line_item": ("il_1", 23),
    "payment_intent": ("pi_3", 23),
    "payment_method": ("pm_1", 23),
    "price": ("price_1", 23),
    "product": ("prod_", 14),
    "request": ("req_", 14),
    "setup_intent": ("seti_1", 23),
    "subscription": ("sub_1", 23),
    "subscription_item": ("si_", 14),
    "test_helpers.test_clock": ("clock_1", 23),
    "webhook_endpoint": ("we_1", 23),
}


class Ids:
    """Hands out ids, each kind counted by itself, so that who reads shifts nobody's ids.

    `issued` is how many there are of each kind; a start on the same data goes on from there.
    """

    def __init__(self, seed: str) -> None:
        self._seed = seed
        self.issued: dict[str, int] = {}

    def new(self, kind: str) -> str:
        """An id for an object of this kind."""
        prefix, length = _FORMATS[kind]
        return prefix + self._next(kind, length)

    def secret(self, length: int) -> str:
        """So many letters and digits that have not been handed out before."""
        return self._next("secret", length)

    def _next(self, kind: str, length: int) -> str:
        number = self.issued[kind] = self.issued.get(kind, 0) + 1
        digest = hashlib.shake_256(f"{self._seed}:{kind}:{number}".encode()).digest(length)
        return "".join(_ALPHABET[byte % len(_ALPHABET)] for byte in digest)
