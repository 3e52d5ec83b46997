"""One customer: what was paid, what it gave, what is left of it."""

from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal
from typing import Any
from uuid import UUID

from bursar.kernel import ids
from bursar.kernel.amounts import Money
from bursar.kernel.db import Transaction
from bursar.kernel.listing import ASKED, Slice
from bursar.money.customers import IS_GONE, is_named
from bursar.money.paying import PaymentMethod, payment_methods
from bursar.web.pages.reads.payments import PaymentRow, payments_of_customer

LOTS_MAX = 100
MOVEMENTS_MAX = 50
METHODS_MAX = 20
_OTHERS_MAX = 100


@dataclass(frozen=True, slots=True)
class Lot:
    """Credits from one grant. state: usable, spent, taken, suspended, expired or scheduled."""

    id: str
    pool: str
    granted: int
    taken: int
    spent: int
    remaining: int
    shortfall: int
    state: str
    effective_at: datetime
    expires_at: datetime | None
    source: str
    payment_id: str | None


@dataclass(frozen=True, slots=True)
class Pool:
    """Credits of one kind. balance: what can be spent now."""

    name: str
    balance: int
    shortfall: int
    withheld: int
    lots: tuple[Lot, ...]


@dataclass(frozen=True, slots=True)
class Right:
    """An entitlement or a licence. limit: None is unlimited. code: the licence key."""

    kind: str
    name: str
    limit: int | None
    used: int | None
    per: str | None
    status: str
    starts_at: datetime
    ends_at: datetime | None
    code: str | None


@dataclass(frozen=True, slots=True)
class SubscriptionRow:
    id: str
    gateway_ref: str
    status: str
    price: str | None
    period_end: datetime | None
    is_ending: bool


@dataclass(frozen=True, slots=True)
class MovementRow:
    """A change of a lot. amount: signed. event_id: what caused it, if an event did; reference: of a spend."""

    id: str
    at: datetime
    kind: str
    amount: int
    pool: str
    event_id: str | None
    reference: str | None


@dataclass(frozen=True, slots=True)
class Customer:
    """A customer with everything that page shows. older: the cursor of further movements."""

    id: str
    name: str | None
    email: str | None
    phone: str | None
    gateway_ref: str
    account: str
    is_sandbox: bool
    is_at_gateway: bool
    is_deleted: bool
    created_at: datetime
    erased_at: datetime | None
    paid: tuple[Money, ...]
    refunded: tuple[Money, ...]
    pools: tuple[Pool, ...]
    rights: tuple[Right, ...]
    subscriptions: tuple[SubscriptionRow, ...]
    methods: tuple[PaymentMethod, ...]
    payments: tuple[PaymentRow, ...]
    movements: tuple[MovementRow, ...]
    older: str | None


_CUSTOMER = f"""
select c.id, left(c.name, 200) as name, left(c.email, 320) as email, left(c.phone, 60) as phone, left(c.gateway_ref, 255) as gateway_ref,
  left(a.name, 60) as account, a.gateway, a.api_key is not null and a.is_active as has_key, c.is_deleted, {IS_GONE} as is_gone, c.created_at,
  c.erased_at
from customer c join gateway_account a on a.tenant_id = c.tenant_id and a.id = c.gateway_account_id
where c.tenant_id = $1 and c.id = $2
"""

_SUMS = """
select currency, sum(amount_minor) as paid_minor, sum(refunded_minor) as refunded_minor from payment
where tenant_id = $1 and customer_id = $2 and status = 'succeeded' and superseded_by is null group by currency order by currency
"""

_POOLS = """
select pool,
  coalesce(sum(remaining) filter (where is_usable), 0) as balance, sum(shortfall) as shortfall,
  coalesce(sum(remaining) filter (where not is_usable and not is_over), 0) as withheld
from (
  select pool, remaining, shortfall, is_expired or expires_at <= $3 as is_over,
    not is_expired and not is_suspended and effective_at <= $3 and (expires_at is null or expires_at > $3) as is_usable
  from credit_lot where tenant_id = $1 and customer_id = $2
) as l group by pool order by pool limit 50
"""

