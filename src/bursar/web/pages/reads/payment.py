"""One payment: what became of the money, what it bought, and every report that told of it."""

from dataclasses import dataclass
from datetime import datetime
from typing import Any
from uuid import UUID

from bursar.kernel import ids
from bursar.kernel.amounts import Money
from bursar.kernel.db import Transaction
from bursar.kernel.listing import Slice
from bursar.money.paying import PaymentChange, payment_changes
from bursar.web.pages.reads.books import EntryRow
from bursar.web.pages.reads.payments import word_of

_EACH_MAX = 100


@dataclass(frozen=True, slots=True)
class ReturnRow:
    """A refund or a dispute."""

    id: str
    kind: str
    gateway_ref: str
    status: str
    money: Money
    reason: str | None
    at: datetime
    due_by: datetime | None


@dataclass(frozen=True, slots=True)
class CallRow:
    """What was asked of the gateway about it. trouble: what the last attempt met, or why it was refused."""

    id: str
    operation: str
    state: str
    attempts: int
    trouble: str | None
    at: datetime


@dataclass(frozen=True, slots=True)
class BoughtRow:
    """A line of what was bought."""

    price_id: str
    product: str
    quantity: int
    money: Money
    is_standing: bool


@dataclass(frozen=True, slots=True)
class GrantRow:
    """What the line granted. word: its state. given: what it is, in words."""

    id: str
    kind: str
    given: str
    status: str
    starts_at: datetime
    ends_at: datetime | None
    event_id: str


@dataclass(frozen=True, slots=True)
class LedgerRow:
    """A transaction in the books. sequence: 0 for the first; later ones correct it."""

    id: str
    source: str
    sequence: int
    at: datetime
    event_id: str
    entries: tuple[EntryRow, ...]


@dataclass(frozen=True, slots=True)
class ToldBy:
    """An event that told of this payment. said: the objects it reported, as they stand."""

    id: str
    type: str
    received_at: datetime
    said: str


@dataclass(frozen=True, slots=True)
class Payment:
    """A payment with its purchase."""

    id: str
    purchase_id: str
    gateway_ref: str
    charge_ref: str | None
    account: str
    is_sandbox: bool
    status: str
    money: Money
    refunded: Money | None
    is_disputed: bool
    failure: str | None
    description: str | None
    unmatched_reason: str | None
    heir_id: str | None
    subscription_id: str | None
    customer_id: str | None
    customer: str | None
    created_at: datetime
    updated_at: datetime
    siblings: tuple[tuple[str, str, Money], ...]
    returns: tuple[ReturnRow, ...]
    calls: tuple[CallRow, ...]
    link: PaymentChange | None
    left: Money | None
    bought: tuple[BoughtRow, ...]
    grants: tuple[GrantRow, ...]
    ledger: tuple[LedgerRow, ...]
    told_by: tuple[ToldBy, ...]

    @property
    def is_waiting(self) -> bool:
        """True while the customer's bank wants to ask him, and he has not answered."""
        return self.status == "requires_action"

    @property
    def word(self) -> str:
        """The state in one word, as money sees it."""
        return word_of(self.status, self.money, self.refunded, is_disputed=self.is_disputed)


_PAYMENT = """
select p.id, p.purchase_id, p.gateway_account_id, p.gateway_ref, p.charge_ref, left(a.name, 60) as account, a.gateway, p.status,
  p.amount_minor, p.currency, p.refunded_minor, p.promised_minor, p.is_disputed, left(coalesce(p.failure_message, p.failure_code), 500) as failure,
  left(p.description, 500) as description, p.superseded_by, p.created_at, p.updated_at,
  case when u.is_paid then left(u.unmatched_reason, 300) end as unmatched_reason, u.subscription_ref,
  (select s.id from subscription s where s.tenant_id = p.tenant_id and s.gateway_account_id = p.gateway_account_id
     and s.gateway_ref = u.subscription_ref) as subscription_id,
  c.id as customer_id, left(coalesce(c.name, c.email, c.gateway_ref), 100) as customer
from payment p
join purchase u on u.tenant_id = p.tenant_id and u.id = p.purchase_id
join gateway_account a on a.tenant_id = p.tenant_id and a.id = p.gateway_account_id
left join customer c on c.tenant_id = p.tenant_id and c.id = p.customer_id
where p.tenant_id = $1 and p.id = $2
"""

_SIBLINGS = """
select id, status, amount_minor, currency from payment
where tenant_id = $1 and purchase_id = $2 and id <> $3 and superseded_by is null order by id limit 20
"""

