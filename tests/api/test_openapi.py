"""The OpenAPI document is complete, current, and true."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any, Final

import httpx
import pytest
from jsonschema import Draft202012Validator, ValidationError

from tests.api.conftest import World
from tests.api.contract import DOCUMENT, check_answer

# What the table of endpoints promises.
ENDPOINTS: Final = {
    ("post", "/api/payments/create-checkout-session"),
    ("post", "/api/payments/create-portal-session"),
    ("post", "/api/payments/webhook"),
    ("get", "/api/payments/config"),
    ("post", "/api/payments/customers"),
    ("post", "/api/payments/subscriptions"),
    ("get", "/api/payments/subscription"),
    ("patch", "/api/payments/subscriptions/{subscription_id}"),
    ("post", "/api/payments/subscriptions/{subscription_id}/preview"),
    ("delete", "/api/payments/subscriptions/{subscription_id}"),
    ("post", "/api/payments/subscriptions/{subscription_id}/resume"),
    ("get", "/api/payments/invoices"),
    ("post", "/api/payments/checkout-sessions/{session_id}/sync"),
    ("get", "/health/live"),
    ("get", "/health/ready"),
}


def operations() -> Iterator[tuple[str, dict[str, Any]]]:
    for path, methods in DOCUMENT["paths"].items():
        for method, operation in methods.items():
            yield f"{method} {path}", operation


def bodies() -> Iterator[tuple[str, dict[str, Any]]]:
    """Every body of a request or an answer, with where it stands."""
    for name, operation in operations():
        for content in operation.get("requestBody", {}).get("content", {}).values():
            yield f"{name} request", content
        for status, response in operation["responses"].items():
            for content in response["content"].values():
                yield f"{name} {status}", content


def examples_in(content: Mapping[str, Any]) -> list[Any]:
    given = [one["value"] for one in content.get("examples", {}).values()]
    schema = content["schema"]
    return given or schema.get("examples", []) or [content["example"]]


async def test_what_is_served_is_what_is_committed(world: World) -> None:
    """Where this fails, run `make contracts` and commit what it writes."""
    for path in ("/schema", "/schema/openapi.json"):
        answer = await world.client.get(path)
        assert answer.status_code == 200
        assert answer.json() == DOCUMENT


def test_every_endpoint_is_described() -> None:
    described = {tuple(name.split(" ")) for name, _ in operations()}

    assert described >= ENDPOINTS


@pytest.mark.parametrize(("name", "operation"), list(operations()))
def test_every_status_has_a_schema(name: str, operation: dict[str, Any]) -> None:
    assert {"200", "500"} <= operation["responses"].keys()
    if operation.get("security"):
        assert {"400", "401", "429", "503"} <= operation["responses"].keys()
    for response in operation["responses"].values():
        for content in response["content"].values():
            assert content["schema"]


@pytest.mark.parametrize(("name", "content"), list(bodies()))
def test_every_body_has_an_example_that_fits_its_schema(name: str, content: dict[str, Any]) -> None:
    validator = Draft202012Validator(content["schema"] | {"components": DOCUMENT["components"]})
    found = examples_in(content)

    assert found
    for example in found:
        validator.validate(example)


@pytest.mark.parametrize(
    ("status", "headers", "body", "complaint"),
    [
        (418, {}, {}, "not in the OpenAPI document"),
        (200, {}, {"userId": 7}, "is a required property|is not of type"),
        (429, {}, {}, "lacks Retry-After"),
        (404, {"retry-after": "1"}, {}, "not in the OpenAPI document"),
        (422, {"retry-after": "1"}, {}, "Retry-After is not declared"),
        (409, {"retry-after": "soon"}, {}, "does not match"),
    ],
)
async def test_an_answer_that_is_not_declared_fails_the_test_that_gets_it(
    status: int, headers: dict[str, str], body: object, complaint: str
) -> None:
    """Every other test of the API relies on it."""
    request = httpx.Request("POST", "http://payments/api/payments/customers")

    with pytest.raises((AssertionError, ValidationError), match=complaint):
        await check_answer(httpx.Response(status, headers=headers, json=body, request=request))
