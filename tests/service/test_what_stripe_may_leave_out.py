"""What we rely on in Stripe's payloads: each field is taken away, one at a time.

The types in adapters/stripe/shapes.py name every field that is read. Whatever is missing, the
service does the same as with it - the same rows, the same messages - but for what is listed in
DIFFERENT_WITHOUT, or gives the webhook up and says by name what it misses; where that is missing by
which a webhook is kept at all, it is refused by name, and Stripe sends it again.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from copy import deepcopy
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import msgspec.inspect
import pytest

from adapters.stripe import shapes
from adapters.stripe.translation import HANDLED_TYPES
from ports.inbox import Outcome
from ports.webhooks import RejectedWebhook
from service.retry import RetryPolicy
from tests.service.house import House, at
from tests.stripe_payloads import (
    DAY,
    START,
    USER,
    Payload,
    Shape,
    checkout_session,
    customer,
    event,
    invoice,
    price,
    subscription,
)

FieldPath = tuple[str | int, ...]

SHAPES: Final[tuple[Shape, ...]] = ("new", "old")
TYPES_OF: Final[Mapping[str, type[msgspec.Struct]]] = {
    "subscription": shapes.Subscription,
    "invoice": shapes.Invoice,
    "customer": shapes.Customer,
    "checkout.session": shapes.CheckoutSession,
}
# Without these it cannot be kept: nobody would know whether it is new, or what it is about.
NEEDED_TO_BE_KEPT: Final = {"id", "object", "type", "created", "livemode", "data"}


def kind_of(type: str) -> str:
    """The kind of object that an event of this type is about."""
    if type.startswith("customer.subscription."):
        return "subscription"
    return type.rpartition(".")[0]


def declared(shape: Any, prefix: FieldPath = ()) -> Iterator[tuple[FieldPath, bool]]:
    """The path of every field that a type names, into what it holds, and whether it is needed."""
    match shape:
        case msgspec.inspect.StructType(fields=fields):
            for field in fields:
                path = (*prefix, field.encode_name)
                yield path, field.required
                yield from declared(field.type, path)
        case msgspec.inspect.UnionType(types=types):
            for one in types:
                yield from declared(one, prefix)
        case msgspec.inspect.CollectionType(item_type=item):
            yield from declared(item, (*prefix, 0))
        case _:
            return


# The type says of some fields that nothing is to be done without them, whatever the rest is.
DECLARED: Final[Mapping[str, Mapping[FieldPath, bool]]] = {
    kind: {("object",): True} | dict(declared(msgspec.inspect.type_info(shape), ("object",)))
    for kind, shape in TYPES_OF.items()
}


def expanded(id: str, **more: Any) -> Payload:
    return {"id": id, "object": "expanded", **more}


def objects(type: str, shape: Shape) -> list[Payload]:
    """What an event of this type may be about: with ids, and with objects in their place."""
    sold = price(product=expanded("prod_1"))  # type: ignore[arg-type]  # it may be expanded
    match kind_of(type):
        case "subscription":
            status = {"deleted": "canceled", "paused": "paused", "trial_will_end": "trialing"}.get(
                type.rpartition(".")[2], "active"
            )
            plain = subscription(shape=shape, status=status)
            full = subscription(
                shape=shape,
                status=status,
                prices=[sold],
                customer=expanded("cus_1"),
                pending_setup_intent=expanded("seti_1", status="succeeded"),
            )
        case "invoice":
            plain = invoice(shape=shape, paid="paid" in type or "succeeded" in type)
            full = deepcopy(plain) | {"customer": expanded("cus_1")}
            if shape == "old":
                full["subscription"] = expanded("sub_1")
                full["subscription_details"]["subscription"] = expanded("sub_1")
                full["lines"]["data"][0]["price"]["product"] = expanded("prod_1")
            else:
                full["parent"]["subscription_details"]["subscription"] = expanded("sub_1")
                full["lines"]["data"][0]["pricing"]["price_details"]["price"] = sold
        case "customer":
            plain = full = customer(deleted=type == "customer.deleted")
        case _:
            status = "expired" if type.endswith("expired") else "complete"
            plain = checkout_session(status=status)
            full = checkout_session(customer=expanded("cus_1"), subscription=expanded("sub_1"))
    return [plain, full]


def holds(payload: Any, path: FieldPath) -> bool:
    for key in path:
        try:
            payload = payload[key]
        except (KeyError, IndexError, TypeError):
            return False
    return True


def without(payload: Payload, path: FieldPath) -> Payload:
    lacking = deepcopy(payload)
    holder: Any = lacking
    for key in path[:-1]:
        holder = holder[key]
    del holder[path[-1]]
    return lacking


def dotted(path: FieldPath) -> str:
    return ".".join(map(str, path))


@dataclass(frozen=True)
class Consequence:
    """What became of a webhook, the error where it was given up or refused, and what it did."""

    outcome: str
    error: str = ""
    rows: object = None
    messages: object = None


async def consequence_of(
    webhook: Payload, before: Sequence[Payload] = (), *, livemode: bool = False
) -> Consequence:
    """What a webhook leads to where all those `before` it were worked off."""
    house = House(retry=RetryPolicy(max_attempts=1), livemode=livemode)
    house.clock.moment = at(START)
    await house.run(*before)
    assert set(house.outcomes(before)) <= {Outcome.APPLIED}
    house.published()
    try:
        await house.deliver(webhook)
    except RejectedWebhook as refused:
        return Consequence("refused", str(refused))
    await house.work()
    await house.publish()
    row, tables = house.row(webhook), house.store.tables
    bodies = [json.loads(message.body) for message in house.published()]
    return Consequence(
        outcome=str(row.outcome or "held"),
        error=row.error or "",
        rows=(tables.customers, tables.subscriptions, tables.trials, tables.paid_invoices),
        messages=[{**body, "traceparent": None} for body in bodies],
    )


WORKED: Final = {
    str(outcome) for outcome in (Outcome.APPLIED, Outcome.IGNORED, Outcome.FOREIGN, Outcome.STALE)
} | {"held"}
# What is done without them is less, or taken from elsewhere, and right all the same.
DIFFERENT_WITHOUT: Final[Mapping[str, str]] = {
    "object.hosted_invoice_url": "an invoice has none before it is finalized: null in the message",
    "object.invoice_pdf": "as its page",
    "object.start_date": "the day it was created on, which differs where it was dated back",
}


def says_two_things(complete: Payload, path: FieldPath) -> bool:
    """Whether this stands in one of two places, and Stripe's samples say another thing in each.

    An invoice's subscription is null where it stood of old, and an item's plan is not its price.
    """
    about = complete["data"]["object"]
    match path:
        case ("object", "parent"):
            return "subscription" in about
        case ("object", "items", "data", 0, "price"):
            item = about["items"]["data"][0]
            return "plan" in item and item["plan"]["id"] != item["price"]["id"]
    return False


async def take_fields_away(complete: Payload, before: Sequence[Payload] = ()) -> None:
    """Take away each field that is read, one at a time, and see what becomes of the webhook."""
    with_all = await consequence_of(complete, before)
    assert with_all.outcome in WORKED, with_all
    for path, needed in DECLARED[kind_of(complete["type"])].items():
        if not holds(complete["data"], path):
            continue
        found = await consequence_of(without(complete, ("data", *path)), before)
        without_it = f"without {dotted(path)}: {found.outcome}, {found.error}"
        if needed or found.outcome == "dead":
            assert found.outcome == "dead", without_it
            assert f"`{path[-1]}`" in found.error, without_it
        elif dotted(path) not in DIFFERENT_WITHOUT and not says_two_things(complete, path):
            assert found == with_all, without_it


def running(ref: str = "sub_1") -> Payload:
    return event("customer.subscription.created", subscription(ref))


@pytest.mark.parametrize("shape", SHAPES)
@pytest.mark.parametrize("type", sorted(HANDLED_TYPES))
async def test_without_any_field_we_read_it_does_the_same_or_is_given_up_by_name(
    type: str, shape: Shape
) -> None:
    before = [running()] if kind_of(type) == "invoice" else []
    for about in objects(type, shape):
        complete = event(type, about, created=START + DAY, shape=shape)
        await take_fields_away(complete, before)


STATES: Final[Mapping[str, Payload]] = {
    "active": {"status": "active"},
    "to end at a moment": {"status": "active", "cancel_at": START + 12 * DAY},
    "to end with its period": {"status": "active", "cancel_at_period_end": True},
    "in a trial": {"status": "trialing"},
    "in a trial that awaits its card": {"status": "trialing", "pending_setup_intent": "seti_1"},
    "in a trial to end with it": {"status": "trialing", "cancel_at_period_end": True},
    "late": {"status": "past_due"},
    "ended": {"status": "canceled", "canceled_at": START + DAY},
    "ended as was asked for": {
        "status": "canceled",
        "ended_at": None,
        "canceled_at": START + DAY,
    },
    "on another plan": {"status": "active", "lookup_key": "event_organizer_monthly"},
    "on a retired plan": {"status": "active", "lookup_key": None},
}


@pytest.mark.parametrize("shape", SHAPES)
@pytest.mark.parametrize("state", STATES)
async def test_so_it_is_with_a_subscription_that_is_known(state: str, shape: Shape) -> None:
    """In this state already, or in another: what is absent is no change, and hides none."""
    about = subscription(shape=shape, **STATES[state])
    as_it_was = event("customer.subscription.created", about, shape=shape)
    complete = event("customer.subscription.updated", about, created=START + DAY, shape=shape)
    for before in (as_it_was, running()):
        await take_fields_away(complete, [before])


async def test_so_it_is_with_a_customer_that_is_known() -> None:
    before = event("customer.created", customer())
    for type in ("customer.updated", "customer.deleted"):
        await take_fields_away(event(type, customer(), created=START + DAY), [before])


@pytest.mark.parametrize("livemode", [False, True], ids=["test", "live"])
@pytest.mark.parametrize("shape", SHAPES)
@pytest.mark.parametrize("type", sorted(HANDLED_TYPES))
async def test_what_cannot_be_kept_is_refused_by_name(
    type: str, shape: Shape, livemode: bool
) -> None:
    about = objects(type, shape)[0]
    complete = event(type, about, created=START + DAY, shape=shape, livemode=livemode)
    with_all = await consequence_of(complete, livemode=livemode)
    assert with_all.outcome in WORKED
    for name in complete:
        found = await consequence_of(without(complete, (name,)), livemode=livemode)
        if name in NEEDED_TO_BE_KEPT:
            assert found.outcome == "refused", f"without {name}: {found.outcome}"
            assert name in found.error
        else:
            assert found == with_all, f"without {name}: {found.outcome}, {found.error}"


@pytest.mark.parametrize("path", [("lines",), ("lines", "data"), ("lines", "data", 0, "pricing")])
async def test_nobodys_invoice_that_does_not_say_what_is_on_it_is_not_passed_over(
    path: FieldPath,
) -> None:
    """With all there is, it is another product's. Without, it may be ours, and waits for a user."""
    about = invoice(user_id=None, customer="cus_2", lookup_key=None)
    complete = event("invoice.paid", about)
    assert (await consequence_of(complete)).outcome == Outcome.FOREIGN
    found = await consequence_of(without(complete, ("data", "object", *path)))
    assert found.outcome == "held"
    assert "no user is known" in found.error


