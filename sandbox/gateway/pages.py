"""The files of the page, and what they may load."""

from __future__ import annotations

from dataclasses import dataclass
from mimetypes import guess_type
from pathlib import Path
from typing import Final

from litestar import Response
from litestar.exceptions import NotFoundException

BUILT: Final = Path(__file__).parents[2] / "web" / "dist"
OWN: Final = Path(__file__).with_name("page")


class Pages:
    """Serves `built` where there is such a page, else the small one that comes with the sandbox.

    `stripe` is the origin of Stripe's stand-in, which pages may load from.
    """

    def __init__(self, stripe: str, built: Path = BUILT) -> None:
        self._built = built
        self._policy = content_security_policy(Origins(stripe, stripe, stripe))

    @property
    def which(self) -> str:
        """Which page this is, for people."""
        if self._is_built:
            return f"the one that was built in {self._built}"
        return "a small one of the sandbox's own, since none was built (make web)"

    @property
    def _is_built(self) -> bool:
        return (self._built / "index.html").is_file()

    def answer(self, path: str) -> Response[bytes]:
        """The file at a path, or the page itself where the path is one of the page's own views.

        Raises NotFoundException for a file that is not there.
        """
        root = (self._built if self._is_built else OWN).resolve()
        file = (root / path.lstrip("/")).resolve()
        if not (file.is_file() and file.is_relative_to(root)):
            if "." in path.rpartition("/")[2]:
                raise NotFoundException(f"there is no file {path}")
            file = root / "index.html"
        # Only what has a digest of its contents in its name never changes.
        lasting = file.parent == root / "assets"
        return Response(
            file.read_bytes(),
            media_type=guess_type(file.name)[0] or "application/octet-stream",
            headers={
                "Content-Security-Policy": self._policy,
                "Cache-Control": "public, max-age=31536000, immutable" if lasting else "no-cache",
                "Referrer-Policy": "same-origin",
                "X-Content-Type-Options": "nosniff",
            },
        )


@dataclass(frozen=True, slots=True)
class Origins:
    """Where Elements load from: scripts, frames, and what these ask."""

    scripts: str
    frames: str
    connections: str


# Stripe: Security guide, Content Security Policy, for Stripe.js.
STRIPE: Final = Origins(
    scripts="https://js.stripe.com https://*.js.stripe.com",
    frames="https://js.stripe.com https://*.js.stripe.com https://hooks.stripe.com",
    connections="https://api.stripe.com",
)


def content_security_policy(stripe: Origins) -> str:
    """What a page may load: its own files, and of Stripe's what Elements need."""
    return "; ".join(
        (
            "default-src 'none'",
            f"script-src 'self' {stripe.scripts}",
            f"frame-src {stripe.frames}",
            f"connect-src 'self' {stripe.connections}",
            "style-src 'self'",
            "img-src 'self' data:",
            "font-src 'self'",
            "manifest-src 'self'",
            "base-uri 'none'",
            "form-action 'self'",
            "frame-ancestors 'none'",
        )
    )
