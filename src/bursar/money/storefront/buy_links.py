"""Prices that anybody may buy who has the address. Off unless the business turns it on, price by price."""

from dataclasses import dataclass
from typing import Any, Final
from urllib.parse import quote
from uuid import UUID

from bursar.kernel import audit, ids
from bursar.kernel.amounts import Money
from bursar.kernel.db import Transaction
from bursar.kernel.errors import Conflict, NotFound
from bursar.money.catalog.queries import price_named
from bursar.money.intake.accounts import GatewayAccountNotFound

_LISTED_MAX: Final = 200


class NotForSale(NotFound):
    """Nothing is sold at this address."""

    code = "not_for_sale"


class PriceUnnamed(Conflict):
    """The price has no lookup key, so that no link could name it."""

    code = "price_unnamed"


@dataclass(frozen=True, slots=True)
class BuyLink:
    """A price and whether it is sold by link. path: of its page. account_id: at which it is paid; None: the only one there is."""

    price_id: UUID
    lookup_key: str
    product: str
    description: str
    money: Money
    interval: str | None
    interval_count: int
    grants: str
    account_id: UUID | None
    is_on: bool
    path: str


_COLUMNS: Final = """p.id, p.lookup_key, left(d.name, 200) as product, left(d.description, 500) as description, p.amount_minor, p.currency,
  p.interval, p.interval_count, p.grants::text as grants, b.gateway_account_id, coalesce(b.is_on, false) as is_on"""

_LIST = f"""
select {_COLUMNS}
from price p
join product d on d.tenant_id = p.tenant_id and d.id = p.product_id
left join buy_link b on b.tenant_id = p.tenant_id and b.price_id = p.id
where p.tenant_id = $1 and p.lookup_key is not null and p.is_active and d.is_active and p.deleted_at is null
order by coalesce(b.is_on, false) desc, d.name, p.amount_minor, p.id limit {_LISTED_MAX}
"""

_OFFER = f"""
select {_COLUMNS}
from price p
join product d on d.tenant_id = p.tenant_id and d.id = p.product_id
join buy_link b on b.tenant_id = p.tenant_id and b.price_id = p.id and b.is_on
where p.tenant_id = $1 and p.lookup_key = $2 and p.is_active and d.is_active and p.deleted_at is null
"""

_ONE = f"""
select {_COLUMNS}
from price p
join product d on d.tenant_id = p.tenant_id and d.id = p.product_id
left join buy_link b on b.tenant_id = p.tenant_id and b.price_id = p.id
where p.tenant_id = $1 and p.id = $2
"""

_SET = """
insert into buy_link (tenant_id, price_id, gateway_account_id, is_on) values ($1, $2, $3, $4)
on conflict (tenant_id, price_id) do update
set gateway_account_id = excluded.gateway_account_id, is_on = excluded.is_on, changed_at = clock_timestamp()
where (buy_link.gateway_account_id, buy_link.is_on) is distinct from (excluded.gateway_account_id, excluded.is_on)
returning is_on
"""

_ACCOUNT = "select id from gateway_account where tenant_id = $1 and id = $2"


async def buy_links(tx: Transaction, *, tenant_id: UUID) -> tuple[BuyLink, ...]:
    """Return every price that could be sold by link, those that are first."""
    return tuple(_of(tenant_id, row) for row in await tx.fetch(_LIST, tenant_id))


async def offer_of(tx: Transaction, *, tenant_id: UUID, lookup_key: str) -> BuyLink:
    """Return what is sold at an address. Raises NotForSale, which does not say whether there is such a price."""
    row = await tx.fetchrow(_OFFER, tenant_id, lookup_key)
    if row is None:
        raise NotForSale("Nothing is sold at this address.", hint="Ask whoever gave you the link for a new one.")
    return _of(tenant_id, row)


async def set_buy_link(
    tx: Transaction, *, tenant_id: UUID, price: str, account_id: UUID | None, is_on: bool, actor: str
) -> BuyLink:
    """Sell a price by link from now on, or no more. price: id or lookup key.

    Raises PriceNotFound, PriceDeleted, PriceUnnamed, GatewayAccountNotFound.
    """
    price_id = await price_named(tx, tenant_id=tenant_id, name=price)
    shown = ids.show(ids.PRICE, price_id)
    if account_id and await tx.fetchval(_ACCOUNT, tenant_id, account_id) is None:
        account = ids.show(ids.GATEWAY_ACCOUNT, account_id)
        raise GatewayAccountNotFound(f"there is no gateway account {account}", hint="See GET /v1/gateway-accounts.")
    if (await tx.fetchrow(_ONE, tenant_id, price_id))["lookup_key"] is None:
        raise PriceUnnamed(
            f"{shown} has no lookup key", hint="A link names a price by its lookup key; make a price that has one."
        )
    if await tx.fetchval(_SET, tenant_id, price_id, account_id, is_on) is not None:
        await audit.record(
            tx,
            tenant_id=tenant_id,
            actor=actor,
            action="price.sold_by_link" if is_on else "price.sold_by_link_no_more",
            subject=shown,
            changes={"gateway_account": ids.show(ids.GATEWAY_ACCOUNT, account_id)} if account_id else {},
        )
    return _of(tenant_id, await tx.fetchrow(_ONE, tenant_id, price_id))


def _of(tenant_id: UUID, row: Any) -> BuyLink:
    return BuyLink(
        price_id=row["id"],
        lookup_key=row["lookup_key"],
        product=row["product"],
        description=row["description"],
        money=Money(row["amount_minor"], row["currency"]),
        interval=row["interval"],
        interval_count=row["interval_count"],
        grants=row["grants"],
        account_id=row["gateway_account_id"],
        is_on=row["is_on"],
        path=f"/buy/{ids.show(ids.TENANT, tenant_id)}/{quote(row['lookup_key'], safe='')}",
    )
