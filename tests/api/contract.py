"""Every answer that any test of the API gets is one that the OpenAPI document declares."""

from __future__ import annotations

import json
import re
from functools import cache
from typing import Any, Final

from httpx import Response
from jsonschema import Draft202012Validator

from adapters.http.problems import KINDS, MEDIA_TYPE, TYPE
from contracts.generate import ROOT

DOCUMENT: Final[dict[str, Any]] = json.loads((ROOT / "openapi.json").read_text(encoding="utf-8"))
# What the framework answers before an operation is found.
_NO_OPERATION: Final = {404, 405}


async def check_answer(answer: Response) -> None:
    """Raise AssertionError unless status, headers and body are declared for this operation."""
    await answer.aread()
    request = answer.request
    operation = operation_of(request.method.lower(), request.url.path)
    seen = f"{request.method} {request.url.path} {answer.status_code}"
    if operation is None:
        # Neither the document itself nor what Prometheus scrapes is part of the API.
        beside = request.url.path.startswith(("/schema", "/metrics"))
        assert beside or request.method == "OPTIONS" or answer.status_code in _NO_OPERATION, (
            f"{seen} is an answer of an operation that is not in the OpenAPI document"
        )
        return
    declared = operation["responses"].get(str(answer.status_code))
    assert declared is not None, f"{seen} is not in the OpenAPI document: {answer.text}"
    _check_headers(seen, answer, declared.get("headers", {}))
    media_type = answer.headers["content-type"].partition(";")[0]
    assert media_type in declared["content"], f"{seen}: {media_type} is not declared"
    schema = json.dumps(declared["content"][media_type]["schema"])
    _validator(schema).validate(answer.json())
    if media_type == MEDIA_TYPE:
        _check_type(seen, answer)


def _check_type(seen: str, answer: Response) -> None:
    problem = answer.json()
    kind = KINDS.get(problem["type"].removeprefix(TYPE))
    assert kind is not None, f"{seen}: {problem['type']} is not declared"
    assert kind.status == problem["status"] == answer.status_code, f"{seen}: {problem['type']}"


def _check_headers(seen: str, answer: Response, declared: dict[str, Any]) -> None:
    for name, header in declared.items():
        value = answer.headers.get(name)
        assert value is not None or not header["required"], f"{seen} lacks {name}"
        if value is not None:
            _validator(json.dumps(header["schema"])).validate(value)
    for name in ("Retry-After", "WWW-Authenticate", "Idempotent-Replayed"):
        assert name not in answer.headers or name in declared, f"{seen}: {name} is not declared"


@cache
def _validator(schema: str) -> Draft202012Validator:
    return Draft202012Validator(json.loads(schema) | {"components": DOCUMENT["components"]})


@cache
def operation_of(method: str, path: str) -> dict[str, Any] | None:
    """What the document says of this operation; None where there is none."""
    for template, operations in DOCUMENT["paths"].items():
        pattern = re.sub(r"\{[^}]*\}", "[^/]+", template)
        if method in operations and re.fullmatch(pattern, path):
            found: dict[str, Any] = operations[method]
            return found
    return None
