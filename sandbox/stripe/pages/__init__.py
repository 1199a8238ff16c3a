"""The pages that Stripe would host, as plain HTML, and the stand-in for Stripe.js.

/c/pay/{session}      Checkout
/p/session/{session}  the customer portal
/3d-secure/{id}       the bank's question
/sandbox              the control panel
/i/{invoice}          a hosted invoice; /i/{invoice}/pdf as a document
/v3/                  Stripe.js
"""

from __future__ import annotations

from pathlib import Path
from typing import Final

from sandbox.stripe.errors import ApiError
from sandbox.stripe.forms import Form
from sandbox.stripe.pages import challenge, checkout, invoice, panel, portal
from sandbox.stripe.pages.layout import HTML, Page, page, problem
from sandbox.stripe.world import World

_SCRIPT: Final = Path(__file__).with_name("stripe.js")

__all__ = ["HTML", "Page", "answer"]


async def answer(world: World, method: str, path: str, form: Form) -> Page | None:
    """The page at a path; None where there is none. What the API refuses, a page says too."""
    try:
        return await _answer(world, method, path, form)
    except ApiError as error:
        return page("This is not possible", problem(error.message), status=error.status)


async def _answer(world: World, method: str, path: str, form: Form) -> Page | None:
    posted = method == "POST"
    match path.strip("/").split("/"):
        case ["c", "pay", id_]:
            return await checkout.answer(world, id_, form if posted else None)
        case ["p", "session", id_, *rest]:
            return await portal.answer(world, id_, rest, form if posted else None)
        case ["3d-secure", id_]:
            return await challenge.answer(world, id_, form if posted else None)
        case ["i", id_, *rest]:
            return invoice.answer(world, id_, rest)
        case ["sandbox"] if not posted:
            return panel.answer(world)
        case ["v3"] | ["v3", ""] | [_, "stripe.js"]:
            script = _SCRIPT.read_text().replace("__API__", world.url)
            return Page(script, {"Content-Type": "text/javascript; charset=utf-8"})
    return None
