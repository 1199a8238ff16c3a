"""The part of Stripe's API that users' requests reach, as a server with a memory.

It keeps what it is told, carries an operation with an idempotency key out once, does Stripe's
arithmetic, and fails on demand: at the wire, so that the official SDK raises what it would.
"""

from __future__ import annotations

import asyncio
import json
import re
import socket
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import asynccontextmanager
from itertools import count
from typing import Any, Final, NamedTuple
from urllib.parse import parse_qsl

import uvicorn

Object = dict[str, Any]
Form = dict[str, Any]

DAY: Final = 86_400
ENDED: Final = ("canceled", "incomplete_expired")
PLANS: Final = {
    "general_monthly": (1000, "month"),
    "general_annual": (10_000, "year"),
    "event_organizer_monthly": (1500, "month"),
    "event_organizer_annual": (15_000, "year"),
}
_PERIODS: Final = {"month": 30 * DAY, "year": 365 * DAY}


class Refused(Exception):
    """An answer that is no success."""

    def __init__(self, status: int, message: str, **error: Any) -> None:
        super().__init__(message)
        self.status = status
        self.error = {"type": "invalid_request_error", "message": message, **error}


class Failure(NamedTuple):
    """What befalls the next request whose method and path match.

    It is answered with `refused`, or where there is none the connection is reset, or `hangs`.
    `acted`: after it was carried out, not instead. `recorded`: and the same request would get that
    again.
    """

    path: str
    refused: Refused | None
    acted: bool
    recorded: bool
    hangs: bool = False


class Sent(NamedTuple):
    """A request as it came."""

    method: str
    path: str
    form: Form
    key: str | None


def card_declined(decline_code: str = "insufficient_funds") -> Refused:
    return Refused(
        402,
        "Your card was declined.",
        type="card_error",
        code="card_declined",
        decline_code=decline_code,
    )


def prorate(amount: int, start: int, end: int, at: int) -> int:
    """A part of a price: a fraction in seconds, each line floored on its own."""
    return amount * (end - at) // (end - start)


