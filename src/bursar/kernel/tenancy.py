"""Tenants and their API keys.

A key is `bsk_`, 26 characters of its tenant, 26 of itself, `_`, and 43 of a random secret: it says whose it is, so
that it is looked up under that tenant's own row-level security. Only the SHA-256 of the secret is kept.
"""

import base64
import hashlib
import secrets
from dataclasses import dataclass
from datetime import datetime
from uuid import UUID

from bursar.kernel import audit, ids
from bursar.kernel.db import Database, Transaction
from bursar.kernel.errors import Invalid

KEY_PREFIX = "bsk_"
_NAME_MAX = 200
_SECRET_BYTES = 32

_OPEN_TENANT = "insert into tenant (tenant_id, name) values ($1, $2)"
_OPEN_KEY = "insert into api_key (tenant_id, id, name, secret_sha256) values ($1, $2, $3, $4)"
_TENANTS = "select tenant_id, name, created_at from tenant order by tenant_id limit $1"
_TENANT = "select tenant_id, name, created_at from tenant where tenant_id = $1"


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
    """Add an API key and return it; it cannot be shown again."""
    key_id = ids.new()
    secret = base64.urlsafe_b64encode(secrets.token_bytes(_SECRET_BYTES)).rstrip(b"=").decode()
    await tx.execute(_OPEN_KEY, tenant_id, key_id, name, hashlib.sha256(secret.encode()).digest())
    subject = ids.show(ids.API_KEY, key_id)
    await audit.record(
        tx, tenant_id=tenant_id, actor=actor, action="api_key.created", subject=subject, changes={"name": name}
    )
    return f"{KEY_PREFIX}{ids.encode(tenant_id)}{ids.encode(key_id)}_{secret}"


async def tenants(db: Database, *, limit: int = 1000) -> tuple[Tenant, ...]:
    """Return the tenants of this installation, oldest first. For its operators; no request of a tenant may call it."""
    async with db.engine() as tx:
        rows = await tx.fetch(_TENANTS, limit)
    return tuple(Tenant(row["tenant_id"], row["name"], row["created_at"]) for row in rows)


async def tenant(tx: Transaction, *, tenant_id: UUID) -> Tenant | None:
    """Return one tenant, or None."""
    row = await tx.fetchrow(_TENANT, tenant_id)
    return Tenant(row["tenant_id"], row["name"], row["created_at"]) if row else None
