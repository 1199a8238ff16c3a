"""Things as they come in and go out, with everything filled in that a test does not care about."""

from datetime import UTC, datetime, timedelta
from uuid import UUID, uuid4

from domain.customer import Customer
from domain.subscription import Snapshot, Status, Subscription, subscription_id
from ports.inbox import ReceivedWebhook
from ports.outbox import Message
from ports.partitions import partition_of

NOW = datetime(2026, 3, 1, 12, tzinfo=UTC)
HOUR = timedelta(hours=1)


def webhook(
    event_id: str | None = None,
    *,
    ordering_key: str = "sub_1",
    payload: bytes = b"{}",
    event_type: str = "customer.subscription.updated",
    created: datetime = NOW,
) -> ReceivedWebhook:
    return ReceivedWebhook(
        event_id=event_id or f"evt_{uuid4().hex}",
        event_type=event_type,
        ordering_key=ordering_key,
        livemode=False,
        api_version="2026-01-28",
        created=created,
        payload=payload,
        traceparent=f"00-{uuid4().hex}-{uuid4().hex[:16]}-01",
    )


def message(
    subscription: str = "sub_1",
    version: int = 1,
    *,
    type_: str = "payments.subscription.activated.v1",
    body: bytes = b"{}",
    must_be_routed: bool = True,
) -> Message:
    return Message(
        id=uuid4(),
        subscription_id=subscription_id(subscription),
        ordering_key=subscription,
        version=version,
        type=type_,
        body=body,
        must_be_routed=must_be_routed,
    )


def customer(user_id: UUID | None, reference: str = "cus_1") -> Customer:
    return Customer(user_id, reference)


def subscription(
    reference: str = "sub_1", *, user_id: UUID | None = None, start: datetime = NOW
) -> Subscription:
    return Subscription(
        user_id=user_id or uuid4(),
        customer_ref="cus_1",
        subscription_ref=reference,
        facts=Snapshot(status=Status.ACTIVE, start=start),
    )


def keys_of_different_partitions(count: int) -> list[str]:
    """Ordering keys no two of which share a partition."""
    found: dict[int, str] = {}
    number = 0
    while len(found) < count:
        key = f"sub_{number}"
        found.setdefault(partition_of(key), key)
        number += 1
    return list(found.values())
