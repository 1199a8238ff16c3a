"""The one place where events are made. (Stripe: Events)"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, Final

from sandbox.stripe import errors, listing
from sandbox.stripe.clock import MAIN, Seconds
from sandbox.stripe.periods import DAY
from sandbox.stripe.store import Json, copy_of
from sandbox.stripe.world import API_VERSION, Call, World

# How long events can be listed. (Stripe: List all events)
LISTED_SECONDS: Final[Seconds] = 30 * DAY


def emit(world: World, type_: str, obj: Json, previous: Json | None = None) -> Json:
    """Record that something happened to an object, and send it to whoever listens."""
    data = {"object": copy_of(obj)}
    if previous is not None:
        data["previous_attributes"] = previous
    event = world.store.add(
        {
            "id": world.ids.new("event"),
            "object": "event",
            "api_version": API_VERSION,
            "created": world.now(),
            "data": data,
            "livemode": False,
            "pending_webhooks": 0,
            "request": {
                "id": world.call.request_id if world.call else None,
                "idempotency_key": world.call.idempotency_key if world.call else None,
            },
            "type": type_,
        }
    )
    if world.timeline != MAIN:  # whose time need not be when it happened
        world.store.note(event)["happened"] = world.clock.now()
    world.outbox.post(event)
    return event


@contextmanager
def change(world: World, obj: Json, type_: str) -> Iterator[Json]:
    """Change an object; what differs afterwards is told as an event, nothing where nothing does."""
    before = copy_of(obj)
    yield obj
    previous = difference(before, obj)
    if previous:
        emit(world, type_, obj, previous)


def difference(before: Json, after: Json) -> Json:
    """The former values of what has changed; null for what was not there."""
    changed: Json = {}
    for name in before.keys() | after.keys():
        old, new = before.get(name), after.get(name)
        if isinstance(old, dict) and isinstance(new, dict):
            inner = difference(old, new)
            if inner:
                changed[name] = inner
        elif old != new or (name in before) != (name in after):
            changed[name] = old
    return dict(sorted(changed.items()))


def forget_old(world: World) -> None:
    """Let go of what can be asked for no more, unless it has still to arrive somewhere."""
    old = [event for event in world.store.all("event") if not _is_listed(world, event)]
    needed = world.outbox.undelivered() if old else set()
    for event in old:
        if event["id"] not in needed:
            world.store.remove(event)


def retrieve(world: World, call: Call, id_: str) -> Json:
    """An event of the last thirty days. (Stripe: Retrieve an event)"""
    event = world.store.get("event", id_)
    if not _is_listed(world, event):
        raise errors.no_such("event", id_, param="id", in_path=True)
    return event


def list_(world: World, call: Call) -> Json:
    """The events of the last thirty days; older truth is in the objects alone."""
    params = call.params
    found = [
        event
        for event in world.store.all("event")
        if _is_listed(world, event)
        and listing.matches(event, params, "created", "type")
        and _has_type(event, params.get("types"))
        and ("delivery_success" not in params or _arrived(event) is params["delivery_success"])
    ]
    return listing.page(world.store, found, params, "/v1/events")


def _is_listed(world: World, event: Json) -> bool:
    """Whether it happened in the last thirty days, by whatever clock its customer lives."""
    note = world.store.notes.get(event["id"], {})
    happened: Seconds = note["happened"] if "happened" in note else event["created"]
    return happened >= world.clock.now() - LISTED_SECONDS


def _has_type(event: Json, types: list[str] | None) -> bool:
    return types is None or event["type"] in types


def _arrived(event: Json) -> Any:
    return event["pending_webhooks"] == 0
