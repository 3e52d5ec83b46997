"""What purchases brought, and the orders that they are for, as the merged reports say it."""

from collections.abc import Sequence
from dataclasses import dataclass
from uuid import UUID

from bursar.kernel import ids
from bursar.kernel.db import Transaction


@dataclass(frozen=True, slots=True)
class Brought:
    """What a purchase brought. net_minor: what stayed here; lost_minor: what a bank took back. order_ids: what its reports name."""

    net_minor: int
    lost_minor: int
    currency: str | None
    order_ids: tuple[UUID, ...] = ()


_MONEY = """
select id, paid_minor - refunded_minor - lost_minor as net_minor, lost_minor, currency from purchase
where tenant_id = $1 and id = any($2::uuid[])
"""

# Each object of a purchase says for itself which order it was made for.
_ORDERS = """
select distinct o.purchase_id, o.named from unnest($2::uuid[]) as w (id) cross join lateral (
  select purchase_id, state -> 'claim' ->> 'order' as named from gateway_object where tenant_id = $1 and purchase_id = w.id offset 0
) o where o.named is not null order by o.purchase_id, o.named
"""


async def brought_by(tx: Transaction, *, tenant_id: UUID, purchase_ids: Sequence[UUID]) -> dict[UUID, Brought]:
    """Return what purchases brought and what for."""
    wanted = sorted(set(purchase_ids))
    orders: dict[UUID, list[UUID]] = {}
    for row in await tx.fetch(_ORDERS, tenant_id, wanted):
        if order_id := ids.parsed_or_none(ids.ORDER, row["named"]):
            orders.setdefault(row["purchase_id"], []).append(order_id)
    return {
        row["id"]: Brought(row["net_minor"], row["lost_minor"], row["currency"], tuple(orders.get(row["id"], ())))
        for row in await tx.fetch(_MONEY, tenant_id, wanted)
    }
