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


@dataclass(frozen=True, slots=True)
class CustomerRow:
    """A customer in a list. paid: what succeeded less what went back, by currency."""

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


_COLUMNS = """
select c.id, left(c.name, 120) as name, left(c.email, 200) as email, left(c.gateway_ref, 120) as gateway_ref, left(a.name, 60) as account,
  a.gateway, c.is_deleted, c.created_at
from customer c join gateway_account a on a.tenant_id = c.tenant_id and a.id = c.gateway_account_id
"""

_LIST = f"{_COLUMNS} where c.tenant_id = $1 and c.id < $2 order by c.id desc limit $3"

_FOUND = f"""{_COLUMNS}
where c.tenant_id = $1 and (c.gateway_ref = $2 or lower(c.email) = lower($2) or c.gateway_ref = 'email:' || lower($2)) and c.id < $3
order by c.id desc limit $4
"""

_PAID = """
select customer_id, currency, sum(amount_minor - refunded_minor) as paid_minor, count(*) as payments
from payment
where tenant_id = $1 and customer_id = any($2::uuid[]) and status = 'succeeded' and superseded_by is null
group by customer_id, currency order by customer_id, currency
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
        payments=sum(p["payments"] for p in paid),
    )
