"""Reads Stripe's webhooks: the raw request to a stored event, a stored event to a command.

SDK objects stay off this path: building one costs some fifty times what checking the signature
and decoding the few fields we need does.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from datetime import datetime
from typing import Final

import msgspec

from adapters.stripe import shapes, signatures
from adapters.stripe.translation import moment, to_command
from domain.commands import Command
from domain.plans import PriceList
from ports.inbox import ClaimedWebhook, ReceivedWebhook
from ports.webhooks import RejectedWebhook, RejectionReason, Unhandled

_THIN_EVENT: Final = "v2.core.event"
# What fits the columns of the inbox; Stripe's own are far shorter.
_EVENT_ID: Final = re.compile(r"[\x21-\x7e]{1,255}")
_EVENT_TYPE: Final = re.compile(r"[\x21-\x7e]{1,100}")
_API_VERSION: Final = re.compile(r"[\x21-\x7e]{1,100}")

_envelope: Final = msgspec.json.Decoder(shapes.Envelope)
_head: Final = msgspec.json.Decoder(shapes.HeadData)


class StripeWebhooks:
    """The webhooks of one endpoint. `secrets` are its signing secrets, several while one is
    rolled.
    """

    def __init__(self, secrets: Sequence[str], prices: PriceList) -> None:
        self._secrets = tuple(secrets)
        self._prices = prices

    def receive(
        self, payload: bytes, signature: str | None, *, now: datetime, traceparent: str
    ) -> ReceivedWebhook:
        """Check the signature over the raw bytes and read the envelope."""
        signatures.verify(payload, signature, self._secrets, now)
        return read_event(payload, traceparent=traceparent)

    def translate(self, webhook: ClaimedWebhook) -> Command | Unhandled:
        """What a stored webhook tells us to do."""
        return to_command(webhook.event_type, webhook.payload, webhook.livemode, self._prices)


def read_event(payload: bytes, *, traceparent: str) -> ReceivedWebhook:
    """Read the envelope of an event whose origin is beyond doubt. Raises RejectedWebhook."""
    envelope = _read_envelope(payload)
    event_id, event_type = envelope.id or "", envelope.type or ""
    if envelope.object == _THIN_EVENT:
        raise RejectedWebhook(
            RejectionReason.THIN_EVENT,
            "this endpoint takes snapshot (v1) events: change the destination's payload style",
        )
    created = _moment(envelope.created)
    if not _EVENT_ID.fullmatch(event_id) or not _EVENT_TYPE.fullmatch(event_type):
        raise _not_an_event("id and type")
    if envelope.object != "event" or created is None or not _is_object(envelope.data):
        raise _not_an_event("object, created and data")
    if envelope.livemode is None:
        raise _not_an_event("livemode")
    version = envelope.api_version
    return ReceivedWebhook(
        event_id=event_id,
        event_type=event_type,
        ordering_key=_ordering_key(envelope.data) or event_id,
        livemode=envelope.livemode,
        api_version=version if version and _API_VERSION.fullmatch(version) else None,
        created=created,
        payload=payload,
        traceparent=traceparent,
    )


def _read_envelope(payload: bytes) -> shapes.Envelope:
    try:
        return _envelope.decode(payload)
    except msgspec.ValidationError:
        if _is_object(payload.lstrip()):
            raise _not_an_event("id, type, created, livemode and data") from None
        raise RejectedWebhook(
            RejectionReason.NOT_AN_OBJECT, "the body must be one JSON object"
        ) from None
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        raise RejectedWebhook(RejectionReason.NOT_JSON, "the body must be JSON") from None


def _is_object(json: bytes | msgspec.Raw) -> bool:
    return bytes(json).startswith(b"{")


def _moment(created: int | str | None) -> datetime | None:
    try:
        return moment(created) if isinstance(created, int) and created >= 0 else None
    except ValueError:
        return None


def _not_an_event(fields: str) -> RejectedWebhook:
    return RejectedWebhook(
        RejectionReason.NOT_AN_EVENT, f"the body must be a Stripe event with a usable {fields}"
    )


def _ordering_key(data: msgspec.Raw) -> str | None:
    """What this event must be worked on in order with; None where it stands alone.

    An object of a shape we do not know stands alone: its event is kept all the same, and fails
    by name when it is translated.
    """
    try:
        head = _head.decode(data).object
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        return None
    match head.object:
        case "subscription" | "customer":
            key = head.id
        case _:
            key = shapes.subscription_of(head) or shapes.reference(head.customer)
    return key if key and _EVENT_ID.fullmatch(key) else None