def test_every_field_that_a_type_names_is_taken_away_somewhere() -> None:
    missed = {
        (kind, dotted(path))
        for kind, paths in DECLARED.items()
        for path in paths
        if not any(
            holds({"object": about}, path)
            for type in HANDLED_TYPES
            if kind_of(type) == kind
            for shape in SHAPES
            for about in objects(type, shape)
        )
    }
    # Of what is expanded only the setup intent's status is read.
    assert {entry for entry in missed if not entry[1].endswith(".status")} == set()


# Recorded payloads


CORPUS: Final = Path(__file__).parents[3] / "shared" / "stripe"


def recorded() -> dict[str, Payload]:
    """Every recorded object of a kind we read, and Stripe's own samples.

    No invoice of a subscription was recorded in the new shape, so each of another kind is here
    twice, once with the parent that those have.
    """
    if not CORPUS.is_dir():
        return {}
    found = {}
    for path in sorted((CORPUS / "payloads").glob("*/*.json")):
        payload = json.loads(path.read_text())
        about = payload["data"]["object"] if payload.get("object") == "event" else payload
        found[f"{path.parent.name}/{path.stem}"] = about
        if about.get("object") == "invoice" and "parent" in about:
            found[f"{path.parent.name}/{path.stem}, of a subscription"] = about | {
                "parent": invoice()["parent"]
            }
    samples = json.loads((CORPUS / "fixtures.json").read_text())["resources"]
    found |= {f"sample/{kind}": about for kind, about in samples.items()}
    return {
        name: about
        for name, about in found.items()
        if about.get("object") in TYPES_OF and not about.get("deleted")
    }


