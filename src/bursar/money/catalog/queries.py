"""Reads of products and prices."""

from collections.abc import Mapping
from typing import Any
from uuid import UUID

from bursar.kernel import ids
from bursar.kernel.db import Transaction
from bursar.kernel.errors import Conflict, NotFound
from bursar.kernel.listing import Listing, Part, Slice, part
from bursar.money.catalog.schemas import PriceView, Product


class ProductNotFound(NotFound):
    """No product of this tenant has this id."""

    code = "product_not_found"


class PriceNotFound(NotFound):
    """No price of this tenant has this id or lookup key."""

    code = "price_not_found"


class ProductDeleted(Conflict):
    """The product is deleted: it takes no new prices, and its prices do not come back before it."""

    code = "product_deleted"


class PriceDeleted(Conflict):
    """The price is deleted: nothing new is sold at it."""

    code = "price_deleted"


_PRODUCT = "select p.id, p.name, p.description, p.is_active, p.created_at, p.deleted_at from product p"

_PRICE = """select p.id, p.product_id as product, p.lookup_key, p.amount_minor, p.currency, p.interval, p.interval_count,
  p.grants::text as grants, p.recovers_shortfall, p.is_active, p.created_at, p.deleted_at,
  coalesce((select jsonb_agg(jsonb_build_object('gateway_account', r.gateway_account_id, 'ref', r.ref)
      order by r.gateway_account_id, r.ref)
    from price_gateway_ref r where r.tenant_id = p.tenant_id and r.price_id = p.id), '[]')::text as gateway_refs
from price p"""

PRODUCTS = Listing(
    select=_PRODUCT,
    tenant="p.tenant_id",
    key="p.id",
    filters={"is_active": "p.is_active = {}", "present": "p.deleted_at is null"},
)

PRICES = Listing(
    select=_PRICE,
    tenant="p.tenant_id",
    key="p.id",
    filters={
        "product": "p.product_id = {}",
        "lookup_key": "p.lookup_key = {}",
        "is_active": "p.is_active = {}",
        "present": "p.deleted_at is null",
        "gateway_ref": """p.id in (
    select x.price_id from price_gateway_ref x where x.tenant_id = $1 and x.ref = {}
      and x.gateway_account_id = any(array(select a.id from gateway_account a where a.tenant_id = $1)))""",
    },
    refers={"product": "product"},
)

_ONE_PRODUCT = f"{_PRODUCT} where p.tenant_id = $1 and p.id = $2"
_ONE_PRICE = f"{_PRICE} where p.tenant_id = $1 and p.id = $2"
_PRICE_NAMED = "select id, deleted_at from price where tenant_id = $1 and lookup_key = $2"
_PRICE_EXISTS = "select id, deleted_at from price where tenant_id = $1 and id = $2"


async def products(tx: Transaction, *, tenant_id: UUID, page: Slice, given: Mapping[str, Any]) -> Part[Product]:
    """Return products, newest first. given: values by filter of `PRODUCTS`."""
    return await part(tx, PRODUCTS, tenant_id=tenant_id, given=given, page=page, view=Product.of)


async def product(tx: Transaction, *, tenant_id: UUID, product_id: UUID) -> Product:
    """Return one product. Raises ProductNotFound."""
    row = await tx.fetchrow(_ONE_PRODUCT, tenant_id, product_id)
    if row is None:
        raise ProductNotFound(f"there is no product {ids.show(ids.PRODUCT, product_id)}")
    return Product.of(row)


async def prices(tx: Transaction, *, tenant_id: UUID, page: Slice, given: Mapping[str, Any]) -> Part[PriceView]:
    """Return prices, newest first. given: values by filter of `PRICES`."""
    return await part(tx, PRICES, tenant_id=tenant_id, given=given, page=page, view=PriceView.of)


async def price(tx: Transaction, *, tenant_id: UUID, price_id: UUID) -> PriceView:
    """Return one price. Raises PriceNotFound."""
    row = await tx.fetchrow(_ONE_PRICE, tenant_id, price_id)
    if row is None:
        raise PriceNotFound(f"there is no price {ids.show(ids.PRICE, price_id)}")
    return PriceView.of(row)


async def price_named(tx: Transaction, *, tenant_id: UUID, name: str) -> UUID:
    """Return the price behind an id or a lookup key, which may be sold. Raises PriceNotFound, PriceDeleted."""
    if price_id := ids.parsed_or_none(ids.PRICE, name):
        found = await tx.fetchrow(_PRICE_EXISTS, tenant_id, price_id)
    else:
        found = await tx.fetchrow(_PRICE_NAMED, tenant_id, name)
    if found is None:
        raise PriceNotFound(f"there is no price {name}", hint="Pass the id of a price or its lookup key.")
    if found["deleted_at"]:
        raise PriceDeleted(f"the price {name} is deleted", hint="Restore it, or use another one.")
    return UUID(int=found["id"].int)
