"""What we rely on in Stripe's payloads: each field is taken away, one at a time.

The types in adapters/stripe/shapes.py name every field that is read. Whatever is missing, the
service does its work without it, or gives the webhook up and says by name what it misses; where
that is missing by which a webhook is kept at all, it is refused by name, and Stripe sends it again.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from copy import deepcopy
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
NEEDED_TO_BE_KEPT: Final = {"id", "object", "type", "created", "data"}


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


# The type says of each field whether there is anything to be done without it.
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


async def outcome_of(webhook: Payload, about: str = "sub_1") -> tuple[str, str]:
    """What becomes of a webhook, and the error where it is given up or refused.

    The subscription `about` which invoices are is running already.
    """
    house = House(retry=RetryPolicy(max_attempts=1))
    house.clock.moment = at(START)
    if kind_of(webhook.get("type", "")) == "invoice":
        await house.run(event("customer.subscription.created", subscription(about)))
    try:
        await house.deliver(webhook)
    except RejectedWebhook as refused:
        return "refused", str(refused)
    await house.work()
    row = house.store.tables.webhooks[webhook["id"]]
    return str(row.outcome or "held"), row.error or ""


# A trial whose setup intent may be open has not begun, and nobody is reminded of its end.
HELD_WITHOUT: Final = {"object.pending_setup_intent.status"}
WORKED: Final = {str(Outcome.APPLIED), str(Outcome.IGNORED), str(Outcome.FOREIGN)} | {"stale"}


async def take_fields_away(complete: Payload, about: str = "sub_1") -> None:
    """Take away each field that is read, one at a time, and see what becomes of the webhook."""
    assert (await outcome_of(complete, about))[0] in WORKED
    for path, needed in DECLARED[kind_of(complete["type"])].items():
        if not holds(complete["data"], path):
            continue
        outcome, error = await outcome_of(without(complete, ("data", *path)), about)
        without_it = f"without {dotted(path)}: {outcome}, {error}"
        if needed:
            assert outcome == "dead", without_it
            assert f"`{path[-1]}`" in error, without_it
        elif outcome == "held":
            assert dotted(path) in HELD_WITHOUT, without_it
        else:
            assert outcome in WORKED, without_it


@pytest.mark.parametrize("shape", SHAPES)
@pytest.mark.parametrize("type", sorted(HANDLED_TYPES))
async def test_without_any_field_we_read_it_works_or_is_given_up_by_name(
    type: str, shape: Shape
) -> None:
    for about in objects(type, shape):
        complete = event(type, about, created=START + DAY, shape=shape)
        await take_fields_away(complete)


@pytest.mark.parametrize("shape", SHAPES)
@pytest.mark.parametrize("type", sorted(HANDLED_TYPES))
async def test_what_cannot_be_kept_is_refused_by_name(type: str, shape: Shape) -> None:
    complete = event(type, objects(type, shape)[0], created=START + DAY, shape=shape)
    for name in complete:
        outcome, error = await outcome_of(without(complete, (name,)))
        if name in NEEDED_TO_BE_KEPT:
            assert outcome == "refused", f"without {name}: {outcome}"
            assert name in error
        else:
            assert outcome in WORKED, f"without {name}: {outcome}, {error}"


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
    """Every recorded object of a kind we read, and Stripe's own samples."""
    if not CORPUS.is_dir():
        return {}
    found = {}
    for path in sorted((CORPUS / "payloads").glob("*/*.json")):
        payload = json.loads(path.read_text())
        about = payload["data"]["object"] if payload.get("object") == "event" else payload
        found[f"{path.parent.name}/{path.stem}"] = about
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


@pytest.mark.skipif(
    not RECORDED, reason="needs the recorded payloads, in ../shared/stripe beside the checkout"
)
@pytest.mark.parametrize("name", RECORDED)
async def test_the_same_holds_for_recorded_objects(name: str) -> None:
    about = deepcopy(RECORDED[name])
    about["metadata"] = {**(about.get("metadata") or {}), "user_id": str(USER)}
    if about["object"] != "customer":
        about["customer"] = "cus_1"  # a user has one customer
    for type in TAKEN_AS[about["object"]]:
        complete = event(type, about, created=START + DAY)
        details = (about.get("parent") or {}).get("subscription_details") or {}
        ref = details.get("subscription") or about.get("subscription") or "sub_1"
        await take_fields_away(complete, ref)
