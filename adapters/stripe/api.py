"""Stripe's API through the official SDK: time-outs, retries, a circuit, and errors in our terms."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Iterator
from contextlib import contextmanager
from time import monotonic
from typing import Final, ParamSpec, TypeVar

import msgspec
import stripe
import structlog
from stripe import RequestOptions

from adapters.stripe.circuit import Circuit, CircuitOpen
from domain.errors import InvalidMoney
from ports.metrics import Metrics
from ports.payment_provider import (
    CardDeclined,
    CustomerMissing,
    OutcomeUnknown,
    ProviderRefused,
    ProviderUnavailable,
    RecordedFailure,
)
from ports.purchases import OperationConflict, OperationUnderWay

log = structlog.get_logger(__name__)

P = ParamSpec("P")
T = TypeVar("T")
Shape = TypeVar("Shape")

# Seconds for one attempt. The SDK's own 80 would hold a subscription up for minutes.
TIMEOUT: Final = 10.0
# The SDK repeats connection errors, 409 and 5xx with jitter, under one idempotency key.
RETRIES: Final = 2
# Seconds for a call with all its attempts. Gateways give up after 30, and what a user asks for
# may take two calls, one after the other.
DEADLINE: Final = 12.0

# Stripe's word for it. A 404 alone says nothing: a proxy or a wrong address answers one, too.
MISSING: Final = "resource_missing"
# Another request has the key, or the object, in hand: nothing was done. (Stripe: Error codes)
_KEY_IN_USE: Final = "idempotency_key_in_use"
_LOCKED: Final = "lock_timeout"

# Methods of the SDK that change nothing. What fails of any other may have been done all the same.
_READS: Final = ("create_preview", "list", "retrieve", "search")

# A thief should not learn that the card is known to be stolen. (Stripe: Declines)
_NOT_FOR_THE_PAYER: Final = frozenset(
    {"fraudulent", "lost_card", "merchant_blacklist", "pickup_card", "stolen_card"}
)

# What the SDK speaks, and what webhooks should be rendered by.
API_VERSION: Final = stripe.api_version

# It would write a file under the home directory of the user.
stripe.enable_telemetry = False


class StripeApi:
    """Stripe; or what stands at `api_base`, where one is given."""

    def __init__(
        self,
        secret_key: str,
        api_base: str | None = None,
        *,
        circuit: Circuit | None = None,
        deadline: float = DEADLINE,
        metrics: Metrics | None = None,
    ) -> None:
        self._deadline = deadline
        self._metrics = metrics
        self._http = stripe.HTTPXClient(timeout=TIMEOUT)
        self._circuit = circuit or Circuit()
        self.v1 = stripe.StripeClient(
            secret_key,
            base_addresses={"api": api_base} if api_base else {},
            http_client=self._http,
            max_network_retries=RETRIES,
        ).v1

    async def call(self, method: Callable[P, Awaitable[T]], *args: P.args, **kwargs: P.kwargs) -> T:
        """Call a method of the SDK.

        Raises ProviderUnavailable, OutcomeUnknown where it may have been done all the same,
        RecordedFailure (of calls with a key of ours), ProviderRefused, CustomerMissing,
        CardDeclined, OperationConflict and OperationUnderWay.
        """
        operation = method.__qualname__.removesuffix("_async")
        started = monotonic()
        try:
            self._circuit.admit()
        except CircuitOpen as error:
            self._count(operation, "not_tried", started)
            raise ProviderUnavailable(str(error), retry_after=error.retry_after) from None
        try:
            async with asyncio.timeout(self._deadline):
                answer = await method(*args, **kwargs)
        except TimeoutError:
            self._circuit.record(answered=False)
            self._count(operation, "unavailable", started)
            log.warning("stripe_call_timed_out", operation=operation, seconds=self._deadline)
            kind = ProviderUnavailable if _only_reads(operation) else OutcomeUnknown
            raise kind(f"Stripe did not answer {operation} in time") from None
        except stripe.StripeError as error:
            self._circuit.record(answered=not _is_outage(error))
            self._count(operation, _result(error), started)
            if error.code != MISSING:  # which is an answer like any other
                log.warning(
                    "stripe_call_failed",
                    operation=operation,
                    error=type(error).__name__,
                    code=_code(error),
                    http_status=error.http_status,
                    request_id=error.request_id,
                )
            named = any(isinstance(arg, dict) and "idempotency_key" in arg for arg in args)
            raise _translate(operation, error, named=named) from error
        self._circuit.record(answered=True)
        self._count(operation, "ok", started)
        return answer

    async def find(
        self, method: Callable[P, Awaitable[T]], *args: P.args, **kwargs: P.kwargs
    ) -> T | None:
        """Like `call`, but None where Stripe knows no such object."""
        try:
            return await self.call(method, *args, **kwargs)
        except ProviderRefused as refusal:
            if refusal.code == MISSING:
                return None
            raise

    def _count(self, operation: str, result: str, started: float) -> None:
        if self._metrics is not None:
            self._metrics.provider_called(operation, result, monotonic() - started)

    async def close(self) -> None:
        """Let go of the connections."""
        await self._http.close_async()  # type: ignore[no-untyped-call]  # the SDK's own


def once(operation: str) -> RequestOptions:
    """Have Stripe carry this operation out once, however often it is asked for."""
    return {"idempotency_key": operation}


def as_shape(shape: type[Shape], found: stripe.StripeObject) -> Shape:
    """An SDK object as one of our shapes. Raises ProviderUnavailable where it does not fit."""
    with readable():
        return msgspec.convert(found.to_dict(), shape)


@contextmanager
def readable() -> Iterator[None]:
    """Raise ProviderUnavailable where an answer is not as we know it."""
    try:
        yield
    except (ValueError, OverflowError, InvalidMoney) as error:  # msgspec's is a ValueError
        raise ProviderUnavailable(f"Stripe answered in a shape we do not know: {error}") from error


@contextmanager
def done() -> Iterator[None]:
    """Read the answer to what was asked for and done: where it is not as we know it, what has come
    of it must be looked up. Raises OutcomeUnknown instead of ProviderUnavailable.
    """
    try:
        yield
    except ProviderUnavailable as error:
        raise OutcomeUnknown(str(error), retry_after=error.retry_after) from error


@contextmanager
def any_failure_is_absence() -> Iterator[None]:
    """Whoever asks for the truth gets it or tries again later: nothing can be refused to them."""
    try:
        yield
    except ProviderRefused as refusal:
        raise ProviderUnavailable(str(refusal)) from refusal


def _code(error: stripe.StripeError) -> str | None:
    """Stripe's reason; of conflicts (409) and limits (429) the SDK leaves it in the body."""
    return error.code or (error.error.code if error.error else None)


