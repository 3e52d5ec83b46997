"""Roles of a business's own: sets of permissions under names, and nobody gives what he does not have."""

import pytest

from bursar.kernel import ids, permissions
from bursar.kernel.access import Giver, MoreThanHeld, roles

pytestmark = pytest.mark.anyio

DESK = {"name": "front-desk", "permissions": ["payments:read", "customers:read"]}


async def held_by(world, *names: str) -> frozenset[str]:
    stage = world.mine.stage
    async with stage.db.tenant(stage.tenant_id) as tx:
        return await roles.permissions_of(tx, tenant_id=stage.tenant_id, names=names)


async def test_the_roles_that_every_business_has_are_listed_first(world):
    await world.mine.post("/v1/roles", DESK)

    listed = await world.mine.data("/v1/roles")

    assert [role["name"] for role in listed] == [*permissions.ROLES, "front-desk"]
    assert [role["is_built_in"] for role in listed] == [True] * len(permissions.ROLES) + [False]
    assert {role["name"]: set(role["permissions"]) for role in listed[:-1]} == permissions.ROLES
    assert listed[-1]["permissions"] == ["customers:read", "payments:read"]


async def test_a_holder_has_the_union_of_his_roles_and_unknown_names_give_nothing(world):
    await world.mine.post("/v1/roles", DESK)
    await world.mine.post("/v1/roles", {"name": "eraser", "permissions": ["customers:erase"]})

    assert await held_by(world) == frozenset()
    assert await held_by(world, "front-desk") == {"payments:read", "customers:read"}
    assert await held_by(world, "front-desk", "eraser") == {"payments:read", "customers:read", "customers:erase"}
    assert await held_by(world, "owner") == permissions.ALL
    assert await held_by(world, "nobody", "Owner", "' or true --") == frozenset()


async def test_a_role_of_another_business_gives_nothing(world):
    await world.theirs.post("/v1/roles", DESK)

    assert await held_by(world, "front-desk") == frozenset()
    assert "front-desk" not in {role["name"] for role in await world.mine.data("/v1/roles")}


async def test_a_changed_role_changes_what_its_holders_may_do_and_the_trail_says_from_what(world):
    role = (await world.mine.post("/v1/roles", DESK)).json()

    answer = await world.mine.send("PUT", f"/v1/roles/{role['id']}", {"permissions": ["ledger:read"]})

    assert (answer.status_code, answer.json()["permissions"]) == (200, ["ledger:read"])
    assert await held_by(world, "front-desk") == {"ledger:read"}
    record = (await world.mine.data("/v1/audit-records"))[0]
    assert (record["action"], record["subject"]) == ("role.changed", role["id"])
    assert record["changes"]["permissions"] == {"before": ["customers:read", "payments:read"], "after": ["ledger:read"]}


async def test_a_deleted_role_gives_nothing_and_its_name_is_free(world):
    role = (await world.mine.post("/v1/roles", DESK)).json()

    answer = await world.mine.send("DELETE", f"/v1/roles/{role['id']}")

    assert answer.status_code == 204
    assert await held_by(world, "front-desk") == frozenset()
    again = await world.mine.send("DELETE", f"/v1/roles/{role['id']}")
    assert (again.status_code, again.json()["code"]) == (404, "role_not_found")
    assert (await world.mine.get(f"/v1/roles/{role['id']}")).status_code == 404
    assert (await world.mine.post("/v1/roles", DESK)).status_code == 201
    kept = "select count(*) from role where name = 'front-desk' and deleted_at is not null"
    assert await world.mine.stage.value(kept) == 1


@pytest.mark.parametrize("name", [*permissions.ROLES, "front-desk"])
async def test_a_name_stands_for_one_role(world, name):
    await world.mine.post("/v1/roles", DESK)

    answer = await world.mine.post("/v1/roles", DESK | {"name": name})

    assert (answer.status_code, answer.json()["code"]) == (409, "role_name_taken")
    assert await world.mine.stage.value("select count(*) from role") == 1


@pytest.mark.parametrize("name", ["", "Desk", "1desk", "front desk", "x" * 51, "dësk", "desk\n"])
async def test_a_name_has_a_form(world, name):
    assert (await world.mine.post("/v1/roles", DESK | {"name": name})).status_code == 422


async def test_a_permission_that_there_is_not_is_named(world):
    answer = await world.mine.post("/v1/roles", DESK | {"permissions": ["payments:read", "payments:steal"]})

    assert (answer.status_code, answer.json()["code"]) == (422, "permission_unknown")
    assert [error["message"] for error in answer.json()["errors"]] == ["no permission payments:steal"]


async def test_a_role_that_every_business_has_cannot_be_changed(world):
    answer = await world.mine.send("PUT", "/v1/roles/owner", {"permissions": ["payments:read"]})

    assert (answer.status_code, answer.json()["code"]) == (400, "id_invalid")


async def test_nobody_makes_a_role_that_holds_more_than_he_does(world):
    stage = world.mine.stage
    giver = Giver("user:usr_x", frozenset({"users:write", "payments:read"}))
    more = ["customers:erase", "payments:read"]
    async with stage.db.tenant(stage.tenant_id) as tx:
        own = await roles.add_role(tx, tenant_id=stage.tenant_id, name="own", held=["payments:read"], giver=giver)

        with pytest.raises(MoreThanHeld) as added:
            await roles.add_role(tx, tenant_id=stage.tenant_id, name="more", held=more, giver=giver)
        with pytest.raises(MoreThanHeld):
            await roles.change_role(tx, tenant_id=stage.tenant_id, role_id=own.id, held=more, giver=giver)
        with pytest.raises(MoreThanHeld):
            await roles.require_givable(tx, tenant_id=stage.tenant_id, names=["own", "owner"], giver=giver)
        await roles.require_givable(tx, tenant_id=stage.tenant_id, names=["own"], giver=giver)

    assert [field.message for field in added.value.fields] == ["customers:erase"]
    assert await held_by(world, "own", "more") == {"payments:read"}


async def test_a_role_that_there_is_not_cannot_be_given(world):
    stage = world.mine.stage
    await world.theirs.post("/v1/roles", DESK)
    async with stage.db.tenant(stage.tenant_id) as tx:
        with pytest.raises(roles.RoleUnknown):
            giver = Giver("operator", permissions.ALL)
            await roles.require_givable(tx, tenant_id=stage.tenant_id, names=["front-desk"], giver=giver)


async def test_a_business_has_so_many_roles_and_no_more(world, monkeypatch):
    stage = world.mine.stage
    async with stage.db.tenant(stage.tenant_id) as tx:
        await tx.executemany(
            "insert into role (tenant_id, id, name, permissions) values ($1, $2, $3, '{payments:read}')",
            [(stage.tenant_id, ids.new(), f"role-{n}") for n in range(roles.ROLES_MAX)],
        )

    answer = await world.mine.post("/v1/roles", DESK)

    assert (answer.status_code, answer.json()["code"]) == (409, "roles_too_many")
