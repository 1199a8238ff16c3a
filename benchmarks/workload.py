"""Webhooks as Stripe sends them: complete objects, signed, each different from all others.

The life of one subscription is recorded once from the stand-in for Stripe; every subscriber then
lives it under ids, a user and an address of their own. Random ids, since sequential ones flatter
an index.
"""

from __future__ import annotations

import asyncio
import hmac
import json
import random
import re
import string
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any, Final
from uuid import UUID

SECRET: Final = "whsec_benchmark"  # noqa: S105 - it signs what the benchmark itself sends
PATH: Final = "/api/payments/webhook"
# 1 March 2026, so that nothing of it lies in the future.
_START: Final = 1_772_366_400
_DAY: Final = 86_400
_EVENT: Final = b"evt_000000000000000000000000"
_USER: Final = "00000000-0000-4000-8000-00000000a11c"
_EMAIL: Final = "subscriber@example.com"
# One life: what of it the service acts on, in its order. After the first, each is worth a message.
LIFE: Final = (
    "customer.created",
    "customer.subscription.created",
    "customer.subscription.trial_will_end",
    "invoice.paid",
    "customer.subscription.updated",
    "customer.subscription.updated",
)
MESSAGES_PER_LIFE: Final = 5
# Events of one subscriber are this many others' events apart, as they would be at Stripe.
SUBSCRIBERS_AT_ONCE: Final = 1_000

# The ids that differ from one subscriber to the next. Prices and products are the seller's.
_OWN: Final = re.compile(rb"\b(?:cus|pm|req|sub|si|in|il)_[A-Za-z0-9]{10,}\b")
# Any byte to a character of an id. Some come a little more often, which no index minds.
_IDS: Final = bytes(
    (string.ascii_letters + string.digits).encode()[byte % 62] for byte in range(256)
)


@dataclass(frozen=True, slots=True)
class Template:
    """An event with gaps: `parts` and what goes between them, by number."""

    type: str
    parts: Sequence[bytes]
    gaps: Sequence[int]

    def fill(self, own: Sequence[bytes]) -> bytes:
        """The event of the subscriber to whom these ids belong."""
        pieces = [self.parts[0]]
        for gap, part in zip(self.gaps, self.parts[1:], strict=True):
            pieces += (own[gap], part)
        return b"".join(pieces)


@dataclass(frozen=True, slots=True)
class Life:
    """The templates of one life, and the ids as they were recorded."""

    templates: Sequence[Template]
    recorded: Sequence[bytes]
    # The objects as they were recorded, by the kind of their ids.
    objects: dict[str, dict[str, Any]]

    def subscriber(self, chance: random.Random) -> list[bytes]:
        """Ids of their own for one subscriber."""
        return [_alike(one, chance) for one in self.recorded]


def record() -> Life:
    """Have a subscription live at the stand-in for Stripe, and take down what it sends."""
    return asyncio.run(_record())


def webhooks(
    life: Life, count: int, seed: int | None = None, crowd_size: int = SUBSCRIBERS_AT_ONCE
) -> Iterator[bytes]:
    """The bodies of so many webhooks, those of one subscriber in order but `crowd_size` apart."""
    chance = random.Random(seed)  # noqa: S311 - these ids guard nothing
    left = count
    while left > 0:
        crowd = [life.subscriber(chance) for _ in range(crowd_size)]
        for template in life.templates:
            for own in crowd:
                if left <= 0:
                    return
                own[0] = _alike(_EVENT, chance)
                yield template.fill(own)
                left -= 1


def request(body: bytes, path: str = PATH) -> bytes:
    """The request that delivers this body, signed now."""
    signed = signature(body, int(time.time()))
    head = (
        f"POST {path} HTTP/1.1\r\nHost: 127.0.0.1\r\nContent-Type: application/json\r\n"
        f"User-Agent: Stripe/1.0 (+https://stripe.com/docs/webhooks)\r\nAccept: */*\r\n"
        f"Stripe-Signature: {signed}\r\nContent-Length: {len(body)}\r\n\r\n"
    )
    return head.encode() + body


