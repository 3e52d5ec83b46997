"""API keys: what one may do, from where and until when; handed on with an overlap; and never more than the giver has."""

import asyncio
import json
from datetime import UTC, datetime, timedelta

import pytest

from api.conftest import caller_of, running
from bursar.kernel import ids, permissions
from bursar.kernel.access.uses import Uses
from bursar.kernel.settings import Settings
from bursar.web.app import create_app
from serving import KEY, serving
from stage import set_stage

pytestmark = pytest.mark.anyio

READER = {"name": "reader", "scopes": ["customers:read", "keys:read"]}


def later(**span: int) -> str:
    return (datetime.now(UTC) + timedelta(**span)).isoformat()


async def made(caller, **more) -> dict:
    answer = await caller.post("/v1/api-keys", READER | more)
    assert answer.status_code == 201, answer.text
    return answer.json()


async def asked(world, key: str, path: str = "/v1/customers", method: str = "GET", body=None):
    return await world.http.request(method, path, json=body, headers={"authorization": f"Bearer {key}"})


async def count(world) -> int:
    return await world.mine.stage.value("select count(*) from api_key")


async def test_a_key_may_do_what_its_scopes_name_and_nothing_else(world):
    key = (await made(world.mine))["key"]

    may = await asked(world, key)
    may_not = await asked(world, key, "/v1/payments")
    may_not_write = await asked(world, key, "/v1/api-keys", "POST", READER)

    assert may.status_code == 200
    assert (may_not.status_code, may_not.json()["code"]) == (403, "permission_missing")
    assert (may_not_write.status_code, may_not_write.json()["context"]) == (403, {"permission": "keys:write"})
    assert await count(world) == 2


async def test_the_first_key_of_a_tenant_may_do_everything_and_does_not_expire(world):
    first = (await world.mine.data("/v1/api-keys"))[0]

    assert (first["is_unlimited"], set(first["scopes"])) == (True, permissions.ALL)
    assert (first["expires_at"], first["allowed_addresses"], first["status"]) == (None, [], "active")


async def test_the_secret_is_shown_once_and_kept_nowhere(world):
    key = await made(world.mine)
    secret = key["key"][-43:]

    shown = await world.mine.get("/v1/api-keys"), await world.mine.get(f"/v1/api-keys/{key['id']}")
    trail = await world.mine.get("/v1/audit-records")
    tables = [
        row["table_name"]
        for row in await world.mine.stage.rows(
            "select table_name from information_schema.columns where table_schema = 'public' and column_name = 'tenant_id'"
        )
    ]
    kept = [json.dumps(await world.mine.stage.rows(f"select t::text as told from {table} t")) for table in tables]

    assert len(tables) > 35
    for text in (*(answer.text for answer in shown), trail.text, *kept):
        assert secret not in text
    assert "key" not in shown[1].json()


async def test_an_expired_key_is_refused_like_an_unknown_one_also_while_it_is_remembered(db, database_url):
    moment = datetime.now(UTC)
    app = create_app(Settings(database_url=database_url, secret_key=KEY), clock=lambda: moment)
    async with app._lifespan(app.api):
        async with running(database_url) as (_, http):
            caller = await caller_of(await set_stage(db, database_url), http)
            key = (await made(caller, expires_at=later(minutes=1)))["key"]
        keys, resources = app.api.state.keys, app.resources
        await keys.principal(resources, key, address="203.0.113.9")

        moment += timedelta(minutes=1, seconds=1)

        with pytest.raises(Exception, match="missing or not valid"):
            await keys.principal(resources, key, address="203.0.113.9")


