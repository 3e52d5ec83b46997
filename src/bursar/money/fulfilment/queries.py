"""Reads of what customers have: credits, entitlements, licences."""

from collections.abc import Mapping
from datetime import datetime
from typing import Any
from uuid import UUID

from bursar.kernel.db import Transaction
from bursar.kernel.listing import Listing, Part, Slice, part
from bursar.money.fulfilment.schemas import (
    CreditMovement,
    Credits,
    Entitlement,
    Licence,
    Lot,
    Pool,
)

LOTS_SHOWN_MAX = 1000

# Where a grant comes from, as the public names it: the payment, else the purchase; or the subscription.
_SOURCE = """
left join fulfilment_grant g on g.tenant_id = {0}.tenant_id and g.id = {0}.grant_id
left join lateral (
  select p.id from payment p
  where g.source_kind = 'purchase' and p.tenant_id = g.tenant_id and p.purchase_id = g.source_id
    and p.status = 'succeeded' and p.superseded_by is null
  order by p.id limit 1
) as paid on true"""

_SOURCE_COLUMNS = "g.source_kind, g.source_id, paid.id as payment, g.price_id as price"

# Expiry is judged at the time of asking, not by what a job has marked.
_STANDING = """case when l.is_expired or l.expires_at <= $3 then 'expired' when l.is_suspended then 'suspended'
  when l.effective_at > $3 then 'pending' else 'active' end"""

_POOLS = f"""
select pool, sum(case when standing = 'active' then remaining else 0 end)::bigint as balance,
  sum(case when standing = 'suspended' then remaining else 0 end)::bigint as suspended, sum(shortfall)::bigint as shortfall
from (select l.pool, l.remaining, l.shortfall, {_STANDING} as standing from credit_lot l
  where l.tenant_id = $1 and l.customer_id = $2) as lots
group by pool order by pool
"""

_LOTS = f"""
select l.id, l.pool, l.granted, l.spent, l.taken, l.shortfall, {_STANDING} as status,
  case when l.expires_at <= $3 then 0 else l.remaining end as remaining, l.effective_at, l.expires_at, l.created_at,
  {_SOURCE_COLUMNS}
from credit_lot l {_SOURCE.format("l")}
where l.tenant_id = $1 and l.customer_id = $2
  and (g.status is distinct from 'superseded' or l.spent > 0 or l.repaid > 0)
order by l.expires_at nulls last, l.id limit $4
"""

ENTITLEMENTS = Listing(
    select=f"""select e.id, e.customer_id as customer, e.kind, e.key, e.amount_max as "limit", e.per,
  case when e.status = 'active' and e.ends_at <= clock_timestamp() then 'expired' else e.status end as status,
  e.starts_at, e.ends_at, {_SOURCE_COLUMNS}, k.id as licence
from entitlement e {_SOURCE.format("e")}
left join licence k on k.tenant_id = e.tenant_id and k.entitlement_id = e.id""",
    tenant="e.tenant_id",
    key="e.id",
    always=("e.status <> 'superseded'",),
    filters={
        "customer": "e.customer_id = {}",
        "kind": "e.kind = {}",
        "key": "e.key = {}",
        "status=active": "e.status = 'active' and (e.ends_at is null or e.ends_at > clock_timestamp())",
        "status=expired": "e.status = 'active' and e.ends_at <= clock_timestamp()",
        "status=suspended": "e.status = 'suspended'",
        "status=revoked": "e.status = 'revoked'",
    },
    refers={"customer": "customer"},
)

MOVEMENTS = Listing(
    select="""select m.id, m.lot_id as lot, l.pool, m.kind, m.amount, m.spend_id as spend, m.event_id as event, m.created_at
from credit_movement m join credit_lot l on l.tenant_id = m.tenant_id and l.id = m.lot_id""",
    tenant="m.tenant_id",
    key="m.id",
    filters={
        "customer": "m.customer_id = {}",
        "kind": "m.kind = {}",
        "lot": "m.lot_id = {}",
        "pool": "l.pool = {}",
        "since": "m.created_at >= {}",
        "until": "m.created_at < {}",
    },
    refers={"customer": "customer", "lot": "credit_lot"},
    stamped_by="us",
)

LICENCES = Listing(
    select="""select k.id, k.key, k.customer_id as customer, k.product, k.activations, k.activations_max,
  case when k.status = 'active' and k.expires_at <= clock_timestamp() then 'expired' else k.status end as status,
  k.expires_at, k.entitlement_id as entitlement, k.created_at
from licence k""",
    tenant="k.tenant_id",
    key="k.id",
    always=("k.status <> 'superseded'",),
    filters={
        "customer": "k.customer_id = {}",
        "key": "k.key = {}",
        "product": "k.product = {}",
        "status=active": "k.status = 'active' and (k.expires_at is null or k.expires_at > clock_timestamp())",
        "status=expired": "k.status = 'active' and k.expires_at <= clock_timestamp()",
        "status=suspended": "k.status = 'suspended'",
        "status=revoked": "k.status = 'revoked'",
    },
    refers={"customer": "customer"},
)


async def credits_of(tx: Transaction, *, tenant_id: UUID, customer_id: UUID, now: datetime) -> Credits:
    """Return a customer's credits: each pool's balance, and the lots, soonest-expiring first (at most 1,000)."""
    pools = await tx.fetch(_POOLS, tenant_id, customer_id, now)
    lots = await tx.fetch(_LOTS, tenant_id, customer_id, now, LOTS_SHOWN_MAX)
    return Credits(pools=[Pool.of(row) for row in pools], lots=[Lot.of(row) for row in lots])


async def entitlements(tx: Transaction, *, tenant_id: UUID, page: Slice, given: Mapping[str, Any]) -> Part[Entitlement]:
    """Return entitlements, newest first. given: values by filter of `ENTITLEMENTS`."""
    return await part(tx, ENTITLEMENTS, tenant_id=tenant_id, given=given, page=page, view=Entitlement.of)


async def credit_movements(
    tx: Transaction, *, tenant_id: UUID, page: Slice, given: Mapping[str, Any]
) -> Part[CreditMovement]:
    """Return what happened to lots, newest first. given: values by filter of `MOVEMENTS`."""
    return await part(tx, MOVEMENTS, tenant_id=tenant_id, given=given, page=page, view=CreditMovement.of)


LICENCE = f"{LICENCES.select} where k.tenant_id = $1 and k.id = $2"


async def licence(tx: Transaction, *, tenant_id: UUID, licence_id: UUID) -> Licence:
    """Return one licence that is known to be there."""
    return Licence.of(await tx.fetchrow(LICENCE, tenant_id, licence_id))


async def licences(tx: Transaction, *, tenant_id: UUID, page: Slice, given: Mapping[str, Any]) -> Part[Licence]:
    """Return licences, newest first. given: values by filter of `LICENCES`."""
    return await part(tx, LICENCES, tenant_id=tenant_id, given=given, page=page, view=Licence.of)
