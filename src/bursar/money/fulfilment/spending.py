"""Spend credits, give them back, add some by hand, let them expire.

What makes an overdraft impossible: one statement locks the customer's usable lots, divides the amount over them, and
takes it only when they hold all of it; the database's check stands behind it. What makes a repeat harmless: a spend is
named by its reference.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Literal
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


@dataclass(frozen=True, slots=True)
class Returned:
    """What became of a spend's credits. amount: how many can be spent again; those in new lots are `replaced`.

    how: `kept` where they went back to lots that have expired, and nothing took their place.
    """

    spend_id: UUID
    how: Literal["same_lot", "new_lot", "kept"]
    amount: int
    replaced: int


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

# Lots are locked in the order of their ids, as fulfilment does, and divided in the order of their expiry; of those that expire together
# given ones go before bought ones, then in the order of their pools.
_TAKE = f"""
with locked as materialized (
  select id, remaining, expires_at, grant_id is not null as is_bought, array_position($3::text[], pool) as place
  from credit_lot where {_USABLE} order by id for update
), ordered as (
  select id, remaining, sum(remaining) over (order by expires_at nulls last, is_bought, place, id) - remaining as before
  from locked
), part as (
  select id, least(remaining, $5 - before)::bigint as amount from ordered where before < $5
)
update credit_lot as l set spent = l.spent + part.amount
from part
where l.tenant_id = $1 and l.id = part.id and (select coalesce(sum(amount), 0) from part) = $5
returning l.id as lot_id, part.amount, l.expires_at
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
    also = list(others)
    if not await tx.fetchval(_OPEN_SPEND, tenant_id, spend_id, customer_id, pool, reference, amount, now, also):
        return await _repeated(tx, tenant_id=tenant_id, reference=reference, wanted=(customer_id, pool, amount))
    parts = await tx.fetch(_TAKE, tenant_id, customer_id, pools, at, amount)
    if not parts:
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
