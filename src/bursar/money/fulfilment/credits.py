"""Credits: lots that grants open, taken back exactly when the money goes back; spent soonest-expiring first.

The sum of a lot is kept by the database: remaining = granted + recovered − taken − spent − repaid, never
below zero; what would be below is the lot's shortfall.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any
from uuid import UUID
from zoneinfo import ZoneInfo

from bursar.kernel import ids
from bursar.kernel.db import Transaction
from bursar.kernel.errors import FieldError
from bursar.kernel.zones import day_end, time_zone_of
from bursar.money.fulfilment.durations import after, parse_duration
from bursar.money.fulfilment.fulfillers import SpecInvalid
from bursar.money.fulfilment.grants import Change, GrantStatus, Target, share_taken

POOL_DEFAULT = "default"
POOL_LENGTH_MAX = 64
AMOUNT_MAX = 10**12


@dataclass(frozen=True, slots=True)
class Movement:
    """One change of one lot. amount: signed, what it does to the lot."""

    lot_id: UUID
    customer_id: UUID
    kind: str
    amount: int
    event_id: UUID | None
    spend_id: UUID | None = None


_LOTS_OF_GRANTS = """
select id, grant_id, granted, taken, spent, repaid, recovered from credit_lot
where tenant_id = $1 and grant_id = any($2::uuid[]) order by id for update
"""

_OPEN = """
insert into credit_lot (tenant_id, id, grant_id, customer_id, pool, granted, taken, is_suspended, recovers_shortfall, effective_at, expires_at)
select $1, id, grant_id, customer_id, pool, granted, taken, is_suspended, recovers_shortfall, effective_at, expires_at
from unnest($2::uuid[], $3::uuid[], $4::uuid[], $5::text[], $6::bigint[], $7::bigint[], $8::bool[], $9::bool[], $10::timestamptz[], $11::timestamptz[])
  as new (id, grant_id, customer_id, pool, granted, taken, is_suspended, recovers_shortfall, effective_at, expires_at)
"""

_ALTER = """
update credit_lot as l
set customer_id = new.customer_id, granted = new.granted, taken = new.taken, is_suspended = new.is_suspended,
    effective_at = new.effective_at, expires_at = new.expires_at
from unnest($2::uuid[], $3::uuid[], $4::bigint[], $5::bigint[], $6::bool[], $7::timestamptz[], $8::timestamptz[])
  as new (id, customer_id, granted, taken, is_suspended, effective_at, expires_at)
where l.tenant_id = $1 and l.id = new.id
"""

_MOVE = """
insert into credit_movement (tenant_id, id, lot_id, customer_id, kind, amount, event_id, spend_id)
select $1, id, lot_id, customer_id, kind, amount, event_id, spend_id
from unnest($2::uuid[], $3::uuid[], $4::uuid[], $5::text[], $6::bigint[], $7::uuid[], $8::uuid[])
  as new (id, lot_id, customer_id, kind, amount, event_id, spend_id)
"""

_SHORT = """
select id, customer_id, pool, shortfall, remaining from credit_lot
where tenant_id = $1 and (customer_id, pool) in (select * from unnest($2::uuid[], $3::text[]))
  and (shortfall > 0 or id = any($4::uuid[]))
