"""Where the credits of a pool are good: at every venue, or at those that the business names.

A lot has a pool, and keeps it wherever it goes: given back, rolled over or transferred. So the venues are the pool's.
"""

from collections.abc import Sequence
from typing import Final
from uuid import UUID

from bursar.apps.booking.schedule import VenueNotFound
from bursar.kernel import audit, ids
from bursar.kernel.db import Transaction
from bursar.kernel.errors import LimitExceeded
from bursar.money.fulfilment.credits import POOL_DEFAULT

_POOLS_MAX: Final = 200

POOLS: Final = f"case when cardinality(c.pools) = 0 then array['{POOL_DEFAULT}'] else c.pools end"
"""The pools of the class `c`, as an expression."""

POOLS_HERE: Final = f"""array(
    select p.pool from unnest({POOLS}) with ordinality as p (pool, place)
    where not exists (select from credit_pool_venue x where x.tenant_id = c.tenant_id and x.pool = p.pool)
      or exists (select from credit_pool_venue x where x.tenant_id = c.tenant_id and x.pool = p.pool and x.venue_id = c.venue_id)
    order by p.place)"""
"""The pools of the class `c` that are good at its venue, as an expression."""


class CreditPoolsTooMany(LimitExceeded):
    """The business limits as many pools as it may."""

    code = "credit_pools_too_many"
    status = 409


_ALL = f"""
select pool, array_agg(venue_id order by venue_id) as venues from credit_pool_venue where tenant_id = $1
group by pool order by pool limit {_POOLS_MAX}
"""
_OF = "select venue_id from credit_pool_venue where tenant_id = $1 and pool = $2 order by venue_id"
_KNOWN = "select id from venue where tenant_id = $1 and id = any($2::uuid[]) and deleted_at is null"
_QUEUE = "select 1 from tenant where tenant_id = $1 for no key update"
_CLEAR = "delete from credit_pool_venue where tenant_id = $1 and pool = $2 and venue_id <> all($3::uuid[])"
_NAME = """
insert into credit_pool_venue (tenant_id, pool, venue_id) select $1, $2, id from unnest($3::uuid[]) as new (id)
on conflict (tenant_id, pool, venue_id) do nothing
"""


async def limited_pools(tx: Transaction, *, tenant_id: UUID) -> dict[str, list[UUID]]:
    """Return the pools that are good at certain venues only, and at which."""
    return {row["pool"]: list(row["venues"]) for row in await tx.fetch(_ALL, tenant_id)}


async def limit_pool(
    tx: Transaction, *, tenant_id: UUID, pool: str, venue_ids: Sequence[UUID], actor: str
) -> list[UUID]:
    """Let a pool be good at these venues from now on; none: everywhere. Bookings that there are stay. Raises VenueNotFound."""
    wanted = sorted(set(venue_ids))
    await tx.fetchval(_QUEUE, tenant_id)
    known = {row["id"] for row in await tx.fetch(_KNOWN, tenant_id, wanted)}
    missing = next((each for each in wanted if each not in known), None)
    if missing:
        raise VenueNotFound(f"there is no venue {ids.show(ids.VENUE, missing)}", hint="See GET /v1/venues.")
    before = [row["venue_id"] for row in await tx.fetch(_OF, tenant_id, pool)]
    if before == wanted:
        return wanted
    if wanted and not before and len(await limited_pools(tx, tenant_id=tenant_id)) >= _POOLS_MAX:
        raise CreditPoolsTooMany(f"{_POOLS_MAX} pools are limited already", hint="Let one be good everywhere first.")
    await tx.execute(_CLEAR, tenant_id, pool, wanted)
    await tx.execute(_NAME, tenant_id, pool, wanted)
    told = {
        "before": [ids.show(ids.VENUE, each) for each in before],
        "venues": [ids.show(ids.VENUE, v) for v in wanted],
    }
    await audit.record(tx, tenant_id=tenant_id, actor=actor, action="credit_pool.limited", subject=pool, changes=told)
    return wanted
