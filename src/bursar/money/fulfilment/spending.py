"""Spend credits, give them back, add some by hand, let them expire.

What makes an overdraft impossible: one statement locks the customer's usable lots, divides the amount over them, and
takes it only when they hold all of it; the database's check stands behind it. What makes a repeat harmless: a spend is
named by its reference.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any
from uuid import UUID

from bursar.kernel import audit, ids
from bursar.kernel.db import Transaction
from bursar.kernel.errors import Conflict, FieldError, Invalid, NotFound
from bursar.money.fulfilment.credits import Movement, record_movements


class CreditsInsufficient(Conflict):
    """The customer's usable credits do not cover the amount. `context` has the balance."""

    code = "credits_insufficient"


class SpendReferenceReused(Conflict):
    """The reference names an earlier spend of another amount, pool or customer."""

    code = "spend_reference_reused"


class SpendNotFound(NotFound):
    """No spend of this tenant has this id."""

    code = "credit_spend_not_found"


class ExpiryPast(Invalid):
    """Credits would be expired before they are given."""

    code = "expiry_past"


@dataclass(frozen=True, slots=True)
class SpendPart:
    """How many credits came from one lot."""

    lot_id: UUID
    amount: int


@dataclass(frozen=True, slots=True)
class Spend:
    """Credits spent under one reference. parts: from which lots, soonest-expiring first."""

    id: UUID
    customer_id: UUID
    pool: str
    reference: str
    amount: int
    is_returned: bool
    parts: tuple[SpendPart, ...]
    created_at: datetime


_OPEN_SPEND = """
insert into credit_spend (tenant_id, id, customer_id, pool, reference, amount, created_at)
values ($1, $2, $3, $4, $5, $6, $7) on conflict (tenant_id, reference) do nothing returning id
"""

_SPEND_COLUMNS = "s.id, s.customer_id, s.pool, s.reference, s.amount, s.returned as is_returned, s.created_at"
SPEND = f"select {_SPEND_COLUMNS} from credit_spend s where s.tenant_id = $1 and s.id = $2"
_BY_REFERENCE = f"select {_SPEND_COLUMNS} from credit_spend s where s.tenant_id = $1 and s.reference = $2"

_PARTS = """
select m.lot_id, sum(-m.amount)::bigint as amount from credit_movement m
join credit_lot l on l.tenant_id = m.tenant_id and l.id = m.lot_id
where m.tenant_id = $1 and m.spend_id = $2 and m.kind = 'spent'
group by m.lot_id, l.expires_at order by l.expires_at nulls last, m.lot_id
"""

_USABLE = """tenant_id = $1 and customer_id = $2 and pool = $3 and remaining > 0 and not is_suspended
    and effective_at <= $4 and (expires_at is null or expires_at > $4)"""

# Lots are locked in the order of their ids, as fulfilment does, and divided in the order of their expiry.
_TAKE = f"""
with locked as materialized (
  select id, remaining, expires_at from credit_lot where {_USABLE} order by id for update
), ordered as (
  select id, remaining, sum(remaining) over (order by expires_at nulls last, id) - remaining as before from locked
), part as (
  select id, least(remaining, $5 - before)::bigint as amount from ordered where before < $5
)
update credit_lot as l set spent = l.spent + part.amount
from part
where l.tenant_id = $1 and l.id = part.id and (select coalesce(sum(amount), 0) from part) = $5
returning l.id as lot_id, part.amount
"""

_BALANCE = f"select coalesce(sum(remaining), 0)::bigint from credit_lot where {_USABLE}"

_MARK_RETURNED = """
update credit_spend set returned = true where tenant_id = $1 and id = $2 and not returned returning id
"""

_LOTS = """
select id, customer_id, spent, recovered, is_expired from credit_lot
where tenant_id = $1 and id = any($2::uuid[]) order by id for update
"""

