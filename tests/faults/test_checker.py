"""The checker of the fault suite finds what it is there to find."""

from __future__ import annotations

from typing import Any

import pytest

from tests.faults.checker import check_history, first_arrivals

TOLD: list[tuple[str, dict[str, Any]]] = [
    ("subscription.activated", {"status": "trialing"}),
    ("subscription.status_changed", {"oldStatus": "trialing", "newStatus": "active"}),
    ("payment.succeeded", {}),
    ("subscription.status_changed", {"oldStatus": "active", "newStatus": "canceled"}),
    ("subscription.canceled", {}),
]


def history(told: list[tuple[str, dict[str, Any]]]) -> list[dict[str, Any]]:
    return [
        {"id": str(n), "sequence": str(n), "type": f"payments.{kind}.v1", "data": data}
        for n, (kind, data) in enumerate(told, 1)
    ]


def test_a_whole_history_passes() -> None:
    check_history(history(TOLD))


@pytest.mark.parametrize("lost", range(len(TOLD)))
def test_a_lost_message_is_found(lost: int) -> None:
    whole = history(TOLD)
    with pytest.raises(AssertionError):
        check_history(whole[:lost] + whole[lost + 1 :])


@pytest.mark.parametrize("first", range(len(TOLD) - 1))
def test_two_messages_in_the_wrong_order_are_found(first: int) -> None:
    told = history(TOLD)
    told[first], told[first + 1] = told[first + 1], told[first]
    with pytest.raises(AssertionError):
        check_history(told)


@pytest.mark.parametrize(
    ("position", "said"),
    [
        (1, TOLD[0]),  # activated twice
        (2, TOLD[2]),  # one invoice told of twice
        (2, TOLD[1]),  # a change that does not start where the last one ended
        (5, TOLD[3]),  # a change after the end
        (4, TOLD[2]),  # something between the last change and Canceled
    ],
)
def test_a_contradiction_is_found(position: int, said: tuple[str, dict[str, Any]]) -> None:
    with pytest.raises(AssertionError):
        check_history(history([*TOLD[:position], said, *TOLD[position:]]))


def test_a_repeat_counts_once_and_has_to_be_the_same() -> None:
    one, two, other = b'{"id": "1"}', b'{"id": "2"}', b'{"id": "1", "more": 1}'
    again = bytes(bytearray(one))
    assert [body for _, body in first_arrivals([one, two, again])] == [one, two]
    with pytest.raises(AssertionError, match="different bodies"):
        first_arrivals([one, other])
