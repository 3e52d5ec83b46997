"""Idempotency-Key: the same key with the same request gives the first answer, and does nothing again."""

import asyncio
import hashlib
from datetime import UTC, datetime, timedelta

import pytest
from fastapi import APIRouter
from starlette.responses import Response, StreamingResponse

from api.conftest import caller_of, running
from bursar.kernel import idempotency, ids
from bursar.kernel.auth import CallerOf, TenantRoute, needs
from bursar.kernel.auth.routes import Policy
from bursar.kernel.errors import NotFound
from bursar.kernel.idempotency import Answer, Keyed, Retention
from bursar.kernel.seal import Seal
from bursar.kernel.settings import Settings
from bursar.worker.chores import Chores
from serving import KEY
from stage import set_stage

pytestmark = pytest.mark.anyio

ORDER = {"lines": [{"price": "pack-10", "quantity": 2}]}


async def orders(caller) -> int:
    return await caller.stage.value("select count(*) from customer_order")


async def test_a_repeated_request_gets_the_first_answer_byte_for_byte_and_does_nothing_again(world):
    first = await world.mine.post("/v1/orders", ORDER, once="k-1")
    again = await world.mine.post("/v1/orders", ORDER, once="k-1")

    assert (first.status_code, again.status_code) == (201, 201)
    assert again.content == first.content
    assert again.headers["content-type"] == first.headers["content-type"]
    assert "idempotency-replayed" not in first.headers
    assert again.headers["idempotency-replayed"] == "true"
    assert again.headers["x-correlation-id"] != first.headers["x-correlation-id"]
    assert await orders(world.mine) == 1


async def test_without_a_key_each_request_is_a_new_one(world):
    for _ in range(2):
        assert (await world.mine.post("/v1/orders", ORDER)).status_code == 201

    assert await orders(world.mine) == 2
    assert await world.mine.stage.value("select count(*) from idempotency_answer") == 0


async def test_the_order_of_fields_and_blanks_are_no_other_request(world):
    one = b'{"name": "Pack",   "description": "ten"}'
    two = b'{"description":"ten","name":"Pack"}'
    headers = world.mine.headers | {"content-type": "application/json", "idempotency-key": "k"}

    first = await world.http.post("/v1/products", content=one, headers=headers)
    again = await world.http.post("/v1/products", content=two, headers=headers)

    assert (first.status_code, again.status_code) == (201, 201)
    assert again.content == first.content


async def test_the_same_key_with_another_request_is_refused_and_does_nothing(world):
    await world.mine.post("/v1/orders", ORDER, once="k")

    other = await world.mine.post("/v1/orders", {"lines": [{"price": "pack-10", "quantity": 3}]}, once="k")

    assert (other.status_code, other.json()["code"]) == (422, "idempotency_key_reused")
    assert other.json()["hint"]
    assert world.app.resources.security.totals["idempotency_reused"] == 1
    assert await orders(world.mine) == 1


async def test_the_same_key_on_another_resource_of_the_same_route_is_refused(world):
    path = "/v1/gateway-accounts/{}/secret-rotations"
    added = [
        (await world.mine.post("/v1/gateway-accounts", {"gateway": "stripe", "signing_secrets": ["whsec_a"]})).json()
        for _ in range(2)
    ]

    first, other = [
        await world.mine.post(path.format(a["id"]), {"add": ["whsec_b"], "remove": []}, once="k") for a in added
    ]

    assert first.status_code == 201
    assert (other.status_code, other.json()["code"]) == (422, "idempotency_key_reused")


