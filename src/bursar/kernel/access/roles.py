"""Roles: those that every business has, and its own, which are sets of permissions under names of its choice.

Users carry names of roles. A name that stands for nothing (any more) gives nothing.
"""

import re
from collections.abc import Collection, Iterable
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Final
from uuid import UUID

from bursar.kernel import audit, ids, permissions
from bursar.kernel.access.giving import Giver
from bursar.kernel.db import Transaction
from bursar.kernel.errors import Conflict, FieldError, Invalid, LimitExceeded, NotFound

ROLES_MAX: Final = 100
"""Roles of its own that a business may have at a time."""

NAME_FORM: Final = r"^[a-z][a-z0-9-]{0,49}$"

_PERMISSIONS = """
select permissions from role where tenant_id = $1 and name = any($2::text[]) and deleted_at is null
"""

_COLUMNS = "id, name, permissions, created_at, changed_at"
_ROLES = f"select {_COLUMNS} from role where tenant_id = $1 and deleted_at is null order by name"
_ROLE = f"select {_COLUMNS} from role where tenant_id = $1 and id = $2 and deleted_at is null"

_ADD = f"""
insert into role (tenant_id, id, name, permissions)
select $1, $2, $3, $4
where (select count(*) from role where tenant_id = $1 and deleted_at is null) < {ROLES_MAX}
on conflict (tenant_id, name) where deleted_at is null do nothing
returning {_COLUMNS}
"""

_NAMED = "select exists (select from role where tenant_id = $1 and name = $2 and deleted_at is null)"

_CHANGE = f"""
update role set permissions = $3, changed_at = clock_timestamp()
where tenant_id = $1 and id = $2 and deleted_at is null
returning {_COLUMNS}
"""

_DELETE = """
update role set deleted_at = clock_timestamp() where tenant_id = $1 and id = $2 and deleted_at is null
returning name, permissions
"""


class RoleNotFound(NotFound):
    """The business has no role of its own of this id."""

    code = "role_not_found"


class RoleUnknown(Invalid):
    """Neither does every business have a role of this name, nor has this one."""

    code = "role_unknown"


class RoleNameInvalid(Invalid):
    """A role's name is 1 to 50 lower-case letters, digits and hyphens, and begins with a letter."""

    code = "role_name_invalid"


class RoleNameTaken(Conflict):
    """The business has a role of this name, or every business has."""

    code = "role_name_taken"


class RolesTooMany(LimitExceeded):
    """A business has at most 100 roles of its own."""

    code = "roles_too_many"
    status = 409


@dataclass(frozen=True, slots=True)
class Role:
    """id, created_at, changed_at: None for a role that every business has."""

    id: UUID | None
    name: str
    permissions: tuple[str, ...]
    created_at: datetime | None = None
    changed_at: datetime | None = None

    @property
    def is_built_in(self) -> bool:
        return self.id is None


BUILT_IN: Final = tuple(Role(None, name, tuple(sorted(held))) for name, held in permissions.ROLES.items())


async def permissions_of(tx: Transaction, *, tenant_id: UUID, names: Collection[str]) -> frozenset[str]:
    """Return what the holder of these roles may do: the union of their permissions. Unknown names give nothing."""
    held = frozenset[str]().union(*(permissions.ROLES[name] for name in names if name in permissions.ROLES))
    own = [name for name in names if name not in permissions.ROLES]
    if own:
        rows = await tx.fetch(_PERMISSIONS, tenant_id, own)
        held = held.union(*(row["permissions"] for row in rows)) & permissions.ALL
    return held


async def require_givable(
    tx: Transaction, *, tenant_id: UUID, names: Collection[str], giver: Giver, field: str = "roles"
) -> None:
    """Return if every one of these roles exists, and holds no more than the giver has.

    Raises RoleUnknown, MoreThanHeld. field: where the caller named them.
    """
    known = {role.name for role in await roles(tx, tenant_id=tenant_id)}
    if unknown := sorted(set(names) - known):
        raise RoleUnknown(
            f"there is no role {unknown[0][:64]}",
            hint="GET /v1/roles lists the roles there are.",
            fields=tuple(FieldError(field, "unknown_value", f"no role {name[:64]}") for name in unknown[:20]),
        )
    giver.require(await permissions_of(tx, tenant_id=tenant_id, names=names), field=field)


