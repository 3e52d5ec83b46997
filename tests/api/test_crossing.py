"""Two businesses with the same history: no id of one is of any use to the other, wherever it is put."""

import json
from typing import Any

import pytest

from api.operations import NAMES, PREFIXES, UNKNOWN, Operation, bodies, every_operation, furnished, queries
from bursar.kernel.http.paging import after_cursor
from bursar.kernel.listing import cursor

pytestmark = pytest.mark.anyio

GUARDED = {
    "credits_not_transferable",
    "pack_not_refundable",
    "service_has_appointments",
    "customer_has_credits",
    "dispute_overdue",
    "price_has_orders",
    "price_has_subscriptions",
    "product_has_prices",
} | {
    "already_booked",
    "booking_not_live",
    "booking_not_requested",
    "booking_owes_nothing",
    "booking_policy_in_use",
    "booking_state_unfit",
    "check_in_too_early",
    "class_cancelled",
    "class_has_bookings",
    "customer_banned",
    "customer_not_at_gateway",
    "has_future_bookings",
    "has_future_classes",
    "gateway_key_missing",
    "no_show_too_early",
    "not_waiting",
    "payment_state_refuses",
    "seats_free",
    "subscription_of_another_customer",
    "subscription_state_refuses",
}
"""What deleting something that is in use is refused for, or changing it at a gateway without a key; then its id was understood."""


async def furnished_both(world):
    """The world, my ids and theirs, and every operation."""
    return world, await furnished(world.mine), await furnished(world.theirs), await every_operation(world.http)


@pytest.fixture(scope="module")
async def both(shared_world):
    """What is refused changes nothing, so the tests share it."""
    return await furnished_both(shared_world)


@pytest.fixture
async def untried(lived_world):
    """The same where nobody tried yet: what I tried, with their ids, is told in my audit trail."""
    return await furnished_both(lived_world)


async def call(caller, operation: Operation, path: str, body: Any = None, **query: Any):
    return await caller.send(operation.method, path, body, **query)


def body_of(operation: Operation, ids: dict[str, str]) -> Any:
    return bodies(ids)[operation.path] if operation.body else None


async def counted(caller) -> dict[str, int]:
    """Rows of everything a caller of the other side might have changed; not what tells that something was tried."""
    rows = await caller.stage.rows(
        """select table_name from information_schema.columns
        where table_schema = 'public' and column_name = 'tenant_id' and table_name not in ('worker_bucket', 'api_key', 'security_event')"""
    )
    told = {"audit_record": "where action <> 'id.not_found'"}
    return {
        r["table_name"]: await caller.stage.value(
            f"select count(*) from {r['table_name']} {told.get(r['table_name'], '')}"
        )
        for r in rows
    }


def all_strings(value: Any) -> set[str]:
    if isinstance(value, dict):
        return set().union(*(all_strings(v) for v in value.values()), set())
    if isinstance(value, list):
        return set().union(*(all_strings(v) for v in value), set())
    return {value} if isinstance(value, str) else set()


async def test_every_operation_works_with_ones_own_ids(lived_world):
    """The control: the requests below are refused for whose ids they hold, not for their form."""
    world, mine, every = lived_world, await furnished(lived_world.mine), await every_operation(lived_world.http)

    for operation in sorted(every, key=lambda o: o.method == "DELETE"):
        query = queries(mine).get(operation.path, {})
        answer = await call(world.mine, operation, operation.at(**mine), body_of(operation, mine), **query)
        assert answer.status_code < 300 or answer.json()["code"] in GUARDED, f"{operation.name}: {answer.text}"


async def test_an_id_of_the_other_in_the_path_is_not_found(both):
    world, mine, theirs, every = both
    before = await counted(world.theirs)
    tried = 0

    for operation in every:
        if not set(operation.parameters) - NAMES.keys():
            continue
        query = queries(mine).get(operation.path, {})
        answer = await call(world.mine, operation, operation.at(**theirs), body_of(operation, mine), **query)
        unknown = {name: f"{PREFIXES[name]}_{UNKNOWN}" for name in operation.parameters}
        absent = await call(world.mine, operation, operation.at(**unknown), body_of(operation, mine), **query)
        assert answer.status_code == 404, f"{operation.name}: {answer.text}"
        assert answer.json()["code"] == absent.json()["code"], operation.name
        tried += 1

    assert tried > 20
    assert await counted(world.theirs) == before