def _is_outage(error: stripe.StripeError) -> bool:
    """Whether this is no answer of Stripe's: also a success whose body cannot be read."""
    if error.http_status == 429:
        return _code(error) != _LOCKED
    return not _turned_away(error)


def _turned_away(error: stripe.StripeError) -> bool:
    """Whether nothing was done. A success that cannot be read is an error of the SDK, too."""
    return error.http_status is not None and 400 <= error.http_status < 500


def _only_reads(operation: str) -> bool:
    return operation.rpartition(".")[2] in _READS


def _result(error: stripe.StripeError) -> str:
    """A failed call as metrics know it."""
    match error:
        case stripe.CardError():
            return "declined"
        case stripe.IdempotencyError():
            return "conflict"
        case _ if _code(error) in (_KEY_IN_USE, _LOCKED):
            return "conflict"
        case _ if error.code == MISSING:
            return "missing"
        case _ if _is_outage(error):
            return "unavailable"
        case stripe.AuthenticationError() | stripe.PermissionError():
            return "forbidden"
        case _:
            return "refused"


def _is_replayed(error: stripe.StripeError) -> bool:
    """Whether this is the first result of its key again. (Stripe: Idempotent requests)"""
    headers = {name.lower(): value for name, value in (error.headers or {}).items()}
    return headers.get("idempotent-replayed") == "true"


def declined(code: str | None, decline_code: str | None) -> CardDeclined:
    """Why a card was declined, as far as whoever holds it may know."""
    reason = "generic_decline" if decline_code in _NOT_FOR_THE_PAYER else decline_code
    return CardDeclined(code or "card_declined", reason)


def _translate(operation: str, error: stripe.StripeError, *, named: bool) -> Exception:
    match error:
        case stripe.IdempotencyError():
            return OperationConflict(f"{operation} was asked for with other terms")
        # What is repeated from its record says nothing of the card and the prices of now.
        case _ if named and _is_replayed(error):
            return RecordedFailure(f"Stripe has recorded a failure of {operation}")
        case _ if _code(error) == _KEY_IN_USE:
            return OperationUnderWay(f"{operation} is under way")
        case _ if _code(error) == _LOCKED and not _only_reads(operation):
            return OperationUnderWay(f"{operation} waits for another request")
        case stripe.CardError():
            return declined(error.code, error.error.decline_code if error.error else None)
        case stripe.InvalidRequestError(param="customer", code="resource_missing"):
            return CustomerMissing(operation, error.code)
        case stripe.InvalidRequestError() if error.http_status != 404 or error.code == MISSING:
            return ProviderRefused(operation, error.code)
        case _:
            # Keys that are wrong or lack a right end here too: that is ours to mend, not theirs.
            status = f" (HTTP {error.http_status})" if error.http_status else ""
            kind = OutcomeUnknown if _may_be_done(operation, error) else ProviderUnavailable
            return kind(f"Stripe did not answer {operation}: {type(error).__name__}{status}")


def _may_be_done(operation: str, error: stripe.StripeError) -> bool:
    return not _turned_away(error) and not _only_reads(operation)