async def roles(tx: Transaction, *, tenant_id: UUID) -> tuple[Role, ...]:
    """Return every role of a business: those that all have, then its own by name."""
    return (*BUILT_IN, *map(_role, await tx.fetch(_ROLES, tenant_id)))


async def role(tx: Transaction, *, tenant_id: UUID, role_id: UUID) -> Role:
    """Return one of a business's own roles. Raises RoleNotFound."""
    row = await tx.fetchrow(_ROLE, tenant_id, role_id)
    if row is None:
        raise _unknown(role_id)
    return _role(row)


async def add_role(tx: Transaction, *, tenant_id: UUID, name: str, held: Iterable[str], giver: Giver) -> Role:
    """Add a role of the business's own.

    Raises RoleNameInvalid, RoleNameTaken, RolesTooMany, PermissionUnknown, MoreThanHeld.
    """
    if not re.fullmatch(NAME_FORM, name):
        raise RoleNameInvalid(
            "a role's name is 1 to 50 lower-case letters, digits and hyphens, and begins with a letter",
            fields=(FieldError("name", "invalid", NAME_FORM),),
        )
    wanted = permissions.permissions_named(held)
    giver.require(wanted, field="permissions")
    if name in permissions.ROLES:
        raise _taken(name)
    row = await tx.fetchrow(_ADD, tenant_id, ids.new(), name, sorted(wanted))
    if row is None:
        if await tx.fetchval(_NAMED, tenant_id, name):
            raise _taken(name)
        raise RolesTooMany(f"a business has at most {ROLES_MAX} roles of its own", hint="Delete one first.")
    told = {"name": name, "permissions": row["permissions"]}
    await _record(tx, tenant_id, row["id"], giver=giver, action="role.added", changes=told)
    return _role(row)


async def change_role(tx: Transaction, *, tenant_id: UUID, role_id: UUID, held: Iterable[str], giver: Giver) -> Role:
    """Give a role another set of permissions; who has the role has them with his next request, or two seconds later.

    Raises RoleNotFound, PermissionUnknown, MoreThanHeld.
    """
    wanted = permissions.permissions_named(held)
    giver.require(wanted, field="permissions")
    before = await role(tx, tenant_id=tenant_id, role_id=role_id)
    row = await tx.fetchrow(_CHANGE, tenant_id, role_id, sorted(wanted))
    if row is None:
        raise _unknown(role_id)
    told = {"permissions": {"before": list(before.permissions), "after": row["permissions"]}}
    await _record(tx, tenant_id, role_id, giver=giver, action="role.changed", changes=told)
    return _role(row)


async def delete_role(tx: Transaction, *, tenant_id: UUID, role_id: UUID, giver: Giver) -> None:
    """Take a role away. Who has its name has nothing of it any more. Raises RoleNotFound."""
    row = await tx.fetchrow(_DELETE, tenant_id, role_id)
    if row is None:
        raise _unknown(role_id)
    told = {"name": row["name"], "permissions": row["permissions"]}
    await _record(tx, tenant_id, role_id, giver=giver, action="role.deleted", changes=told)


def _role(row: Any) -> Role:
    return Role(row["id"], row["name"], tuple(row["permissions"]), row["created_at"], row["changed_at"])


async def _record(
    tx: Transaction, tenant_id: UUID, role_id: UUID, *, giver: Giver, action: str, changes: dict[str, Any]
) -> None:
    shown = ids.show(ids.ROLE, role_id)
    await audit.record(tx, tenant_id=tenant_id, actor=giver.actor, action=action, subject=shown, changes=changes)


def _taken(name: str) -> RoleNameTaken:
    return RoleNameTaken(
        f"there is a role {name} already",
        hint="Choose another name; the roles that every business has cannot be replaced.",
        fields=(FieldError("name", "taken", "in use"),),
    )


def _unknown(role_id: UUID) -> RoleNotFound:
    return RoleNotFound(f"there is no role {ids.show(ids.ROLE, role_id)}", hint="GET /v1/roles lists them.")
