"""Give spent credits back: to the lots they came from, past what a refund took of them, and into new lots where those have expired."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Literal
from uuid import UUID

from bursar.kernel import audit, ids
from bursar.kernel.db import Transaction
from bursar.money.fulfilment.credits import Movement, record_movements
from bursar.money.fulfilment.spending import Spend, spend_of


@dataclass(frozen=True, slots=True)
class Returned:
    """What became of a spend's credits. amount: how many can be spent again; those in new lots are `replaced`.

    how: `kept` where they went back to lots that have expired, and nothing took their place.
    """

    spend_id: UUID
    how: Literal["same_lot", "new_lot", "kept"]
    amount: int
    replaced: int


_MARK_RETURNED = """
update credit_spend set returned = true where tenant_id = $1 and id = any($2::uuid[]) and not returned
returning id, customer_id, pool, amount, reference
"""

_PARTS_OF = """
select spend_id, lot_id, sum(-amount)::bigint as amount from credit_movement
where tenant_id = $1 and spend_id = any($2::uuid[]) and kind = 'spent' group by spend_id, lot_id order by spend_id, lot_id
"""

_LOTS = """
select id, customer_id, pool, granted, taken, spent, repaid, recovered, is_expired, is_suspended, expires_at from credit_lot
where tenant_id = $1 and id = any($2::uuid[]) order by id for update
"""

_GIVE_BACK = """
update credit_lot as l set spent = l.spent - part.amount, recovered = l.recovered - part.undone
from (select lot_id, sum(amount)::bigint as amount, sum(undone)::bigint as undone
      from unnest($2::uuid[], $3::bigint[], $4::bigint[]) as p (lot_id, amount, undone) group by lot_id) as part
where l.tenant_id = $1 and l.id = part.lot_id
"""

_REPLACE = """
insert into credit_lot (tenant_id, id, customer_id, pool, granted, effective_at, expires_at, created_at)
select $1, id, customer_id, pool, granted, $6, $7, $6
from unnest($2::uuid[], $3::uuid[], $4::text[], $5::bigint[]) as new (id, customer_id, pool, granted)
"""

# Who made this lot's shortfall good: the recovery and its repayment were written for the same event.
_REPAYERS = """
select r.lot_id, r.event_id, sum(-r.amount)::bigint as repaid
from credit_movement r
where r.tenant_id = $1 and r.kind = 'repaid' and r.customer_id = $3 and r.event_id in (
  select event_id from credit_movement where tenant_id = $1 and lot_id = $2 and kind = 'recovered' and amount > 0)
