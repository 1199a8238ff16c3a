"""Stripe's error objects.

ApiError                what any endpoint may raise
├── ValidationError     the request was refused before the endpoint began: its outcome is not kept
│                       under its idempotency key (Stripe: Idempotent requests)
└── CardError           a payment or a setup was refused

Messages follow Stripe's own wording where it is known. (Stripe: API reference, Errors)
"""

from __future__ import annotations

from typing import Any
from urllib.parse import urlsplit


class ApiError(Exception):
    """One error response. `extra` holds further members of the error object."""

    def __init__(
        self,
        message: str,
        *,
        status: int = 400,
        kind: str = "invalid_request_error",
        code: str | None = None,
        param: str | None = None,
        **extra: Any,
    ) -> None:
        super().__init__(message)
        self.message = message
        self.status = status
        self.kind = kind
        self.code = code
        self.param = param
        self.extra = extra

    def body(self, request_id: str) -> dict[str, Any]:
        """The JSON that Stripe would answer."""
        members = {
            "code": self.code,
            "doc_url": self.code
            and f"https://stripe.com/docs/error-codes/{self.code.replace('_', '-')}",
            "message": self.message,
            "param": self.param,
            **self.extra,
            "request_log_url": f"https://dashboard.stripe.com/test/logs/{request_id}",
            "type": self.kind,
        }
        return {"error": {name: value for name, value in members.items() if value is not None}}


class ValidationError(ApiError):
    """Refused before anything was done."""


class CardError(ApiError):
    """The card was declined, or wants its holder to act."""

    def __init__(
        self, message: str, *, code: str, decline_code: str | None = None, **extra: Any
    ) -> None:
        super().__init__(
            message, status=402, kind="card_error", code=code, decline_code=decline_code, **extra
        )


def no_such(what: str, id_: str, *, param: str = "id", in_path: bool = False) -> ApiError:
    """Something named does not exist: 404 where the path names it, 400 where a parameter does."""
    return ApiError(
        f"No such {what}: '{id_}'",
        status=404 if in_path else 400,
        code="resource_missing",
        param=param,
    )


def unknown_url(method: str, path: str) -> ApiError:
    return ValidationError(
        f"Unrecognized request URL ({method}: {path}). Please see https://stripe.com/docs or we "
        "can help at https://support.stripe.com/.",
        status=404,
    )


def unknown_parameters(paths: list[str]) -> ApiError:
    noun = "parameter" if len(paths) == 1 else "parameters"
    return ValidationError(
        f"Received unknown {noun}: {', '.join(paths)}", code="parameter_unknown", param=paths[0]
    )


def missing_parameter(path: str) -> ApiError:
    return ValidationError(f"Missing required param: {path}.", code="parameter_missing", param=path)


def invalid_parameter(message: str, path: str, code: str | None = None) -> ApiError:
    return ValidationError(message, code=code, param=path)


def check_url(url: str, path: str) -> None:
    """Raise ValidationError unless this is an address on the web."""
    try:
        parts = urlsplit(url)
        valid = parts.scheme in ("http", "https") and parts.hostname is not None
    except ValueError:
        valid = False
    if not valid:
        raise invalid_parameter(
            "Not a valid URL. Your URL must begin with http:// or https://", path, "url_invalid"
        )


def not_played(path: str) -> ApiError:
    """A parameter that Stripe knows and the sandbox does not play: refused, not ignored."""
    return ValidationError(f"The sandbox does not play the parameter: {path}", param=path)


def unauthorized(message: str) -> ApiError:
    return ValidationError(message, status=401)
