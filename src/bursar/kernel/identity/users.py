"""Users: the people of one business, each with roles. An administrator invites; nobody signs up by themselves."""

from collections.abc import Iterable, Mapping
from datetime import datetime
from typing import Final
from uuid import UUID

import asyncpg

from bursar.kernel import audit, ids
from bursar.kernel.access.giving import Giver
from bursar.kernel.access.roles import permissions_of, require_givable
from bursar.kernel.db import Transaction
from bursar.kernel.errors import Conflict, FieldError, Invalid, NotFound
from bursar.kernel.http.identifiers import UserId
from bursar.kernel.http.views import View
from bursar.kernel.identity import letters, sessions
from bursar.kernel.identity.people import checked_email, checked_name, email_key
from bursar.kernel.listing import Listing, Part, Slice, part

OWNER: Final = "owner"
ROLES_MAX: Final = 20

_COLUMNS = """u.id, u.email, u.name, u.roles,
  case when u.deactivated_at is not null then 'deactivated' when u.password_hash is null then 'invited' else 'active' end as status,
  u.email_verified_at is not null as is_email_verified, u.totp_on_at is not null as has_second_factor, u.created_at"""

_INVITE = """
insert into tenant_user (tenant_id, id, email, email_key, name, roles, created_at) values ($1, $2, $3, $4, $5, $6, $7)
"""
_USER = f"select {_COLUMNS} from tenant_user u where u.tenant_id = $1 and u.id = $2"
_USER_BY_EMAIL = f"select {_COLUMNS} from tenant_user u where u.tenant_id = $1 and u.email_key = $2"
_USERS = Listing(
    select=f"select {_COLUMNS} from tenant_user u",
    key="u.id",
    tenant="u.tenant_id",
    filters={"email": "u.email_key = {}"},
)

# Whoever takes an owner away locks all owners first, so that two cannot take away the last two at once.
_LOCK_OWNERS = """
select id from tenant_user where tenant_id = $1 and 'owner' = any(roles) and deactivated_at is null order by id for update
"""
_LOCK = "select roles, name from tenant_user where tenant_id = $1 and id = $2 and deactivated_at is null for update"
_CHANGE = "update tenant_user set roles = $3, name = $4 where tenant_id = $1 and id = $2 and deactivated_at is null"
_DEACTIVATE = "update tenant_user set deactivated_at = $3 where tenant_id = $1 and id = $2 and deactivated_at is null"
_REACTIVATE = "update tenant_user set deactivated_at = null where tenant_id = $1 and id = $2 and deactivated_at is not null returning roles"
_FORGET_SECOND_FACTOR = "update tenant_user set totp_on_at = null, totp_secret = null where tenant_id = $1 and id = $2"
_VOID_RECOVERY = "update recovery_code set used_at = $3 where tenant_id = $1 and user_id = $2 and used_at is null"


class UserNotFound(NotFound):
    """No user of this business has this id."""

    code = "user_not_found"


class UserExists(Conflict):
    """There is a user with this e-mail address already."""

    code = "user_exists"


class UserDeactivated(Conflict):
    """The user is deactivated, or was not."""

    code = "user_deactivated"


class LastOwner(Conflict):
    """A business keeps one owner at least."""

    code = "last_owner"


class RolesInvalid(Invalid):
    """A user has one role at least, and twenty at most."""

    code = "roles_invalid"


class User(View):
    """A person who may sign in to a business."""

    id: UserId
    email: str
    name: str
    roles: list[str]
    status: str
    is_email_verified: bool
    has_second_factor: bool
    created_at: datetime


async def invite(
    tx: Transaction, *, tenant_id: UUID, email: str, name: str, roles: Iterable[str], by: Giver, now: datetime
) -> User:
    """Add a user, who gets a mail with the way in. Raises EmailInvalid, RolesInvalid, RoleUnknown, MoreThanHeld, UserExists."""
    address, named, given = checked_email(email), checked_name(name), _few(roles)
    await require_givable(tx, tenant_id=tenant_id, names=given, giver=by)
    user_id = ids.new()
    if await tx.fetchrow(_USER_BY_EMAIL, tenant_id, email_key(address)):
        raise _exists()
    try:
        await tx.execute(_INVITE, tenant_id, user_id, address, email_key(address), named, given, now)
    except asyncpg.UniqueViolationError as error:
        raise _exists() from error
    await letters.write(tx, tenant_id=tenant_id, kind="invitation", email=address, now=now)
    await _tell(tx, (tenant_id, user_id), by, "user.invited", {"email": address, "roles": given})
    return await user(tx, tenant_id=tenant_id, user_id=user_id)


async def change(
    tx: Transaction,
    *,
    tenant_id: UUID,
    user_id: UUID,
    roles: Iterable[str] | None,
    name: str | None,
    by: Giver,
    now: datetime,
) -> User:
    """Change a user's roles or name. Other roles end the user's sessions: what they may do is decided anew.

    Raises UserNotFound, RolesInvalid, RoleUnknown, MoreThanHeld, LastOwner.
    """
    owners = await tx.fetch(_LOCK_OWNERS, tenant_id)
    before = await _locked(tx, tenant_id, user_id)
    given = before["roles"] if roles is None else _few(roles)
    named = before["name"] if name is None else checked_name(name)
    changed: dict[str, object] = {}
    if set(given) != set(before["roles"]):
        await require_givable(tx, tenant_id=tenant_id, names=given, giver=by)
        await _require_over(tx, tenant_id, before["roles"], by)
        if OWNER not in given:
            _require_another_owner(owners, user_id)
        changed["roles"] = [before["roles"], given]
    if named != before["name"]:
        changed["name"] = [before["name"], named]
    if changed:
        await tx.execute(_CHANGE, tenant_id, user_id, given, named)
        if "roles" in changed:
            await sessions.end_all_of(tx, tenant_id=tenant_id, user_id=user_id, now=now)
        await _tell(tx, (tenant_id, user_id), by, "user.changed", changed)
    return await user(tx, tenant_id=tenant_id, user_id=user_id)


