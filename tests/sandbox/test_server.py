"""The sandbox as a program: it starts, stops, and starts again on the same data."""

import asyncio
import json
import os
import signal
import subprocess
import sys
import threading
from pathlib import Path
from typing import Any

import pytest
import stripe

from sandbox.stripe import events, forms, server
from sandbox.stripe.errors import ValidationError
from sandbox.stripe.outbox import Mischief
from sandbox.stripe.server import StripeSandbox
from sandbox.stripe.world import Billing
from tests.sandbox import schema
from tests.sandbox.conftest import START
from tests.sandbox.receiver import Receiver
from tests.sandbox.serving import serving
from tests.sandbox.shop import Shop


def _client(sandbox: StripeSandbox, transport: stripe.HTTPXClient) -> stripe.StripeClient:
    return stripe.StripeClient(
        sandbox.api_key, base_addresses={"api": sandbox.url}, http_client=transport
    )


async def test_it_goes_on_where_it_left_off(tmp_path: Path) -> None:
    """Objects, time, webhooks on their way and idempotency keys survive; ids do not repeat."""
    data = tmp_path / "stripe.json"
    transport = stripe.HTTPXClient()
    product: stripe.params.ProductCreateParams = {"name": "x"}
    async with Receiver() as receiver:
        receiver.status = 500
        async with StripeSandbox(start=START, runs=False, data=data) as sandbox:
            sandbox.listen(receiver.url)
            client = _client(sandbox, transport)
            shop = Shop(sandbox, client)
            customer = await shop.customer()
            subscription = await shop.subscription(
                customer, await shop.price(), trial_period_days=7
            )
            made = await client.v1.products.create_async(product, {"idempotency_key": "one"})
            known = await client.v1.products.list_async()
            await sandbox.settle()
        receiver.status = 200
        receiver.deliveries.clear()
        async with StripeSandbox(start=START, runs=False, data=data) as sandbox:
            client = _client(sandbox, transport)
            await sandbox.advance(hours=1)
            assert "customer.subscription.created" in receiver.types
            again = await client.v1.products.create_async(product, {"idempotency_key": "one"})
            assert again.id == made.id
            other = await client.v1.products.create_async(product)
            assert other.id not in [p.id for p in known.data]
            await sandbox.advance(days=8)
            shown = await client.v1.subscriptions.retrieve_async(subscription.id)
            assert shown.status == "active"
    await transport.close_async()  # type: ignore[no-untyped-call]  # the SDK's own


async def test_a_clock_that_runs_goes_on_from_where_it_jumped() -> None:
    async with StripeSandbox(start=START) as sandbox:
        await sandbox.advance(days=180)
        assert 0 <= sandbox.clock.now() - START - 180 * 24 * 60 * 60 < 60


def test_it_refuses_to_play_with_a_live_key() -> None:
    with pytest.raises(ValueError, match="test key"):
        StripeSandbox(api_key="sk_live_0123456789")


async def test_a_request_that_breaks_off_is_not_executed(tmp_path: Path) -> None:
    """Its first half would be another request."""
    async with StripeSandbox() as sandbox:
        port = int(sandbox.url.rpartition(":")[2])
        reader, writer = await asyncio.open_connection("127.0.0.1", port)
        head = (
            "POST /v1/customers HTTP/1.1\r\nHost: x\r\nContent-Length: 100\r\n"
            f"Authorization: Bearer {sandbox.api_key}\r\n\r\nname=Jenny"
        )
        writer.write(head.encode())
        await writer.drain()
        writer.write_eof()
        assert await reader.read() == b""
        writer.close()
        await writer.wait_closed()
    assert list(sandbox.world.store.all("customer")) == []


async def test_a_taken_port_is_an_error() -> None:
    async with StripeSandbox() as sandbox:
        port = int(sandbox.url.rpartition(":")[2])
        with pytest.raises(OSError, match="in use"):
            await StripeSandbox().start(port)


