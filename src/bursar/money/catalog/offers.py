"""Offers: prices as a gateway account can sell them, by the gateway's own name for them where it has one."""

from collections.abc import Sequence
from dataclasses import dataclass
from uuid import UUID

from bursar.kernel.db import Transaction


@dataclass(frozen=True, slots=True)
class Offer:
    """A price at a gateway. name: of its product. ref: None where the gateway does not know the price."""

    price_id: UUID
    name: str
    amount_minor: int
    currency: str
    interval: str | None
    interval_count: int
    ref: str | None


_OFFERS = """
select p.id as price_id, d.name, p.amount_minor, p.currency, p.interval, p.interval_count,
  (select min(r.ref) from price_gateway_ref r
    where r.tenant_id = p.tenant_id and r.price_id = p.id and r.gateway_account_id = $3) as ref
from price p join product d on d.tenant_id = p.tenant_id and d.id = p.product_id
where p.tenant_id = $1 and p.id = any($2::uuid[])
"""


async def offers(tx: Transaction, *, tenant_id: UUID, account_id: UUID, price_ids: Sequence[UUID]) -> dict[UUID, Offer]:
    """Return the prices that there are of those named, as an account can sell them."""
    rows = await tx.fetch(_OFFERS, tenant_id, price_ids, account_id)
    return {row["price_id"]: Offer(**dict(row)) for row in rows}
