"""ports/clock.py."""

from datetime import UTC, datetime, timedelta

import pytest

from adapters.memory.clock import SettableClock
from adapters.system.clock import SystemClock
from ports.clock import Clock


@pytest.mark.parametrize("clock", [SettableClock(), SystemClock()])
def test_the_present_is_an_aware_moment_in_utc(clock: Clock) -> None:
    assert clock.now().tzinfo is UTC


def test_the_systems_clock_goes() -> None:
    before = datetime.now(UTC)

    assert before <= SystemClock().now() <= datetime.now(UTC)


def test_a_settable_clock_stands_until_it_is_told_to_go() -> None:
    clock = SettableClock()
    before = clock.now()
    assert clock.now() == before

    clock.advance(timedelta(hours=1))
    assert clock.now() == before + timedelta(hours=1)
