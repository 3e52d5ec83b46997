"""Routes of roles."""

from datetime import datetime
from typing import Annotated

from fastapi import APIRouter, Path
from pydantic import Field
from starlette.responses import Response

from bursar.kernel.access import roles
from bursar.kernel.access.roles import Role
from bursar.kernel.auth import CallerOf, TenantRoute, needs
from bursar.kernel.http import Input, Key, Page, View
from bursar.kernel.http.identifiers import RoleId

router = APIRouter(prefix="/v1", route_class=TenantRoute, tags=["roles"])

Permissions = Annotated[list[Key], Field(min_length=1, max_length=200, examples=[["payments:read", "refunds:write"]])]
RolePath = Annotated[RoleId, Path()]


class RoleView(View):
    """A set of permissions under a name. Those that every business has are built in, and have no id."""

    id: RoleId | None
    name: str = Field(examples=["front-desk"])
    permissions: list[str] = Field(examples=[["payments:read", "refunds:write"]])
    is_built_in: bool
    created_at: datetime | None
    changed_at: datetime | None


class NewRole(Input):
    name: Annotated[str, Field(pattern=roles.NAME_FORM, examples=["front-desk"])]
    permissions: Permissions


class ChangedRole(Input):
    permissions: Permissions


@router.get("/roles")
@needs("users:read")
async def list_roles(caller: CallerOf) -> Page[RoleView]:
    """List the roles that every business has, then one's own. There are never so many that they need pages."""
    async with caller.transaction() as tx:
        found = await roles.roles(tx, tenant_id=caller.tenant_id)
    return Page(data=[_shown(role) for role in found], next_cursor=None)


@router.post("/roles", status_code=201)
@needs("users:write")
async def add_role(caller: CallerOf, new: NewRole) -> RoleView:
    """Add a role. It can hold at most what you have yourself."""
    async with caller.transaction() as tx:
        return _shown(
            await roles.add_role(
                tx, tenant_id=caller.tenant_id, name=new.name, held=new.permissions, giver=caller.giver
            )
        )


@router.get("/roles/{role}")
@needs("users:read")
async def get_role(caller: CallerOf, role: RolePath) -> RoleView:
    """Return one of one's own roles."""
    async with caller.transaction() as tx:
        return _shown(await roles.role(tx, tenant_id=caller.tenant_id, role_id=role))


@router.put("/roles/{role}")
@needs("users:write")
async def change_role(caller: CallerOf, role: RolePath, changed: ChangedRole) -> RoleView:
    """Give a role another set of permissions. Its name stays, because users carry it."""
    async with caller.transaction() as tx:
        return _shown(
            await roles.change_role(
                tx, tenant_id=caller.tenant_id, role_id=role, held=changed.permissions, giver=caller.giver
            )
        )


@router.delete("/roles/{role}", status_code=204)
@needs("users:write")
async def delete_role(caller: CallerOf, role: RolePath) -> Response:
    """Take a role away. Who has it has nothing of it any more."""
    async with caller.transaction() as tx:
        await roles.delete_role(tx, tenant_id=caller.tenant_id, role_id=role, giver=caller.giver)
    return Response(status_code=204)


def _shown(role: Role) -> RoleView:
    return RoleView(
        id=role.id,
        name=role.name,
        permissions=list(role.permissions),
        is_built_in=role.is_built_in,
        created_at=role.created_at,
        changed_at=role.changed_at,
    )
