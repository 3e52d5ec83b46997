"""What is sold, as reports name it."""

from collections.abc import Sequence
from typing import Final
from uuid import UUID

from bursar.kernel.db import Transaction
from bursar.money.reports.schemas import Offered

_SOLD = """
select p.id as price, left(d.name, 120) as product, p.lookup_key, p.amount_minor, p.currency, p.interval, p.interval_count
from price p join product d on d.tenant_id = p.tenant_id and d.id = p.product_id
where p.tenant_id = $1 and p.id = any($2::uuid[])
"""

MONTHS: Final = (
    "case p.interval when 'day' then 365 / 12.0 when 'week' then 52 / 12.0 when 'month' then 1 else 1 / 12.0 end"
)
"""How often a price `p` recurs in a month, if its interval count is one."""


async def described(tx: Transaction, *, tenant_id: UUID, price_ids: Sequence[UUID]) -> dict[UUID, Offered]:
    """Return how each of these prices is named. One that is not the tenant's is left out."""
    rows = await tx.fetch(_SOLD, tenant_id, list(set(price_ids))) if price_ids else ()
    return {row["price"]: Offered.of(row) for row in rows}
