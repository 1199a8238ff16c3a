"""What was promised with a release is kept, and every way to break it is found."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from copy import deepcopy
from pathlib import Path
from typing import Any, Final

import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st

from contracts.compatibility import broken_api, broken_bytes, broken_channels, broken_messages
from contracts.generate import ROOT
from contracts.release import RELEASED, broken_promises, release

EVENTS: Final = {
    path.name: json.loads(path.read_text()) for path in sorted((ROOT / "events").glob("*.json"))
}
API: Final[dict[str, Any]] = json.loads((ROOT / "openapi.json").read_text())
GOLDEN: Final = {path.name: path.read_bytes() for path in sorted((ROOT / "golden").glob("*.json"))}
ACTIVATED: Final = "payments.subscription.activated.v1.schema.json"


def test_no_promise_of_the_last_release_is_broken() -> None:
    for kept in ("events/*.json", "golden/*.json", "openapi.v1.json", "asyncapi.v1.yaml"):
        assert list(RELEASED.glob(kept)), f"there is no {kept} to compare with"
    assert broken_promises(ROOT, RELEASED) == []


# Messages


def objects(document: Any) -> list[dict[str, Any]]:
    """Every schema of an object."""
    return [schema for schema in document["$defs"].values() if "properties" in schema]


def remove(schema: dict[str, Any], name: str) -> None:
    del schema["properties"][name]
    schema["required"].remove(name)


def rename(schema: dict[str, Any], name: str) -> None:
    schema["properties"][f"{name}2"] = schema["properties"].pop(name)
    schema["required"] = [f"{name}2" if one == name else one for one in schema["required"]]


def retype(schema: dict[str, Any], name: str) -> None:
    schema["properties"][name] = {"type": "array", "items": {"type": "string"}}


def let_it_be_null(schema: dict[str, Any], name: str) -> None:
    old = schema["properties"][name]
    schema["properties"][name] = {"anyOf": [*old.get("anyOf", [old]), {"type": "boolean"}]}


def leave_out(schema: dict[str, Any], name: str) -> None:
    schema["required"].remove(name)


def limit_values(schema: dict[str, Any], name: str) -> None:
    schema["properties"][name] = {**schema["properties"][name], "enum": ["a"]}


def limit_length(schema: dict[str, Any], name: str) -> None:
    schema["properties"][name] = {**schema["properties"][name], "maxLength": 3}


def require_another(schema: dict[str, Any], name: str) -> None:
    schema["properties"]["added"] = {"type": "string"}
    schema["required"].append("added")


BREAKING: Final = (
    remove,
    rename,
    retype,
    let_it_be_null,
    leave_out,
    limit_values,
    limit_length,
    require_another,
)


@given(data=st.data())
def test_whatever_breaks_a_reader_is_found_in_any_field_of_any_event(data: st.DataObject) -> None:
    old = EVENTS[data.draw(st.sampled_from(sorted(EVENTS)))]
    new = deepcopy(old)
    schema = data.draw(st.sampled_from(objects(new)))
    name = data.draw(st.sampled_from(sorted(schema["properties"])))
    data.draw(st.sampled_from(BREAKING))(schema, name)

    assert broken_messages(old, new)


@given(data=st.data())
def test_optional_fields_and_better_explanations_break_nothing(data: st.DataObject) -> None:
    old = EVENTS[data.draw(st.sampled_from(sorted(EVENTS)))]
    new = deepcopy(old)
    for schema in objects(new):
        if data.draw(st.booleans()):
            schema["properties"]["added"] = data.draw(
                st.sampled_from([{"type": "string"}, {"anyOf": [{"type": "null"}]}])
            )
        if data.draw(st.booleans()):
            schema["description"] = "In other words."
            for field in schema["properties"].values():
                field["description"] = "Explained better."
        schema["required"] = data.draw(st.permutations(schema["required"]))
        schema["properties"] = dict(data.draw(st.permutations(list(schema["properties"].items()))))

    assert broken_messages(old, new) == []


def test_a_schema_may_be_moved_and_renamed() -> None:
    old = EVENTS[ACTIVATED]
    moved = json.loads(json.dumps(old).replace("ActivatedData", "DataOfActivation"))

    assert moved != old
    assert broken_messages(old, moved) == []


# The HTTP API


def path(api: dict[str, Any], method: str, path: str) -> Any:
    return api["paths"][path][method]


def schema(name: str) -> Callable[[dict[str, Any]], dict[str, Any]]:
    def of(api: dict[str, Any]) -> dict[str, Any]:
        found: dict[str, Any] = api["components"]["schemas"][name]
        return found

    return of


def change(edit: Callable[[dict[str, Any]], object]) -> dict[str, Any]:
    new = deepcopy(API)
    edit(new)
    return new


SUBSCRIPTION: Final = "/api/payments/subscriptions/{subscription_id}"
CHECKOUT: Final = "/api/payments/create-checkout-session"
VIEW: Final = schema("SubscriptionView")
PREVIEW: Final = schema("PreviewView")
ASKED: Final = schema("CheckoutRequest")


def immediately(api: dict[str, Any]) -> dict[str, Any]:
    found: dict[str, Any] = next(
        parameter
        for parameter in path(api, "delete", SUBSCRIPTION)["parameters"]
        if parameter["name"] == "immediately"
    )
    return found


def retry_after(api: dict[str, Any]) -> dict[str, Any]:
    answer = path(api, "post", "/api/payments/webhook")["responses"]["503"]
    found: dict[str, Any] = answer["headers"]["Retry-After"]
    return found


@pytest.mark.parametrize(
    ("edit", "problem"),
    [
        (lambda api: api["paths"].pop(CHECKOUT), f"POST {CHECKOUT}: was removed"),
        (lambda api: api["paths"][SUBSCRIPTION].pop("delete"), f"DELETE {SUBSCRIPTION}: was"),
        (lambda api: remove(PREVIEW(api), "lines"), "lines: was removed"),
        (lambda api: rename(VIEW(api), "hasAccess"), "hasAccess: was removed or renamed"),
        (lambda api: retype(VIEW(api), "hasAccess"), "hasAccess: type was 'boolean'"),
        (lambda api: leave_out(PREVIEW(api), "lines"), "lines: was always there"),
        (lambda api: require_another(ASKED(api), ""), "added: is required now, but clients"),
        (lambda api: remove(ASKED(api), "priceId"), "priceId: was removed"),
        (lambda api: retype(ASKED(api), "priceId"), "priceId: type was 'string'"),
        (
            lambda api: path(api, "delete", SUBSCRIPTION)["responses"].pop("200"),
            "200: is no longer answered",
        ),
        (
            lambda api: path(api, "delete", SUBSCRIPTION)["responses"].update({"204": {}}),
            "204: is a success that no client expects",
        ),
        (
            lambda api: path(api, "delete", SUBSCRIPTION)["parameters"].remove(immediately(api)),
            "immediately: was removed",
        ),
        (
            lambda api: immediately(api).update(required=True),
            "immediately: is required now",
        ),
        (
            lambda api: path(api, "delete", SUBSCRIPTION)["parameters"].append(
                {"in": "query", "name": "why", "required": True, "schema": {"type": "string"}}
            ),
            "why: is required now",
        ),
        (
            lambda api: path(api, "get", "/api/payments/config").update(security=[{"x": []}]),
            "who may call it",
        ),
        (
            lambda api: path(api, "post", CHECKOUT)["requestBody"]["content"].clear(),
            "application/json: was removed",
        ),
        (lambda api: immediately(api)["schema"].update(default=True), "default was False"),
        (lambda api: immediately(api)["schema"].pop("default"), "default was False"),
        (
            lambda api: retry_after(api).update(schema={"type": "integer"}),
            "header.Retry-After: type was 'string'",
        ),
        (lambda api: retry_after(api).update(required=False), "Retry-After was always there"),
        (lambda api: api.update(servers=[{"url": "/v2"}]), "servers: / was removed"),
        (
            lambda api: api["components"]["securitySchemes"]["bearerAuth"].update(scheme="basic"),
            "securitySchemes.bearerAuth: scheme was 'bearer'",
        ),
        (
            lambda api: api["components"]["securitySchemes"].clear(),
            "securitySchemes.bearerAuth: scheme was 'bearer' and is None",
        ),
    ],
)
def test_what_breaks_a_client_is_found(
    edit: Callable[[dict[str, Any]], object], problem: str
) -> None:
    found = broken_api(API, change(edit))

    assert any(problem in line for line in found), found


@pytest.mark.parametrize(
    "edit",
    [
        lambda api: api["paths"].update({"/new": {"get": {"responses": {}}}}),
        lambda api: VIEW(api)["properties"].update(added={"type": "string"}),
        lambda api: ASKED(api)["properties"].update(added={"type": "string"}),
        lambda api: leave_out(ASKED(api), "priceId"),
        lambda api: require_another(PREVIEW(api), ""),
        lambda api: api["servers"].append({"url": "/v2"}),
        lambda api: api["components"]["securitySchemes"].update(other={"type": "http"}),
        lambda api: VIEW(api).update(description="Said better."),
        lambda api: path(api, "delete", SUBSCRIPTION)["responses"].update({"418": {}}),
        lambda api: path(api, "delete", SUBSCRIPTION)["parameters"].append(
            {"in": "query", "name": "why", "schema": {"type": "string"}}
        ),
        lambda api: path(api, "delete", SUBSCRIPTION).update(summary="Said better."),
    ],
)
def test_what_no_client_has_to_know_of_breaks_nothing(
    edit: Callable[[dict[str, Any]], object],
) -> None:
    assert broken_api(API, change(edit)) == []


# How messages are delivered


CHANNELS: Final[dict[str, Any]] = yaml.safe_load((ROOT / "asyncapi.yaml").read_text())
KEY: Final = "payments.subscription.activated.v1"


def exchange(document: dict[str, Any]) -> dict[str, Any]:
    found: dict[str, Any] = document["channels"][KEY]["bindings"]["amqp"]["exchange"]
    return found


def sending(document: dict[str, Any]) -> dict[str, Any]:
    found: dict[str, Any] = document["operations"]["sendSubscriptionActivated"]
    return found


@pytest.mark.parametrize(
    "edit",
    [
        lambda document: exchange(document).update(name="payments.others"),
        lambda document: exchange(document).update(type="fanout"),
        lambda document: exchange(document).update(durable=False),
        lambda document: document["channels"][KEY].update(address="payments.activated"),
        lambda document: document["channels"].pop(KEY),
        lambda document: sending(document)["bindings"]["amqp"].update(deliveryMode=1),
        lambda document: sending(document)["bindings"]["amqp"].update(mandatory=False),
        lambda document: sending(document).update(description="It is given up."),
        lambda document: document["operations"].pop("sendSubscriptionActivated"),
        lambda document: document["components"]["messages"]["SubscriptionActivated"].update(
            contentType="application/json"
        ),
    ],
)
def test_another_way_of_delivery_is_found(edit: Callable[[dict[str, Any]], object]) -> None:
    new = deepcopy(CHANNELS)
    edit(new)

    found = broken_channels(CHANNELS, new)
    assert found
    assert all(line.startswith(f"{KEY}: ") for line in found)


def test_a_channel_may_be_added_and_explained_better() -> None:
    new = deepcopy(CHANNELS)
    new["channels"]["payments.subscription.activated.v2"] = deepcopy(new["channels"][KEY])
    new["channels"][KEY]["description"] = "Said better."
    new["info"]["version"] = "1.1.0"

    assert broken_channels(CHANNELS, new) == []


# The release


@pytest.fixture
def contracts(tmp_path: Path) -> Path:
    """Give a copy of the contracts to spoil."""
    for folder in ("events", "golden"):
        shutil.copytree(ROOT / folder, tmp_path / folder)
    shutil.copyfile(ROOT / "openapi.json", tmp_path / "openapi.json")
    shutil.copyfile(ROOT / "asyncapi.yaml", tmp_path / "asyncapi.yaml")
    return tmp_path


def test_a_release_is_kept_and_the_next_one_refused_where_it_breaks_a_promise(
    contracts: Path,
) -> None:
    released = contracts / "released"
    assert release(contracts, released) == []
    kept = {path: path.read_bytes() for path in released.rglob("*.*")}
    assert {path.name for path in kept} == {
        *EVENTS,
        *GOLDEN,
        "openapi.v1.json",
        "asyncapi.v1.yaml",
        "index.json",
    }

    spoiled = deepcopy(EVENTS[ACTIVATED])
    rename(spoiled["$defs"]["ActivatedData"], "trialEndDate")
    (contracts / "events" / ACTIVATED).write_text(json.dumps(spoiled))
    (contracts / "openapi.json").write_text(
        json.dumps(change(lambda api: VIEW(api)["properties"].pop("plan")))
    )

    problems = release(contracts, released)
    assert any(
        "trialEndDate" in problem and "make a payments.subscription.activated.v2" in problem
        for problem in problems
    )
    assert any("plan: was removed" in problem and "make a v2" in problem for problem in problems)
    assert {path: path.read_bytes() for path in released.rglob("*.*")} == kept


@pytest.mark.parametrize(
    "name",
    [
        f"events/{ACTIVATED}",
        f"golden/{min(GOLDEN)}",
        "openapi.v1.json",
        "asyncapi.v1.yaml",
        "index.json",
    ],
)
def test_what_was_released_is_neither_removed_nor_changed_unseen(
    contracts: Path, name: str
) -> None:
    released = contracts / "released"
    release(contracts, released)
    file = released / name
    whole = file.read_text()

    file.write_text(whole.replace("payments", "billing", 1))
    assert broken_promises(contracts, released)
    file.unlink()
    assert broken_promises(contracts, released)
    file.write_text(whole)
    assert broken_promises(contracts, released) == []


def test_an_event_that_is_no_longer_there_breaks_a_promise(contracts: Path) -> None:
    release(contracts, contracts / "released")
    (contracts / "events" / ACTIVATED).unlink()

    (problem,) = broken_promises(contracts, contracts / "released")
    assert problem.startswith("payments.subscription.activated.v1: message: was removed")


TYPE_OF_A_PROBLEM: Final = ("components", "schemas", "Problem", "properties", "type")


def test_no_type_of_a_problem_may_go_and_another_may_come() -> None:
    """Clients tell by it what to do; those that they do not know they show in our words."""

    def values(document: dict[str, Any]) -> list[str]:
        for step in TYPE_OF_A_PROBLEM:
            document = document[step]
        found: list[str] = document["x-extensible-enum"]
        return found

    more, fewer, renamed = (deepcopy(API) for _ in range(3))
    values(more).append("urn:payments:problem:new")
    gone = values(fewer).pop(3)
    values(renamed)[3] += "-2"

    assert broken_api(API, more) == []
    for new in (fewer, renamed):
        broken = broken_api(API, new)
        assert broken
        assert all(gone in one for one in broken)


def test_no_type_of_a_problem_may_come_with_another_status() -> None:
    def statuses(document: dict[str, Any]) -> dict[str, int]:
        for step in TYPE_OF_A_PROBLEM:
            document = document[step]
        found: dict[str, int] = document["x-statuses"]
        return found

    more, moved, unsaid = (deepcopy(API) for _ in range(3))
    statuses(more)["urn:payments:problem:new"] = 418
    statuses(moved)["urn:payments:problem:no-customer"] = 409
    del statuses(unsaid)["urn:payments:problem:no-customer"]

    assert broken_api(API, more) == []
    for new, is_ in (moved, "409"), (unsaid, "None"):
        broken = broken_api(API, new)
        assert broken
        for one in broken:
            assert f"'urn:payments:problem:no-customer' came with 404 and does with {is_}" in one


# Bytes


def of_old(body: bytes) -> bytes:
    """A message as it was before one of its members was added, within or without the data."""
    message = json.loads(body)
    del message["traceparent"], message["data"]["accessUntil"]
    return json.dumps(message, ensure_ascii=False, separators=(",", ":")).encode()


@pytest.mark.parametrize("name", GOLDEN)
def test_released_bytes_may_get_another_member_and_stay_as_they_are_beside_it(name: str) -> None:
    assert broken_bytes(GOLDEN[name], GOLDEN[name]) == []
    assert broken_bytes(of_old(GOLDEN[name]), GOLDEN[name]) == []


@pytest.mark.parametrize(
    "otherwise",
    [
        of_old,
        lambda body: body.replace(b"Z", b"+00:00"),
        lambda body: body.replace(b'"specversion":', b'"specversion": '),
        lambda body: json.dumps(json.loads(body), separators=(",", ":")).encode(),
        lambda body: json.dumps(
            json.loads(body), ensure_ascii=False, separators=(",", ":"), sort_keys=True
        ).encode(),
        lambda body: body.replace(b'"sequence":"1"', b'"sequence":1'),
        lambda body: body.replace(b".120450Z", b".12045Z"),
    ],
    ids=["less", "offsets", "spaces", "escapes", "order", "number", "fraction"],
)
def test_released_bytes_that_are_written_otherwise_break_a_promise(
    contracts: Path, otherwise: Callable[[bytes], bytes]
) -> None:
    assert release(contracts, contracts / "released") == []
    golden = contracts / "golden" / "payments.subscription.activated.v1.edges.json"
    golden.write_bytes(otherwise(golden.read_bytes()))

    (problem,) = broken_promises(contracts, contracts / "released")
    assert problem.startswith(f"golden/{golden.name}: message: ")
    golden.unlink()
    (problem,) = broken_promises(contracts, contracts / "released")
    assert "was removed" in problem
