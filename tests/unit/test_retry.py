"""When it is tried again: exponential backoff with full jitter."""

from __future__ import annotations

import random
from collections.abc import Callable
from datetime import timedelta

import pytest

from service.retry import RetryPolicy

POLICY = RetryPolicy(base=2.0, cap=100.0)
DRAWS = 2_000


@pytest.fixture(autouse=True)
def seeded() -> None:
    random.seed(6)


def drawn(delay: Callable[[], timedelta]) -> list[float]:
    return sorted(delay().total_seconds() for _ in range(DRAWS))


@pytest.mark.parametrize(
    ("attempts", "ceiling"),
    [(1, 2), (2, 4), (3, 8), (4, 16), (5, 32), (6, 64), (7, 100), (8, 100), (10**6, 100)],
)
def test_the_wait_is_anything_up_to_a_ceiling_that_doubles_and_is_bounded(
    attempts: int, ceiling: float
) -> None:
    waits = drawn(lambda: POLICY.delay(attempts))

    assert waits[0] >= 0
    assert waits[-1] <= ceiling
    # Full jitter: as many in each tenth, from nothing on.
    for tenth in range(1, 10):
        assert waits[DRAWS * tenth // 10] == pytest.approx(ceiling * tenth / 10, abs=0.05 * ceiling)


@pytest.mark.parametrize(("waited", "ceiling"), [(0, 2), (30, 30), (10_000, 100)])
def test_after_having_waited_the_wait_is_anything_up_to_as_long_again(
    waited: float, ceiling: float
) -> None:
    waits = drawn(lambda: POLICY.delay_after(timedelta(seconds=waited)))

    assert 0 <= waits[0] < 0.1 * ceiling
    assert 0.9 * ceiling < waits[-1] <= ceiling


def test_it_is_given_up_after_as_many_failures_as_are_allowed() -> None:
    policy = RetryPolicy(max_attempts=3)
    assert [policy.gives_up(attempts) for attempts in (1, 2, 3, 4)] == [False, False, True, True]