async def test_other_routes_other_tenants_and_other_keys_of_the_tenant_are_independent(world):
    colleague = await caller_of(world.mine.stage, world.http)

    mine = await world.mine.post("/v1/orders", ORDER, once="k")
    product = await world.mine.post("/v1/products", {"name": "Pack"}, once="k")
    colleagues = await colleague.post("/v1/orders", ORDER, once="k")
    theirs = await world.theirs.post("/v1/orders", ORDER, once="k")

    assert {a.status_code for a in (mine, product, colleagues, theirs)} == {201}
    assert len({a.json()["id"] for a in (mine, colleagues, theirs)}) == 3
    assert all("idempotency-replayed" not in a.headers for a in (mine, product, colleagues, theirs))
    assert (await orders(world.mine), await orders(world.theirs)) == (2, 1)


async def test_a_refused_request_is_not_remembered_so_it_may_be_corrected_under_its_key(world):
    refused = [
        await world.mine.post("/v1/orders", {"lines": []}, once="k"),
        await world.mine.post("/v1/orders", {"lines": [{"price": "unknown"}]}, once="k"),
    ]
    corrected = await world.mine.post("/v1/orders", ORDER, once="k")

    assert [a.status_code for a in refused] == [422, 404]
    assert corrected.status_code == 201
    assert "idempotency-replayed" not in corrected.headers
    assert await orders(world.mine) == 1


@pytest.mark.parametrize("key", ["", " ", "a b", "x" * 256, "tab\tin", "caf\u00e9", "\x7f", "nul\x00"])
async def test_a_key_that_is_not_1_to_255_visible_characters_is_refused(world, key):
    answer = await world.mine.http.post(
        "/v1/orders", json=ORDER, headers=[*world.mine.headers.items(), (b"idempotency-key", key.encode("latin-1"))]
    )

    assert (answer.status_code, answer.json()["code"]) == (400, "idempotency_key_invalid")
    assert await orders(world.mine) == 0


async def test_two_keys_in_one_request_are_refused(world):
    headers = [*world.mine.headers.items(), ("idempotency-key", "a"), ("idempotency-key", "b")]

    answer = await world.mine.http.post("/v1/orders", json=ORDER, headers=headers)

    assert (answer.status_code, answer.json()["code"]) == (400, "idempotency_key_invalid")


@pytest.mark.parametrize(
    "key", ["x" * 255, "';drop/**/table/**/customer_order;--", "../../etc/passwd", "{}\\%$(id)", "ten_1"]
)
async def test_any_other_key_is_only_a_name(world, key):
    first = await world.mine.post("/v1/orders", ORDER, once=key)
    again = await world.mine.post("/v1/orders", ORDER, once=key)

    assert (first.status_code, again.content) == (201, first.content)
    assert await orders(world.mine) == 1


async def test_a_read_does_not_mind_the_header(world):
    headers = world.mine.headers | {"idempotency-key": "a b"}

    assert (await world.http.get("/v1/orders", headers=headers)).status_code == 200


async def test_a_stranger_learns_nothing_by_a_key(world):
    await world.mine.post("/v1/orders", ORDER, once="k")

    answer = await world.http.post("/v1/orders", json=ORDER, headers={"idempotency-key": "k"})

    assert (answer.status_code, answer.json()["code"]) == (401, "unauthenticated")


async def test_while_the_first_is_under_way_the_second_is_told_to_come_back(db, database_url, locked):
    """In two processes (two applications), where only the database knows of both; and in one."""
    stage = await set_stage(db, database_url)
    async with running(database_url) as (_, http), running(database_url) as (_, elsewhere):
        here = await caller_of(stage, http)
        there = await caller_of(stage, elsewhere)
        there.key = here.key
        async with locked("customer_order"):
            first = asyncio.create_task(here.post("/v1/orders", ORDER, once="k"))
            await _somebody_waits(db)
            second = [await caller.post("/v1/orders", ORDER, once="k") for caller in (here, there)]
        done = await first
        third = await there.post("/v1/orders", ORDER, once="k")

    assert [(a.status_code, a.json()["code"]) for a in second] == [(409, "idempotency_running")] * 2
    assert [a.headers["retry-after"] for a in second] == ["1", "1"]
    assert done.status_code == 201
    assert third.content == done.content
    assert await stage.value("select count(*) from customer_order") == 1