async def deactivate(tx: Transaction, *, tenant_id: UUID, user_id: UUID, by: Giver, now: datetime) -> User:
    """Let a user in no more, and end their sessions. Raises UserNotFound, UserDeactivated, MoreThanHeld, LastOwner."""
    owners = await tx.fetch(_LOCK_OWNERS, tenant_id)
    before = await _locked(tx, tenant_id, user_id)
    await _require_over(tx, tenant_id, before["roles"], by)
    _require_another_owner(owners, user_id)
    await tx.execute(_DEACTIVATE, tenant_id, user_id, now)
    await sessions.end_all_of(tx, tenant_id=tenant_id, user_id=user_id, now=now)
    await _tell(tx, (tenant_id, user_id), by, "user.deactivated", {})
    return await user(tx, tenant_id=tenant_id, user_id=user_id)


async def reactivate(tx: Transaction, *, tenant_id: UUID, user_id: UUID, by: Giver) -> User:
    """Let a deactivated user in again. Raises UserNotFound, UserDeactivated, MoreThanHeld."""
    await user(tx, tenant_id=tenant_id, user_id=user_id)
    roles = await tx.fetchval(_REACTIVATE, tenant_id, user_id)
    if roles is None:
        raise UserDeactivated("this user is not deactivated")
    await _require_over(tx, tenant_id, roles, by)
    await _tell(tx, (tenant_id, user_id), by, "user.reactivated", {})
    return await user(tx, tenant_id=tenant_id, user_id=user_id)


async def forget_second_factor(tx: Transaction, *, tenant_id: UUID, user_id: UUID, by: Giver, now: datetime) -> None:
    """Switch a user's second factor off for them: the phone is lost, and the recovery codes too."""
    await tx.execute(_FORGET_SECOND_FACTOR, tenant_id, user_id)
    await tx.execute(_VOID_RECOVERY, tenant_id, user_id, now)
    await sessions.end_all_of(tx, tenant_id=tenant_id, user_id=user_id, now=now)
    await _tell(tx, (tenant_id, user_id), by, "user.second_factor_off", {})


async def user(tx: Transaction, *, tenant_id: UUID, user_id: UUID) -> User:
    """Return one user. Raises UserNotFound."""
    row = await tx.fetchrow(_USER, tenant_id, user_id)
    if row is None:
        raise _unknown()
    return User.of(row)


async def user_of_email(tx: Transaction, *, tenant_id: UUID, email: str) -> User:
    """Return the user of an address. Raises UserNotFound."""
    row = await tx.fetchrow(_USER_BY_EMAIL, tenant_id, email_key(email))
    if row is None:
        raise _unknown()
    return User.of(row)


async def users(tx: Transaction, *, tenant_id: UUID, page: Slice, email: str | None = None) -> Part[User]:
    """Return users, newest first."""
    given = {"email": None if email is None else email_key(email)}
    return await part(tx, _USERS, tenant_id=tenant_id, given=given, page=page, view=User.of)


def _few(roles: Iterable[str]) -> list[str]:
    given = list(dict.fromkeys(roles))
    if not 1 <= len(given) <= ROLES_MAX:
        raise RolesInvalid(
            f"a user has 1 to {ROLES_MAX} roles", fields=(FieldError("roles", "out_of_range", "too few or too many"),)
        )
    return given


async def _require_over(tx: Transaction, tenant_id: UUID, roles: Iterable[str], by: Giver) -> None:
    """Return if whoever administers has all that the other holds: nobody reaches above themselves."""
    by.require(await permissions_of(tx, tenant_id=tenant_id, names=list(roles)), field="")


def _require_another_owner(owners: list[asyncpg.Record], user_id: UUID) -> None:
    if [row["id"] for row in owners] == [user_id]:
        raise LastOwner("this is the only owner", hint="Make somebody else an owner first.")


async def _locked(tx: Transaction, tenant_id: UUID, user_id: UUID) -> asyncpg.Record:
    row = await tx.fetchrow(_LOCK, tenant_id, user_id)
    if row is None:
        await user(tx, tenant_id=tenant_id, user_id=user_id)
        raise UserDeactivated("this user is deactivated", hint="Reactivate the user first.")
    return row


async def _tell(
    tx: Transaction, whom: tuple[UUID, UUID], by: Giver, action: str, changes: Mapping[str, object]
) -> None:
    tenant_id, user_id = whom
    subject = ids.show(ids.USER, user_id)
    await audit.record(tx, tenant_id=tenant_id, actor=by.actor, action=action, subject=subject, changes=dict(changes))


def _unknown() -> UserNotFound:
    return UserNotFound("there is no user of this id here", hint="Check the id, and that it belongs to this business.")


def _exists() -> UserExists:
    return UserExists("there is a user with this e-mail address already", hint="Change that user's roles instead.")
