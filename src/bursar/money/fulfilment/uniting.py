"""Uniting: what was used of one sale, while it was taken for two, was used of that one sale.

Two purchases that turn out to be one had each granted the same; the twin of each grant is superseded, its credits
taken back. What was spent of them was spent rightly: it is carried over to the lot that stays, as far as that
reaches. So the customer ends with what was sold less what was used, as if the link had been told first; only
what was used beyond the one sale is a shortfall.
"""

from collections.abc import Mapping
from uuid import UUID

from bursar.kernel.db import Transaction
from bursar.money.fulfilment.credits import RECOVER, REPAY, Movement, record_movements

_TWINS = """
select t.id as twin_id, t.shortfall, k.id as kept_id, k.remaining, k.customer_id, a.event_id
from unnest($2::uuid[], $3::uuid[], $4::uuid[]) as a (gone, kept, event_id)
join fulfilment_grant tg on tg.tenant_id = $1 and tg.source_id = a.gone and tg.kind = 'credits' and tg.status = 'superseded'
join credit_lot t on t.tenant_id = $1 and t.grant_id = tg.id
join fulfilment_grant kg on kg.tenant_id = $1 and kg.source_id = a.kept and kg.price_id = tg.price_id and kg.position = tg.position
join credit_lot k on k.tenant_id = $1 and k.grant_id = kg.id
where t.shortfall > 0 and k.remaining > 0 and k.customer_id = t.customer_id and k.pool = t.pool
order by k.id, t.id for update of k, t
"""


async def carry_spending(
    tx: Transaction, *, tenant_id: UUID, absorbed: Mapping[UUID, UUID], told_by: Mapping[UUID, UUID]
) -> None:
    """Carry what was spent of superseded twins over to the lots that stay.

    absorbed: purchases that turned out to be another one, with that one. told_by: the event that united each.
    Calling it twice changes nothing the second time.
    """
    if not absorbed:
        return
    events = [told_by[gone] for gone in absorbed]
    left: dict[UUID, int] = {}
    movements: list[Movement] = []
    for row in await tx.fetch(_TWINS, tenant_id, list(absorbed.keys()), list(absorbed.values()), events):
        twin, kept, owner, event_id = row["twin_id"], row["kept_id"], row["customer_id"], row["event_id"]
        part = min(left.setdefault(kept, row["remaining"]), row["shortfall"])
        if part > 0:
            await tx.execute(REPAY, tenant_id, kept, part)
            await tx.execute(RECOVER, tenant_id, twin, part)
            movements.append(Movement(kept, owner, "repaid", -part, event_id))
            movements.append(Movement(twin, owner, "recovered", part, event_id))
            left[kept] -= part
    await record_movements(tx, tenant_id=tenant_id, movements=movements)
