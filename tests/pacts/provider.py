"""The running service as a pact's verifier asks it: bring this about, and show the message.

Nothing is made up: webhooks are posted to the service, and what is shown is what came out of a
queue of RabbitMQ.
"""

from __future__ import annotations

import asyncio
import json
from collections.abc import Coroutine, Mapping
from pathlib import Path
from typing import Any, Final, TypeVar
from uuid import uuid4

from pact import Verifier
from pact.types import Message

from service.event_messages import MESSAGE_TYPES
from tests.end_to_end.consumer import Inbox
from tests.end_to_end.processes import Process, run
from tests.end_to_end.service import all_published, deliver
from tests.pacts.states import SITUATIONS
from tests.stripe_payloads import customer
from tests.stripe_stand_in import StripeStandIn

PROVIDER = "payments"

Answer = TypeVar("Answer")

_MESSAGE: Final = "Asynchronous/Messages"

# A situation may take a new process and a dozen webhooks, one after the other.
_PATIENCE_MS = 60_000


class PactBroken(Exception):
    """The service does not do what a consumer expects of it."""


def read_pact(path: Path | None) -> list[Mapping[str, Any]]:
    """What a pact file expects, one message each. Raises PactBroken where it cannot be verified."""
    if path is None:
        raise PactBroken("give the path of your pact")
    try:
        document = json.loads(path.read_bytes())
    except OSError as error:
        raise PactBroken(f"{path} cannot be read: {error.strerror}") from None
    except ValueError as error:
        raise PactBroken(f"{path} is no pact: {error}") from None
    if not isinstance(document, dict):
        raise PactBroken(f"{path} is no pact: it is not a JSON object")
    expected = [
        one for part in ("interactions", "messages") for one in _list(path, document.get(part))
    ]
    if not expected:
        raise PactBroken(f"{path} expects nothing: write at least one interaction")
    for one in expected:
        _check(one)
    return expected


def _list(path: Path, part: Any) -> list[Mapping[str, Any]]:
    if part is None:
        return []
    if not isinstance(part, list) or not all(isinstance(one, dict) for one in part):
        raise PactBroken(f"{path} is no pact: its interactions are no list of JSON objects")
    return part


def _check(one: Mapping[str, Any]) -> None:
    """Raise PactBroken where an interaction is none that can be verified."""
    name = one.get("description")
    if "request" in one or one.get("type", _MESSAGE) != _MESSAGE:
        raise PactBroken(
            f"{name} is about HTTP or waits for an answer: only asynchronous messages are verified,"
            " and the HTTP API is in contracts/openapi.json"
        )
    states = one.get("providerStates") or one.get("providerState") or ()
    known = "; ".join(SITUATIONS)
    # Without one it would be shown what the interaction before it has left behind.
    if not states:
        raise PactBroken(f"{name} names no provider state: take one of these: {known}")
    # Each is brought about for a user of its own, so that the last one would count alone.
    if not isinstance(states, str) and len(states) > 1:
        raise PactBroken(f"{name} names several provider states: take one of these: {known}")


class RunningProvider:
    """The service, and the queue that it publishes to."""

    def __init__(
        self, service: Process, environment: Mapping[str, str], stripe: StripeStandIn, inbox: Inbox
    ) -> None:
        self._service = service
        self._environment = environment
        self._stripe = stripe
        self._inbox = inbox
        self._user = ""
        self._loop = asyncio.get_running_loop()

    async def verify(self, pact: Path) -> None:
        """Verify one pact file. Raises PactBroken, which says what does not hold."""
        read_pact(pact)
        problems: list[Exception] = []
        not_brought_about: list[Exception] = []

        def wait_for(work: Coroutine[Any, Any, Answer]) -> Answer:
            return asyncio.run_coroutine_threadsafe(work, self._loop).result()

        def bring_about(state: str) -> None:
            not_brought_about.clear()
            try:
                wait_for(self.bring_about(state))
            except Exception as error:  # which the verifier would try again for two minutes
                not_brought_about.append(error)

        def message(name: str) -> Message:
            try:
                if not_brought_about:
                    raise not_brought_about[0]
                return wait_for(self.message(name))
            except Exception as error:
                problems.append(error)  # of which the verifier says only that it happened
                raise

        verifier = (
            Verifier(PROVIDER)
            .message_handler(message)
            .state_handler(bring_about)
            .set_request_timeout(_PATIENCE_MS)
            .set_error_on_empty_pact(enabled=True)
            .set_coloured_output(enabled=False)
            .add_source(pact)
        )
        # The verifier blocks, and asks from threads of its own.
        try:
            await asyncio.to_thread(verifier.verify)
        except RuntimeError:
            raise PactBroken("\n".join([verifier.output(), *map(str, problems)])) from None
        finally:
            _close(verifier)

    async def bring_about(self, state: str) -> None:
        """Bring a situation about, for a new user, and wait until all of it was published."""
        if state not in SITUATIONS:
            known = "; ".join(SITUATIONS)
            raise LookupError(f"there is no provider state {state!r}: take one of these: {known}")
        situation = SITUATIONS[state]
        user, ref = uuid4(), f"sub_{uuid4().hex}"
        self._user = str(user)
        self._stripe.customers[f"cus_{ref}"] = customer(f"cus_{ref}", user_id=user)
        for webhook in situation.webhooks(user, ref):
            await deliver(self._service.address, [webhook])
        await self._until_published(ref)
        if situation.republished:
            status, output = await run(self._environment, "republish", "--subscription", ref)
            assert status == 0, output
            await self._until_published(ref)

    async def message(self, description: str) -> Message:
        """The last message of the type that the description begins with."""
        wanted = description.split(maxsplit=1)[0]
        known = {kind.routing_key for kind in MESSAGE_TYPES.values()}
        if wanted not in known:
            types = ", ".join(sorted(known))
            raise LookupError(f"a description begins with a type of message, one of: {types}")
        found = [
            message
            for message in self._inbox.messages
            if message.routing_key == wanted and json.loads(message.body)["subject"] == self._user
        ]
        if not found:
            raise LookupError(f"this situation causes no {wanted}: take another provider state")
        return Message(
            contents=found[-1].body,
            metadata={
                "contentType": found[-1].content_type,
                "messageId": found[-1].message_id,
                "routingKey": found[-1].routing_key,
            },
            content_type=found[-1].content_type,
        )

    async def _until_published(self, ref: str) -> None:
        expected = await all_published(self._environment["DATABASE_URL"], ref)
        await self._inbox.until(
            lambda: expected <= {message.message_id for message in self._inbox.messages}
        )


def _close(verifier: Verifier) -> None:
    """Close the sockets that the library leaves open when it is done."""
    for listening in (verifier._message_producer, verifier._state_handler):
        server = getattr(listening, "_server", None)
        if server is not None:
            server.server_close()