class StripeApi:
    """What it knows, what it was asked, and what is to go wrong."""

    def __init__(self, now: Callable[[], int]) -> None:
        self.now = now
        self.url = ""
        self.objects: dict[str, Object] = {}
        self.sent: list[Sent] = []
        self.failures: list[Failure] = []
        self.down = False
        self.lines_with_a_preview = 10
        self.previewed: list[Object] = []
        # Requests wait until they are released, which they are from the start.
        self.reached = asyncio.Event()
        self.released = asyncio.Event()
        self.released.set()
        self._hangs = False
        self._remembered: dict[str, tuple[Sent, int, Object]] = {}
        self._numbers = count(1)
        for lookup_key, (amount, interval) in PLANS.items():
            plan = lookup_key.rsplit("_", 1)[0]
            self._keep("product", id=f"prod_{plan}", name=plan)
            self._keep(
                "price",
                id=f"price_{lookup_key}",
                lookup_key=lookup_key,
                unit_amount=amount,
                currency="usd",
                recurring={"interval": interval, "interval_count": 1},
                product=f"prod_{plan}",
                active=True,
            )

    # What tests ask and do

    def all(self, kind: str) -> list[Object]:
        """Every object of a kind, the oldest first."""
        return [found for found in self.objects.values() if found["object"] == kind]

    def fail(
        self,
        path: str,
        refused: Refused | None,
        *,
        times: int = 1,
        acted: bool = False,
        recorded: bool | None = None,
        hangs: bool = False,
    ) -> None:
        """Answer the next requests whose method and path match with this; None resets them, or has
        them hang.

        A 500 is recorded unless told otherwise, as Stripe does with what it had begun.
        """
        if recorded is None:
            recorded = refused is not None and refused.status == 500
        self.failures += [Failure(path, refused, acted, recorded, hangs)] * times

    def complete(self, session_id: str) -> Object:
        """The buyer fills the page in: the session is complete and has a subscription."""
        session = self.objects[session_id]
        assert session["status"] == "open", "a page that is not open cannot be filled in"
        data = session["_data"]
        trial = int(data.get("trial_period_days", 0))
        created = self._subscription(
            session["customer"], session["_price"], data.get("metadata", {}), trial
        )
        session |= {"status": "complete", "url": None, "subscription": created["id"]}
        return created

    def confirm(self, subscription_id: str) -> Object:
        """The buyer confirms the client secret."""
        subscription = self.objects[subscription_id]
        assert subscription["status"] not in ENDED, "what has ended cannot be confirmed"
        subscription["pending_setup_intent"] = None
        subscription["status"] = "trialing" if subscription["trial_end"] else "active"
        return subscription

    # The server

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        """Take a request."""
        assert scope["type"] == "http", "nothing else is spoken here"
        body = b""
        while True:
            message = await receive()
            body += message.get("body", b"")
            if not message.get("more_body"):
                break
        headers = {name.decode(): value.decode() for name, value in scope["headers"]}
        text = body.decode() or scope["query_string"].decode()
        request = Sent(
            scope["method"], scope["path"], _nested(text), headers.get("idempotency-key")
        )
        self.sent.append(request)
        self.reached.set()
        await self.released.wait()
        replayed = request.key in self._remembered
        answered = self._answer(request)
        if answered is None and self._hangs:
            await receive()  # until whoever asked goes away
            return
        if answered is None:
            send.__self__.transport.abort()  # uvicorn's own; ASGI has no word for it
            return
        status, answer = answered
        recorded = self._remembered.get(request.key or "", (None, None))[1] == status
        await send(
            {
                "type": "http.response.start",
                "status": status,
                "headers": [
                    (b"content-type", b"application/json"),
                    (b"request-id", b"req_for_tests"),
                    *_should_retry(status, answer, recorded=recorded),
                    *([(b"idempotent-replayed", b"true")] if replayed else []),
                ],
            }
        )
        await send({"type": "http.response.body", "body": json.dumps(answer).encode()})

    def _answer(self, request: Sent) -> tuple[int, Object] | None:
        if self.down:
            return 503, {"error": {"type": "api_error", "message": "down"}}
        known = self._remembered.get(request.key) if request.key else None
        if known is not None:
            first, status, answer = known
            if first[:3] == request[:3]:
                return status, answer
            error = {"type": "idempotency_error", "message": f"Key {request.key} was used"}
            return 400, {"error": error}
        for index, failure in enumerate(self.failures):
            if re.search(failure.path, f"{request.method} {request.path}"):
                del self.failures[index]
                if failure.acted:
                    self._act(request)
                if failure.refused is None:
                    self._hangs = failure.hangs
                    return None
                answer = {"error": failure.refused.error}
                if request.key and failure.recorded:
                    self._remembered[request.key] = (request, failure.refused.status, answer)
                return failure.refused.status, answer
        return self._act(request)

    def _act(self, request: Sent) -> tuple[int, Object]:
        try:
            status, answer = 200, self._carry_out(request)
        except Refused as refused:
            status, answer = refused.status, {"error": refused.error}
        answer = json.loads(json.dumps(_public(answer)))
        if request.key and status != 400:
            self._remembered[request.key] = (request, status, answer)
        return status, answer

    def _carry_out(self, request: Sent) -> Object:
        for method, path, handler in _ROUTES:
            found = re.fullmatch(path, request.path)
            if method == request.method and found:
                return handler(self, request.form, *found.groups())
        raise Refused(404, f"Unrecognized request URL ({request.method} {request.path})")

    # Customers

    def create_customer(self, form: Form) -> Object:
        return self._keep("customer", **{"email": None, "name": None, "metadata": {}, **form})

    def update_customer(self, form: Form, customer_id: str) -> Object:
        customer = self._get("customer", customer_id)
        customer |= form
        return customer

    # Checkout and portal

    def create_session(self, form: Form) -> Object:
        self._get("customer", form["customer"])
        number = next(self._numbers)
        return self._keep(
            "checkout.session",
            id=f"cs_test_{number}",
            url=f"https://checkout.example/{number}",
            status="open",
            customer=form["customer"],
            metadata=form["metadata"],
            client_reference_id=form["client_reference_id"],
            success_url=form["success_url"],
            expires_at=self.now() + DAY,
            subscription=None,
            _price=form["line_items"]["0"]["price"],
            _data=form["subscription_data"],
        )

    def expire_session(self, form: Form, session_id: str) -> Object:
        session = self._get("checkout.session", session_id)
        if session["status"] != "open":
            raise Refused(400, f"Only open sessions can be expired; {session_id} is not")
        session |= {"status": "expired", "url": None}
        return session

    def create_portal(self, form: Form) -> Object:
        return self._keep(
            "billing_portal.session", url=f"https://portal.example/{form['customer']}"
        )

    # Subscriptions

    def create_subscription(self, form: Form) -> Object:
        trial = int(form.get("trial_period_days", 0))
        created = self._subscription(
            form["customer"], form["items"]["0"]["price"], form["metadata"], trial
        )
        if trial:
            created["pending_setup_intent"] = {
                "id": self._id("seti"),
                "object": "setup_intent",
                "status": "requires_payment_method",
                "client_secret": f"seti_secret_{created['id']}",
            }
        else:
            created["status"] = "incomplete"
        return _expanded(created, form)

    def get_subscription(self, form: Form, subscription_id: str) -> Object:
        return _expanded(self._get("subscription", subscription_id), form)

    def update_subscription(self, form: Form, subscription_id: str) -> Object:
        subscription = self._get("subscription", subscription_id)
        if "cancel_at_period_end" in form:
            flag = form["cancel_at_period_end"] == "true"
            end = subscription["items"]["data"][0]["current_period_end"] if flag else None
            subscription |= {"cancel_at_period_end": flag, "cancel_at": end}
        if form.get("cancel_at") == "":
            subscription["cancel_at"] = None
        for item in form.get("items", {}).values():
            subscription["items"]["data"][0]["price"] = self._get("price", item["price"])
        return _expanded(subscription, form)

    def cancel_subscription(self, form: Form, subscription_id: str) -> Object:
        subscription = self._get("subscription", subscription_id)
        if subscription["status"] in ENDED:
            raise Refused(404, f"No such subscription: {subscription_id}", code="resource_missing")
        ended = "incomplete_expired" if subscription["status"] == "incomplete" else "canceled"
        subscription |= {"status": ended, "ended_at": self.now(), "canceled_at": self.now()}
        return subscription

    def cancel_setup(self, form: Form, setup_id: str) -> Object:
        for subscription in self.all("subscription"):
            setup: Object | None = subscription["pending_setup_intent"]
            if setup is not None and setup["id"] == setup_id:
                setup["status"] = "canceled"
                return setup
        raise Refused(404, f"No such setup: {setup_id}", code="resource_missing")

    def void_invoice(self, form: Form, invoice_id: str) -> Object:
        for subscription in self.all("subscription"):
            invoice: Object = subscription["latest_invoice"]
            if invoice["id"] == invoice_id:
                subscription |= {"status": "incomplete_expired", "ended_at": self.now()}
                return invoice | {"currency": "usd", "created": self.now(), "status": "void"}
        raise Refused(404, f"No such invoice: {invoice_id}", code="resource_missing")

    def _proration(self, subscription: Object, form: Form) -> list[Object]:
        item = subscription["items"]["data"][0]
        asked = form["items"]["0"]
        if asked["id"] != item["id"]:
            raise Refused(400, f"No such item {asked['id']}")
        old, new = item["price"], self._get("price", asked["price"])
        if form["proration_behavior"] == "none":
            return []
        start, end = item["current_period_start"], item["current_period_end"]
        at = int(form["proration_date"])
        assert start <= at <= end, "Stripe refuses a date outside of the period"
        credit = _line("Unused time", prorate(-old["unit_amount"], start, end, at))
        if old["recurring"] != new["recurring"]:  # a new period begins
            return [credit, _line("New period", new["unit_amount"], proration=False)]
        return [credit, _line("Remaining time", prorate(new["unit_amount"], start, end, at))]

    # Invoices

    def preview(self, form: Form) -> Object:
        subscription = self._get("subscription", form["subscription"])
        details = form["subscription_details"]
        lines = self._proration(subscription, details)
        if details["proration_behavior"] != "always_invoice":
            price = self._get("price", details["items"]["0"]["price"])
            lines.append(_line("Next period", price["unit_amount"], proration=False))
        total = sum(line["amount"] for line in lines)
        for number, line in enumerate(lines):
            line["id"] = f"il_{number}"
        self.previewed = lines
        return {
            "id": "upcoming_in_1",
            "object": "invoice",
            "currency": "usd",
            "total": total,
            "amount_due": max(0, total),
            "lines": self._list({"limit": self.lines_with_a_preview}, lines),
        }

    def list_lines(self, form: Form) -> Object:
        assert int(form["limit"]) == 100, "the most at once"
        return self._list(form | {"limit": self.lines_with_a_preview}, self.previewed)

    def add_invoice(self, customer: str, amount: int, status: str = "paid") -> Object:
        invoice_id = self._id("in")
        return self._keep(
            "invoice",
            id=invoice_id,
            customer=customer,
            currency="usd",
            total=amount,
            amount_paid=amount,
            amount_remaining=0,
            status=status,
            number=f"N-{invoice_id}",
            period_start=self.now(),
            period_end=self.now(),
            hosted_invoice_url=f"https://invoice.example/{invoice_id}",
            invoice_pdf=f"https://invoice.example/{invoice_id}.pdf",
        )

    # Catalog

    def list_prices(self, form: Form) -> Object:
        keys = set(form.get("lookup_keys", {}).values())
        return self._list(
            form,
            [
                price
                for price in self.all("price")
                if (not keys or price["lookup_key"] in keys)
                and form.get("product") in (None, price["product"])
            ],
        )

    def create_price(self, form: Form) -> Object:
        for price in self.all("price"):
            if price["lookup_key"] == form["lookup_key"]:
                assert form["transfer_lookup_key"] == "true", "Stripe refuses a key that is taken"
                price["lookup_key"] = None
        sold = {"unit_amount": int(form["unit_amount"]), "active": True}
        recurring = {"interval_count": 1, **form["recurring"]}
        return self._keep("price", **(form | sold | {"recurring": recurring}))

    def create_product(self, form: Form) -> Object:
        return self._keep("product", **form)

    # What they have in common

    def retrieve(self, form: Form, object_id: str) -> Object:
        return self._get(None, object_id)

    def _listing(self, kind: str) -> Callable[[Form], Object]:
        return lambda form: self._list(
            form,
            [
                found
                for found in reversed(self.all(kind))
                if form.get("customer") in (None, found.get("customer"))
            ],
        )

    def _list(self, form: Form, found: list[Object]) -> Object:
        after = form.get("starting_after")
        if after is not None:
            ids = [one["id"] for one in found]
            if after not in ids:
                raise Refused(400, f"No such invoice: '{after}'", code="resource_missing")
            found = found[ids.index(after) + 1 :]
        limit = int(form.get("limit", 10))
        page = [_expanded(one, {}) for one in found[:limit]]
        return {"object": "list", "url": "", "data": page, "has_more": len(found) > limit}

    def _subscription(
        self, customer: str, price_id: str, metadata: Mapping[str, str], trial_days: int
    ) -> Object:
        self._get("customer", customer)
        price = self._get("price", price_id)
        now = self.now()
        trial_end = now + trial_days * DAY if trial_days else None
        item = {
            "id": self._id("si"),
            "price": price,
            "quantity": 1,
            "current_period_start": now,
            "current_period_end": trial_end or now + _PERIODS[price["recurring"]["interval"]],
        }
        subscription_id = self._id("sub")
        return self._keep(
            "subscription",
            id=subscription_id,
            customer=customer,
            metadata=dict(metadata),
            status="trialing" if trial_days else "active",
            items={"object": "list", "data": [item]},
            start_date=now,
            trial_end=trial_end,
            ended_at=None,
            canceled_at=None,
            cancel_at=None,
            cancel_at_period_end=False,
            pending_setup_intent=None,
            pending_update=None,
            livemode=False,
            latest_invoice={
                "id": self._id("in"),
                "object": "invoice",
                "confirmation_secret": {"client_secret": f"pi_secret_{subscription_id}"},
                "hosted_invoice_url": f"https://invoice.example/{subscription_id}",
            },
        )

    def _get(self, kind: str | None, object_id: str) -> Object:
        found = self.objects.get(object_id)
        if found is None or kind not in (None, found["object"]):
            raise Refused(404, f"No such object: '{object_id}'", code="resource_missing")
        return found

    def _keep(self, kind: str, **fields: Any) -> Object:
        kept = {"id": fields.get("id") or self._id(kind[:4]), "object": kind} | fields
        kept.setdefault("created", self.now())
        self.objects[kept["id"]] = kept
        return kept

    def _id(self, prefix: str) -> str:
        return f"{prefix}_{next(self._numbers):06d}"


