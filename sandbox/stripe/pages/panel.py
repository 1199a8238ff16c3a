"""The control panel: what a person can do to the sandbox besides using it.

It asks the small API in `control` for everything.
"""

from __future__ import annotations

from html import escape

from sandbox.stripe.pages.layout import Page, date, page
from sandbox.stripe.world import World

# As many as one can read.
_SHOWN = 30

_SCRIPT = """
for (const form of document.forms) form.addEventListener("submit", async (event) => {
  event.preventDefault();
  const given = Object.fromEntries(new FormData(form));
  for (const name in given) if (!isNaN(given[name])) given[name] = Number(given[name]);
  if ("days" in given) { given.seconds = given.days * 86400; delete given.days; }
  const answer = await fetch(form.action, { method: "POST", body: JSON.stringify(given) });
  if (answer.ok) location.reload(); else alert((await answer.json()).error);
});
"""


def answer(world: World) -> Page:
    """Show time and webhooks, and forms to steer them."""
    outbox = world.outbox
    rows = "".join(
        f"<tr><td>{escape(_type(world, delivery.event))}</td><td>{delivery.state}</td>"
        f"<td>{escape(delivery.answer or '')}</td><td>{delivery.attempts}</td></tr>"
        for delivery in outbox.deliveries[: -_SHOWN - 1 : -1]
    )
    mischief = outbox.mischief
    return page(
        "Control panel",
        f"<p>Today is {date(world.now())}.</p>"
        + _form("clock/advance", "Let time pass", _field("days", "Days", "30"))
        + "<section><h2>Webhooks</h2><p>Shares of events, from 0 to 1, that…</p>"
        + _form(
            "webhooks/mischief",
            "Set",
            _field("duplicate", "come twice", str(mischief.duplicate))
            + _field("lose", "are lost", str(mischief.lose))
            + _field("delay", "come late", str(mischief.delay))
            + _field("delay_seconds", "by at most so many seconds", str(mischief.delay_seconds)),
        )
        + _form("webhooks/hold", "Hold everything back")
        + _form(
            "webhooks/release",
            "Release in reverse",
            '<input type="hidden" name="order" value="reversed">',
        )
        + _form("webhooks/recover", "Send again what has not arrived")
        + "<table><thead><tr><th>Event</th><th>State</th><th>Answer</th><th>Attempts</th></tr>"
        f"</thead><tbody>{rows}</tbody></table></section><script>{_SCRIPT}</script>",
    )


def _type(world: World, event_id: str) -> str:
    event = world.store.find(event_id)
    return event_id if event is None else str(event["type"])


def _form(path: str, label: str, fields: str = "") -> str:
    return f'<form action="/sandbox/{path}">{fields}<button>{label}</button></form>'


def _field(name: str, label: str, value: str) -> str:
    return f'<label for="{name}">{label}</label><input id="{name}" name="{name}" value="{value}">'
