"""The list of customers, newest first, or those that answer to a name."""

from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal
from typing import Any
from uuid import UUID

from bursar.kernel import ids
from bursar.kernel.amounts import Money
from bursar.kernel.db import Transaction
from bursar.web.pages.paging import ROWS, Slice, sliced

PAYMENTS_READ_MAX = 200


@dataclass(frozen=True, slots=True)
class CustomerRow:
    """A customer in a list. paid: what succeeded less what went back, by currency; of the newest payments if there are many."""

    id: str
    name: str | None
    email: str | None
    gateway_ref: str
    account: str
    is_sandbox: bool
    is_deleted: bool
    created_at: datetime
    paid: tuple[Money, ...]
    payments: int
    is_partial: bool


_COLUMNS = """
select c.id, left(c.name, 120) as name, left(c.email, 200) as email, left(c.gateway_ref, 120) as gateway_ref, left(a.name, 60) as account,
  a.gateway, c.is_deleted, c.created_at
from customer c join gateway_account a on a.tenant_id = c.tenant_id and a.id = c.gateway_account_id
"""

_PRESENT = """(c.deleted_at is null or exists (select from payment p
    where p.tenant_id = c.tenant_id and p.customer_id = c.id and p.created_at > c.deleted_at))"""

_LIST = f"{_COLUMNS} where c.tenant_id = $1 and c.id < $2 and {_PRESENT} order by c.id desc limit $3"

_FOUND = f"""{_COLUMNS}
where c.tenant_id = $1 and (c.gateway_ref = $2 or c.email_key = lower($2) or c.gateway_ref = 'email:' || lower($2)) and c.id < $3
order by c.id desc limit $4
"""

# The newest payments only: one customer with a hundred thousand must not make the list slow.
_PAID = f"""
select c.id as customer_id, p.currency, sum(p.amount_minor - p.refunded_minor) as paid_minor, count(*) as payments
from unnest($2::uuid[]) as c (id)
cross join lateral (
  select currency, amount_minor, refunded_minor from payment p
  where p.tenant_id = $1 and p.customer_id = c.id and p.status = 'succeeded' and p.superseded_by is null
  order by p.id desc limit {PAYMENTS_READ_MAX}
) as p
group by c.id, p.currency order by c.id, p.currency
"""


async def customers(
    tx: Transaction, *, tenant_id: UUID, named: str | None, below: UUID, limit: int = ROWS
) -> Slice[CustomerRow]:
    """Return a page of customers. named: a gateway's customer id or an e-mail address; None means all."""
    if named:
        rows = await tx.fetch(_FOUND, tenant_id, named, below, limit + 1)
    else:
        rows = await tx.fetch(_LIST, tenant_id, below, limit + 1)
    paid: dict[UUID, list[Any]] = {}
    for row in await tx.fetch(_PAID, tenant_id, [row["id"] for row in rows[:limit]]):
        paid.setdefault(row["customer_id"], []).append(row)
    views = [_row(row, paid.get(row["id"], [])) for row in rows]
    return sliced(views, [view.id for view in views], limit=limit)


def _row(row: Any, paid: list[Any]) -> CustomerRow:
    count = sum(p["payments"] for p in paid)
    return CustomerRow(
        id=ids.show(ids.CUSTOMER, row["id"]),
        name=row["name"],
        email=row["email"],
        gateway_ref=row["gateway_ref"],
        account=row["account"],
        is_sandbox=row["gateway"] == "sandbox",
        is_deleted=row["is_deleted"],
        created_at=row["created_at"],
        paid=tuple(Money(int(Decimal(p["paid_minor"])), p["currency"]) for p in paid),
        payments=count,
        is_partial=count >= PAYMENTS_READ_MAX,
    )