_Handler = Callable[..., Object]
_ROUTES: Final[list[tuple[str, str, _Handler]]] = [
    ("POST", "/v1/customers", StripeApi.create_customer),
    ("GET", "/v1/customers", lambda api, f: api._listing("customer")(f)),
    ("GET", "/v1/customers/([^/]+)", StripeApi.retrieve),
    ("POST", "/v1/customers/([^/]+)", StripeApi.update_customer),
    ("POST", "/v1/checkout/sessions", StripeApi.create_session),
    ("GET", "/v1/checkout/sessions", lambda api, f: api._listing("checkout.session")(f)),
    ("GET", "/v1/checkout/sessions/([^/]+)", StripeApi.retrieve),
    ("POST", "/v1/checkout/sessions/([^/]+)/expire", StripeApi.expire_session),
    ("POST", "/v1/billing_portal/sessions", StripeApi.create_portal),
    ("POST", "/v1/subscriptions", StripeApi.create_subscription),
    ("GET", "/v1/subscriptions", lambda api, f: api._listing("subscription")(f)),
    ("GET", "/v1/subscriptions/([^/]+)", StripeApi.get_subscription),
    ("POST", "/v1/subscriptions/([^/]+)", StripeApi.update_subscription),
    ("DELETE", "/v1/subscriptions/([^/]+)", StripeApi.cancel_subscription),
    ("POST", "/v1/setup_intents/([^/]+)/cancel", StripeApi.cancel_setup),
    ("POST", "/v1/invoices/([^/]+)/void", StripeApi.void_invoice),
    ("GET", "/v1/invoice_payments", lambda api, f: api._list(f, [])),
    ("POST", "/v1/invoices/create_preview", StripeApi.preview),
    ("GET", "/v1/invoices/upcoming_in_1/lines", StripeApi.list_lines),
    ("GET", "/v1/invoices", lambda api, f: api._listing("invoice")(f)),
    ("GET", "/v1/prices", StripeApi.list_prices),
    ("POST", "/v1/prices", StripeApi.create_price),
    ("GET", "/v1/products/([^/]+)", StripeApi.retrieve),
    ("POST", "/v1/products", StripeApi.create_product),
]


