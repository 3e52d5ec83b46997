"""Spend credits, add some by hand, let them expire. Giving them back is `returning`.

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
class Reserved:
    """References of spends that are something's own: they are taken with it, and go back with it, and not by themselves.

    prefix: how they begin. of: whose they are, in the plural. instead: what gives them back.
    """

    prefix: str
    of: str
    instead: str


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
insert into credit_spend (tenant_id, id, customer_id, pool, reference, amount, created_at, pools)
values ($1, $2, $3, $4, $5, $6, $7, $8) on conflict (tenant_id, reference) do nothing returning id
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

_USABLE = """tenant_id = $1 and customer_id = $2 and pool = any($3::text[]) and remaining > 0 and not is_suspended
    and effective_at <= $4 and (expires_at is null or expires_at > $4)"""

# A repeat opens nothing, and takes nothing. Lots are locked in the order of their ids, as fulfilment does, and divided in the order of
# their expiry; of those that expire together given ones go before bought ones, then in the order of their pools.
_SPEND = f"""
with opened as (
  insert into credit_spend (tenant_id, id, customer_id, pool, reference, amount, created_at, pools)
  values ($1, $6, $2, ($3::text[])[1], $7, $5, $8, ($3::text[])[2:]) on conflict (tenant_id, reference) do nothing returning id
), locked as materialized (
  select id, remaining, expires_at, grant_id is not null as is_bought, array_position($3::text[], pool) as place
  from credit_lot where {_USABLE} and exists (select from opened) order by id for update
), ordered as (
  select id, remaining, sum(remaining) over (order by expires_at nulls last, is_bought, place, id) - remaining as before
  from locked
), part as (
  select id, least(remaining, $5 - before)::bigint as amount from ordered where before < $5
), taken as (
  update credit_lot as l set spent = l.spent + part.amount
  from part
  where l.tenant_id = $1 and l.id = part.id and (select coalesce(sum(amount), 0) from part) = $5
  returning l.id as lot_id, part.amount, l.expires_at
)
select taken.* from opened left join taken on true
"""

_TAKE_OF_LOT = """
update credit_lot set spent = spent + $3 where tenant_id = $1 and id = $2 and remaining >= $3 and not is_suspended
returning customer_id, pool
"""

_BALANCE = f"select coalesce(sum(remaining), 0)::bigint from credit_lot where {_USABLE}"

# The lots of several customers, so that whoever is asked about next to the first cannot spend meanwhile.
_BALANCES = """
with locked as materialized (
  select customer_id, remaining from credit_lot
  where tenant_id = $1 and customer_id = any($2::uuid[]) and pool = any($3::text[]) and remaining > 0 and not is_suspended
    and effective_at <= $4 and (expires_at is null or expires_at > $4)
  order by id for update
)
select customer_id, sum(remaining)::bigint as balance from locked group by customer_id
"""

_LOCK_FOR_RETURN = """
select l.id from credit_lot l
where l.tenant_id = $1 and (
  l.id in (select m.lot_id from credit_movement m where m.tenant_id = $1 and m.spend_id = any($2::uuid[]) and m.kind = 'spent')
  or (l.customer_id = any($3::uuid[]) and l.pool = any($4::text[]) and l.remaining > 0))
order by l.id for update
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
    others: Sequence[str] = (),
    usable_at: datetime | None = None,
) -> Spend:
    """Spend credits, soonest-expiring first. A repeat of a reference is the same spend.

    others: pools that may pay as well; of credits that expire together, those of `pool` go first, then those of the first other.
    usable_at: when they are used, at which they must be effective and not expired; None: now.
    Raises CreditsInsufficient, SpendReferenceReused.
    """
    spend_id, pools, at = ids.new(), [pool, *others], usable_at or now
    parts = await tx.fetch(_SPEND, tenant_id, customer_id, pools, at, amount, spend_id, reference, now)
    if not parts:
        return await _repeated(tx, tenant_id=tenant_id, reference=reference, wanted=(customer_id, pool, amount))
    if parts[0]["lot_id"] is None:
        balance = await tx.fetchval(_BALANCE, tenant_id, customer_id, pools, at)
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
    taken = sorted(parts, key=lambda p: (p["expires_at"] is None, p["expires_at"] or now, p["lot_id"]))
    shares = tuple(SpendPart(p["lot_id"], p["amount"]) for p in taken)
    return Spend(spend_id, customer_id, pool, reference, amount, is_returned=False, parts=shares, created_at=now)


async def spend_of_lot(
    tx: Transaction, *, tenant_id: UUID, lot_id: UUID, amount: int, reference: str, actor: str, now: datetime
) -> UUID:
    """Spend credits of one lot, whatever else the customer has; return the spend. The reference is fresh. Raises CreditsInsufficient."""
    row = await tx.fetchrow(_TAKE_OF_LOT, tenant_id, lot_id, amount)
    if row is None:
        raise CreditsInsufficient(
            f"the lot {ids.show(ids.LOT, lot_id)} does not hold {amount} credits",
            hint="Look at what is left of it.",
            context={"amount": amount},
        )
    spend_id, owner, pool = ids.new(), row["customer_id"], row["pool"]
    opened = await tx.fetchval(_OPEN_SPEND, tenant_id, spend_id, owner, pool, reference, amount, now, [])
    assert opened is not None, "the reference is fresh"
    await record_movements(
        tx, tenant_id=tenant_id, movements=[Movement(lot_id, owner, "spent", -amount, None, spend_id)]
    )
    changes = {
        "customer": ids.show(ids.CUSTOMER, owner),
        "pool": pool,
        "amount": amount,
        "lot": ids.show(ids.LOT, lot_id),
        "reference": reference,
    }
    shown = ids.show(ids.SPEND, spend_id)
    await audit.record(tx, tenant_id=tenant_id, actor=actor, action="credits.spent", subject=shown, changes=changes)
    return spend_id


async def usable_balances(
    tx: Transaction, *, tenant_id: UUID, customer_ids: Sequence[UUID], pools: Sequence[str], usable_at: datetime
) -> dict[UUID, int]:
    """Return how many credits of these pools each customer could use then. Their lots are locked, so it stays true."""
    rows = await tx.fetch(_BALANCES, tenant_id, list(customer_ids), list(pools), usable_at)
    return {row["customer_id"]: row["balance"] for row in rows}


async def lock_lots(
    tx: Transaction,
    *,
    tenant_id: UUID,
    spend_ids: Sequence[UUID],
    customer_ids: Sequence[UUID] = (),
    pools: Sequence[str] = (),
) -> None:
    """Lock at once what one act will touch of several customers, so that two such acts wait for each other in one order."""
    await tx.fetch(_LOCK_FOR_RETURN, tenant_id, list(spend_ids), list(customer_ids), list(pools))


async def spend_of(tx: Transaction, *, tenant_id: UUID, spend_id: UUID) -> Spend:
    """Return one spend. Raises SpendNotFound."""
    row = await tx.fetchrow(SPEND, tenant_id, spend_id)
    if row is None:
        raise SpendNotFound(f"there is no spend {ids.show(ids.SPEND, spend_id)}")
    return await _with_parts(tx, tenant_id=tenant_id, row=row)


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
