"""POST /api/payments/webhook: 200 only for what is kept; everything else says what to do."""

from __future__ import annotations

import json
import re
from collections.abc import AsyncIterator, MutableMapping
from typing import Any, Final

import pytest
from httpx import AsyncClient, Response
from litestar import Litestar

from adapters.http.bodies import LARGEST_BODY
from ports.inbox import Overloaded
from ports.unit_of_work import StorageUnavailable
from ports.webhooks import RejectionReason
from tests.http.conftest import NOW, InboxInMemory
from tests.stripe_payloads import SECRET, Signed, encode, event, signature, signed, subscription

PATH: Final = "/api/payments/webhook"
EVENT: Final = event("customer.subscription.created", subscription(), id="evt_1")
GENUINE: Final = signed(EVENT, timestamp=NOW)
THIN: Final = {
    "id": "evt_1",
    "object": "v2.core.event",
    "type": "v1.billing.meter.no_meter_found",
    "created": "2026-01-01T00:00:00Z",
}


async def deliver(client: AsyncClient, request: Signed, **headers: str) -> Response:
    return await client.post(
        PATH,
        content=request.body,
        headers={"stripe-signature": request.header, "content-type": "application/json", **headers},
    )


def problem_in(response: Response, status: int, name: str) -> dict[str, Any]:
    assert response.status_code == status
    assert response.headers["content-type"].startswith("application/problem+json")
    found: dict[str, Any] = response.json()
    assert found["type"] == f"urn:payments:problem:{name}"
    assert found["status"] == status
    assert found["title"]
    assert found["detail"]
    return found


async def test_a_genuine_event_is_kept_as_it_came(
    client: AsyncClient, intake: InboxInMemory
) -> None:
    response = await deliver(client, GENUINE)

    assert response.status_code == 200
    assert response.headers["content-type"].startswith("application/json")
    assert response.json() == {"received": True, "duplicate": False}
    assert intake.kept["evt_1"].payload == GENUINE.body
    assert intake.kept["evt_1"].ordering_key == "sub_1"


async def test_a_repeated_event_is_received_again_as_a_duplicate(
    client: AsyncClient, intake: InboxInMemory
) -> None:
    await deliver(client, GENUINE)
    response = await deliver(client, GENUINE)

    assert response.status_code == 200
    assert response.json() == {"received": True, "duplicate": True}
    assert len(intake.kept) == 1


async def test_an_event_of_a_type_we_do_not_handle_is_kept_all_the_same(
    client: AsyncClient, intake: InboxInMemory
) -> None:
    response = await deliver(client, signed(event("charge.refunded", {}), timestamp=NOW))

    assert response.status_code == 200
    assert len(intake.kept) == 1


@pytest.mark.parametrize("content_type", ["text/plain", "application/x-www-form-urlencoded", "x"])
async def test_the_bytes_are_read_raw_whatever_they_are_called(
    client: AsyncClient, content_type: str
) -> None:
    response = await deliver(client, GENUINE, **{"content-type": content_type})

    assert response.status_code == 200


async def test_the_callers_trace_is_continued(client: AsyncClient, intake: InboxInMemory) -> None:
    trace = "0123456789abcdef0123456789abcdef"

    await deliver(client, GENUINE, traceparent=f"00-{trace}-0123456789abcdef-00")

    assert re.fullmatch(f"00-{trace}-[0-9a-f]{{16}}-00", intake.kept["evt_1"].traceparent)


REJECTED: Final[dict[RejectionReason, Signed]] = {
    RejectionReason.SIGNATURE_MISSING: Signed(GENUINE.body, ""),
    RejectionReason.SIGNATURE_MALFORMED: Signed(GENUINE.body, "v1=abc"),
    RejectionReason.SIGNATURE_MISMATCH: signed(EVENT, secret="whsec_other", timestamp=NOW),
    RejectionReason.TIMESTAMP_TOO_OLD: signed(EVENT, timestamp=NOW - 301),
    RejectionReason.TIMESTAMP_IN_FUTURE: signed(EVENT, timestamp=NOW + 301),
    RejectionReason.NOT_UTF8: Signed(b'{"id": "evt_\xff"}', GENUINE.header),
    RejectionReason.NOT_JSON: signed(b"evt_1 is not JSON", timestamp=NOW),
    RejectionReason.NOT_AN_OBJECT: signed([EVENT], timestamp=NOW),
    RejectionReason.NOT_AN_EVENT: signed({"id": "evt_1"}, timestamp=NOW),
    RejectionReason.THIN_EVENT: signed(THIN, timestamp=NOW),
}


