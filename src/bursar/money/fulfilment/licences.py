"""Licence keys: issued with their entitlement, activated on devices up to a limit, revoked with the money.

A key is four groups of four (`XXXX-XXXX-XXXX-XXXX`) from 32 characters that are not mistaken for one
another: 80 random bits, unique within the tenant.
"""

import secrets
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any
from uuid import UUID

from bursar.kernel import ids
from bursar.kernel.db import Transaction
from bursar.kernel.errors import Conflict, NotFound

_ALPHABET = "23456789ABCDEFGHJKLMNPQRSTUVWXYZ"
_GROUPS = 4


class LicenceNotFound(NotFound):
    """No licence of this tenant has this key."""

    code = "licence_not_found"


class LicenceNotUsable(Conflict):
    """The licence is suspended, revoked or expired."""

    code = "licence_not_usable"


class ActivationLimitReached(Conflict):
    """Every activation of the licence is in use."""

    code = "activation_limit_reached"


class ActivationNotFound(NotFound):
    """The device is not activated on this licence."""

    code = "activation_not_found"


@dataclass(frozen=True, slots=True)
class Licence:
    """status: active, suspended, revoked or expired. activations_max: None is unlimited."""

    id: UUID
    key: str
    customer_id: UUID | None
    product: str
    activations: int
    activations_max: int | None
    status: str
    expires_at: datetime | None

    @property
    def is_usable(self) -> bool:
        return self.status == "active"


_LACKING = """
select e.id, e.customer_id, e.key, e.amount_max, e.status, e.ends_at
from entitlement e left join licence l on l.tenant_id = e.tenant_id and l.entitlement_id = e.id
where e.tenant_id = $1 and e.grant_id = any($2::uuid[]) and l.id is null
order by e.id
"""

_ISSUE = """
insert into licence (tenant_id, id, entitlement_id, customer_id, key, product, activations_max, status, expires_at)
select $1, id, entitlement_id, customer_id, key, product, activations_max, status, expires_at
from unnest($2::uuid[], $3::uuid[], $4::uuid[], $5::text[], $6::text[], $7::bigint[], $8::text[], $9::timestamptz[])
  as new (id, entitlement_id, customer_id, key, product, activations_max, status, expires_at)
"""

_FOLLOW = """
update licence as l
set customer_id = e.customer_id, status = e.status, expires_at = e.ends_at,
    activations_max = case when e.amount_max is not null then greatest(e.amount_max, l.activations) end
from entitlement e
where e.tenant_id = $1 and e.grant_id = any($2::uuid[]) and l.tenant_id = e.tenant_id and l.entitlement_id = e.id
  and (l.customer_id, l.status, l.expires_at, l.activations_max) is distinct from
      (e.customer_id, e.status, e.ends_at, case when e.amount_max is not null then greatest(e.amount_max, l.activations) end)
"""

_BY_KEY = """
select id, key, customer_id, product, activations, activations_max,
  case when status = 'active' and expires_at <= $3 then 'expired' else status end as status, expires_at
from licence where tenant_id = $1 and key = $2 and status <> 'superseded'
order by licence.status, licence.id limit 1
"""

_ACTIVATE = """
insert into licence_activation (tenant_id, id, licence_id, fingerprint, name)
values ($1, $2, $3, $4, $5) on conflict (tenant_id, licence_id, fingerprint) do nothing returning id
"""

_COUNT_UP = """
update licence set activations = activations + 1
where tenant_id = $1 and id = $2 and status = 'active' and (expires_at is null or expires_at > $3)
  and (activations_max is null or activations < activations_max)
returning id
"""

_DEACTIVATE = (
    "delete from licence_activation where tenant_id = $1 and licence_id = $2 and fingerprint = $3 returning id"
)
_COUNT_DOWN = "update licence set activations = activations - 1 where tenant_id = $1 and id = $2"


def new_key() -> str:
    """Return a fresh random key."""
    return "-".join("".join(secrets.choice(_ALPHABET) for _ in range(4)) for _ in range(_GROUPS))


async def issue_licences(tx: Transaction, *, tenant_id: UUID, grants: Sequence[UUID]) -> None:
    """Give every licence entitlement of these grants its key, and bring existing licences to their entitlement's state."""
    lacking = await tx.fetch(_LACKING, tenant_id, list(grants))
    if lacking:
        await tx.execute(
            _ISSUE,
            tenant_id,
            [ids.new() for _ in lacking],
            [row["id"] for row in lacking],
            [row["customer_id"] for row in lacking],
            [new_key() for _ in lacking],
            [row["key"] for row in lacking],
            [row["amount_max"] for row in lacking],
            [row["status"] for row in lacking],
            [row["ends_at"] for row in lacking],
        )
    await tx.execute(_FOLLOW, tenant_id, list(grants))


async def licence_by_key(tx: Transaction, *, tenant_id: UUID, key: str, now: datetime) -> Licence:
    """Return the licence with this key, its state judged at `now`. Raises LicenceNotFound."""
    row = await tx.fetchrow(_BY_KEY, tenant_id, key.strip().upper(), now)
    if row is None:
        row = await tx.fetchrow(_BY_KEY, tenant_id, key.strip(), now)
    if row is None:
        raise LicenceNotFound("no licence has this key", hint="Check the key for typing mistakes.")
    return _licence(row)


async def activate(
    tx: Transaction, *, tenant_id: UUID, key: str, fingerprint: str, name: str | None, now: datetime
) -> Licence:
    """Count a device in. Repeating it for the same device changes nothing.

    Raises LicenceNotFound, LicenceNotUsable, ActivationLimitReached.
    """
    licence = await licence_by_key(tx, tenant_id=tenant_id, key=key, now=now)
    if not licence.is_usable:
        raise LicenceNotUsable(f"the licence is {licence.status}", hint="Only an active licence can be activated.")
    opened = await tx.fetchval(_ACTIVATE, tenant_id, ids.new(), licence.id, fingerprint, name)
    if opened and not await tx.fetchval(_COUNT_UP, tenant_id, licence.id, now):
        raise ActivationLimitReached(
            f"all {licence.activations_max} activations are in use", hint="Deactivate a device that is no longer used."
        )
    return await licence_by_key(tx, tenant_id=tenant_id, key=key, now=now)


async def deactivate(tx: Transaction, *, tenant_id: UUID, key: str, fingerprint: str, now: datetime) -> Licence:
    """Count a device out. Raises LicenceNotFound, ActivationNotFound."""
    licence = await licence_by_key(tx, tenant_id=tenant_id, key=key, now=now)
    if not await tx.fetchval(_DEACTIVATE, tenant_id, licence.id, fingerprint):
        raise ActivationNotFound("this device is not activated", hint="Pass the fingerprint given at activation.")
    await tx.execute(_COUNT_DOWN, tenant_id, licence.id)
    return await licence_by_key(tx, tenant_id=tenant_id, key=key, now=now)


def _licence(row: Any) -> Licence:
    return Licence(**{name: row[name] for name in Licence.__dataclass_fields__})