order by id for update
"""

REPAY = "update credit_lot set repaid = repaid + $3 where tenant_id = $1 and id = $2 and remaining >= $3"
RECOVER = "update credit_lot set recovered = recovered + $3 where tenant_id = $1 and id = $2 and shortfall >= $3"


class Credits:
    """Delivers `{"kind": "credits", "amount": n, "pool": name, "expires_after": "P3M"}`: a lot of n × quantity.

    With `"ends_with_day": true` it expires when the day on which it would, in the business's zone, is over.
    """

    kind = "credits"
    is_standing = False

    def checked(self, spec: dict[str, Any]) -> dict[str, Any]:
        if unknown := spec.keys() - {"amount", "pool", "expires_after", "ends_with_day"}:
            raise _refused(min(unknown), "unknown_field", "credits take amount, pool, expires_after and ends_with_day")
        amount, pool, expires_after = spec.get("amount"), spec.get("pool", POOL_DEFAULT), spec.get("expires_after")
        if type(amount) is not int or not 1 <= amount <= AMOUNT_MAX:
            raise _refused("amount", "out_of_range", f"a whole number from 1 to {AMOUNT_MAX}")
        if not isinstance(pool, str) or not 1 <= len(pool) <= POOL_LENGTH_MAX or not pool.isprintable():
            raise _refused("pool", "invalid", "a name of 1 to 64 characters")
        if expires_after is not None:
            try:
                parse_duration(str(expires_after))
            except ValueError as error:
                raise _refused("expires_after", "invalid", str(error)) from error
        ends_with_day = spec.get("ends_with_day", False)
        if type(ends_with_day) is not bool or (ends_with_day and expires_after is None):
            raise _refused("ends_with_day", "invalid", "true or false, and true only beside expires_after")
        given = {"amount": amount, "pool": pool} | ({"expires_after": expires_after} if expires_after else {})
        return given | ({"ends_with_day": True} if ends_with_day else {})

    async def deliver(self, tx: Transaction, *, tenant_id: UUID, changes: Sequence[Change], now: datetime) -> None:  # noqa: ARG002
        known = [change.grant.id for change in changes if change.before]
        rows = await tx.fetch(_LOTS_OF_GRANTS, tenant_id, known) if known else ()
        lots = {row["grant_id"]: row for row in rows}
        opened = [(ids.new(), change) for change in changes if change.grant.id not in lots]
        altered = [(lots[change.grant.id], change) for change in changes if change.grant.id in lots]
        movements: list[Movement] = []
        is_cut = any(change.target.spec.get("ends_with_day") for change in changes)
        zone = await time_zone_of(tx, tenant_id=tenant_id) if is_cut else None
        if opened:
            await _open(tx, tenant_id=tenant_id, opened=opened, zone=zone)
            movements += _movements_of_opening(opened)
        if altered:
            movements += await _alter(tx, tenant_id=tenant_id, altered=altered, zone=zone)
        await record_movements(tx, tenant_id=tenant_id, movements=movements)
        recovering = [(lot_id, change) for lot_id, change in opened if change.target.recovers_shortfall]
        if recovering:
            await _recover_shortfalls(tx, tenant_id=tenant_id, opened=recovering)


def granted_by(target: Target) -> int:
    """Return how many credits the grant is worth before anything is taken back."""
    return int(target.spec["amount"]) * target.quantity


def taken_back(target: Target, granted: int) -> int:
    """Return how many of a lot's credits its refunds and lost disputes take back.

    Cumulative: after returns of R out of a payment of A, floor(granted × R ÷ A), so a full refund takes all.
    """
    return granted - granted_by(target) + share_taken(granted_by(target), target)


async def record_movements(tx: Transaction, *, tenant_id: UUID, movements: Sequence[Movement]) -> None:
    """Append what happened to lots."""
    if movements:
        await tx.execute(
            _MOVE,
            tenant_id,
            [ids.new() for _ in movements],
            [m.lot_id for m in movements],
            [m.customer_id for m in movements],
            [m.kind for m in movements],
            [m.amount for m in movements],
            [m.event_id for m in movements],
            [m.spend_id for m in movements],
        )


def expires_at(target: Target, zone: ZoneInfo | None) -> datetime | None:
    """Return when the credits of a grant expire. zone: of the business; needed where they end with a day."""
    at = after(target.starts_at, target.spec.get("expires_after"))
    return day_end(at, zone) if at and zone and target.spec.get("ends_with_day") else at


async def _open(
    tx: Transaction, *, tenant_id: UUID, opened: Sequence[tuple[UUID, Change]], zone: ZoneInfo | None
) -> None:
    targets = [change.target for _, change in opened]
    await tx.execute(
        _OPEN,
        tenant_id,
        [lot_id for lot_id, _ in opened],
        [change.grant.id for _, change in opened],
        [t.customer_id for t in targets],
        [t.spec["pool"] for t in targets],
        [granted_by(t) for t in targets],
        [taken_back(t, granted_by(t)) for t in targets],
        [t.status is GrantStatus.suspended for t in targets],
        [t.recovers_shortfall for t in targets],
        [t.starts_at for t in targets],
        [expires_at(t, zone) for t in targets],
    )


def _movements_of_opening(opened: Sequence[tuple[UUID, Change]]) -> list[Movement]:
    movements = []
    for lot_id, change in opened:
        target, granted = change.target, granted_by(change.target)
        movements.append(Movement(lot_id, target.customer_id, "granted", granted, change.event_id))
        if taken := taken_back(target, granted):
            movements.append(Movement(lot_id, target.customer_id, "taken", -taken, change.event_id))
    return movements


async def _alter(
    tx: Transaction, *, tenant_id: UUID, altered: Sequence[tuple[Any, Change]], zone: ZoneInfo | None
) -> list[Movement]:
    movements: list[Movement] = []
    rows = []
    for lot, change in altered:
        target = change.target
        granted = max(lot["granted"], granted_by(target))
        taken = taken_back(target, granted)
        rows.append((lot["id"], target, granted, taken))
        if granted > lot["granted"]:
            movements.append(
                Movement(lot["id"], target.customer_id, "granted", granted - lot["granted"], change.event_id)
            )
        if taken != lot["taken"]:
            kind = "taken" if taken > lot["taken"] else "restored"
            movements.append(Movement(lot["id"], target.customer_id, kind, lot["taken"] - taken, change.event_id))
    await tx.execute(
        _ALTER,
        tenant_id,
        [lot_id for lot_id, *_ in rows],
        [target.customer_id for _, target, _, _ in rows],
        [granted for _, _, granted, _ in rows],
        [taken for *_, taken in rows],
        [target.status is GrantStatus.suspended for _, target, _, _ in rows],
        [target.starts_at for _, target, _, _ in rows],
        [expires_at(target, zone) for _, target, _, _ in rows],
    )
    return movements


async def _recover_shortfalls(tx: Transaction, *, tenant_id: UUID, opened: Sequence[tuple[UUID, Change]]) -> None:
    """Make good the customer's earlier shortfalls from a new lot, where its price says so."""
    keys = sorted({(change.target.customer_id, change.target.spec["pool"]) for _, change in opened})
    rows = await tx.fetch(
        _SHORT, tenant_id, [c for c, _ in keys], [p for _, p in keys], [lot_id for lot_id, _ in opened]
    )
    lots = {row["id"]: row for row in rows}
    movements: list[Movement] = []
    short = {lot_id: row["shortfall"] for lot_id, row in lots.items() if row["shortfall"] > 0}
    for lot_id, change in opened:
        left = lots[lot_id]["remaining"]
        for short_id in sorted(short):
            owner, pool = lots[short_id]["customer_id"], lots[short_id]["pool"]
            part = min(left, short[short_id])
            if (
                part <= 0
                or short_id == lot_id
                or (owner, pool) != (change.target.customer_id, change.target.spec["pool"])
            ):
                continue
            await tx.execute(REPAY, tenant_id, lot_id, part)
            await tx.execute(RECOVER, tenant_id, short_id, part)
            movements.append(Movement(lot_id, owner, "repaid", -part, change.event_id))
            movements.append(Movement(short_id, owner, "recovered", part, change.event_id))
            left -= part
            short[short_id] -= part
    await record_movements(tx, tenant_id=tenant_id, movements=movements)


def _refused(field: str, code: str, message: str) -> SpecInvalid:
    return SpecInvalid(f"{field}: {message}", fields=(FieldError(field, code, message),))