@asynccontextmanager
async def serve_stripe_api(now: Callable[[], int]) -> AsyncIterator[StripeApi]:
    """Run the server on a port of its own."""
    api = StripeApi(now)
    async with serve(api) as url:
        api.url = url
        yield api


@asynccontextmanager
async def serve(app: Any) -> AsyncIterator[str]:
    """Serve an ASGI application in this event loop; gives its address."""
    listener = socket.create_server(("127.0.0.1", 0))
    listener.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)  # else each answer waits 40 ms
    server = uvicorn.Server(
        uvicorn.Config(app, log_config=None, access_log=False, lifespan="off", ws="none")
    )
    started = asyncio.Event()
    startup = server.startup

    async def start(sockets: list[socket.socket] | None = None) -> None:
        await startup(sockets)
        started.set()

    server.startup = start  # type: ignore[method-assign]  # uvicorn does not tell otherwise
    task = asyncio.create_task(server._serve([listener]))
    await started.wait()
    try:
        yield f"http://127.0.0.1:{listener.getsockname()[1]}"
    finally:
        server.should_exit = server.force_exit = True
        await task


def _nested(text: str) -> Form:
    """`a[b][0]=c` as Stripe reads it; lists are keyed by their index."""
    form: Form = {}
    for name, value in parse_qsl(text, keep_blank_values=True):
        first, *rest = name.replace("]", "").split("[")
        target = form
        for part, following in zip([first, *rest], rest, strict=False):
            target = target.setdefault(part, {})
            del following
        target[[first, *rest][-1]] = value
    return form


