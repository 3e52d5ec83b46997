"""A refusal that says something about the caller is counted where it happens; one that does not is not."""

import pytest

from api.conftest import Caller, caller_of, lived, running
from bursar.kernel import ids
from bursar.kernel.auth import Principal
from bursar.kernel.permissions import READS
from stage import set_stage

pytestmark = pytest.mark.anyio


@pytest.fixture
async def world(db, database_url):
    mine = await set_stage(db, database_url, name="Mine")
    theirs = await set_stage(db, database_url, name="Theirs")
    await lived(theirs)
    async with running(database_url) as (app, http):
        yield app, await caller_of(mine, http), await caller_of(theirs, http)


async def counted(app, caller: Caller) -> list[tuple[str, str, int, str]]:
    await app.resources.security.flush(app.resources.db)
    rows = await caller.stage.rows("select kind, actor, count, detail from security_event order by kind, actor")
    return [(r["kind"], r["actor"].partition(":")[0], r["count"], r["detail"]) for r in rows]


async def unknown_ids(caller: Caller) -> list[str]:
    rows = await caller.stage.rows("select subject from audit_record where action = 'id.not_found' order by subject")
    return [r["subject"] for r in rows]


async def test_an_id_of_another_tenant_in_path_filter_or_body_is_a_404_and_an_audit_record(world):
    app, mine, theirs = world
    payment = (await theirs.data("/v1/payments", limit="1"))[0]["id"]
    customer = (await theirs.data("/v1/customers", limit="1"))[0]["id"]
    product = (await theirs.data("/v1/products", limit="1"))[0]["id"]
    price = {"product": product, "lookup_key": "x", "amount_minor": 1, "currency": "EUR", "grants": []}

    answers = [
        await mine.get(f"/v1/payments/{payment}"),
        await mine.get("/v1/payments", customer=customer),
        await mine.post("/v1/prices", price),
    ]

    assert [a.status_code for a in answers] == [404, 404, 404]
    assert [(kind, actor, n) for kind, actor, n, _ in await counted(app, mine)] == [("unknown_id", "key", 3)]
    assert await unknown_ids(mine) == sorted([payment, customer, product])
    assert await counted(app, theirs) == []
    assert await unknown_ids(theirs) == []


async def test_a_text_that_is_no_id_is_no_attempt(world):
    app, mine, _ = world

    assert (await mine.get("/v1/payments/pay_nonsense")).status_code == 400
    assert (await mine.get("/v1/nothing")).status_code == 404
    assert await counted(app, mine) == []


async def test_a_refused_key_is_counted_for_the_tenant_that_it_claims(world):
    app, mine, theirs = world
    wrong = f"bsk_{ids.encode(mine.stage.tenant_id)}{ids.encode(ids.new())}_{'x' * 43}"
    for _ in range(2):
        answer = await mine.http.get("/v1/payments", headers={"authorization": f"Bearer {wrong}"})
        assert answer.status_code == 401
    await mine.http.get("/v1/payments")

    assert await counted(app, mine) == [("key_refused", "", 2, "GET /v1/payments")]
    assert await counted(app, theirs) == []
    metrics = (await mine.http.get("/metrics")).text
    assert 'bursar_security_events_total{kind="key_refused"} 2.0' in metrics
    assert 'bursar_security_events_total{kind="sign_in_failed"} 0.0' in metrics


async def test_a_missing_permission_is_counted_with_its_actor(world, monkeypatch):
    app, mine, _ = world

    async def reader(_db, _key, **_):
        return Principal(mine.stage.tenant_id, "key", ids.new(), READS)

    monkeypatch.setattr(app.api.state.keys, "principal", reader)

    answer = await mine.post("/v1/products", {"name": "x"})

    assert answer.json()["code"] == "permission_missing"
    (event,) = await counted(app, mine)
    assert event[:3] == ("permission_refused", "key", 1)
    assert event[3].startswith("POST /v1/products: ")


async def test_what_looks_like_an_attack_is_counted_and_works_as_any_other_text(world):
    app, mine, _ = world
    name = "<script>alert(1)</script>'; drop table payment; --"

    created = await mine.post("/v1/products", {"name": name})
    filtered = await mine.get("/v1/customers", gateway_ref="../../etc/passwd")

    assert created.status_code == 201
    assert created.json()["name"] == name
    assert (filtered.status_code, filtered.json()["data"]) == (200, [])
    assert [(kind, actor, n) for kind, actor, n, _ in await counted(app, mine)] == [("suspicious_input", "key", 2)]


async def test_an_attack_on_a_path_that_is_not_there_is_counted_without_a_tenant(world):
    app, mine, _ = world

    answer = await mine.http.get("/wp-admin.php?x=%3Cscript%3E")

    assert answer.status_code == 404
    assert await counted(app, mine) == []
    assert app.resources.security.totals == {"suspicious_input": 1}


async def test_security_events_are_listed_and_filtered(world):
    app, mine, theirs = world
    for _ in range(3):
        await mine.get(f"/v1/payments/{ids.show(ids.PAYMENT, ids.new())}")
    await mine.get("/v1/customers", gateway_ref="../../etc/passwd")
    await app.resources.security.flush(app.resources.db)

    found = await mine.data("/v1/security-events")
    one = await mine.one("/v1/security-events", kind="unknown_id", address="127.0.0.1", since=found[0]["hour"])

    assert {(e["kind"], e["count"]) for e in found} == {("unknown_id", 3), ("suspicious_input", 1)}
    assert (one["count"], one["actor"].startswith("key:key_"), one["detail"]) == (3, True, "GET /v1/payments/{payment}")
    assert await mine.data("/v1/security-events", until="2020-01-01T00:00:00Z") == []
    assert (await mine.get("/v1/security-events", kind="nonsense")).status_code == 422
    assert await theirs.data("/v1/security-events") == []
