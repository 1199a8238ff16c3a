"""What the hosted pages have in common."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from html import escape
from typing import Final
from urllib.parse import urlencode, urlsplit, urlunsplit

from sandbox.stripe.store import Json
from sandbox.stripe.world import World

HTML: Final[Mapping[str, str]] = {"Content-Type": "text/html; charset=utf-8"}

# How long Checkout waits for the webhook's receiver before it sends the buyer back.
# (Stripe: Fulfill orders)
_PATIENCE: Final = 10.0

_STYLE: Final = """
:root { color-scheme: light dark; font-family: system-ui, sans-serif; line-height: 1.5; }
body { margin: 0 auto; max-width: 32rem; padding: 1.5rem 1rem 4rem; }
.test { background: #ffde59; color: #222; padding: .1rem .5rem; border-radius: .25rem; }
label { display: block; margin-top: .75rem; font-weight: 600; }
input, select { box-sizing: border-box; width: 100%; padding: .5rem; font: inherit; }
button { margin-top: 1rem; padding: .6rem 1.2rem; font: inherit; cursor: pointer; }
[role=alert] { border: 2px solid #b00020; padding: .5rem .75rem; border-radius: .25rem; }
section { border-top: 1px solid #8886; margin-top: 1.5rem; }
dl { display: grid; grid-template-columns: auto 1fr; gap: .25rem 1rem; }
dd { margin: 0; }
table { width: 100%; border-collapse: collapse; }
th, td { text-align: left; padding: .3rem .5rem .3rem 0; }
"""


@dataclass(frozen=True, slots=True)
class Page:
    """What a browser is answered."""

    body: str | bytes
    headers: Mapping[str, str] = field(default_factory=lambda: HTML)
    status: int = 200


def page(title: str, content: str, *, status: int = 200) -> Page:
    """A page with this content, which is HTML already."""
    return Page(
        f'<!doctype html><html lang="en"><head><meta charset="utf-8"><title>{escape(title)}</title>'
        '<meta name="viewport" content="width=device-width, initial-scale=1">'
        f'<style>{_STYLE}</style></head><body><main><p><span class="test">Sandbox</span> '
        "No money moves here.</p>"
        f"<h1>{escape(title)}</h1>{content}</main></body></html>",
        status=status,
    )


def redirect(url: str, **query: str) -> Page:
    """Send the browser on. (HTTP 303: with GET, whatever it came with)"""
    parts = urlsplit(url)
    joined = "&".join(filter(None, (parts.query, urlencode(query))))
    return Page("", {"Location": urlunsplit(parts._replace(query=joined))}, 303)


def problem(message: str | None) -> str:
    """A message that a screen reader announces."""
    return f'<p role="alert">{escape(message)}</p>' if message else ""


def card_fields() -> str:
    """The fields of a card. Any date in the future and any CVC will do."""
    return """
<label for="card">Card number</label>
<input id="card" name="card" inputmode="numeric" autocomplete="cc-number" required
  placeholder="4242 4242 4242 4242" aria-describedby="cards">
<p id="cards"><small>4242 4242 4242 4242 succeeds, 4000 0000 0000 9995 is declined,
  4000 0000 0000 3220 asks for 3-D Secure.</small></p>
<label for="expiry">Expiry (MM / YY)</label>
<input id="expiry" name="expiry" autocomplete="cc-exp" placeholder="12 / 34">
<label for="cvc">CVC</label>
<input id="cvc" name="cvc" inputmode="numeric" autocomplete="cc-csc" placeholder="123">"""


def money(amount: int, currency: str) -> str:
    """An amount in the currency's smallest unit, as people write it."""
    return f"{'$' if currency == 'usd' else ''}{amount / 100:.2f}" + (
        "" if currency == "usd" else f" {currency.upper()}"
    )


def per(price: Json) -> str:
    """How often a price is billed."""
    recurring = price["recurring"]
    if recurring is None:
        return ""
    count = recurring["interval_count"]
    interval = recurring["interval"]
    return f" per {interval}" if count == 1 else f" every {count} {interval}s"


def date(moment: int) -> str:
    return datetime.fromtimestamp(moment, UTC).strftime("%d %B %Y")


async def let_webhooks_arrive(world: World) -> None:
    """Wait for the receivers of webhooks, but not for ever."""
    delivering = asyncio.ensure_future(world.outbox.deliver_due())
    await asyncio.wait({delivering}, timeout=_PATIENCE)
