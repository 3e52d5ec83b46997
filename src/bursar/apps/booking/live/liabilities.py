"""Credit liability: what was paid for credits that nobody has used yet, which the business owes in classes."""

from dataclasses import dataclass
from datetime import datetime
from typing import Any
from uuid import UUID

from bursar.kernel.db import Transaction


@dataclass(frozen=True, slots=True)
class PoolLiability:
    """Credits of one pool that can still be spent. value_minor: of those that were sold, at the price of their catalogue entry, rounded down
    by lot; None where they were given. currency: None with it.
    """

    pool: str
    credits: int
    customers: int
    currency: str | None
    is_sandbox: bool
    value_minor: int | None
    expiring: int


@dataclass(frozen=True, slots=True)
class CreditLiability:
    """What is owed at an instant. expiring, of each row: credits that expire by `soon`."""

    at: datetime
    soon: datetime
    rows: tuple[PoolLiability, ...]


# What a lot is worth is its share of its price: a price may sell other things beside, so it is the most that it can be.
# Play money is what was paid for it in the sandbox, whoever bought it; what was given is judged by its customer.
_OWED = """
select l.pool, sum(l.remaining) as credits, count(distinct l.customer_id) as customers, p.currency,
  coalesce(a.gateway = 'sandbox', false) as is_sandbox,
  sum(floor(p.amount_minor::numeric * g.quantity * l.remaining / nullif(l.granted, 0))) as value_minor,
  coalesce(sum(l.remaining) filter (where l.expires_at <= $3), 0) as expiring
from credit_lot l
left join fulfilment_grant g on g.tenant_id = l.tenant_id and g.id = l.grant_id
left join price p on p.tenant_id = g.tenant_id and p.id = g.price_id
left join customer c on c.tenant_id = l.tenant_id and c.id = l.customer_id
left join purchase u on u.tenant_id = g.tenant_id and u.id = g.source_id and g.source_kind = 'purchase'
left join gateway_account a on a.tenant_id = l.tenant_id and a.id = coalesce(u.gateway_account_id, c.gateway_account_id)
where l.tenant_id = $1 and l.remaining > 0 and not l.is_suspended and (l.expires_at is null or l.expires_at > $2)
group by l.pool, p.currency, coalesce(a.gateway = 'sandbox', false) order by l.pool, p.currency nulls last
"""


async def credit_liability(tx: Transaction, *, tenant_id: UUID, at: datetime, soon: datetime) -> CreditLiability:
    """Return the credits that can be spent at an instant, and what was paid for them."""
    rows = await tx.fetch(_OWED, tenant_id, at, soon)
    return CreditLiability(at, soon, tuple(_pool(row) for row in rows))


def _pool(row: Any) -> PoolLiability:
    value = row["value_minor"]
    exact = {"credits": int(row["credits"]), "expiring": int(row["expiring"])}
    return PoolLiability(**(dict(row) | exact | {"value_minor": None if value is None else int(value)}))