_LOTS = f"""
select l.id, l.pool, l.granted, l.taken, l.spent, l.remaining, l.shortfall, l.is_expired, l.is_suspended, l.effective_at, l.expires_at,
  g.source_kind, g.quantity, left(d.name, 120) as product, p.id as payment_id
from credit_lot l
left join fulfilment_grant g on g.tenant_id = l.tenant_id and g.id = l.grant_id
left join price r on r.tenant_id = g.tenant_id and r.id = g.price_id
left join product d on d.tenant_id = r.tenant_id and d.id = r.product_id
left join lateral (
  select id from payment p
  where g.source_kind = 'purchase' and p.tenant_id = g.tenant_id and p.purchase_id = g.source_id and p.superseded_by is null
  order by p.status = 'succeeded' desc, p.id limit 1
) as p on true
where l.tenant_id = $1 and l.customer_id = $2
  and (g.status is distinct from 'superseded' or l.spent > 0 or l.repaid > 0)
order by l.remaining > 0 desc, l.expires_at nulls last, l.id desc limit {LOTS_MAX}
"""

_RIGHTS = f"""
select e.kind, left(e.key, 128) as key, e.amount_max, e.per, e.status, e.starts_at, e.ends_at, l.key as code, l.activations
from entitlement e left join licence l on l.tenant_id = e.tenant_id and l.entitlement_id = e.id
where e.tenant_id = $1 and e.customer_id = $2 and e.status <> 'superseded'
order by e.status <> 'active', e.id desc limit {_OTHERS_MAX}
"""

_OWN_LICENCES = f"""
select left(product, 128) as product, activations_max, activations, status, created_at, expires_at, left(key, 128) as code from licence
where tenant_id = $1 and customer_id = $2 and entitlement_id is null and status <> 'superseded' order by id desc limit {_OTHERS_MAX}
"""

_SUBSCRIPTIONS = f"""
select s.id, left(s.gateway_ref, 120) as gateway_ref, s.status, s.current_period_end, s.cancel_at_period_end, left(d.name, 120) as product
from subscription s
left join price r on r.tenant_id = s.tenant_id and r.id = s.price_id
left join product d on d.tenant_id = r.tenant_id and d.id = r.product_id
where s.tenant_id = $1 and s.customer_id = $2 order by s.id desc limit {_OTHERS_MAX}
"""

_MOVEMENTS = f"""
select m.id, m.created_at, m.kind, m.amount, l.pool, m.event_id, left(s.reference, 120) as reference
from credit_movement m
join credit_lot l on l.tenant_id = m.tenant_id and l.id = m.lot_id
left join credit_spend s on s.tenant_id = m.tenant_id and s.id = m.spend_id
where m.tenant_id = $1 and m.customer_id = $2 and m.id < $3
order by m.id desc limit {MOVEMENTS_MAX + 1}
"""


async def customer(
    tx: Transaction, *, tenant_id: UUID, customer_id: UUID, movements_below: UUID, now: datetime
) -> Customer | None:
    """Return one customer; None when this tenant has none of this id."""
    row = await tx.fetchrow(_CUSTOMER, tenant_id, customer_id)
    if row is None:
        return None
    sums = await tx.fetch(_SUMS, tenant_id, customer_id)
    pools = await tx.fetch(_POOLS, tenant_id, customer_id, now)
    lots = [_lot(lot, now) for lot in await tx.fetch(_LOTS, tenant_id, customer_id)]
    rights = [_entitlement(right, now) for right in await tx.fetch(_RIGHTS, tenant_id, customer_id)]
    rights += [_licence(right, now) for right in await tx.fetch(_OWN_LICENCES, tenant_id, customer_id)]
    moved = await tx.fetch(_MOVEMENTS, tenant_id, customer_id, movements_below)
    return Customer(
        id=ids.show(ids.CUSTOMER, row["id"]),
        name=row["name"],
        email=row["email"],
        phone=row["phone"],
        gateway_ref=row["gateway_ref"],
        account=row["account"],
        is_sandbox=row["gateway"] == "sandbox",
        is_at_gateway=row["has_key"] and not row["is_gone"] and is_named(row["gateway_ref"]),
        is_deleted=row["is_deleted"],
        created_at=row["created_at"],
        erased_at=row["erased_at"],
        paid=tuple(Money(int(Decimal(s["paid_minor"])), s["currency"]) for s in sums),
        refunded=tuple(Money(int(Decimal(s["refunded_minor"])), s["currency"]) for s in sums if s["refunded_minor"]),
        pools=tuple(
            Pool(
                p["pool"],
                int(p["balance"]),
                int(p["shortfall"]),
                int(p["withheld"]),
                tuple(x for x in lots if x.pool == p["pool"]),
            )
            for p in pools
        ),
        rights=tuple(rights),
        subscriptions=tuple(_subscription(s) for s in await tx.fetch(_SUBSCRIPTIONS, tenant_id, customer_id)),
        methods=await _methods(tx, tenant_id=tenant_id, customer_id=customer_id, now=now),
        payments=await payments_of_customer(tx, tenant_id=tenant_id, customer_id=customer_id),
        movements=tuple(_movement(m) for m in moved[:MOVEMENTS_MAX]),
        older=ids.show(ids.MOVEMENT, moved[MOVEMENTS_MAX - 1]["id"]) if len(moved) > MOVEMENTS_MAX else None,
    )


