"""Questions to the provider, asked beside the processing and never inside a transaction.

While a question is out, everything with its ordering key is busy and waits; nothing else does.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Collection
from time import monotonic
from typing import Final

import structlog

from ports.payment_provider import PaymentProvider, ProviderUnavailable
from service.working_set import Answer, CustomerLookup, Lookup, SubscriptionLookup

log = structlog.get_logger(__name__)

# Enough to hide the provider's latency, few enough to stay far below its rate limits
# (Stripe: Rate limits, 25 read requests a second in a sandbox).
AT_ONCE: Final = 8
# Every busy key is listed in each claim; past this many the provider is the bottleneck anyway.
MOST_BUSY_KEYS: Final = 1_000
# Seconds for which an answer is good. It is used within milliseconds, unless the partition went to
# another worker meanwhile: should it ever come back, the provider may say something else by then.
GOOD_FOR: Final = 60.0


class ProviderLookups:
    """Asks in the background; `answered` is called after each answer."""

    def __init__(
        self,
        provider: PaymentProvider,
        answered: Callable[[], None],
        *,
        monotonic: Callable[[], float] = monotonic,
    ) -> None:
        self._provider = provider
        self._answered = answered
        self._slots = asyncio.Semaphore(AT_ONCE)
        self._asking: dict[str, asyncio.Task[None]] = {}
        self._monotonic = monotonic
        # By the ordering key, each with the time up to which it is good.
        self._answers: dict[str, dict[Lookup, tuple[Answer, float]]] = {}

    @property
    def busy_keys(self) -> Collection[str]:
        """The ordering keys that wait for an answer."""
        return self._asking.keys()

    def has_room_for(self, questions: int) -> bool:
        """Whether this many more questions may be asked now."""
        return len(self._asking) + questions <= MOST_BUSY_KEYS

    def answers_for(self, ordering_key: str) -> dict[Lookup, Answer]:
        """What was answered lately under this key and not yet forgotten."""
        now = self._monotonic()
        return {
            lookup: answer
            for lookup, (answer, until) in self._answers.get(ordering_key, {}).items()
            if now < until
        }

    def ask(self, ordering_key: str, lookup: Lookup) -> None:
        """Begin to ask; the key is busy until the answer is there."""
        self._asking[ordering_key] = asyncio.create_task(self._ask(ordering_key, lookup))

    def forget(self, ordering_keys: Collection[str]) -> None:
        """Drop the answers: they were used, or will have to be had anew."""
        for key in ordering_keys:
            self._answers.pop(key, None)

    async def close(self) -> None:
        """Stop asking."""
        tasks = list(self._asking.values())
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)

    async def _ask(self, ordering_key: str, lookup: Lookup) -> None:
        try:
            async with self._slots:
                asked_at = self._monotonic()
                answer = await self._answer(lookup)
            until = asked_at + GOOD_FOR
            self._answers.setdefault(ordering_key, {})[lookup] = (answer, until)
        finally:
            del self._asking[ordering_key]
            self._answered()

    async def _answer(self, lookup: Lookup) -> Answer:
        try:
            match lookup:
                case CustomerLookup(customer_ref):
                    return await self._provider.fetch_customer(customer_ref)
                case SubscriptionLookup(subscription_ref):
                    return await self._provider.fetch_subscription(subscription_ref)
        except ProviderUnavailable as error:
            return error
        except Exception as error:
            log.exception("provider_lookup_failed", lookup=str(lookup))
            return ProviderUnavailable(f"asking the payment provider failed: {error!r}")
