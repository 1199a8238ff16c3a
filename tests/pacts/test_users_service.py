"""The users service's own code takes what its pact says, and that pact is the committed one."""

from __future__ import annotations

import json
from typing import Any

from sandbox.users_service import SubscriptionView, UsersView
from tests.pacts.users_service import NAME, PACTS, expectations, pact, written

BEFORE = "2026-09-01T00:00:00Z"
AFTER = "2026-10-01T00:00:00Z"


def test_the_users_service_understands_every_message_of_its_pact() -> None:
    taken: list[dict[str, Any]] = []

    def take(body: str | bytes | None, metadata: dict[str, object]) -> None:
        message = json.loads(body or b"")
        data = message["data"]
        user, subscription = data["userId"], data["subscriptionId"]
        known = SubscriptionView(int(message["sequence"]) - 1, "active")
        view = UsersView({user: {subscription: known}})

        assert view.apply(message)

        status = data.get("status") or data.get("newStatus") or "active"
        assert view.status_of(subscription) == status
        assert view.has_access(user, BEFORE) is (status != "canceled")
        assert view.has_access(user, AFTER) is (data["accessUntil"] is None)
        assert not view.apply(message) or message["type"].endswith("snapshot.v1"), "a repeat"
        taken.append(message)

    pact().verify(take, "Async")

    assert [message["type"] for message in taken] == [expected.type for expected in expectations()]


def test_its_committed_pact_is_what_it_expects() -> None:
    committed = PACTS / NAME

    assert committed.is_file(), "run `make contracts` and commit the pact"
    assert committed.read_text(encoding="utf-8") == written(), (
        "run `make contracts`, then look at the diff"
    )
