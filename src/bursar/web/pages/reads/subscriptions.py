"""The list of subscriptions, newest first."""

from dataclasses import dataclass
from datetime import datetime
from typing import Any, Final
from uuid import UUID

from bursar.kernel import ids
from bursar.kernel.amounts import Money
from bursar.kernel.db import Transaction
from bursar.web.pages.paging import ROWS, Slice, narrowed, sliced

STATUSES: Final = ("trialing", "active", "past_due", "unpaid", "paused", "incomplete", "canceled")


@dataclass(frozen=True, slots=True)
class Rhythm:
    """What is paid for each period, as the catalogue says it."""

    money: Money
    interval: str
    count: int

    @property
    def per(self) -> str:
        """How often: `a month`, `3 months`."""
        return f"a {self.interval}" if self.count == 1 else f"every {self.count} {self.interval}s"


@dataclass(frozen=True, slots=True)
class SubscriptionRow:
    """A subscription in a list. sells: the product; None while no price of ours is known. open_change: what was asked and has no outcome."""

    id: str
    status: str
    customer_id: str | None
    customer: str | None
    sells: str | None
    quantity: int
    rhythm: Rhythm | None
    period_end: datetime | None
    is_ending: bool
    open_change: str | None
    is_sandbox: bool

    @property
    def renews_at(self) -> datetime | None:
        """When it is paid for next; None where it is not, as far as anybody knows."""
        is_running = self.status in ("trialing", "active", "past_due")
        return self.period_end if is_running and not self.is_ending else None


# How many it sells is told by the newest report of it: our row keeps what the price is.
_COLUMNS = """
select s.id, s.status, s.current_period_end as period_end, s.cancel_at_period_end as is_ending, a.gateway,
  c.id as customer_id, left(coalesce(c.name, c.email, c.gateway_ref), 80) as customer,
  left(d.name, 120) as sells, coalesce((o.state #>> '{lines,0,quantity}')::bigint, 1) as quantity,
  r.amount_minor, r.currency, r.interval, r.interval_count, h.kind as open_change
from subscription s
join gateway_account a on a.tenant_id = s.tenant_id and a.id = s.gateway_account_id
left join customer c on c.tenant_id = s.tenant_id and c.id = s.customer_id
left join price r on r.tenant_id = s.tenant_id and r.id = s.price_id
left join product d on d.tenant_id = r.tenant_id and d.id = r.product_id
left join gateway_object o on o.tenant_id = s.tenant_id and o.gateway_account_id = s.gateway_account_id
  and o.kind = 'subscription' and o.ref = s.gateway_ref
left join subscription_change h on h.tenant_id = s.tenant_id and h.subscription_id = s.id and h.is_open
where s.tenant_id = $1 and s.id < $2
"""

_STATEMENTS: Final = narrowed(_COLUMNS, "s")


async def subscriptions(
    tx: Transaction, *, tenant_id: UUID, status: str | None, customer_id: UUID | None, below: UUID
) -> Slice[SubscriptionRow]:
    """Return a page of subscriptions below an id."""
    values = [value for value in (status, customer_id) if value]
    statement = _STATEMENTS[bool(status), bool(customer_id)]
    rows = [_row(row) for row in await tx.fetch(statement, tenant_id, below, ROWS + 1, *values)]
    return sliced(rows, [row.id for row in rows])


def rhythm_of(row: Any) -> Rhythm | None:
    """Return what a row's price comes to each period. row: amount_minor, currency, interval, interval_count, quantity."""
    if row["amount_minor"] is None or row["interval"] is None:
        return None
    money = Money(row["amount_minor"] * row["quantity"], row["currency"])
    return Rhythm(money, row["interval"], row["interval_count"])


def _row(row: Any) -> SubscriptionRow:
    return SubscriptionRow(
        id=ids.show(ids.SUBSCRIPTION, row["id"]),
        status=row["status"],
        customer_id=ids.show(ids.CUSTOMER, row["customer_id"]) if row["customer_id"] else None,
        customer=row["customer"],
        sells=row["sells"],
        quantity=row["quantity"],
        rhythm=rhythm_of(row),
        period_end=row["period_end"],
        is_ending=row["is_ending"],
        open_change=row["open_change"],
        is_sandbox=row["gateway"] == "sandbox",
    )