_RETURNS = f"""
select id, 'refund' as kind, coalesce(left(gateway_ref, 120), '') as gateway_ref, status, amount_minor, currency,
  left(coalesce(failure, asked_reason, reason), 120) as reason, created_at, null::timestamptz as due_by
from refund where tenant_id = $1 and payment_id = $2 and same_as is null
union all
select id, 'dispute', left(gateway_ref, 120), status, amount_minor, currency, left(reason, 120), created_at, due_by
from dispute where tenant_id = $1 and payment_id = $2
order by created_at, id limit {_EACH_MAX}
"""

_CALLS = f"""
select id, operation, state, attempts, left(coalesce(error_message, error_kind), 200) as trouble, created_at as at
from gateway_call where tenant_id = $1 and subject = any($2::text[]) order by id limit {_EACH_MAX}
"""

_BOUGHT = f"""
select r.id, left(d.name, 120) as product, l.quantity, r.amount_minor, r.currency, coalesce(l.standing, false) as is_standing
from purchase u
cross join lateral jsonb_to_recordset(u.lines) as l (price uuid, quantity bigint, standing boolean)
join price r on r.tenant_id = u.tenant_id and r.id = l.price
join product d on d.tenant_id = r.tenant_id and d.id = r.product_id
where u.tenant_id = $1 and u.id = $2 limit {_EACH_MAX}
"""

_GRANTS = f"""
select g.id, g.kind, g.quantity, g.spec->>'amount' as amount, g.spec->>'pool' as pool,
  left(coalesce(g.spec->>'feature', g.spec->>'course', g.spec->>'meter', g.spec->>'name'), 120) as name, g.status, g.starts_at, g.ends_at,
  g.event_id, l.granted, l.taken, l.remaining
from fulfilment_grant g
left join credit_lot l on l.tenant_id = g.tenant_id and l.grant_id = g.id
where g.tenant_id = $1 and g.source_id = any(
  select $2::uuid union all
  select s.id from subscription s where s.tenant_id = $1 and s.gateway_account_id = $3 and s.gateway_ref = $4)
order by g.id limit {_EACH_MAX}
"""

_LEDGER = f"""
select t.id, t.source_kind, left(t.source_ref, 120) as source_ref, t.sequence, t.created_at, t.event_id,
  e.account, e.currency, e.amount_minor
from ledger_transaction t
join ledger_entry e on e.tenant_id = t.tenant_id and e.transaction_id = t.id
where t.tenant_id = $1 and t.gateway_account_id = $2 and t.source_ref = any($3::text[])
order by t.id, e.amount_minor desc limit {_EACH_MAX}
"""

_TOLD_BY = f"""
select e.id, left(e.type, 120) as type, e.received_at, s.said
from (
  select event_id, left(string_agg(kind || ' ' || left(ref, 80), ', ' order by kind, ref), 300) as said
  from gateway_object where tenant_id = $1 and purchase_id = $2 group by event_id
  union all
  select unnest($3::uuid[]), ''
) as s
join gateway_event e on e.tenant_id = $1 and e.id = s.event_id
order by e.id, s.said desc limit {_EACH_MAX}
"""


async def _link(tx: Transaction, *, tenant_id: UUID, payment_id: UUID) -> PaymentChange | None:
    """Return what was asked for last so that the customer can confirm."""
    given = {"payment": payment_id, "kind": "confirmation"}
    found = await payment_changes(tx, tenant_id=tenant_id, page=Slice(1), given=given)
    return next(iter(found.rows), None)


async def payment(tx: Transaction, *, tenant_id: UUID, payment_id: UUID) -> Payment | None:
    """Return one payment; None when this tenant has none of this id."""
    row = await tx.fetchrow(_PAYMENT, tenant_id, payment_id)
    if row is None:
        return None
    purchase_id, account_id = row["purchase_id"], row["gateway_account_id"]
    siblings = await tx.fetch(_SIBLINGS, tenant_id, purchase_id, payment_id)
    returns = await tx.fetch(_RETURNS, tenant_id, payment_id)
    about = [ids.show(ids.PAYMENT, payment_id), *(ids.show(ids.REFUND, r["id"]) for r in returns)]
    calls = await tx.fetch(_CALLS, tenant_id, about)
    is_waiting = row["status"] == "requires_action"
    link = await _link(tx, tenant_id=tenant_id, payment_id=payment_id) if is_waiting else None
    bought = await tx.fetch(_BOUGHT, tenant_id, purchase_id)
    grants = await tx.fetch(_GRANTS, tenant_id, purchase_id, account_id, row["subscription_ref"])
    sources = [row["gateway_ref"], *(r["gateway_ref"] for r in returns)] + (
        [row["charge_ref"]] if row["charge_ref"] else []
    )
    ledger = await tx.fetch(_LEDGER, tenant_id, account_id, sources)
    known = sorted({item["event_id"] for item in (*grants, *ledger)})
    told_by = await tx.fetch(_TOLD_BY, tenant_id, purchase_id, known)
    return Payment(
        id=ids.show(ids.PAYMENT, row["id"]),
        purchase_id=ids.show(ids.PURCHASE, purchase_id),
        gateway_ref=row["gateway_ref"],
        charge_ref=row["charge_ref"],
        account=row["account"],
        is_sandbox=row["gateway"] == "sandbox",
        status=row["status"],
        money=Money(row["amount_minor"], row["currency"]),
        refunded=Money(row["refunded_minor"], row["currency"]) if row["refunded_minor"] else None,
        is_disputed=row["is_disputed"],
        failure=row["failure"],
        description=row["description"],
        unmatched_reason=row["unmatched_reason"],
        subscription_id=ids.show(ids.SUBSCRIPTION, row["subscription_id"]) if row["subscription_id"] else None,
        heir_id=ids.show(ids.PAYMENT, row["superseded_by"]) if row["superseded_by"] else None,
        customer_id=ids.show(ids.CUSTOMER, row["customer_id"]) if row["customer_id"] else None,
        customer=row["customer"],
        created_at=row["created_at"],
        updated_at=row["updated_at"],
        siblings=tuple(
            (ids.show(ids.PAYMENT, s["id"]), s["status"], Money(s["amount_minor"], s["currency"])) for s in siblings
        ),
        returns=tuple(_return(r) for r in returns),
        calls=tuple(_call(c) for c in calls),
        link=link,
        left=_left(row),
        bought=tuple(_bought(b) for b in bought),
        grants=tuple(grant_of_row(g) for g in grants),
        ledger=_ledger(ledger),
        told_by=_told_by(told_by),
    )