async def test_an_id_of_the_other_in_the_body_is_not_found(both):
    world, mine, theirs, every = both
    before = (await counted(world.mine), await counted(world.theirs))
    tried = []

    for operation in every:
        if not operation.body:
            continue
        good, foreign = bodies(mine)[operation.path], bodies(theirs)[operation.path]
        for changed in _mixed(good, foreign):
            answer = await call(world.mine, operation, operation.at(**mine), changed)
            assert answer.status_code in (404, 409), f"{operation.name} {changed}: {answer.text}"
            assert answer.status_code == 404 or answer.json()["code"] == "payment_not_manual", answer.text
            tried.append(operation.name)

    assert len(tried) >= 15
    assert (await counted(world.mine), await counted(world.theirs)) == before


def _mixed(good: Any, foreign: Any) -> list[Any]:
    """Return the good body with one of its ids replaced by the other's, once for each."""
    if isinstance(good, dict):
        return [good | {name: inner} for name in good for inner in _mixed(good[name], foreign[name])]
    if isinstance(good, list):
        return [[*good[:i], inner, *good[i + 1 :]] for i in range(len(good)) for inner in _mixed(good[i], foreign[i])]
    is_id = isinstance(good, str) and good != foreign and "-" not in good
    return [foreign] if is_id else []


async def test_a_licence_key_of_the_other_opens_nothing(both):
    world, _, theirs, _ = both
    body = {"key": theirs["free_key"], "fingerprint": "device-0"}

    assert (await world.mine.post("/v1/licence-activations", body)).json()["code"] == "licence_not_found"
    assert (await world.mine.post("/v1/licence-deactivations", body)).json()["code"] == "licence_not_found"
    assert await world.mine.data("/v1/licences", key=theirs["free_key"]) == []


async def test_an_id_of_the_other_in_a_filter_is_refused(both):
    world, mine, theirs, every = both
    tried = 0

    for operation in every:
        for name in operation.query.keys() & PREFIXES.keys():
            if f"^{PREFIXES[name]}_" not in json.dumps(operation.query[name]):
                continue
            path = operation.at(**mine)
            asked = queries(mine).get(operation.path, {})
            own = await world.mine.get(path, **asked | {name: mine[name]})
            other = await world.mine.get(path, **asked | {name: theirs[name]})
            assert own.status_code == 200, f"{operation.name} {name}: {own.text}"
            assert other.status_code == 404, f"{operation.name} {name}: {other.text}"
            assert other.json()["code"] == (f"{name}_not_found" if asked else "filter_not_found")
            tried += 1

    assert tried > 15


async def test_a_cursor_of_the_other_leads_to_nothing_of_theirs(untried):
    world, mine, theirs, every = untried
    foreign = {value for caller, ids in ((world.theirs, theirs),) for value in ids.values() if "_" in value}
    tried = 0

    for operation in every:
        if "cursor" not in operation.query or operation.path.endswith(".csv"):  # a sheet hands on no cursor
            continue
        page = (await world.theirs.get(operation.at(**theirs), limit=1)).json()
        if page["next_cursor"] is None:
            continue
        assert cursor(after_cursor(page["next_cursor"])) == page["next_cursor"]
        answer = await world.mine.get(operation.at(**mine), cursor=page["next_cursor"], limit=200)
        assert answer.status_code == 200
        assert not all_strings(answer.json()) & foreign, operation.name
        tried += 1

    assert tried > 8


async def test_nothing_of_the_other_is_in_any_list(untried):
    world, mine, theirs, every = untried
    secrets = {world.theirs.stage.tenant_id, *theirs.values()} - set(mine.values())

    for operation in every:
        if operation.method != "GET":
            continue
        answer = await world.mine.get(operation.at(**mine))
        shown = json.dumps(answer.json()) if answer.headers["content-type"].startswith("application/json") else ""
        for secret in secrets:
            if "_" in str(secret):
                assert str(secret) not in shown, f"{operation.name} shows {secret}"


async def test_a_gateways_ids_that_collide_name_each_ones_own(both):
    world, _, _, _ = both

    own, other = [(await c.one("/v1/payments", gateway_ref="pi_1"))["id"] for c in (world.mine, world.theirs)]
    own_event, other_event = [
        (await c.get("/v1/gateway-events/" + (await c.data("/v1/gateway-events"))[-1]["gateway_event_id"])).json()["id"]
        for c in (world.mine, world.theirs)
    ]

    assert own != other
    assert own_event != other_event
    assert (await world.mine.get(f"/v1/payments/{other}")).status_code == 404
    assert (await world.mine.get(f"/v1/gateway-events/{other_event}")).status_code == 404