async def test_nothing_that_it_told_is_forgotten_when_it_is_killed(tmp_path: Path) -> None:
    """Whatever was answered or delivered is on disk by then; so is a jump of the clock alone."""
    data = tmp_path / "stripe.json"
    transport = stripe.HTTPXClient()
    on_disk: list[str] = []

    async def check(scope: Any, receive: Any, send: Any) -> None:
        body = (await receive())["body"]
        on_disk.append(data.read_text() if json.loads(body)["id"] in data.read_text() else "")
        await send({"type": "http.response.start", "status": 200, "headers": []})
        await send({"type": "http.response.body", "body": b""})

    async with serving(check) as url, StripeSandbox(start=START, runs=False, data=data) as sandbox:
        sandbox.listen(url, "customer.created")
        customer = await Shop(sandbox, _client(sandbox, transport)).customer()
        assert customer.id in data.read_text()
        await sandbox.settle()
        await sandbox.advance(days=30)
        assert json.loads(data.read_text())["now"] == START + 30 * 24 * 60 * 60
    await transport.close_async()  # type: ignore[no-untyped-call]  # the SDK's own
    assert len(on_disk) == 1
    assert customer.id in on_disk[0], "the webhook left before its event was on disk"


async def test_the_program_says_how_to_reach_it_and_stops_when_told(tmp_path: Path) -> None:
    data = tmp_path / "data" / "stripe.json"
    program = await asyncio.create_subprocess_exec(
        sys.executable,
        *("-m", "sandbox.stripe", "--port", "0", "--data", str(data)),
        stdout=subprocess.PIPE,
        env=os.environ,
    )
    assert program.stdout is not None
    said: dict[str, str] = {}
    while "STRIPE_WEBHOOK_SECRET" not in said:
        name, _, value = (await program.stdout.readline()).decode().strip().partition("=")
        said[name] = value
    transport = stripe.HTTPXClient()
    client = stripe.StripeClient(
        said["STRIPE_SECRET_KEY"],
        base_addresses={"api": said["STRIPE_API_BASE"]},
        http_client=transport,
    )
    await client.v1.customers.create_async()
    await transport.close_async()  # type: ignore[no-untyped-call]  # the SDK's own
    program.send_signal(signal.SIGTERM)
    assert await program.wait() == 0
    assert data.exists()


async def test_how_it_is_steered_stays(tmp_path: Path) -> None:
    """What is held back, what befalls webhooks, and how failed renewals are dealt with."""
    data = tmp_path / "stripe.json"
    async with StripeSandbox(start=START, data=data) as sandbox:
        sandbox.outbox.hold()
        sandbox.outbox.mischief = Mischief(duplicate=0.5, types=["invoice.paid"])
        sandbox.world.billing = Billing([1], "unpaid")
    async with StripeSandbox(data=data) as sandbox:
        assert sandbox.outbox.holding
        assert sandbox.outbox.mischief == Mischief(duplicate=0.5, types=["invoice.paid"])
        assert sandbox.world.billing == Billing([1], "unpaid")


@pytest.mark.parametrize("content", [b"", b"[]", b"{}", b'{"format": 0}', b'{"format": 1, "url'])
async def test_a_file_of_another_release_or_program_is_left_alone(
    content: bytes, tmp_path: Path
) -> None:
    data = tmp_path / "stripe.json"
    data.write_bytes(content)
    with pytest.raises(ValueError, match=r"."):
        await StripeSandbox(data=data).start()
    assert data.read_bytes() == content