async def _methods(tx: Transaction, *, tenant_id: UUID, customer_id: UUID, now: datetime) -> tuple[PaymentMethod, ...]:
    given = {"customer": customer_id, "attached": ASKED}
    found = await payment_methods(tx, tenant_id=tenant_id, page=Slice(METHODS_MAX), given=given, now=now)
    return found.rows


def _lot(row: Any, now: datetime) -> Lot:
    source = row["product"] or "an operator's adjustment"
    return Lot(
        id=ids.show(ids.LOT, row["id"]),
        pool=row["pool"],
        granted=row["granted"],
        taken=row["taken"],
        spent=row["spent"],
        remaining=row["remaining"],
        shortfall=row["shortfall"],
        state=_lot_state(row, now),
        effective_at=row["effective_at"],
        expires_at=row["expires_at"],
        source=f"{source} × {row['quantity']}" if (row["quantity"] or 1) > 1 else source,
        payment_id=ids.show(ids.PAYMENT, row["payment_id"]) if row["payment_id"] else None,
    )


def _lot_state(row: Any, now: datetime) -> str:
    """Return what a lot is good for at this moment; expiry is judged now, not when a job last looked."""
    if row["shortfall"]:
        return "shortfall"
    if row["is_expired"] or (row["expires_at"] and row["expires_at"] <= now):
        return "expired"
    if row["is_suspended"]:
        return "suspended"
    if not row["remaining"]:
        return "revoked" if row["taken"] else "ended"
    return "scheduled" if row["effective_at"] > now else "active"


def _entitlement(row: Any, now: datetime) -> Right:
    return Right(
        kind=row["kind"],
        name=row["key"],
        limit=row["amount_max"],
        used=row["activations"],
        per=row["per"],
        status=_right_state(row["status"], row["ends_at"], now),
        starts_at=row["starts_at"],
        ends_at=row["ends_at"],
        code=row["code"],
    )


def _licence(row: Any, now: datetime) -> Right:
    return Right(
        kind="licence",
        name=row["product"],
        limit=row["activations_max"],
        used=row["activations"],
        per=None,
        status=_right_state(row["status"], row["expires_at"], now),
        starts_at=row["created_at"],
        ends_at=row["expires_at"],
        code=row["code"],
    )


def _right_state(status: str, ends_at: datetime | None, now: datetime) -> str:
    return "expired" if status == "active" and ends_at is not None and ends_at <= now else status


def _subscription(row: Any) -> SubscriptionRow:
    return SubscriptionRow(
        id=ids.show(ids.SUBSCRIPTION, row["id"]),
        gateway_ref=row["gateway_ref"],
        status=row["status"],
        price=row["product"],
        period_end=row["current_period_end"],
        is_ending=row["cancel_at_period_end"],
    )


def _movement(row: Any) -> MovementRow:
    return MovementRow(
        id=ids.show(ids.MOVEMENT, row["id"]),
        at=row["created_at"],
        kind=row["kind"],
        amount=row["amount"],
        pool=row["pool"],
        event_id=ids.show(ids.EVENT, row["event_id"]) if row["event_id"] else None,
        reference=row["reference"],
    )