async def test_a_key_works_from_where_it_is_allowed_and_nowhere_else(db, database_url):
    stage = await set_stage(db, database_url)
    async with serving(database_url, trusted_proxies="127.0.0.0/8") as server, running(database_url) as (_, http):
        caller = await caller_of(stage, http)
        key = await made(caller, allowed_addresses=["203.0.113.0/24", "2001:db8::/32", "198.51.100.7"])

        async def status(came_from: str | None) -> int:
            headers = {"authorization": f"Bearer {key['key']}"}
            if came_from is not None:
                headers["x-forwarded-for"] = came_from
            return (await server.send("/v1/customers", headers=headers, method="GET")).status

        assert key["allowed_addresses"] == ["203.0.113.0/24", "2001:db8::/32", "198.51.100.7/32"]
        for good in ("203.0.113.9", "2001:db8::1", "198.51.100.7", "::ffff:203.0.113.9", "192.0.2.1, 203.0.113.9"):
            assert await status(good) == 200, good
        for bad in (None, "192.0.2.1", "198.51.100.8", "203.0.113.9, 192.0.2.1", "203.0.113.9, x", "2001:db9::1"):
            assert await status(bad) == 401, bad


async def test_without_a_trusted_proxy_nobody_says_where_he_comes_from(db, database_url):
    stage = await set_stage(db, database_url)
    async with serving(database_url) as server, running(database_url) as (_, http):
        caller = await caller_of(stage, http)
        key = (await made(caller, allowed_addresses=["203.0.113.0/24"]))["key"]
        headers = {"authorization": f"Bearer {key}", "x-forwarded-for": "203.0.113.9", "forwarded": "for=203.0.113.9"}

        answer = await server.send("/v1/customers", headers=headers, method="GET")

    assert answer.status == 401


@pytest.mark.parametrize("address", ["203.0.113.9/24", "proxy.example.org", "", "203.0.113.0/33", "0x7f.1"])
async def test_an_address_that_is_no_network_is_refused(world, address):
    answer = await world.mine.post("/v1/api-keys", READER | {"allowed_addresses": ["10.0.0.0/8", address]})

    assert answer.status_code == 422
    assert answer.json()["errors"][0]["field"] == "allowed_addresses.1"
    assert await count(world) == 1


async def test_a_key_that_would_have_expired_already_is_refused(world):
    answer = await world.mine.post("/v1/api-keys", READER | {"expires_at": later(seconds=-1)})

    assert (answer.status_code, answer.json()["code"]) == (422, "api_key_expiry_past")
    assert await count(world) == 1


async def test_a_rotated_key_has_a_successor_and_lives_for_the_overlap(world):
    expires_at = later(days=90)
    old = await made(world.mine, expires_at=expires_at, allowed_addresses=["0.0.0.0/0"])

    answer = await world.mine.post(f"/v1/api-keys/{old['id']}/rotations", {"overlap_s": 600})

    new = answer.json()
    assert answer.status_code == 201
    assert (new["scopes"], new["name"], new["allowed_addresses"]) == (old["scopes"], "reader", ["0.0.0.0/0"])
    assert datetime.fromisoformat(new["expires_at"]) == datetime.fromisoformat(expires_at)
    assert (await asked(world, old["key"])).status_code == (await asked(world, new["key"])).status_code == 200
    kept = (await world.mine.get(f"/v1/api-keys/{old['id']}")).json()
    assert (kept["successor"], kept["status"]) == (new["id"], "active")
    assert (
        abs(datetime.fromisoformat(kept["expires_at"]) - datetime.now(UTC) - timedelta(seconds=600)).total_seconds()
        < 60
    )


async def test_a_rotation_overlaps_for_a_day_unless_told_otherwise_and_never_prolongs_a_life(world):
    lasting, ending = await made(world.mine), await made(world.mine, expires_at=later(hours=1))

    for key in (lasting, ending):
        assert (await world.mine.post(f"/v1/api-keys/{key['id']}/rotations")).status_code == 201

    kept = {k["id"]: k["expires_at"] for k in await world.mine.data("/v1/api-keys")}
    assert abs(datetime.fromisoformat(kept[lasting["id"]]) - datetime.now(UTC) - timedelta(days=1)).total_seconds() < 60
    assert kept[ending["id"]] == ending["expires_at"]


async def test_without_an_overlap_the_old_key_ends_at_once(world):
    old = await made(world.mine)
    assert (await asked(world, old["key"])).status_code == 200

    new = (await world.mine.post(f"/v1/api-keys/{old['id']}/rotations", {"overlap_s": 0})).json()

    assert (await asked(world, old["key"])).status_code == 401
    assert (await asked(world, new["key"])).status_code == 200


