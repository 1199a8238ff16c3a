"""Test clocks: a time of their own for the customers created on them. (Stripe: Test clocks)"""

from __future__ import annotations

from sandbox.stripe import errors, events, jobs, listing, subscriptions
from sandbox.stripe.periods import DAY
from sandbox.stripe.store import Json
from sandbox.stripe.world import Call, World

# Stripe deletes a test clock after so many days.
_KEPT_DAYS = 30


def create(world: World, call: Call) -> Json:
    now = world.clock.now()
    clock = world.store.add(
        {
            "id": world.ids.new("test_helpers.test_clock"),
            "object": "test_helpers.test_clock",
            "created": now,
            "deletes_after": now + _KEPT_DAYS * DAY,
            "frozen_time": call.params["frozen_time"],
            "livemode": False,
            "name": call.params.get("name"),
            "status": "ready",
            "status_details": {},
        }
    )
    events.emit(world, "test_helpers.test_clock.created", clock)
    return clock


def retrieve(world: World, call: Call, id_: str) -> Json:
    return world.store.get("test_helpers.test_clock", id_)


def list_(world: World, call: Call) -> Json:
    found = world.store.all("test_helpers.test_clock")
    return listing.page(world.store, found, call.params, "/v1/test_helpers/test_clocks")


def advance(world: World, call: Call, id_: str) -> Json:
    """Let everything happen that is due until then, in order.

    The answer says that the clock is advancing, as Stripe's does; it is ready right after.
    """
    clock = world.store.living("test_helpers.test_clock", id_)
    target = call.params["frozen_time"]
    if target <= clock["frozen_time"]:
        raise errors.invalid_parameter(
            "Invalid frozen_time: it must be after the clock's present time", "frozen_time"
        )
    events.emit(world, "test_helpers.test_clock.advancing", clock | {"status": "advancing"})
    with world.working(id_):
        while (due := world.timers.next_due(id_)) is not None and due <= target:
            clock["frozen_time"] = max(due, clock["frozen_time"])
            jobs.do_next(world, id_)
        clock["frozen_time"] = target
    events.emit(world, "test_helpers.test_clock.ready", clock)
    return clock | {"status": "advancing"}


def delete(world: World, call: Call, id_: str) -> Json:
    """Deletes the clock with every customer on it; their subscriptions end."""
    clock = world.store.living("test_helpers.test_clock", id_)
    for customer in list(world.store.all("customer")):
        if customer["test_clock"] == id_:
            for subscription in subscriptions.current_of(world, customer):
                subscriptions.end(world, subscription, reason="cancellation_requested")
            world.store.bury(customer)
    world.timers.drop(id_)
    events.emit(world, "test_helpers.test_clock.deleted", clock)
    return {"id": id_, "object": "test_helpers.test_clock", "deleted": True}
