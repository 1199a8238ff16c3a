"""The OpenAPI document, of the application as it is put together and served."""

from __future__ import annotations

from typing import Any, Final

from adapters.http.openapi import refine
from service import settings
from service.wiring import Container

# Nothing of these gets into the document: the application is built, not run.
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


def openapi() -> dict[str, Any]:
    """What the application serves at /schema."""
    app = Container(settings=settings.load("api", _ANY_SETTINGS)).app()
    return refine(app.openapi_schema.to_schema())
