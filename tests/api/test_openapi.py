"""The OpenAPI document is complete, current, and true."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from typing import Any, Final

import pytest
from jsonschema import Draft202012Validator

from contracts.generate import ROOT
from tests.api.conftest import World

DOCUMENT: Final[dict[str, Any]] = json.loads((ROOT / "openapi.json").read_text(encoding="utf-8"))
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