def _call(row: Any) -> CallRow:
    return CallRow(**(dict(row) | {"id": ids.show(ids.GATEWAY_CALL, row["id"])}))


def _left(row: Any) -> Money | None:
    """Return what may still be given back; None when there is nothing."""
    left = row["amount_minor"] - row["refunded_minor"] - row["promised_minor"]
    is_refundable = row["status"] == "succeeded" and row["superseded_by"] is None and left > 0
    return Money(left, row["currency"]) if is_refundable else None


def _return(row: Any) -> ReturnRow:
    return ReturnRow(
        id=ids.show(ids.REFUND if row["kind"] == "refund" else ids.DISPUTE, row["id"]),
        kind=row["kind"],
        gateway_ref=row["gateway_ref"],
        status=row["status"],
        money=Money(row["amount_minor"], row["currency"]),
        reason=row["reason"].replace("_", " ") if row["reason"] else None,
        at=row["created_at"],
        due_by=row["due_by"],
    )


def _bought(row: Any) -> BoughtRow:
    money = Money(row["amount_minor"], row["currency"])
    return BoughtRow(ids.show(ids.PRICE, row["id"]), row["product"], row["quantity"], money, row["is_standing"])


def grant_of_row(row: Any) -> GrantRow:
    """Return a grant in words. row: of `_GRANTS`, here or of whatever else it came from."""
    given = row["name"] or row["kind"]
    if row["granted"] is not None:
        given = f"{row['granted']:,} {row['pool'] or ''} credits".replace("  ", " ")
        if row["taken"]:
            given += f", {row['taken']:,} taken back"
        given += f", {row['remaining']:,} left"
    elif row["amount"]:
        given = f"{row['amount']} × {row['quantity']} {given}"
    return GrantRow(
        id=ids.show(ids.GRANT, row["id"]),
        kind=row["kind"],
        given=given[:200],
        status=row["status"],
        starts_at=row["starts_at"],
        ends_at=row["ends_at"],
        event_id=ids.show(ids.EVENT, row["event_id"]),
    )


def _ledger(rows: list[Any]) -> tuple[LedgerRow, ...]:
    by_transaction: dict[UUID, list[Any]] = {}
    for row in rows:
        by_transaction.setdefault(row["id"], []).append(row)
    return tuple(
        LedgerRow(
            id=ids.show(ids.LEDGER_TRANSACTION, transaction_id),
            source=f"{entries[0]['source_kind']} {entries[0]['source_ref']}",
            sequence=entries[0]["sequence"],
            at=entries[0]["created_at"],
            event_id=ids.show(ids.EVENT, entries[0]["event_id"]),
            entries=tuple(_entry(entry) for entry in entries),
        )
        for transaction_id, entries in by_transaction.items()
    )


def _entry(row: Any) -> EntryRow:
    money = Money(abs(row["amount_minor"]), row["currency"])
    return EntryRow(row["account"], money, None) if row["amount_minor"] > 0 else EntryRow(row["account"], None, money)


def _told_by(rows: list[Any]) -> tuple[ToldBy, ...]:
    told: dict[UUID, ToldBy] = {}
    for row in rows:
        told.setdefault(row["id"], ToldBy(ids.show(ids.EVENT, row["id"]), row["type"], row["received_at"], row["said"]))
    return tuple(told.values())
