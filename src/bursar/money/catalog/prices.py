"""Prices as the floors above read them: by gateway reference, by id or lookup key, by order."""

from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Any, Literal
from uuid import UUID

import msgspec

from bursar.kernel import ids
from bursar.kernel.db import Transaction

Interval = Literal["day", "week", "month", "year"]


@dataclass(frozen=True, slots=True)
class Price:
    """What is sold. grants: the specifications in order; a grant's position is its index. amount: minor units."""

    id: UUID
    product_id: UUID
    lookup_key: str | None
    amount_minor: int
    currency: str
    interval: Interval | None
    grants: tuple[dict[str, Any], ...]
    recovers_shortfall: bool

    @property
    def is_recurring(self) -> bool:
        return self.interval is not None


@dataclass(frozen=True, slots=True)
class Catalogue:
    """The part of the catalogue that a batch may name."""

    by_gateway_ref: dict[str, Price] = field(default_factory=dict)
    by_name: dict[str, Price] = field(default_factory=dict)
    orders: dict[str, tuple[tuple[Price, int], ...]] = field(default_factory=dict)


_COLUMNS = "p.id, p.product_id, p.lookup_key, p.amount_minor, p.currency, p.interval, p.grants::text as grants, p.recovers_shortfall"

_BY_GATEWAY_REF = f"""
select r.ref as name, {_COLUMNS} from price_gateway_ref r
join price p on p.tenant_id = r.tenant_id and p.id = r.price_id
where r.tenant_id = $1 and r.gateway_account_id = $2 and r.ref = any($3::text[])
"""

_BY_NAME = f"""
select {_COLUMNS} from price p
where p.tenant_id = $1 and (p.id = any($2::uuid[]) or p.lookup_key = any($3::text[]))
"""

_ORDERS = "select id, lines::text as lines from customer_order where tenant_id = $1 and id = any($2::uuid[])"


async def catalogue_for(
    tx: Transaction,
    *,
    tenant_id: UUID,
    account_id: UUID,
    refs: Iterable[str],
    names: Iterable[str],
    orders: Iterable[str],
) -> Catalogue:
    """Return the prices behind gateway references, price names (id or lookup key) and order ids. Unknown ones are left out."""
    ref_list, name_list = list(refs), list(names)
    order_ids = {text: order_id for text in orders if (order_id := ids.parsed_or_none(ids.ORDER, text))}
    by_ref: dict[str, Price] = {}
    if ref_list:
        rows = await tx.fetch(_BY_GATEWAY_REF, tenant_id, account_id, ref_list)
        by_ref = {row["name"]: _price(row) for row in rows}
    order_lines: dict[str, list[dict[str, Any]]] = {}
    if order_ids:
        found = {row["id"]: row["lines"] for row in await tx.fetch(_ORDERS, tenant_id, list(order_ids.values()))}
        order_lines = {text: msgspec.json.decode(found[key]) for text, key in order_ids.items() if key in found}
    name_list += [line["price"] for lines in order_lines.values() for line in lines]
    by_name = await _by_name(tx, tenant_id=tenant_id, names=name_list)
    return Catalogue(
        by_gateway_ref=by_ref,
        by_name=by_name,
        orders={
            text: tuple((by_name[line["price"]], int(line["quantity"])) for line in lines if line["price"] in by_name)
            for text, lines in order_lines.items()
        },
    )


async def _by_name(tx: Transaction, *, tenant_id: UUID, names: list[str]) -> dict[str, Price]:
    if not names:
        return {}
    price_ids = [price_id for text in names if (price_id := ids.parsed_or_none(ids.PRICE, text))]
    by_name: dict[str, Price] = {}
    for row in await tx.fetch(_BY_NAME, tenant_id, price_ids, names):
        price = _price(row)
        by_name[ids.show(ids.PRICE, price.id)] = price
        if price.lookup_key:
            by_name[price.lookup_key] = price
    return by_name


def _price(row: Any) -> Price:
    return Price(
        id=row["id"],
        product_id=row["product_id"],
        lookup_key=row["lookup_key"],
        amount_minor=row["amount_minor"],
        currency=row["currency"],
        interval=row["interval"],
        grants=tuple(msgspec.json.decode(row["grants"])),
        recovers_shortfall=row["recovers_shortfall"],
    )