async def _somebody_waits(db) -> None:
    """Return when a statement of this database waits for a lock."""
    async with asyncio.timeout(20):
        async with db.statement() as connection:
            while not await connection.fetchval(
                "select count(*) from pg_locks where not granted and database = (select oid from pg_database where datname = current_database())"
            ):
                await asyncio.sleep(0.02)


async def test_an_answer_counts_for_its_time_and_not_longer(db, database_url):
    moment = [datetime.now(UTC)]
    stage = await set_stage(db, database_url)
    async with running(database_url, clock=lambda: moment[0], idempotency_s=600) as (_, http):
        caller = await caller_of(stage, http)
        first = await caller.post("/v1/orders", ORDER, once="k")
        moment[0] += timedelta(seconds=599)
        within = await caller.post("/v1/orders", ORDER, once="k")
        moment[0] += timedelta(seconds=2)
        beyond = await caller.post("/v1/orders", ORDER, once="k")
        again = await caller.post("/v1/orders", ORDER, once="k")

    assert within.content == first.content
    assert beyond.json()["id"] != first.json()["id"]
    assert again.content == beyond.content
    assert await stage.value("select count(*) from customer_order") == 2


@pytest.mark.parametrize(
    ("policy", "name", "seconds"),
    [
        (Policy("catalog:write"), "general", 86_400),
        (Policy("payments:write"), "payment", 86_400),
        (Policy("refunds:write"), "payment", 86_400),
        (Policy("orders:write", rate="checkout"), "checkout", 1800),
        (Policy("orders:write", rate="subscription_change"), "subscription_change", 3600),
    ],
)
def test_each_class_of_routes_has_its_retention(policy, name, seconds):
    assert policy.retention_of(Settings()) == Retention(name, seconds)


async def test_old_answers_are_cleaned_in_batches_and_young_ones_stay(db, database_url):
    stage = await set_stage(db, database_url)
    other = await set_stage(db, database_url)
    now = datetime.now(UTC)
    for each in (stage, other):
        await each.rows(
            """insert into idempotency_answer (tenant_id, holder, route, key, request_sha256, status, headers, answered_at, expires_at)
            select $1, 'key:k', 'POST /v1/orders', n::text, decode(repeat('00', 32), 'hex'), 200, '{}', $2,
              $2::timestamptz + interval '1 hour' * (1 + n % 2) from generate_series(1, 5000) n returning 1""",
            each.tenant_id,
            now,
        )

    await Chores(db, security_kept=timedelta(days=90), jobs_kept=timedelta(days=90)).run(
        now=now + timedelta(minutes=90)
    )

    for each in (stage, other):
        assert await each.value("select count(*) from idempotency_answer") == 2500
        assert await each.value("select min(expires_at) from idempotency_answer") == now + timedelta(hours=2)
    async with db.tenant(stage.tenant_id) as tx:
        assert (
            await idempotency.clean(tx, tenant_id=stage.tenant_id, now=now + timedelta(hours=3))
            == idempotency.CLEANED_MAX
        )


async def test_what_is_stored_is_sealed(world):
    body = {"gateway": "stripe", "name": "Marker-4711", "signing_secrets": ["whsec_marker"]}

    answer = await world.mine.post("/v1/gateway-accounts", body, once="k")

    row = await world.mine.stage.row("select headers, body from idempotency_answer")
    assert b"Marker-4711" in answer.content
    assert b"Marker-4711" not in row["body"]
    assert len(row["body"]) == len(answer.content) + 28