group by r.lot_id, r.event_id having sum(-r.amount) > 0 order by r.event_id desc, r.lot_id
"""

_UNDO_REPAYMENT = """
update credit_lot set repaid = repaid - $3 where tenant_id = $1 and id = $2 and repaid >= $3 returning id
"""


async def give_back(
    tx: Transaction,
    *,
    tenant_id: UUID,
    spend_id: UUID,
    actor: str,
    now: datetime | None = None,
    replaced_until: datetime | None = None,
) -> Spend:
    """Give the credits of a spend back to the lots they came from. A repeat changes nothing. Raises SpendNotFound.

    A lot that has expired meanwhile stays expired: what goes back to it is gone, unless `give_back_all` is told to replace it.
    """
    await spend_of(tx, tenant_id=tenant_id, spend_id=spend_id)
    await give_back_all(
        tx, tenant_id=tenant_id, spend_ids=[spend_id], actor=actor, now=now, replaced_until=replaced_until
    )
    return await spend_of(tx, tenant_id=tenant_id, spend_id=spend_id)


async def give_back_all(
    tx: Transaction,
    *,
    tenant_id: UUID,
    spend_ids: Sequence[UUID],
    actor: str,
    now: datetime | None = None,
    replaced_until: datetime | None = None,
) -> list[Returned]:
    """Give the credits of many spends back to the lots they came from; return what became of those not given back before.

    A lot that has expired by `now` stays expired. replaced_until: what would be gone with it becomes a new lot that expires then;
    None: it is gone. What a refund took of a lot is never spendable again, in no lot.
    """
    given = {row["id"]: row for row in await tx.fetch(_MARK_RETURNED, tenant_id, list(spend_ids))}
    if not given:
        return []
    parts = await tx.fetch(_PARTS_OF, tenant_id, list(given))
    locked = await tx.fetch(_LOTS, tenant_id, sorted({part["lot_id"] for part in parts}))
    lots = {row["id"]: _Lot(**dict(row)) for row in locked}
    backs = [await _returned_to(tx, tenant_id=tenant_id, lot=lots[p["lot_id"]], part=p, now=now) for p in parts]
    await tx.execute(
        _GIVE_BACK, tenant_id, [b.lot_id for b in backs], [b.amount for b in backs], [b.undone for b in backs]
    )
    await record_movements(tx, tenant_id=tenant_id, movements=[m for back in backs for m in back.movements])
    replaced: dict[UUID, int] = {}
    if replaced_until is not None and now is not None:
        replaced = await _replace(tx, tenant_id=tenant_id, backs=backs, now=now, until=replaced_until)
    returned = [_returned(row["id"], backs, replaced.get(row["id"], 0)) for row in given.values()]
    await audit.record_all(
        tx,
        tenant_id=tenant_id,
        actor=actor,
        records=[("credits.returned", ids.show(ids.SPEND, r.spend_id), _told(given[r.spend_id], r)) for r in returned],
    )
    return returned


@dataclass(slots=True)
class _Lot:
    """A locked lot, followed while parts go back to it."""

    id: UUID
    customer_id: UUID
    pool: str
    granted: int
    taken: int
    spent: int
    repaid: int
    recovered: int
    is_expired: bool
    is_suspended: bool
    expires_at: datetime | None

    @property
    def left(self) -> int:
        """What could be spent, if it had not expired."""
        return max(self.granted + self.recovered - self.taken - self.spent - self.repaid, 0)

    def has_expired(self, now: datetime | None) -> bool:
        return self.is_expired or (now is not None and self.expires_at is not None and self.expires_at <= now)


@dataclass(frozen=True, slots=True)
class _Back:
    """One part that went back. spendable: how many credits it made. gone: how many would have been, had the lot not expired."""

    spend_id: UUID
    lot_id: UUID
    customer_id: UUID
    pool: str
    amount: int
    undone: int
    spendable: int
    gone: int
    movements: tuple[Movement, ...]


async def _returned_to(tx: Transaction, *, tenant_id: UUID, lot: _Lot, part: Any, now: datetime | None) -> _Back:
    """Give one part back to its lot; what a later lot had made good of it goes back to that one."""
    amount, spend_id, owner = part["amount"], part["spend_id"], lot.customer_id
    surplus = max(lot.recovered - (lot.spent - amount), 0)
    movements = [Movement(lot.id, owner, "returned", amount, None, spend_id)]
    undone = 0
    if surplus:
        for row in await tx.fetch(_REPAYERS, tenant_id, lot.id, owner):
            back = min(surplus - undone, row["repaid"])
            if back and await tx.fetchval(_UNDO_REPAYMENT, tenant_id, row["lot_id"], back):
                movements.append(Movement(row["lot_id"], owner, "repaid", back, row["event_id"]))
                movements.append(Movement(lot.id, owner, "recovered", -back, row["event_id"]))
                undone += back
    before = lot.left
    lot.spent, lot.recovered = lot.spent - amount, lot.recovered - undone
    made = lot.left - before
    if lot.is_expired and amount > undone:
        movements.append(Movement(lot.id, owner, "expired", undone - amount, None))
    is_gone = lot.has_expired(now)
    gone = made if is_gone and not lot.is_suspended else 0
    spendable = 0 if is_gone else made + undone
    return _Back(spend_id, lot.id, owner, lot.pool, amount, undone, spendable, gone, tuple(movements))


async def _replace(
    tx: Transaction, *, tenant_id: UUID, backs: Sequence[_Back], now: datetime, until: datetime
) -> dict[UUID, int]:
    """Open a lot for what went back to lots that have expired, one for each spend and pool; return how much, by spend."""
    lost: dict[tuple[UUID, UUID, str], int] = {}
    for back in backs:
        if back.gone:
            key = (back.spend_id, back.customer_id, back.pool)
            lost[key] = lost.get(key, 0) + back.gone
    if not lost:
        return {}
    lots, owners, pools = [ids.new() for _ in lost], [owner for _, owner, _ in lost], [pool for *_, pool in lost]
    amounts = list(lost.values())
    await tx.execute(_REPLACE, tenant_id, lots, owners, pools, amounts, now, until)
    made = [
        Movement(lot, owner, "adjusted", amount, None) for lot, owner, amount in zip(lots, owners, amounts, strict=True)
    ]
    await record_movements(tx, tenant_id=tenant_id, movements=made)
    replaced: dict[UUID, int] = {}
    for (spend_id, *_), amount in lost.items():
        replaced[spend_id] = replaced.get(spend_id, 0) + amount
    return replaced


def _returned(spend_id: UUID, backs: Sequence[_Back], replaced: int) -> Returned:
    mine = [back for back in backs if back.spend_id == spend_id]
    same = sum(back.spendable for back in mine)
    if replaced:
        return Returned(spend_id, "new_lot", same + replaced, replaced)
    is_gone = same == 0 and any(back.gone for back in mine)
    return Returned(spend_id, "kept" if is_gone else "same_lot", same, 0)


def _told(spend: Any, returned: Returned) -> dict[str, Any]:
    return {
        "customer": ids.show(ids.CUSTOMER, spend["customer_id"]),
        "pool": spend["pool"],
        "amount": spend["amount"],
        "reference": spend["reference"],
        "is_returned": {"before": False, "after": True},
    } | ({"replaced": returned.replaced} if returned.replaced else {})