async def test_a_key_is_rotated_once_even_by_two_at_once(world):
    old = await made(world.mine)

    answers = await asyncio.gather(*(world.mine.post(f"/v1/api-keys/{old['id']}/rotations") for _ in range(5)))

    assert sorted(answer.status_code for answer in answers) == [201, 409, 409, 409, 409]
    assert {a.json()["code"] for a in answers if a.status_code == 409} == {"api_key_has_successor"}
    assert await count(world) == 3


async def test_a_revoked_key_ends_at_once_here_and_is_not_rotated(world):
    key = await made(world.mine)
    assert (await asked(world, key["key"])).status_code == 200

    first = await world.mine.post(f"/v1/api-keys/{key['id']}/revocations")
    again = await world.mine.post(f"/v1/api-keys/{key['id']}/revocations")
    rotated = await world.mine.post(f"/v1/api-keys/{key['id']}/rotations")

    assert (first.status_code, first.json()["status"]) == (201, "revoked")
    assert again.json()["revoked_at"] == first.json()["revoked_at"]
    assert (await asked(world, key["key"])).status_code == 401
    assert (rotated.status_code, rotated.json()["code"]) == (409, "api_key_not_in_force")
    actions = [r["action"] for r in await world.mine.data("/v1/audit-records")]
    assert actions.count("api_key.revoked") == 1


async def test_a_key_gives_no_permission_that_it_does_not_have(world):
    limited = (await made(world.mine, scopes=["keys:write", "payments:read"]))["key"]
    first = (await world.mine.data("/v1/api-keys"))[-1]

    same = await asked(world, limited, "/v1/api-keys", "POST", {"name": "same", "scopes": ["payments:read"]})
    more = await asked(
        world, limited, "/v1/api-keys", "POST", {"name": "more", "scopes": ["payments:read", "refunds:write"]}
    )
    stolen = await asked(world, limited, f"/v1/api-keys/{first['id']}/rotations", "POST")

    assert same.status_code == 201
    assert (more.status_code, more.json()["code"]) == (403, "more_than_held")
    assert [(e["field"], e["message"]) for e in more.json()["errors"]] == [("scopes", "refunds:write")]
    assert (stolen.status_code, stolen.json()["code"]) == (403, "more_than_held")
    assert await count(world) == 3
    assert (await world.mine.get(f"/v1/api-keys/{first['id']}")).json()["successor"] is None


async def test_a_key_that_has_all_there_is_today_does_not_become_one_that_has_all_there_will_be(world):
    first = (await world.mine.data("/v1/api-keys"))[0]
    everything = (await made(world.mine, scopes=sorted(permissions.ALL)))["key"]

    answer = await asked(world, everything, f"/v1/api-keys/{first['id']}/rotations", "POST")

    assert (answer.status_code, answer.json()["errors"][0]["field"]) == (403, "scopes")


async def test_a_key_gives_no_longer_life_than_its_own(world):
    short = await made(world.mine, scopes=["keys:write"], expires_at=later(days=1))
    new = {"name": "new", "scopes": ["keys:write"]}

    endless = await asked(world, short["key"], "/v1/api-keys", "POST", new)
    longer = await asked(world, short["key"], "/v1/api-keys", "POST", new | {"expires_at": later(days=2)})
    itself = await asked(
        world, short["key"], f"/v1/api-keys/{short['id']}/rotations", "POST", {"expires_at": later(days=2)}
    )
    shorter = await asked(world, short["key"], "/v1/api-keys", "POST", new | {"expires_at": later(hours=2)})

    assert [a.status_code for a in (endless, longer, itself, shorter)] == [403, 403, 403, 201]
    assert {a.json()["errors"][0]["field"] for a in (endless, longer, itself)} == {"expires_at"}


