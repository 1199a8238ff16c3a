"""Lists of Stripe's are read page by page, and what is strange in one hides nothing else."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator, MutableMapping
from typing import Any, Final

import pytest

from adapters.stripe.api import StripeApi
from adapters.stripe.records import StripeRecords
from tests.builders import price_list
from tests.stripe_payloads import Payload, subscription
from tests.stripe_stand_in import Failure, raw, run_stripe_stand_in


def page(*found: Payload, has_more: bool = False) -> Failure:
    """Answer with a page of a list."""
    listed = {"object": "list", "url": "/v1/subscriptions", "data": found, "has_more": has_more}
    return raw(200, json.dumps(listed))


STRANGE: Final[dict[str, Payload]] = {
    "of another shape": subscription("sub_strange") | {"items": 7},
    "without what is relied on": {
        name: value for name, value in subscription("sub_strange").items() if name != "status"
    },
    "in a time that there is not": subscription("sub_strange") | {"created": 10**18},
}


@pytest.fixture
async def records() -> AsyncIterator[tuple[StripeRecords, list[Failure | None]]]:
    """Give what is on record, and the answers that come next."""
    with run_stripe_stand_in() as stand_in:
        api = StripeApi("sk_test_for_tests", stand_in.url)
        yield StripeRecords(api, price_list()), stand_in.failures
        await api.close()


@pytest.mark.parametrize("strange", STRANGE.values(), ids=list(STRANGE))
async def test_a_strange_subscription_is_logged_and_those_around_it_are_read(
    strange: Payload,
    records: tuple[StripeRecords, list[Failure | None]],
    logged: list[MutableMapping[str, Any]],
) -> None:
    recorded, answers = records
    answers += [
        page(subscription("sub_1"), strange, subscription("sub_2"), has_more=True),
        page(subscription("sub_3")),
    ]

    pages = [list(found) async for found in recorded.subscriptions()]

    assert [[one.subscription_ref for one in found] for found in pages] == [
        ["sub_1", "sub_2"],
        ["sub_3"],
    ]
    (line,) = logged
    assert line["event"] == "subscription_not_understood"
    assert line["subscription_ref"] == "sub_strange"