async def test_a_stop_while_it_writes_waits_for_the_writing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Two at the same time would leave half of each, or fail."""
    data = tmp_path / "stripe.json"
    begun, go_on = asyncio.Event(), threading.Event()
    loop = asyncio.get_running_loop()
    writing: list[bytes] = []
    overlaps: list[bytes] = []
    write = server._write

    def slowly(file: Path, content: bytes) -> None:
        overlaps.extend(writing)
        writing.append(content)
        loop.call_soon_threadsafe(begun.set)
        if threading.current_thread() is not threading.main_thread():
            go_on.wait(30)
        write(file, content)
        writing.remove(content)

    async with Receiver() as receiver:
        sandbox = StripeSandbox(start=START, data=data)
        await sandbox.start()
        sandbox.listen(receiver.url)
        monkeypatch.setattr(server, "_write", slowly)
        events.emit(sandbox.world, "customer.created", {"id": "cus_1", "object": "customer"})
        await asyncio.wait_for(begun.wait(), 30)
        stopping = asyncio.create_task(sandbox.stop())
        await asyncio.wait({stopping}, timeout=0.1)
        go_on.set()
        await stopping
    assert overlaps == []
    assert json.loads(data.read_bytes())["outbox"]["deliveries"][0]["state"] == "waiting"
    assert receiver.types == [], "it was to stop"


@pytest.mark.parametrize(
    ("body", "form"),
    [
        ("a=1&b=x+y%26z", {"a": "1", "b": "x y&z"}),
        ("a[b][c]=1", {"a": {"b": {"c": "1"}}}),
        ("a[0][b]=1&a[1][b]=2", {"a": {"0": {"b": "1"}, "1": {"b": "2"}}}),
        ("a[]=1&a[]=2", {"a": {"0": "1", "1": "2"}}),
        ("a[][b]=1&a[][c]=2&a[][b]=3", {"a": {"0": {"b": "1", "c": "2"}, "1": {"b": "3"}}}),
        ("a=", {"a": ""}),
    ],
)
def test_forms_are_read_as_the_sdks_and_the_cli_write_them(body: str, form: Any) -> None:
    assert forms.decode(body) == form


@pytest.mark.parametrize("body", ["a=1&a[b]=2", "a[b=1", "a]=1", "[a]=1"])
def test_a_form_that_contradicts_itself_is_refused(body: str) -> None:
    with pytest.raises(ValidationError):
        forms.decode(body)


@pytest.mark.parametrize(
    ("change", "problem"),
    [
        ({"email": 1}, "customer.email: 1 is not a"),
        ({"created": None}, "customer.created: null"),
        ({"colour": "red"}, "customer.colour: not a field"),
        ({"tax_exempt": "sometimes"}, "customer.tax_exempt: 'sometimes' is none of"),
        ({"invoice_settings": {"footer": 1}}, "customer.invoice_settings.footer: 1 is not a"),
    ],
)
async def test_the_check_of_shapes_can_fail(change: dict[str, Any], problem: str) -> None:
    """What every other test relies on."""
    async with StripeSandbox() as sandbox:
        transport = stripe.HTTPXClient()
        customer = (await _client(sandbox, transport).v1.customers.create_async()).to_dict()
        await transport.close_async()  # type: ignore[no-untyped-call]  # the SDK's own
    schema.check(customer)
    with pytest.raises(schema.SchemaError, match=problem):
        schema.check(customer | change)


def test_the_check_of_shapes_misses_a_field_that_must_be_there() -> None:
    with pytest.raises(schema.SchemaError, match=r"customer\.livemode: missing"):
        schema.check({"object": "customer", "id": "cus_1", "created": 1})


async def test_on_another_port_links_and_webhooks_follow(tmp_path: Path) -> None:
    """Pages that were linked to are found again, and an endpoint with a name moves."""
    data = tmp_path / "stripe.json"
    transport = stripe.HTTPXClient()
    async with Receiver() as before, Receiver() as after:
        async with StripeSandbox(start=START, runs=False, data=data) as sandbox:
            before.status = 500
            sandbox.listen(before.url, "customer.created", name="ours")
            shop = Shop(sandbox, _client(sandbox, transport))
            subscription = await shop.subscription(await shop.customer(), await shop.price())
            await sandbox.settle()
            old = sandbox.url
        before.deliveries.clear()
        async with StripeSandbox(start=START, runs=False, data=data) as sandbox:
            assert sandbox.url != old
            sandbox.listen(after.url, "customer.created", name="ours")
            client = _client(sandbox, transport)
            invoice = await client.v1.invoices.retrieve_async(str(subscription.latest_invoice))
            assert str(invoice.hosted_invoice_url).startswith(f"{sandbox.url}/i/")
            await sandbox.advance(hours=1)
            listed = await client.v1.webhook_endpoints.list_async()
            assert [endpoint.url for endpoint in listed.data] == [after.url]
    assert (before.types, after.types) == ([], ["customer.created"])
    await transport.close_async()  # type: ignore[no-untyped-call]  # the SDK's own