async def test_a_key_gives_no_other_addresses_than_its_own(world):
    bound = (await made(world.mine, scopes=["keys:write"], allowed_addresses=["127.0.0.0/8", "10.0.0.0/8"]))["key"]
    new = {"name": "new", "scopes": ["keys:write"]}

    async def status(*networks: str) -> int:
        body = new | {"allowed_addresses": list(networks)}
        return (await asked(world, bound, "/v1/api-keys", "POST", body)).status_code

    assert await status() == 403
    assert await status("0.0.0.0/0") == 403
    assert await status("10.1.0.0/16", "192.0.2.1") == 403
    assert await status("::/0") == 403
    assert await status("10.1.0.0/16", "127.0.0.1") == 201


async def test_a_scope_that_there_is_not_is_named(world):
    answer = await world.mine.post("/v1/api-keys", READER | {"scopes": ["*"]})

    assert (answer.status_code, answer.json()["code"]) == (422, "permission_unknown")
    assert answer.json()["errors"][0]["field"] == "scopes"


async def test_a_key_of_the_other_is_not_found_whatever_is_asked_of_it(world):
    theirs = await made(world.theirs)

    for path, method in (("", "GET"), ("/rotations", "POST"), ("/revocations", "POST")):
        answer = await world.mine.send(method, f"/v1/api-keys/{theirs['id']}{path}")
        assert (answer.status_code, answer.json()["code"]) == (404, "api_key_not_found")
    assert (await asked(world, theirs["key"])).status_code == 200


# ---------------------------------------------------------------- last use


async def used(stage, key_id: str) -> tuple[datetime | None, str | None]:
    row = await stage.row(
        "select last_used_at, last_used_address from api_key where id = $1", ids.parse(ids.API_KEY, key_id)
    )
    return row["last_used_at"], None if row["last_used_address"] is None else str(row["last_used_address"])


async def test_the_last_use_is_written_beside_the_request_and_at_the_stop(db, database_url):
    stage = await set_stage(db, database_url)
    async with running(database_url) as (_, http):
        caller = await caller_of(stage, http)
        key = await made(caller)
        await http.get("/v1/customers", headers={"authorization": f"Bearer {key['key']}"})
        during = await used(stage, key["id"])

    at, address = await used(stage, key["id"])

    assert during == (None, None)
    assert abs(datetime.now(UTC) - at) < timedelta(seconds=60)
    assert address == "127.0.0.1"


async def test_uses_are_written_at_most_once_a_minute_by_however_many_processes(world, db, monkeypatch):
    stage, key = world.mine.stage, await made(world.mine)
    key_id = ids.parse(ids.API_KEY, key["id"])
    start = datetime.now(UTC)
    elapsed = 0.0
    monkeypatch.setattr("bursar.kernel.access.uses.time.monotonic", lambda: elapsed)
    one, other = (Uses(lambda: start + timedelta(seconds=elapsed)) for _ in range(2))

    async def use(by: Uses, at_s: float) -> float:
        nonlocal elapsed
        elapsed = at_s
        by.note(tenant_id=stage.tenant_id, key_id=key_id, address="203.0.113.9")
        await by.flush(db)
        return round(((await used(stage, key["id"]))[0] - start).total_seconds())

    assert await use(one, 0) == 0
    assert await use(one, 30) == 0
    assert await use(other, 31) == 0
    assert await use(one, 61) == 61
    elapsed = 95.0
    await other.flush(db)
    assert round(((await used(stage, key["id"]))[0] - start).total_seconds()) == 61
    assert await use(other, 122) == 122


async def test_a_use_that_the_database_did_not_take_is_written_later(world, db):
    stage, key = world.mine.stage, await made(world.mine)
    uses = Uses(lambda: datetime.now(UTC))
    uses.note(tenant_id=stage.tenant_id, key_id=ids.parse(ids.API_KEY, key["id"]), address="2001:db8::1")

    class Away:
        def tenant(self, tenant_id):
            raise OSError("gone")

    with pytest.raises(OSError, match="gone"):
        await uses.flush(Away())
    await uses.flush(db)

    assert (await used(stage, key["id"]))[1] == "2001:db8::1"
