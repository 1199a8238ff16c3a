"""What was begun and never confirmed: it charges nobody, and keeps nobody from a whole trial."""

from __future__ import annotations

from tests.money.conftest import Till

GENERAL = "general_monthly"
DAY = 24 * 3600


async def test_an_attempt_that_is_resumed_at_once_is_the_same(till: Till) -> None:
    user = await till.somebody(trial=True)
    first = (await user.subscribe(till.price(GENERAL))).json()
    await till.sandbox.advance(seconds=50 * 60)

    again = (await user.subscribe(till.price(GENERAL))).json()

    assert again == first
    assert len(till.subscriptions(user)) == 1


async def test_an_attempt_that_is_resumed_late_has_the_whole_trial(till: Till) -> None:
    user = await till.somebody(trial=True)
    first = (await user.subscribe(till.price(GENERAL))).json()
    await till.sandbox.advance(days=170)

    again = (await user.subscribe(till.price(GENERAL))).json()

    assert again["subscriptionId"] != first["subscriptionId"]
    old, new = till.subscriptions(user)
    assert (old["status"], new["status"]) == ("canceled", "trialing")
    assert new["trial_end"] == till.sandbox.clock.now() + 180 * DAY
    await till.confirm(again)
    await till.sandbox.advance(days=179)
    assert till.taken(user) == []
    await till.sandbox.advance(days=2)
    assert till.taken(user) == [1000]