def signature(body: bytes, stamp: int) -> str:
    """The header by which Stripe signs this body at this moment."""
    signed = hmac.digest(SECRET.encode(), b"%d.%b" % (stamp, body), "sha256").hex()
    return f"t={stamp},v1={signed}"


async def _record() -> Life:
    # Imported here, since every load generator would otherwise take a second longer to start.
    import stripe  # noqa: PLC0415

    from sandbox.stripe.server import StripeSandbox  # noqa: PLC0415

    stripe.enable_telemetry = False
    async with StripeSandbox(start=_START, runs=False) as sandbox:
        transport = stripe.HTTPXClient()
        client = stripe.StripeClient(
            sandbox.api_key, base_addresses={"api": sandbox.url}, http_client=transport
        ).v1
        price = await client.prices.create_async(
            {
                "currency": "usd",
                "unit_amount": 1000,
                "recurring": {"interval": "month"},
                "product_data": {"name": "General"},
                "lookup_key": "general_monthly",
            }
        )
        customer = await client.customers.create_async(
            {
                "email": _EMAIL,
                "name": "A Subscriber",
                "metadata": {"user_id": _USER},
                "payment_method": "pm_card_visa",
                "invoice_settings": {"default_payment_method": "pm_card_visa"},
            }
        )
        subscription = await client.subscriptions.create_async(
            {
                "customer": customer.id,
                "items": [{"price": price.id}],
                "trial_period_days": 180,
                "metadata": {"user_id": _USER},
            }
        )
        # Stripe keeps its events for 30 days only.
        events = list(sandbox.world.store.all("event"))
        await sandbox.advance_to(_START + 181 * _DAY)
        await client.subscriptions.update_async(subscription.id, {"cancel_at_period_end": True})
        await transport.close_async()  # type: ignore[no-untyped-call]  # the SDK's own
        return _templates([*events, *sandbox.world.store.all("event")])


def _templates(events: Sequence[dict[str, Any]]) -> Life:
    wanted = list(_in_order_of_life(events))
    bodies = [json.dumps(event, indent=2).encode() for event in wanted]
    ids = dict.fromkeys(id_ for body in bodies for id_ in _OWN.findall(body))
    own = [_EVENT, *ids, _USER.encode(), _EMAIL.encode()]  # the event's own id comes first
    return Life(
        [_template(event, body, own) for event, body in zip(wanted, bodies, strict=True)],
        own,
        {event["data"]["object"]["object"]: event["data"]["object"] for event in events},
    )


def _in_order_of_life(events: Sequence[dict[str, Any]]) -> Iterator[dict[str, Any]]:
    """The last of each type, but as many as LIFE asks for."""
    for index, type_ in enumerate(LIFE):
        found = [event for event in events if event["type"] == type_]
        yield found[LIFE[: index + 1].count(type_) - 1 - LIFE.count(type_)]


def _template(event: dict[str, Any], body: bytes, own: Sequence[bytes]) -> Template:
    body = body.replace(event["id"].encode(), _EVENT)
    found = re.compile(b"|".join(re.escape(one) for one in sorted(own, key=len, reverse=True)))
    gaps = [own.index(match.group(0)) for match in found.finditer(body)]
    return Template(event["type"], found.split(body), gaps)


def _alike(recorded: bytes, chance: random.Random) -> bytes:
    """Something of the same kind that nobody had before."""
    if recorded == _USER.encode():
        return str(UUID(int=chance.getrandbits(128), version=4)).encode()
    if recorded == _EMAIL.encode():
        return f"{chance.getrandbits(64):x}@example.com".encode()
    kind, _, rest = recorded.partition(b"_")
    return kind + b"_" + chance.randbytes(len(rest)).translate(_IDS)
