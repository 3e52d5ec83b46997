"""Routes of users: invite, list, change, deactivate."""

from typing import Annotated

from fastapi import APIRouter, Path, Query
from pydantic import Field

from bursar.kernel.auth import CallerOf, TenantRoute, needs
from bursar.kernel.http import Email, Input, Name, Page, PageFilters, page_of
from bursar.kernel.http.identifiers import UserId
from bursar.kernel.identity import users
from bursar.kernel.identity.users import User

router = APIRouter(prefix="/v1", route_class=TenantRoute, tags=["users"])

RoleName = Annotated[str, Field(min_length=1, max_length=50)]
Roles = Annotated[list[RoleName], Field(min_length=1, max_length=users.ROLES_MAX, examples=[["finance"]])]
UserPath = Annotated[UserId, Path()]


class NewUser(Input):
    email: Email
    name: Name
    roles: Roles


class ChangedUser(Input):
    """What is left out stays as it is."""

    name: Name | None = None
    roles: Roles | None = None


class UserFilters(PageFilters):
    email: Email | None = Field(default=None, description="Compared without regard to case.")


@router.get("/users")
@needs("users:read")
async def list_users(caller: CallerOf, filters: Annotated[UserFilters, Query()]) -> Page[User]:
    """List users, newest first."""
    async with caller.transaction() as tx:
        return page_of(await users.users(tx, tenant_id=caller.tenant_id, page=filters.slice, email=filters.email))


@router.post("/users", status_code=201)
@needs("users:write")
async def invite_user(caller: CallerOf, new: NewUser) -> User:
    """Invite somebody: a mail leads to a page where a password is chosen. The roles hold at most what you have."""
    async with caller.transaction() as tx:
        return await users.invite(
            tx,
            tenant_id=caller.tenant_id,
            email=new.email,
            name=new.name,
            roles=new.roles,
            by=caller.giver,
            now=caller.now(),
        )


@router.get("/users/{user}")
@needs("users:read")
async def get_user(caller: CallerOf, user: UserPath) -> User:
    """Return one user."""
    async with caller.transaction() as tx:
        return await users.user(tx, tenant_id=caller.tenant_id, user_id=user)


@router.patch("/users/{user}")
@needs("users:write")
async def change_user(caller: CallerOf, user: UserPath, changed: ChangedUser) -> User:
    """Change roles or name. Other roles end the user's sessions."""
    async with caller.transaction() as tx:
        return await users.change(
            tx,
            tenant_id=caller.tenant_id,
            user_id=user,
            roles=changed.roles,
            name=changed.name,
            by=caller.giver,
            now=caller.now(),
        )


@router.post("/users/{user}/deactivations", status_code=201)
@needs("users:write")
async def deactivate_user(caller: CallerOf, user: UserPath) -> User:
    """Let a user in no more; their sessions end at once."""
    async with caller.transaction() as tx:
        return await users.deactivate(tx, tenant_id=caller.tenant_id, user_id=user, by=caller.giver, now=caller.now())


@router.post("/users/{user}/reactivations", status_code=201)
@needs("users:write")
async def reactivate_user(caller: CallerOf, user: UserPath) -> User:
    """Let a deactivated user in again, with the roles and the password they had."""
    async with caller.transaction() as tx:
        return await users.reactivate(tx, tenant_id=caller.tenant_id, user_id=user, by=caller.giver)
