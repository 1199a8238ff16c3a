"""What was charged, page by page."""

from tests.api.conftest import World


async def test_invoices_come_in_pages_the_newest_first(world: World) -> None:
    user = world.somebody()
    customer = (await user("POST", "/customers")).json()["customerId"]
    world.stripe.add_invoice("cus_of_somebody_else", 5000)
    made = [world.stripe.add_invoice(customer, 1000 + n)["id"] for n in range(5)]

    seen, cursor = [], ""
    while True:
        page = (await user("GET", f"/invoices?limit=2{cursor}")).json()
        seen += [invoice["id"] for invoice in page["invoices"]]
        if page["nextCursor"] is None:
            break
        cursor = f"&cursor={page['nextCursor']}"

    assert seen == made[::-1]


async def test_an_invoice_shows_minor_units_and_links(world: World) -> None:
    user = world.somebody()
    customer = (await user("POST", "/customers")).json()["customerId"]
    made = world.stripe.add_invoice(customer, 1999)

    [seen] = (await user("GET", "/invoices")).json()["invoices"]

    assert (seen["total"], seen["amountPaid"], seen["amountDue"]) == (1999, 1999, 0)
    assert (seen["currency"], seen["status"]) == ("usd", "paid")
    assert seen["hostedInvoiceUrl"] == made["hosted_invoice_url"]
    assert seen["invoicePdf"] == made["invoice_pdf"]


async def test_a_draft_is_nobodys_business_yet(world: World) -> None:
    user = world.somebody()
    customer = (await user("POST", "/customers")).json()["customerId"]
    world.stripe.add_invoice(customer, 1000, status="draft")

    assert (await user("GET", "/invoices")).json() == {"invoices": [], "nextCursor": None}


async def test_who_is_no_customer_has_none(world: World) -> None:
    assert (await world.somebody()("GET", "/invoices")).json()["invoices"] == []


async def test_a_cursor_that_leads_nowhere_is_told(world: World) -> None:
    user = world.somebody()
    await user("POST", "/customers")

    answer = await user("GET", "/invoices?cursor=in_unknown")

    assert answer.status_code == 422
    assert answer.json()["type"] == "urn:payments:problem:cursor-unknown"


async def test_a_page_has_its_limits(world: World) -> None:
    for limit in ("0", "101", "many"):
        assert (await world.somebody()("GET", f"/invoices?limit={limit}")).status_code == 400
