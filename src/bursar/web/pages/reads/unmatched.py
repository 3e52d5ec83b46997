"""Unmatched money: paid, but naming nothing we sell. It waits for a report, a catalogue entry, or a person."""

from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any
from uuid import UUID

from bursar.kernel import ids
from bursar.kernel.amounts import Money
from bursar.kernel.db import Transaction
from bursar.web.pages.paging import ROWS, Slice, sliced


@dataclass(frozen=True, slots=True)
class UnmatchedRow:
    """An unmatched purchase. since: when it was first seen; is_overdue: past the grace in which reports may still come.

    payment, gateway_ref: what an assignment names; None when no payment of it is known (then nothing can be assigned).
    """

    id: str
    money: Money
    reason: str
    refs: tuple[str, ...]
    since: datetime
    is_overdue: bool
    is_sandbox: bool
    account_id: UUID
    account: str
    payment_id: str | None
    gateway_ref: str | None
    customer_id: str | None
    customer: str | None
    description: str | None


@dataclass(frozen=True, slots=True)
class PriceChoice:
    """A price that the money may be assigned to. fits: same currency and the whole amount, this many times."""

    id: str
    name: str
    money: Money
    interval: str | None
    fits: int


_COLUMNS = """
select u.id, u.paid_minor, u.currency, left(u.unmatched_reason, 300) as reason, u.unmatched_refs[1:5] as refs, u.first_seen_at,
  u.gateway_account_id, left(a.name, 60) as account, a.gateway, p.id as payment_id, p.gateway_ref, left(p.description, 200) as description,
  c.id as customer_id, left(coalesce(c.name, c.email, c.gateway_ref), 100) as customer
from purchase u
join gateway_account a on a.tenant_id = u.tenant_id and a.id = u.gateway_account_id
left join lateral (
  select id, gateway_ref, customer_id, description from payment p
  where p.tenant_id = u.tenant_id and p.purchase_id = u.id and p.status = 'succeeded' and p.superseded_by is null
  order by p.amount_minor desc, p.id limit 1
) as p on true
left join customer c on c.tenant_id = u.tenant_id and c.id = coalesce(u.customer_id, p.customer_id)
"""

_LIST = f"""{_COLUMNS}
where u.tenant_id = $1 and u.id < $2 and u.is_paid and u.unmatched_reason is not null and u.merged_into is null
order by u.id desc limit $3
"""

_ONE = f"""{_COLUMNS}
where u.tenant_id = $1 and u.id = $2 and u.is_paid and u.unmatched_reason is not null and u.merged_into is null
"""

_PRICES = """
select p.id, p.lookup_key, p.amount_minor, p.currency, p.interval, left(d.name, 120) as product
from price p join product d on d.tenant_id = p.tenant_id and d.id = p.product_id
where p.tenant_id = $1 and p.is_active
order by p.currency <> $2, p.amount_minor <> $3, d.name, p.amount_minor limit 500
"""

_PRICE = """
select p.id, p.lookup_key, p.amount_minor, p.currency, p.interval, left(d.name, 120) as product
from price p join product d on d.tenant_id = p.tenant_id and d.id = p.product_id
where p.tenant_id = $1 and p.id = $2
"""


async def unmatched_list(
    tx: Transaction, *, tenant_id: UUID, below: UUID, now: datetime, grace: timedelta, limit: int = ROWS
) -> Slice[UnmatchedRow]:
    rows = [_row(row, now=now, grace=grace) for row in await tx.fetch(_LIST, tenant_id, below, limit + 1)]
    return sliced(rows, [row.id for row in rows], limit=limit)


async def unmatched_one(
    tx: Transaction, *, tenant_id: UUID, purchase_id: UUID, now: datetime, grace: timedelta
) -> UnmatchedRow | None:
    """Return an unmatched purchase; None when there is none of this id, or it has found its price meanwhile."""
    row = await tx.fetchrow(_ONE, tenant_id, purchase_id)
    return _row(row, now=now, grace=grace) if row else None


async def price_choices(tx: Transaction, *, tenant_id: UUID, money: Money) -> tuple[PriceChoice, ...]:
    """Return the active prices, those that fit the money first."""
    choices = [_choice(row, money) for row in await tx.fetch(_PRICES, tenant_id, money.currency, money.minor)]
    return tuple(sorted(choices, key=lambda choice: (choice.fits == 0, choice.fits)))


async def price_choice(tx: Transaction, *, tenant_id: UUID, price_id: UUID, money: Money) -> PriceChoice | None:
    row = await tx.fetchrow(_PRICE, tenant_id, price_id)
    return _choice(row, money) if row else None


def _choice(row: Any, money: Money) -> PriceChoice:
    fits = 0
    if row["currency"] == money.currency and row["amount_minor"] and money.minor % row["amount_minor"] == 0:
        fits = money.minor // row["amount_minor"]
    name = f"{row['product']} ({row['lookup_key'][:80]})" if row["lookup_key"] else row["product"]
    return PriceChoice(
        ids.show(ids.PRICE, row["id"]), name, Money(row["amount_minor"], row["currency"]), row["interval"], fits
    )


def _row(row: Any, *, now: datetime, grace: timedelta) -> UnmatchedRow:
    return UnmatchedRow(
        id=ids.show(ids.PURCHASE, row["id"]),
        money=Money(row["paid_minor"], row["currency"] or "XXX"),
        reason=row["reason"],
        refs=tuple(ref[:120] for ref in row["refs"]),
        since=row["first_seen_at"],
        is_overdue=now - row["first_seen_at"] > grace,
        is_sandbox=row["gateway"] == "sandbox",
        account_id=row["gateway_account_id"],
        account=row["account"],
        payment_id=ids.show(ids.PAYMENT, row["payment_id"]) if row["payment_id"] else None,
        gateway_ref=row["gateway_ref"],
        customer_id=ids.show(ids.CUSTOMER, row["customer_id"]) if row["customer_id"] else None,
        customer=row["customer"],
        description=row["description"],
    )