RECORDED: Final = recorded()
TAKEN_AS: Final = {
    "subscription": ("customer.subscription.updated", "customer.subscription.deleted"),
    "invoice": ("invoice.paid", "invoice.payment_failed"),
    "customer": ("customer.updated",),
    "checkout.session": ("checkout.session.completed",),
}
on_recordings = pytest.mark.skipif(
    not RECORDED, reason="needs the recorded payloads, in ../shared/stripe beside the checkout"
)


@on_recordings
@pytest.mark.parametrize("name", RECORDED)
async def test_nothing_that_was_recorded_is_given_up(name: str) -> None:
    about = RECORDED[name]
    for type in TAKEN_AS[about["object"]]:
        found = await consequence_of(event(type, about, created=START + DAY))
        assert found.outcome in WORKED, found


@on_recordings
@pytest.mark.parametrize("name", RECORDED)
async def test_the_same_holds_for_recorded_objects(name: str) -> None:
    about = deepcopy(RECORDED[name])
    about["metadata"] = {**(about.get("metadata") or {}), "user_id": str(USER)}
    if about["object"] != "customer":
        about["customer"] = "cus_1"  # a user has one customer
    before = []
    if about["object"] == "invoice":
        details = (about.get("parent") or {}).get("subscription_details") or {}
        before = [running(details.get("subscription") or about.get("subscription") or "sub_1")]
    for type in TAKEN_AS[about["object"]]:
        await take_fields_away(event(type, about, created=START + DAY), before)