async def test_behind_the_lock_the_primary_key_refuses_a_second_answer(db, database_url):
    stage = await set_stage(db, database_url)
    seal, now = Seal(KEY), datetime.now(UTC)
    keyed = Keyed(stage.tenant_id, "key:k", "POST /v1/orders", "k", hashlib.sha256(b"").digest())
    answer = Answer(201, {}, b"{}")
    async with db.tenant(stage.tenant_id) as tx:
        await idempotency.keep(tx, keyed, answer, seal=seal, now=now, retention=Retention("general", 3600))

    with pytest.raises(idempotency.IdempotencyRunning):
        async with db.tenant(stage.tenant_id) as tx:
            await idempotency.keep(tx, keyed, answer, seal=seal, now=now, retention=Retention("general", 3600))


odd = APIRouter(prefix="/v1/odd", route_class=TenantRoute)
"""Routes as nobody should write them."""


async def _product(caller, name: str) -> None:
    async with caller.transaction() as tx:
        await tx.execute(
            "insert into product (tenant_id, id, name) values ($1, $2, $3)", caller.tenant_id, ids.new(), name
        )


@odd.post("/swallowed")
@needs("catalog:write")
async def _swallow(caller: CallerOf) -> str:
    try:
        async with caller.transaction():
            await _product(caller, "odd")
            _say_no()
    except NotFound:
        return "all is well"
    return "not refused"


def _say_no() -> None:
    raise NotFound("refused after writing")


@odd.post("/refused")
@needs("catalog:write")
async def _refuse(caller: CallerOf) -> Response:
    await _product(caller, "odd")
    return Response("no", 409)


@odd.post("/streamed")
@needs("catalog:write")
async def _stream(caller: CallerOf) -> Response:
    await _product(caller, "odd")
    return StreamingResponse(iter(["a", "b"]))


@odd.post("/binary")
@needs("catalog:write")
async def _binary(caller: CallerOf) -> Response:
    await _product(caller, "odd")
    return Response(b"\xff\xd8\xff")


@odd.post("/long")
@needs("catalog:write")
async def _long(caller: CallerOf) -> Response:
    await _product(caller, "odd")
    return Response("x" * (idempotency.BODY_BYTES_MAX + 1))


@pytest.mark.parametrize(("path", "status"), [("/v1/odd/swallowed", 200), ("/v1/odd/refused", 409)])
async def test_a_refusal_that_a_route_answers_itself_takes_back_what_it_wrote(world, path, status):
    world.app.api.include_router(odd)

    answers = [await world.mine.post(path, once="k") for _ in range(2)]

    assert [a.status_code for a in answers] == [status, status]
    assert await world.mine.stage.value("select count(*) from product where name = 'odd'") == 0
    assert await world.mine.stage.value("select count(*) from idempotency_answer") == 0


@pytest.mark.parametrize("path", ["/v1/odd/streamed", "/v1/odd/binary", "/v1/odd/long"])
async def test_what_cannot_be_kept_is_answered_once_and_done_once(world, path):
    world.app.api.include_router(odd)

    first, again = [await world.mine.post(path, once="k") for _ in range(2)]

    assert first.status_code == 200
    assert (again.status_code, again.json()["code"]) == (409, "idempotency_answer_not_kept")
    assert await world.mine.stage.value("select count(*) from product where name = 'odd'") == 1


async def test_every_writing_route_takes_a_key_and_says_so(world):
    document = (await world.http.get("/openapi.json")).json()

    told = {
        (method, path): [p["name"] for p in operation.get("parameters", ()) if p["in"] == "header"]
        for path, operations in document["paths"].items()
        if path.startswith("/v1/")
        for method, operation in operations.items()
        if "x-permission" in operation
    }
    # One writes nothing; the other merges what the gateway shows, and once more changes nothing.
    asking = {("post", "/v1/subscriptions/{subscription}/previews"), ("post", "/v1/gateway-accounts/{account}/fetches")}
    writing = {at for at in told if at[0] != "get"} - asking
    assert len(writing) > 12
    assert all(told[at] == ["Idempotency-Key"] for at in writing)
    assert all(told[at] == [] for at in told.keys() - writing)