def test_there_is_a_request_for_every_reason_to_reject_one() -> None:
    assert set(REJECTED) == set(RejectionReason)


@pytest.mark.parametrize("reason", RejectionReason)
async def test_what_is_not_a_genuine_event_is_a_400_that_names_the_class_of_fault(
    client: AsyncClient, intake: InboxInMemory, reason: RejectionReason
) -> None:
    response = await deliver(client, REJECTED[reason])

    found = problem_in(response, 400, str(reason).replace("_", "-"))
    assert found["reason"] == reason
    assert set(found) == {"type", "title", "status", "detail", "reason"}
    assert "evt_1" not in response.text
    assert SECRET not in response.text
    assert intake.kept == {}


async def test_a_request_without_the_signature_header_is_rejected(client: AsyncClient) -> None:
    response = await client.post(PATH, content=GENUINE.body)

    problem_in(response, 400, "signature-missing")


async def test_a_header_that_is_not_ascii_is_rejected(client: AsyncClient) -> None:
    headers = [(b"stripe-signature", GENUINE.header.encode() + b",v1=\xff\xc3\xa9")]

    response = await client.post(PATH, content=GENUINE.body, headers=headers)

    problem_in(response, 400, "signature-malformed")


async def test_an_empty_request_is_rejected(client: AsyncClient) -> None:
    problem_in(await client.post(PATH), 400, "signature-missing")
    header = {"stripe-signature": signature(b"", timestamp=NOW)}
    problem_in(await client.post(PATH, headers=header), 400, "body-not-json")


# The largest body


def padded(size: int) -> Signed:
    body = encode(EVENT)
    return signed(body + b" " * (size - len(body)), timestamp=NOW)


async def test_the_largest_body_is_taken(client: AsyncClient) -> None:
    assert (await deliver(client, padded(LARGEST_BODY))).status_code == 200


async def test_a_larger_body_is_refused_by_its_announced_length(
    client: AsyncClient, intake: InboxInMemory
) -> None:
    problem_in(await deliver(client, padded(LARGEST_BODY + 1)), 413, "body-too-large")
    assert intake.kept == {}