_GIVE_BACK = """
update credit_lot set spent = spent - $3, recovered = recovered - $4 where tenant_id = $1 and id = $2
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

_ADD = """
insert into credit_lot (tenant_id, id, customer_id, pool, granted, effective_at, expires_at, created_at)
values ($1, $2, $3, $4, $5, $6, $7, $6)
"""

_EXPIRE = """
with due as materialized (
  select id, customer_id, remaining from credit_lot
  where tenant_id = $1 and not is_expired and expires_at <= $2
  order by expires_at, id limit $3 for update skip locked
), marked as (
  update credit_lot as l set is_expired = true from due where l.tenant_id = $1 and l.id = due.id
)
select id, customer_id, remaining from due
"""


async def spend(
    tx: Transaction,
    *,
    tenant_id: UUID,
    customer_id: UUID,
    pool: str,
    amount: int,
    reference: str,
    actor: str,
    now: datetime,
) -> Spend:
    """Spend credits, soonest-expiring first; expiry is judged at `now`. A repeat of a reference is the same spend.

    Raises CreditsInsufficient, SpendReferenceReused.
    """
    spend_id = ids.new()
    if not await tx.fetchval(_OPEN_SPEND, tenant_id, spend_id, customer_id, pool, reference, amount, now):
        return await _repeated(tx, tenant_id=tenant_id, reference=reference, wanted=(customer_id, pool, amount))
    parts = await tx.fetch(_TAKE, tenant_id, customer_id, pool, now, amount)
    if not parts:
        balance = await tx.fetchval(_BALANCE, tenant_id, customer_id, pool, now)
        raise CreditsInsufficient(
            f"{balance} credits of the pool {pool} can be spent, {amount} are asked for",
            hint="Ask the customer to buy more, or spend fewer.",
            context={"balance": balance, "amount": amount, "pool": pool},
        )
    movements = [Movement(p["lot_id"], customer_id, "spent", -p["amount"], None, spend_id) for p in parts]
    await record_movements(tx, tenant_id=tenant_id, movements=movements)
    await audit.record(
        tx,
        tenant_id=tenant_id,
        actor=actor,
        action="credits.spent",
        subject=ids.show(ids.SPEND, spend_id),
        changes={
            "customer": ids.show(ids.CUSTOMER, customer_id),
            "pool": pool,
            "amount": amount,
            "reference": reference,
        },
    )
    return await spend_of(tx, tenant_id=tenant_id, spend_id=spend_id)


async def spend_of(tx: Transaction, *, tenant_id: UUID, spend_id: UUID) -> Spend:
    """Return one spend. Raises SpendNotFound."""
    row = await tx.fetchrow(SPEND, tenant_id, spend_id)
    if row is None:
        raise SpendNotFound(f"there is no spend {ids.show(ids.SPEND, spend_id)}")
    return await _with_parts(tx, tenant_id=tenant_id, row=row)


async def give_back(tx: Transaction, *, tenant_id: UUID, spend_id: UUID, actor: str) -> Spend:
    """Give the credits of a spend back to the lots they came from. A repeat changes nothing. Raises SpendNotFound.

    A lot that has expired meanwhile stays expired: what goes back to it is gone.
    """
    given = await spend_of(tx, tenant_id=tenant_id, spend_id=spend_id)
    if not await tx.fetchval(_MARK_RETURNED, tenant_id, spend_id):
        return await spend_of(tx, tenant_id=tenant_id, spend_id=spend_id)
    lots = {row["id"]: row for row in await tx.fetch(_LOTS, tenant_id, [part.lot_id for part in given.parts])}
    movements: list[Movement] = []
    for part in given.parts:
        movements += await _returned_to(tx, tenant_id=tenant_id, lot=lots[part.lot_id], part=part, spend_id=spend_id)
    await record_movements(tx, tenant_id=tenant_id, movements=movements)
    await audit.record(
        tx,
        tenant_id=tenant_id,
        actor=actor,
        action="credits.returned",
        subject=ids.show(ids.SPEND, spend_id),
        changes={
            "customer": ids.show(ids.CUSTOMER, given.customer_id),
            "pool": given.pool,
            "amount": given.amount,
            "reference": given.reference,
            "is_returned": {"before": False, "after": True},
        },
    )
    return await spend_of(tx, tenant_id=tenant_id, spend_id=spend_id)


async def adjust(
    tx: Transaction,
    *,
    tenant_id: UUID,
    customer_id: UUID,
    pool: str,
    amount: int,
    expires_at: datetime | None,
    reason: str,
    actor: str,
    now: datetime,
) -> UUID:
    """Give a customer credits that no payment granted; return their lot. Raises ExpiryPast."""
    if expires_at and expires_at <= now:
        wrong = FieldError("expires_at", "past", "later than now")
        raise ExpiryPast("the credits would be expired already", fields=(wrong,))
    lot_id = ids.new()
    await tx.execute(_ADD, tenant_id, lot_id, customer_id, pool, amount, now, expires_at)
    await record_movements(tx, tenant_id=tenant_id, movements=[Movement(lot_id, customer_id, "adjusted", amount, None)])
    await audit.record(
        tx,
        tenant_id=tenant_id,
        actor=actor,
        action="credits.adjusted",
        subject=ids.show(ids.LOT, lot_id),
        changes={"customer": ids.show(ids.CUSTOMER, customer_id), "pool": pool, "amount": amount, "reason": reason},
    )
    return lot_id


async def expire_lots(tx: Transaction, *, tenant_id: UUID, now: datetime, limit: int = 1000) -> int:
    """Mark lots that are past their expiry, and write down what they still held; return how many were marked.

    Policy: it changes what is shown, not what may be spent, which is judged at the time of use. Call until it is 0.
    """
    rows = await tx.fetch(_EXPIRE, tenant_id, now, limit)
    movements = [
        Movement(row["id"], row["customer_id"], "expired", -row["remaining"], None) for row in rows if row["remaining"]
    ]
    await record_movements(tx, tenant_id=tenant_id, movements=movements)
    return len(rows)


async def _repeated(tx: Transaction, *, tenant_id: UUID, reference: str, wanted: tuple[UUID, str, int]) -> Spend:
    row = await tx.fetchrow(_BY_REFERENCE, tenant_id, reference)
    if (row["customer_id"], row["pool"], row["amount"]) != wanted:
        raise SpendReferenceReused(
            "this reference was used for another spend",
            hint="Give every spend a reference of its own; repeat one only to repeat the spend.",
            context={"spend": ids.show(ids.SPEND, row["id"])},
        )
    return await _with_parts(tx, tenant_id=tenant_id, row=row)


async def _with_parts(tx: Transaction, *, tenant_id: UUID, row: Any) -> Spend:
    parts = await tx.fetch(_PARTS, tenant_id, row["id"])
    return Spend(**dict(row), parts=tuple(SpendPart(p["lot_id"], p["amount"]) for p in parts))


async def _returned_to(
    tx: Transaction, *, tenant_id: UUID, lot: Any, part: SpendPart, spend_id: UUID
) -> Sequence[Movement]:
    """Give one part back to its lot; what a later lot had made good of it goes back to that one."""
    surplus = max(lot["recovered"] - (lot["spent"] - part.amount), 0)
    owner = lot["customer_id"]
    movements = [Movement(part.lot_id, owner, "returned", part.amount, None, spend_id)]
    undone = 0
    if surplus:
        for row in await tx.fetch(_REPAYERS, tenant_id, part.lot_id, owner):
            back = min(surplus - undone, row["repaid"])
            if back and await tx.fetchval(_UNDO_REPAYMENT, tenant_id, row["lot_id"], back):
                movements.append(Movement(row["lot_id"], owner, "repaid", back, row["event_id"]))
                movements.append(Movement(part.lot_id, owner, "recovered", -back, row["event_id"]))
                undone += back
    await tx.execute(_GIVE_BACK, tenant_id, part.lot_id, part.amount, undone)
    if lot["is_expired"] and part.amount > undone:
        movements.append(Movement(part.lot_id, owner, "expired", undone - part.amount, None))
    return movements
