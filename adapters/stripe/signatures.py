"""Is this delivery from Stripe, and from now?

Checked by the official SDK, with three things around it that it leaves open: several secrets
(while one is rolled both are in use), a timestamp from the future, and header values on which it
raises something other than its own error. (Stripe: Webhooks / signatures)
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from datetime import datetime
from typing import Final

from stripe import SignatureVerificationError, WebhookSignature

from ports.webhooks import RejectedWebhook, RejectionReason

# Seconds a signature stays valid, and how far ahead the sender's clock may be.
TOLERANCE: Final = 300

# `t=<unix seconds>,v1=<hex>[,v1=<hex>…]`; other schemes (v0 in test mode) may stand between.
_TIMESTAMP: Final = re.compile(r"(?:^|,)t=(\d{1,12})(?:,|$)")


def verify(payload: bytes, header: str | None, secrets: Sequence[str], now: datetime) -> None:
    """Raise RejectedWebhook unless one of the secrets has signed this payload just now."""
    if not header:
        raise RejectedWebhook(
            RejectionReason.SIGNATURE_MISSING, "send the Stripe-Signature header as Stripe sent it"
        )
    stamp = _TIMESTAMP.search(header)
    if stamp is None or "v1=" not in header or not header.isascii():
        raise RejectedWebhook(
            RejectionReason.SIGNATURE_MALFORMED,
            "the Stripe-Signature header must read t=<seconds>,v1=<hex>",
        )
    try:
        body = payload.decode()
    except UnicodeDecodeError:
        raise RejectedWebhook(RejectionReason.NOT_UTF8, "the body must be UTF-8") from None
    if not any(_signed_with(secret, body, header) for secret in secrets):
        raise RejectedWebhook(
            RejectionReason.SIGNATURE_MISMATCH,
            "no configured secret signed this body: check the endpoint's signing secret, and that "
            "nothing on the way changes the body",
        )
    age = now.timestamp() - int(stamp[1])
    if age > TOLERANCE:
        raise RejectedWebhook(
            RejectionReason.TIMESTAMP_TOO_OLD,
            f"the signature is older than {TOLERANCE} seconds: have Stripe send the event again",
        )
    if age < -TOLERANCE:
        raise RejectedWebhook(
            RejectionReason.TIMESTAMP_IN_FUTURE,
            f"the signature is more than {TOLERANCE} seconds ahead: check the clock of this host",
        )


def _signed_with(secret: str, body: str, header: str) -> bool:
    try:
        # Without a tolerance the SDK leaves the time to us. It compares in constant time.
        return bool(WebhookSignature.verify_header(body, header, secret, tolerance=None))
    except SignatureVerificationError:
        return False
