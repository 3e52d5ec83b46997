"""Roll over: of what is left when a period of a membership expires, so much goes into the next period. A policy.

Each lot rolls over once (`credit_rollover`), into a lot that does not roll over again: so no more than the cap ever waits.
"""

from datetime import datetime, timedelta
from typing import Final
from uuid import UUID

from bursar.kernel import audit, ids
from bursar.kernel.db import Transaction
from bursar.money.fulfilment.credits import Movement, record_movements

POLICY: Final = "policy:rollover"
AT_ONCE: Final = 500
_LOOKING_BACK: Final = timedelta(days=7)
"""A worker that stood still for longer rolls nothing over: the period is over by then."""

# What expired of a lot is what the job that marks expired lots wrote down of it; what came back to it after that was replaced already.
_DUE = f"""
select l.id, l.customer_id, l.pool, least(-sum(m.amount), $4)::bigint as amount, l.expires_at + $5::interval as expires_at
from credit_lot l
join fulfilment_grant g on g.tenant_id = l.tenant_id and g.id = l.grant_id and g.source_kind = 'purchase' and g.status = 'active'
join purchase p on p.tenant_id = g.tenant_id and p.id = g.source_id and p.subscription_ref is not null
join subscription s on s.tenant_id = p.tenant_id and s.gateway_account_id = p.gateway_account_id and s.gateway_ref = p.subscription_ref
  and s.status in ('active', 'trialing')
join credit_movement m on m.tenant_id = l.tenant_id and m.lot_id = l.id
  and (m.kind = 'expired' or m.kind = 'returned' and m.created_at >= l.expires_at)
where l.tenant_id = $1 and l.is_expired and l.expires_at > $2 and l.expires_at <= $3 and l.expires_at + $5::interval > $3
  and not exists (select from credit_rollover r where r.tenant_id = l.tenant_id and r.lot_id = l.id)
group by l.id, l.customer_id, l.pool, l.expires_at
having sum(m.amount) < 0
order by l.expires_at, l.id limit {AT_ONCE}
"""

_LOTS = """
insert into credit_lot (tenant_id, id, customer_id, pool, granted, effective_at, expires_at, created_at)
select $1, id, customer_id, pool, granted, $6, expires_at, $6
from unnest($2::uuid[], $3::uuid[], $4::text[], $5::bigint[], $7::timestamptz[]) as new (id, customer_id, pool, granted, expires_at)
"""

# The key makes it once: of two workers the second fails, and finds nothing left to do.
_WRITE = """
insert into credit_rollover (tenant_id, lot_id, into_lot_id, amount)
select $1, lot_id, into_lot_id, amount from unnest($2::uuid[], $3::uuid[], $4::bigint[]) as new (lot_id, into_lot_id, amount)
"""


async def roll_over(tx: Transaction, *, tenant_id: UUID, credits_max: int, lasts: timedelta, now: datetime) -> int:
    """Roll over what expired lately and was not rolled over yet; return of how many lots. Call until it is less than `AT_ONCE`.

    credits_max: of each lot. lasts: how long after the old lot's expiry the new one expires.
    """
    rows = await tx.fetch(_DUE, tenant_id, now - _LOOKING_BACK, now, credits_max, lasts)
    if not rows:
        return 0
    made = [ids.new() for _ in rows]
    customers, pools, amounts = ([row[name] for row in rows] for name in ("customer_id", "pool", "amount"))
    expiries = [row["expires_at"] for row in rows]
    await tx.execute(_LOTS, tenant_id, made, customers, pools, amounts, now, expiries)
    await tx.execute(_WRITE, tenant_id, [row["id"] for row in rows], made, amounts)
    parts = zip(made, customers, amounts, strict=True)
    movements = [Movement(lot, customer, "adjusted", amount, None) for lot, customer, amount in parts]
    await record_movements(tx, tenant_id=tenant_id, movements=movements)
    told = [
        (
            "credits.rolled_over",
            ids.show(ids.LOT, lot),
            {"from": ids.show(ids.LOT, row["id"]), "pool": row["pool"], "amount": row["amount"]},
        )
        for lot, row in zip(made, rows, strict=True)
    ]
    await audit.record_all(tx, tenant_id=tenant_id, actor=POLICY, records=told)
    return len(rows)
