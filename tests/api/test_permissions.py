"""Every route with every role: what the roles say is what the routes do, and nothing is open by omission."""

from dataclasses import dataclass, replace

import pytest
from fastapi import APIRouter

from api.operations import bodies, every_operation, furnished
from bursar.kernel import permissions
from bursar.kernel.auth import Keys, Principal, TenantRoute, needs
from bursar.kernel.errors import Unauthenticated
from bursar.kernel.permissions import ALL, READS, ROLES, PermissionMissing, PermissionUnknown, permissions_named

pytestmark = pytest.mark.anyio


@dataclass
class Restricted:
    """Recognises keys as ever, and gives their callers only what a role holds."""

    keys: Keys
    held: frozenset[str]

    async def principal(self, *args, **given) -> Principal:
        return replace(await self.keys.principal(*args, **given), permissions=self.held)


async def test_a_role_may_what_the_matrix_says_and_nothing_else(lived_world):
    mine = await furnished(lived_world.mine)
    every = await every_operation(lived_world.http)
    state, keys = lived_world.app.api.state, lived_world.app.api.state.keys

    # Who may nothing comes first: what a role may do changes what is there for the next, but never who may do it.
    for role in ("nobody", *sorted(ROLES, key=lambda name: len(ROLES[name]))):
        held = frozenset(ROLES.get(role, ()))
        state.keys = Restricted(keys, held)
        told = {}
        for operation in every:
            body = bodies(mine)[operation.path] if operation.body else None
            answer = await lived_world.mine.send(operation.method, operation.at(**mine), body)
            is_refused = answer.status_code == 403 and answer.json()["code"] == "permission_missing"
            told[operation.name] = is_refused
        assert told == {operation.name: operation.permission not in held for operation in every}, role
        assert role in ("owner", "admin", "nobody") or 0 < sum(told.values()) < len(told)


async def test_a_refusal_names_the_permission_and_changes_nothing(world):
    api = world.app.api
    api.state.keys = Restricted(api.state.keys, ROLES["support"])

    answer = await world.mine.post("/v1/products", {"name": "More"})

    assert answer.status_code == 403
    problem = answer.json()
    assert (problem["code"], problem["category"]) == ("permission_missing", "authorization")
    assert problem["context"] == {"permission": "catalog:write"}
    assert await world.mine.stage.value("select count(*) from product where name = 'More'") == 0


async def test_a_stranger_learns_nothing_of_what_a_route_needs(world):
    answer = await world.http.post("/v1/products", json={"name": "More"})

    assert answer.json()["code"] == Unauthenticated.code
    assert "catalog" not in answer.text


def test_a_route_that_declares_nothing_cannot_be_made():
    router = APIRouter(route_class=TenantRoute)

    async def open_to_all() -> None: ...

    with pytest.raises(TypeError, match="open_to_all does not declare what it needs"):
        router.get("/open")(open_to_all)


def test_a_permission_that_does_not_exist_cannot_be_needed():
    with pytest.raises(AssertionError, match="payments:burn"):
        needs("payments:burn")


def test_roles_grow_from_reading_to_owning():
    assert ROLES["owner"] == ALL
    assert ROLES["read-only"] < READS
    assert all(held <= ALL for held in ROLES.values())
    assert [role for role, held in ROLES.items() if "customers:erase" in held] == ["owner"]
    assert [role for role, held in ROLES.items() if "keys:write" in held] == ["owner", "admin"]


def test_only_permissions_that_exist_can_be_named():
    with pytest.raises(PermissionUnknown) as refused:
        permissions_named(["payments:read", "payments:burn"], field="scopes")

    assert [(f.field, f.code) for f in refused.value.fields] == [("scopes", "unknown_value")]


def test_nothing_held_is_nothing_allowed():
    with pytest.raises(PermissionMissing):
        permissions.require(frozenset(), "payments:read")
