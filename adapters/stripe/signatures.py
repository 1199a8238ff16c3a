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

_SECONDS: Final = re.compile(r"[0-9]{1,12}")


def verify(payload: bytes, header: str | None, secrets: Sequence[str], now: datetime) -> None:
    """Raise RejectedWebhook unless one of the secrets has signed this payload just now."""
    if not header:
        raise RejectedWebhook(
            RejectionReason.SIGNATURE_MISSING, "send the Stripe-Signature header as Stripe sent it"
        )
    signed_at = _timestamp(header)
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
    age = now.timestamp() - signed_at
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


def _timestamp(header: str) -> int:
    """The moment in `t=<seconds>,v1=<hex>[,v1=<hex>…]`, where other schemes may stand between.

    Exactly one moment: of two, the one that is signed and the one whose age is checked could
    differ, and an old delivery be passed off as new.
    """
    pairs = [part.partition("=") for part in header.split(",")]
    stamps = [value for name, _, value in pairs if name == "t"]
    signatures = [value for name, _, value in pairs if name == "v1"]
    if (
        not header.isascii()
        or not signatures
        or len(stamps) != 1
        or not _SECONDS.fullmatch(stamps[0])
    ):
        raise RejectedWebhook(
            RejectionReason.SIGNATURE_MALFORMED,
            "the Stripe-Signature header must read t=<seconds>,v1=<hex>",
        )
    return int(stamps[0])


def _signed_with(secret: str, body: str, header: str) -> bool:
    try:
        # Without a tolerance the SDK leaves the time to us. It compares in constant time.
        return bool(WebhookSignature.verify_header(body, header, secret, tolerance=None))
    except SignatureVerificationError:
        return False
