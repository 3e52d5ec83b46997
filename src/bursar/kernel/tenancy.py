"""Tenants, and the first key of each."""

from collections.abc import AsyncIterator
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Final
from uuid import UUID

from bursar.kernel import audit, ids, permissions
from bursar.kernel.access import Giver, api_keys
from bursar.kernel.db import Database, Transaction
from bursar.kernel.errors import Invalid

_NAME_MAX = 200
_SLICE: Final = 500
_NOBODY: Final = UUID(int=0)

_OPEN_TENANT = "insert into tenant (tenant_id, name) values ($1, $2)"
_TENANTS = "select tenant_id, name, created_at from tenant order by tenant_id limit $1"
_AFTER = "select tenant_id from tenant where tenant_id > $1 order by tenant_id limit $2"
_TENANT = "select tenant_id, name, created_at from tenant where tenant_id = $1"
_ONLY = "select tenant_id from tenant limit 2"
_CALLED = "select tenant_id from tenant where lower(name) = lower($1) limit 2"


class TenantNameInvalid(Invalid):
    """A tenant's name is 1 to 200 printable characters."""

    code = "tenant_name_invalid"


@dataclass(frozen=True, slots=True)
class Tenant:
    """A business, and when it was added."""

    id: UUID
    name: str
    created_at: datetime


async def create_tenant(db: Database, *, name: str, actor: str = "operator") -> tuple[UUID, str]:
    """Add a tenant with its first API key; return its id and the key, shown this once. Raises TenantNameInvalid."""
    name = name.strip()
    if not 1 <= len(name) <= _NAME_MAX or not name.isprintable():
        raise TenantNameInvalid("a tenant's name is 1 to 200 printable characters")
    tenant_id = ids.new()
    async with db.tenant(tenant_id) as tx:
        await tx.execute(_OPEN_TENANT, tenant_id, name)
        api_key = await create_key(tx, tenant_id=tenant_id, name="first key", actor=actor)
        subject = ids.show(ids.TENANT, tenant_id)
        await audit.record(
            tx, tenant_id=tenant_id, actor=actor, action="tenant.created", subject=subject, changes={"name": name}
        )
    return tenant_id, api_key


async def create_key(tx: Transaction, *, tenant_id: UUID, name: str, actor: str) -> str:
    """Add an API key that may do everything there is, and return it; it cannot be shown again."""
    giver = Giver(actor, permissions.ALL)
    issued = await api_keys.add_key(tx, tenant_id=tenant_id, name=name, scopes=None, giver=giver, now=datetime.now(UTC))
    return issued.secret


async def tenants(db: Database, *, limit: int = 1000) -> tuple[Tenant, ...]:
    """Return the tenants of this installation, oldest first. For its operators; no request of a tenant may call it."""
    async with db.engine() as tx:
        rows = await tx.fetch(_TENANTS, limit)
    return tuple(Tenant(row["tenant_id"], row["name"], row["created_at"]) for row in rows)


async def tenants_after(db: Database, last: UUID | None, *, limit: int) -> list[UUID]:
    """Return the next tenants in the order in which they came. last: after whom; None: from the beginning."""
    async with db.engine() as tx:
        return [row["tenant_id"] for row in await tx.fetch(_AFTER, last or _NOBODY, limit)]


async def every_tenant(db: Database) -> AsyncIterator[UUID]:
    """Give every tenant, for jobs and operators; within no transaction, so that each may be looked at in one of its own."""
    last = None
    while found := await tenants_after(db, last, limit=_SLICE):
        for last in found:
            yield last


async def tenant(tx: Transaction, *, tenant_id: UUID) -> Tenant | None:
    """Return one tenant, or None."""
    row = await tx.fetchrow(_TENANT, tenant_id)
    return Tenant(row["tenant_id"], row["name"], row["created_at"]) if row else None


async def only_tenant(db: Database) -> UUID | None:
    """Return the business of an installation that has one; None when there are several, or none."""
    async with db.engine() as tx:
        rows = await tx.fetch(_ONLY)
    return rows[0]["tenant_id"] if len(rows) == 1 else None


async def tenant_called(db: Database, text: str) -> UUID | None:
    """Return the business that a person means by a name or an id; None when it is none, or might be several."""
    asked = "".join(c for c in text.strip() if c.isprintable())
    async with db.engine() as tx:
        if tenant_id := ids.parsed_or_none(ids.TENANT, asked):
            rows = await tx.fetch(_TENANT, tenant_id)
        else:
            rows = await tx.fetch(_CALLED, asked)
    return rows[0]["tenant_id"] if len(rows) == 1 else None
