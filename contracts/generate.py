"""The contracts as the code has them. Add one by adding a line to `documents`."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Final

from adapters.http.openapi import refine
from service import settings
from service.wiring import Container

HERE: Final = Path(__file__).parent
# Nothing of these gets into a contract; the application is built, not run.
_ANY_SETTINGS: Final = {
    "DATABASE_URL": "postgresql://payments@localhost/payments",
    "STRIPE_SECRET_KEY": "sk_test_contracts",
    "STRIPE_PUBLISHABLE_KEY": "pk_test_contracts",
    "STRIPE_WEBHOOK_SECRET": "whsec_contracts",
    "JWT_SECRET": "contracts contracts contracts contracts",
    "JWT_ISSUER": "contracts",
    "JWT_AUDIENCE": "contracts",
    "ALLOWED_REDIRECT_ORIGINS": "https://app.example.com",
}


def documents() -> Mapping[str, str]:
    """Every contract: its path below this directory, and its text."""
    return {"openapi.json": _json(openapi())}


def openapi() -> object:
    """The OpenAPI document that the application serves at /schema."""
    app = Container(settings=settings.load("api", _ANY_SETTINGS)).app()
    return refine(app.openapi_schema.to_schema())


def write(contracts: Mapping[str, str], directory: Path = HERE) -> None:
    """Write them, and say nothing."""
    for path, text in contracts.items():
        file = directory / path
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(text, encoding="utf-8")


def _json(document: object) -> str:
    return json.dumps(document, indent=2, ensure_ascii=False) + "\n"
