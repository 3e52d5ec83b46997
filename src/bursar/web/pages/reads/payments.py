"""The list of payments, newest first."""

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Final
from uuid import UUID

from bursar.kernel import ids
from bursar.kernel.amounts import Money
from bursar.kernel.db import Transaction
from bursar.web.pages.paging import ROWS, Slice, narrowed, sliced

STATUSES: Final = ("succeeded", "processing", "requires_action", "pending", "failed", "canceled")
OF_CUSTOMER_MAX = 20


@dataclass(frozen=True, slots=True)
class PaymentRow:
    """A payment in a list. bought: names of what it paid for; is_unmatched: it names nothing we sell."""

    id: str
    gateway_ref: str
    status: str
    money: Money
    refunded: Money | None
    is_disputed: bool
    is_unmatched: bool
    is_sandbox: bool
    customer_id: str | None
    customer: str | None
    bought: str | None
    failure: str | None
    created_at: datetime

    @property
    def word(self) -> str:
        """The state in one word, as money sees it: a refunded payment is more than succeeded."""
        return word_of(self.status, self.money, self.refunded, is_disputed=self.is_disputed)


_COLUMNS = """
select p.id, left(p.gateway_ref, 120) as gateway_ref, p.status, p.amount_minor, p.currency, p.refunded_minor, p.is_disputed,
  left(coalesce(p.failure_message, p.failure_code), 160) as failure, p.created_at, a.gateway,
  u.is_paid and u.unmatched_reason is not null as is_unmatched, c.id as customer_id,
  left(coalesce(c.name, c.email, c.gateway_ref), 80) as customer, b.names as bought
from payment p
join gateway_account a on a.tenant_id = p.tenant_id and a.id = p.gateway_account_id
join purchase u on u.tenant_id = p.tenant_id and u.id = p.purchase_id
left join customer c on c.tenant_id = p.tenant_id and c.id = p.customer_id
left join lateral (
  select left(string_agg(left(d.name, 80) || case when l.quantity > 1 then ' × ' || l.quantity else '' end, ', '), 160) as names
  from jsonb_to_recordset(u.lines) as l (price uuid, quantity bigint)
  join price r on r.tenant_id = u.tenant_id and r.id = l.price
  join product d on d.tenant_id = r.tenant_id and d.id = r.product_id
) as b on true
where p.tenant_id = $1 and p.superseded_by is null and p.id < $2
"""

_STATEMENTS: Final = narrowed(_COLUMNS, "p")


async def payments(
    tx: Transaction, *, tenant_id: UUID, status: str | None, customer_id: UUID | None, below: UUID, limit: int = ROWS
) -> Slice[PaymentRow]:
    """Return a page of payments below an id; stand-ins whose real payment is known are left out."""
    values = [value for value in (status, customer_id) if value]
    statement = _STATEMENTS[bool(status), bool(customer_id)]
    rows = [_row(row) for row in await tx.fetch(statement, tenant_id, below, limit + 1, *values)]
    return sliced(rows, [row.id for row in rows], limit=limit)


async def payments_of_customer(tx: Transaction, *, tenant_id: UUID, customer_id: UUID) -> tuple[PaymentRow, ...]:
    """Return the newest payments of a customer."""
    below = UUID(int=2**128 - 1)
    rows = [
        _row(row) for row in await tx.fetch(_STATEMENTS[False, True], tenant_id, below, OF_CUSTOMER_MAX, customer_id)
    ]
    return in_time(rows)


def word_of(status: str, money: Money, refunded: Money | None, *, is_disputed: bool) -> str:
    """Return the state of a payment in one word, as money sees it."""
    if is_disputed:
        return "disputed"
    return "refunded" if refunded and refunded.minor >= money.minor else status


def in_time(rows: Iterable[PaymentRow]) -> tuple[PaymentRow, ...]:
    """Return payments by the time the gateway made them, which is nearly the order in which they were reported."""
    return tuple(sorted(rows, key=lambda row: row.created_at, reverse=True))


def _row(row: Any) -> PaymentRow:
    return PaymentRow(
        id=ids.show(ids.PAYMENT, row["id"]),
        gateway_ref=row["gateway_ref"],
        status=row["status"],
        money=Money(row["amount_minor"], row["currency"]),
        refunded=Money(row["refunded_minor"], row["currency"]) if row["refunded_minor"] else None,
        is_disputed=row["is_disputed"],
        is_unmatched=bool(row["is_unmatched"]),
        is_sandbox=row["gateway"] == "sandbox",
        customer_id=ids.show(ids.CUSTOMER, row["customer_id"]) if row["customer_id"] else None,
        customer=row["customer"],
        bought=row["bought"],
        failure=row["failure"],
        created_at=row["created_at"],
    )