async def test_a_larger_body_is_refused_though_nobody_announced_its_length(
    client: AsyncClient, intake: InboxInMemory
) -> None:
    async def chunks() -> AsyncIterator[bytes]:
        for _ in range(9):
            yield b" " * (LARGEST_BODY // 8)

    response = await client.post(
        PATH, content=chunks(), headers={"stripe-signature": GENUINE.header}
    )

    assert "content-length" not in response.request.headers
    problem_in(response, 413, "body-too-large")
    assert intake.kept == {}


async def test_a_body_in_chunks_is_taken(client: AsyncClient) -> None:
    async def chunks() -> AsyncIterator[bytes]:
        for start in range(0, len(GENUINE.body), 100):
            yield GENUINE.body[start : start + 100]

    response = await client.post(
        PATH, content=chunks(), headers={"stripe-signature": GENUINE.header}
    )

    assert response.status_code == 200


async def test_a_sender_that_goes_away_within_the_body_leaves_nothing(
    app: Litestar, intake: InboxInMemory, logged: list[MutableMapping[str, Any]]
) -> None:
    came: list[Any] = [
        {"type": "http.request", "body": GENUINE.body[:100], "more_body": True},
        {"type": "http.disconnect"},
    ]
    answers: list[Any] = []

    async def receive() -> Any:
        return came.pop(0)

    async def send(message: Any) -> None:
        answers.append(message)

    scope: Any = {
        "type": "http",
        "method": "POST",
        "path": PATH,
        "query_string": b"",
        "headers": [(b"stripe-signature", GENUINE.header.encode())],
    }
    await app(scope, receive, send)

    assert (came, answers, intake.kept, logged) == ([], [], {}, [])


@pytest.mark.parametrize("length", ["x", "-"])
async def test_a_length_that_is_no_number_is_a_bad_request(
    client: AsyncClient, length: str
) -> None:
    problem_in(await deliver(client, GENUINE, **{"content-length": length}), 400, "bad-request")


# A broken inbox


@pytest.mark.parametrize(
    "failure",
    [
        Overloaded("too many wait"),
        StorageUnavailable("postgresql://user:hunter2@db"),  # pragma: allowlist secret
    ],
)
async def test_what_could_not_be_kept_is_to_be_sent_again(
    client: AsyncClient, intake: InboxInMemory, failure: Exception
) -> None:
    intake.failure = failure

    response = await deliver(client, GENUINE)

    problem_in(response, 503, "try-again")
    assert response.headers["retry-after"].isdecimal()
    assert str(failure) not in response.text

    intake.failure = None
    assert (await deliver(client, GENUINE)).json() == {"received": True, "duplicate": False}


async def test_the_unexpected_is_a_500_with_a_trace_id_and_nothing_else(
    client: AsyncClient, intake: InboxInMemory
) -> None:
    intake.failure = RuntimeError("hunter2")

    response = await deliver(client, GENUINE)

    found = problem_in(response, 500, "internal-error")
    assert set(found) == {"type", "title", "status", "detail", "traceId"}
    assert re.fullmatch("[0-9a-f]{32}", found["traceId"])
    assert "hunter2" not in response.text
    assert "RuntimeError" not in response.text


async def test_a_trace_id_leads_to_the_error_in_the_log(
    client: AsyncClient, intake: InboxInMemory, logged: list[MutableMapping[str, Any]]
) -> None:
    intake.failure = RuntimeError("what went wrong")

    response = await deliver(client, GENUINE)

    (entry,) = [one for one in logged if one["event"] == "request_failed"]
    assert entry["trace_id"] == response.json()["traceId"]
    assert entry["exc_info"] is intake.failure


# Other paths and methods


@pytest.mark.parametrize("path", ["/", "/nowhere", "/api/payments", f"{PATH}/x"])
async def test_an_unknown_path_is_a_404_problem(client: AsyncClient, path: str) -> None:
    found = problem_in(await client.get(path), 404, "not-found")

    assert set(found) == {"type", "title", "status", "detail"}
    assert path == "/" or path not in json.dumps(found)


@pytest.mark.parametrize("method", ["GET", "PUT", "DELETE", "PATCH"])
async def test_another_method_is_a_405_problem_that_says_which_is_allowed(
    client: AsyncClient, method: str
) -> None:
    response = await client.request(method, PATH)

    problem_in(response, 405, "method-not-allowed")
    assert "POST" in response.headers["allow"]


@pytest.mark.parametrize("header", ["traceparent", "stripe-signature", "user-agent", "x-anything"])
async def test_a_header_that_holds_another_one_becomes_neither_a_header_nor_a_line_of_the_log(
    client: AsyncClient,
    intake: InboxInMemory,
    logged: list[MutableMapping[str, Any]],
    header: str,
) -> None:
    """A proxy in between may let through what this server's own parser would refuse."""
    genuine = {"stripe-signature": GENUINE.header, "traceparent": "00-" + "1" * 32}
    injected = f"{genuine.get(header, '')}\r\nset-cookie: canary=1\r\n\r\n<canary>"

    response = await deliver(client, GENUINE, **{header: injected})

    assert response.status_code in (200, 400)
    assert "canary" not in str(response.headers).lower() + response.text
    assert "canary" not in str(logged)
    assert all("canary" not in webhook.traceparent for webhook in intake.kept.values())
