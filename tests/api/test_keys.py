"""API keys: one tenant each; unknown, wrong and revoked ones are told apart by nobody."""

import re
import time

import pytest

from bursar.kernel import ids, tenancy

pytestmark = pytest.mark.anyio

PATH = "/v1/customers"


async def asked(world, header: str | None):
    headers = {} if header is None else {"authorization": header}
    return await world.http.get(PATH, headers=headers)


async def test_a_key_opens_its_own_tenant(world):
    answer = await asked(world, f"Bearer {world.mine.key}")

    assert answer.status_code == 200
    assert re.fullmatch(r"bsk_[0-9a-z]{52}_[A-Za-z0-9_-]{43}", world.mine.key)


async def test_every_bad_key_gets_the_same_answer(world):
    key = world.mine.key
    tenant, key_id, secret = key[4:30], key[30:56], key[57:]
    other = world.theirs.key
    nobody = ids.encode(ids.new())
    bad = [
        None,
        "",
        "Bearer",
        "Bearer ",
        f"Basic {key}",
        key,
        f"Bearer {key}x",
        f"Bearer {key[:-1]}",
        f"Bearer {key.upper()}",
        f"Bearer bsk_{tenant}{key_id}_{'A' * 43}",
        f"Bearer bsk_{tenant}{nobody}_{secret}",
        f"Bearer bsk_{nobody}{key_id}_{secret}",
        f"Bearer bsk_{other[4:30]}{key_id}_{secret}",
        f"Bearer bsk_{'z' * 52}_{secret}",
        "Bearer " + "x" * 5000,
        "Bearer \x7f",
    ]

    answers = [await asked(world, header) for header in bad]

    told = [{k: v for k, v in a.json().items() if k not in ("correlation_id", "time")} for a in answers]
    assert {a.status_code for a in answers} == {401}
    assert all(one == told[0] for one in told)
    assert (told[0]["code"], answers[0].headers["www-authenticate"]) == ("unauthenticated", "Bearer")


async def test_a_revoked_key_is_refused_like_an_unknown_one(world):
    stage = world.mine.stage
    async with stage.db.tenant(stage.tenant_id) as tx:
        key = await tenancy.create_key(tx, tenant_id=stage.tenant_id, name="second", actor="operator")
        await tx.execute(
            "update api_key set revoked_at = now() where tenant_id = $1 and name = 'second'", stage.tenant_id
        )

    assert (await asked(world, f"Bearer {key}")).json()["code"] == "unauthenticated"


async def test_a_revoked_key_stops_working_within_two_seconds(world, monkeypatch):
    stage = world.mine.stage
    assert (await asked(world, f"Bearer {world.mine.key}")).status_code == 200
    async with stage.db.tenant(stage.tenant_id) as tx:
        await tx.execute("update api_key set revoked_at = now() where tenant_id = $1", stage.tenant_id)
    monkeypatch.setattr("bursar.kernel.auth.keys.time.monotonic", _later())

    assert (await asked(world, f"Bearer {world.mine.key}")).status_code == 401


def _later():
    now = time.monotonic
    return lambda: now() + 2.01


async def test_only_a_hash_of_the_secret_is_kept(world):
    rows = await world.mine.stage.rows("select row_to_json(k)::text as told from api_key k")

    assert all(world.mine.key[57:] not in row["told"] for row in rows)


async def test_nothing_of_a_strangers_body_is_read(world):
    answer = await world.http.post("/v1/products", content=b"{" * 100, headers={"content-type": "application/json"})

    assert answer.status_code == 401


async def test_a_tenant_begins_with_a_key_that_works(db, world):
    tenant_id, key = await tenancy.create_tenant(db, name="  Third  ")

    answer = await world.http.get("/v1/audit-records", headers={"authorization": f"Bearer {key}"})

    assert sorted(row["action"] for row in answer.json()["data"]) == ["api_key.created", "tenant.created"]
    assert [t.name for t in await tenancy.tenants(db)] == ["Mine", "Theirs", "Third"]
    assert answer.json()["data"][0]["subject"] == ids.show(ids.TENANT, tenant_id)


@pytest.mark.parametrize("name", ["", "   ", "x" * 201, "a\nb", "a\x00b"])
async def test_a_tenant_needs_a_name(db, name):
    with pytest.raises(tenancy.TenantNameInvalid):
        await tenancy.create_tenant(db, name=name)