def _should_retry(status: int, answer: Object, *, recorded: bool) -> list[tuple[bytes, bytes]]:
    """What Stripe tells its SDKs: to repeat what found an object locked, and not to repeat what
    would be answered alike. Otherwise they repeat connection errors, 409 and 5xx. (stripe-python)
    """
    if status == 429 and answer["error"].get("code") == "lock_timeout":
        return [(b"stripe-should-retry", b"true")]
    return [(b"stripe-should-retry", b"false")] if status >= 500 and recorded else []


def _expanded(found: Object, form: Form) -> Object:
    """The object with ids where nothing else was asked for."""
    wanted = " ".join(form.get("expand", {}).values())
    answer = dict(found)
    for name in ("latest_invoice", "pending_setup_intent"):
        value = answer.get(name)
        if isinstance(value, dict) and name not in wanted:
            answer[name] = value["id"]
    return answer


def _public(found: Any) -> Any:
    if isinstance(found, dict):
        return {name: _public(v) for name, v in found.items() if not name.startswith("_")}
    return [_public(one) for one in found] if isinstance(found, list) else found


def _line(description: str, amount: int, *, proration: bool = True) -> Object:
    return {
        "object": "line_item",
        "description": description,
        "amount": amount,
        "currency": "usd",
        "parent": {"subscription_item_details": {"proration": proration}},
    }
