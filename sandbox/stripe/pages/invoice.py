"""A hosted invoice, and the same as a document."""

from __future__ import annotations

from html import escape

from sandbox.stripe.pages.layout import Page, date, money, page
from sandbox.stripe.store import Json
from sandbox.stripe.world import World


def answer(world: World, id_: str, rest: list[str]) -> Page:
    """Show the invoice."""
    invoice = world.store.find(id_)
    if invoice is None or invoice.get("number") is None:
        return page("Not found", "<p>There is no such invoice.</p>", status=404)
    if rest == ["pdf"]:
        return Page(_document(_text(invoice)), {"Content-Type": "application/pdf"})
    currency = invoice["currency"]
    rows = "".join(
        f"<tr><td>{escape(line['description'] or '')}</td>"
        f"<td>{money(line['amount'], currency)}</td></tr>"
        for line in invoice["lines"]["data"]
    )
    return page(
        f"Invoice {invoice['number']}",
        f"<p>{date(invoice['created'])}: {escape(invoice['status'])}</p>"
        f"<table><thead><tr><th>What</th><th>Amount</th></tr></thead><tbody>{rows}</tbody></table>"
        f"<p>Total: {money(invoice['total'], currency)}. "
        f"Due: {money(invoice['amount_remaining'], currency)}.</p>"
        f'<p><a href="/i/{id_}/pdf">Download as PDF</a></p>',
    )


def _text(invoice: Json) -> list[str]:
    currency = invoice["currency"]
    return [
        f"Invoice {invoice['number']}",
        f"{date(invoice['created'])}, {invoice['status']}",
        "",
        *(
            f"{line['description']}: {money(line['amount'], currency)}"
            for line in invoice["lines"]["data"]
        ),
        "",
        f"Total {money(invoice['total'], currency)}",
    ]


def _document(text: list[str]) -> bytes:
    """The smallest PDF that shows some lines of text."""
    shown = " ".join(f"({_escaped(line)}) Tj T*" for line in text)
    drawing = b"BT /F1 12 Tf 72 720 Td 18 TL " + shown.encode("latin-1", "replace") + b" ET"
    objects = [
        b"<</Type/Catalog/Pages 2 0 R>>",
        b"<</Type/Pages/Kids[3 0 R]/Count 1>>",
        b"<</Type/Page/Parent 2 0 R/MediaBox[0 0 612 792]/Contents 4 0 R"
        b"/Resources<</Font<</F1 5 0 R>>>>>>",
        b"<</Length %d>>stream\n%s\nendstream" % (len(drawing), drawing),
        b"<</Type/Font/Subtype/Type1/BaseFont/Helvetica/Encoding/WinAnsiEncoding>>",
    ]
    document, offsets = b"%PDF-1.4\n", []
    for number, content in enumerate(objects, 1):
        offsets.append(len(document))
        document += b"%d 0 obj%s endobj\n" % (number, content)
    table = b"".join(b"%010d 00000 n \n" % offset for offset in offsets)
    return (
        document
        + b"xref\n0 %d\n0000000000 65535 f \n" % (len(objects) + 1)
        + table
        + b"trailer<</Size %d/Root 1 0 R>>\nstartxref\n%d\n%%%%EOF\n"
        % (len(objects) + 1, len(document))
    )


def _escaped(text: str) -> str:
    return text.replace("\\", "\\\\").replace("(", "\\(").replace(")", "\\)")
